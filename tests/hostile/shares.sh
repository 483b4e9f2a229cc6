#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No user takes a sandbox from the others: running and waiting jobs, slots, bytes, and the shared
# slot.
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
[tight]
max_user_bytes = 16M
max_slots = 40
max_user_slots = 35
max_user_calls = 300
max_running = 8
write_timeout = 1s
[slow]
CONF

# Opens conversations until one is refused; prints their number, and ends them with stdin.
cat >"$T/fill" <<'PYTHON'
#!/usr/bin/python3
import os, signal, sys
fds = []
try:
    for i in range(int(sys.argv[3])):
        fds.append(os.open(f"{sys.argv[1]}/call", os.O_RDWR))
        os.write(fds[-1], sys.argv[2].encode() + b"\n")
except OSError as e:
    fds.pop()
print(len(fds), flush=True)
signal.pause()
PYTHON
chmod 755 "$T/fill"

# fill_as WHO...: prints how many were taken; they stay until WHO has no process more.
fill_as() {
    local who=$1
    shift
    "$who" "$T/fill" "$@" >"$T/count.$who" 2>&1 &
    wait_until 20 test -s "$T/count.$who"
    cat "$T/count.$who"
}

test_places_among_the_running() {
    fill_as mallory "$M/d" "sleep 55" 100
    is "$(cat "$T/count.mallory")" 27 "12 that run, 15 that wait"
    fill_as eve "$M/d" "sleep 55" 100
    is "$(cat "$T/count.eve")" 7 "3 that run, 4 that wait"
    # A job of another user still starts at once.
    honest timeout 5 sh -c "echo true >$M/d/request; cat $M/d/status" >"$T/status"
    is "$(cat "$T/status")" "0 exited"
    is "$(write_error "$M/d/request" $'--timeout=none true\n')" EINVAL
    pkill -u "$MALLORY,$EVE" -f "$T/fill"
    wait
}

test_turns() {
    mallory mkdir -m 700 "$M/one/"{m1,m2,m3,m4}
    honest mkdir -m 700 "$M/one/h"
    local slot
    for slot in m1 m2 m3 m4; do
        mallory sh -c "echo 'sh -c \"until test -e $T/turns; do sleep 0.05; done\"' >$M/one/$slot/request"
    done
    honest sh -c "echo true >$M/one/h/request"
    touch "$T/turns"
    is "$(honest timeout 20 cat "$M/one/h/status")" "0 exited"
    is "$(mallory timeout 20 cat "$M/one/m4/status")" "0 exited"
    # The job runs after one of the three jobs that waited, and not after all of them.
    is "$(sed -n 's/.*job sandbox=one slot=\([^ ]*\) .*/\1/p' "$T/log" | tr '\n' ' ')" "m1 m2 h m3 m4 "
    mallory rmdir "$M/one/"m?
    honest rmdir "$M/one/h"
}


# attack WHO: runs the Python program on stdin, as WHO, in the sandbox tight. The daemon's memory
# must then have grown by less than three times the share of one user, and another user must be
# served while the attack lasts.
attack() {
    local who=$1 before after
    before=$(daemon_kib)
    cat >"$T/attack.py"
    printf '%s\n' 'import errno, os, sys
T = sys.argv[1]
def refused(errors, call, *args):
    try:
        return call(*args)
    except OSError as e:
        assert errno.errorcode[e.errno] in errors, e
        return None' | cat - "$T/attack.py" >"$T/whole.py"
    printf '%s\n' 'print("ready", flush=True)' 'sys.stdin.read()' >>"$T/whole.py"
    coproc ATTACK { "$who" /usr/bin/python3 "$T/whole.py" "$M/tight" 2>&1; }
    # Descriptors of our own: bash closes those of the coprocess when it has ended.
    local in out line
    exec {in}>&"${ATTACK[1]}" {out}<&"${ATTACK[0]}"
    eval "exec ${ATTACK[1]}>&- ${ATTACK[0]}<&-"
    read -r -t 60 line <&"$out" || line="nothing"
    [[ $line == ready ]] || fail "the attack says: $line $(timeout 5 cat <&"$out")"
    after=$(daemon_kib)
    is_sanitized || ((after - before < 3 * 16384)) || fail "the daemon has had $before KiB, now $after"
    honest /usr/bin/python3 - "$M/tight" <<'PYTHON'
import os, sys
fd = os.open(sys.argv[1] + "/call", os.O_RDWR)
os.write(fd, b"cat\n" + 100000 * b"x")
os.fsync(fd)
got = b""
while data := os.read(fd, 1 << 20):
    got += data
assert got == 100000 * b"x", len(got)
PYTHON
    exec {in}>&- {out}<&-
    wait "$ATTACK_PID" || :
}

test_half_written_requests() {
    attack mallory <<'PYTHON'
fds = []
for i in range(290):
    fds.append(os.open(T + "/call", os.O_RDWR))
    if refused(["EDQUOT"], os.write, fds[-1], b"x" * 130000) is None:
        break
else:
    sys.exit("all were taken")
PYTHON
}

# Many words take much more memory than their bytes.
test_many_words() {
    attack mallory <<'PYTHON'
fds = []
for i in range(290):
    fds.append(os.open(T + "/call", os.O_RDWR))
    if refused(["EDQUOT"], os.write, fds[-1], b"a " * 60000) is None:
        break
else:
    sys.exit("all were taken")
PYTHON
}

test_too_many_calls() {
    attack mallory <<'PYTHON'
fds = []
while fd := refused(["EDQUOT"], os.open, T + "/call", os.O_RDWR):
    fds.append(fd)
assert 297 <= len(fds) <= 300, len(fds)
PYTHON
}

test_answers_that_nobody_reads() {
    attack eve <<'PYTHON'
import time
fds = []
for i in range(100):
    fd = refused(["EDQUOT", "EAGAIN"], os.open, T + "/call", os.O_RDWR)
    if fd is None:
        break
    fds.append(fd)
    if refused(["EDQUOT", "EAGAIN"], os.write, fd, b"head -c 2000000 /dev/zero\n") is None:
        break
    time.sleep(0.03)
PYTHON
}

test_removed_slots_that_are_held() {
    attack mallory <<'PYTHON'
fds = []
for i in range(100):
    name = f"{T}/m{i}"
    if refused(["EDQUOT"], os.mkdir, name, 0o700) is None and not os.path.exists(name):
        break
    fds.append(os.open(name + "/stdout", os.O_RDONLY))
    fd = os.open(name + "/request", os.O_WRONLY)
    refused(["EDQUOT"], os.write, fd, b"head -c 8000000 /dev/zero\n")
    os.close(fd)
    with open(name + "/status") as f:
        f.read()
    os.rmdir(name)
else:
    sys.exit("100 slots at a time, of 40")
PYTHON
}

test_writes_of_jobs_that_wait() {
    attack eve <<'PYTHON'
import threading, time
threads = []
def write(fd):
    try:
        os.write(fd, b"sleep 3\n")
        while True:
            os.write(fd, b"x" * 1000000)
    except OSError:
        pass
for i in range(60):
    fd = os.open(T + "/call", os.O_RDWR)
    threads.append(threading.Thread(target=write, args=(fd,), daemon=True))
    threads[-1].start()
time.sleep(1)
PYTHON
}

test_slots() {
    local count
    count=$(mallory sh -c "n=0; while mkdir -m 700 $M/tight/m\$n 2>/dev/null; do n=\$((n + 1)); done; echo \$n")
    is "$count" 30 "of 40"
    honest mkdir "$M/tight/h"
    honest rmdir "$M/tight/h"
    mallory sh -c "rmdir $M/tight/m*"
}

# A user opens the request of the slot that all share, and does nothing else.
test_the_shared_slot_that_is_held() {
    local pid
    mallory sh -c "exec 3>$M/slow/request; echo open >$T/opened; sleep 30" &
    pid=$!
    wait_until 10 test -s "$T/opened" 2>/dev/null || wait_until 10 sh -c "cat $M/slow/request 2>&1 | grep -q x" || :
    sleep 0.3
    is "$(write_error "$M/slow/request" $'true\n')" "open EBUSY"
    echo cancel >"$M/slow/ctl"
    honest sh -c "echo true >$M/slow/request"
    is "$(get "$M/slow/status")" "0 exited"
    pkill -P "$pid"
    wait "$pid" 2>/dev/null || :
    is "$(get "$M/slow/status")" "0 exited" "after the close"
}

test_a_command_line_that_takes_too_long() {
    mallory /usr/bin/python3 - "$M/tight" <<'PYTHON'
import errno, os, sys, time
fd = os.open(sys.argv[1] + "/request", os.O_WRONLY)
os.write(fd, b"echo half")
with open(sys.argv[1] + "/status") as f:
    assert f.read() == "2 refused there was no whole command line after 1s\n"
other = os.open(sys.argv[1] + "/request", os.O_WRONLY)
os.write(other, b"echo whole\n")
os.close(other)
try:
    os.write(fd, b" and half\n")
    sys.exit("a write went on")
except OSError as e:
    assert e.errno == errno.ECANCELED, e
os.close(fd)
with open(sys.argv[1] + "/stdout") as f:
    assert f.read() == "whole\n"
PYTHON
}

run_tests
