#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Nobody takes a sandbox from the others: places among the running and in the queue, slots,
# bytes, and the shared slot.
# shellcheck source=tests/hostile/lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

mount_with <<CONF || exit 1
permissions = 0777
timeout = 60s
kill_grace = 100ms
mode = direct
[d]
max_running = 16
max_queued = 20
[one]
max_running = 1
CONF

# A conversation of as many jobs as are taken; prints how many, and ends them with stdin.
cat >"$T/fill" <<'PYTHON'
#!/usr/bin/python3
import os, sys
fds = []
try:
    for i in range(int(sys.argv[3])):
        fds.append(os.open(f"{sys.argv[1]}/call", os.O_RDWR))
        os.write(fds[-1], sys.argv[2].encode() + b"\n")
except OSError as e:
    fds.pop()
print(len(fds), flush=True)
sys.stdin.read()
PYTHON
chmod 755 "$T/fill"

fill_as() {
    local who=$1
    shift
    coproc "FILL_$who" { "$who" "$T/fill" "$@"; }
}

test_places_among_the_running() {
    local count
    fill_as mallory "$M/d" "sleep 55" 100
    read -r -t 20 count <&"${FILL_mallory[0]}"
    is "$count" 27 "12 that run, 15 that wait"
    fill_as eve "$M/d" "sleep 55" 100
    read -r -t 20 count <&"${FILL_eve[0]}"
    is "$count" 7 "3 that run, 4 that wait"
    # There is still a place for somebody else, at once.
    honest timeout 5 sh -c "echo true >$M/d/request; cat $M/d/status" >"$T/status"
    is "$(cat "$T/status")" "0 exited"
    is "$(write_error "$M/d/request" $'--timeout=none true\n')" EINVAL
    exec {FILL_mallory[1]}>&- {FILL_eve[1]}>&-
    wait
}

test_turns() {
    mallory mkdir -m 700 "$M/one/"{m1,m2,m3,m4}
    honest mkdir -m 700 "$M/one/h"
    local slot
    for slot in m1 m2 m3 m4; do
        mallory sh -c "echo 'sleep 0.4' >$M/one/$slot/request"
    done
    honest sh -c "echo true >$M/one/h/request"
    is "$(honest timeout 20 cat "$M/one/h/status")" "0 exited"
    # After one of the three that waited, and not after all.
    is "$(cat "$M/one/m3/status" & sleep 0.1; kill $! 2>/dev/null)" "" "m3 has not been before"
    mallory rmdir "$M/one/"m?
    honest rmdir "$M/one/h"
}

run_tests
