#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Children that are held up between their start and their command: by a file system that does not
# answer, a wait that not even SIGKILL ends.
# shellcheck source=tests/hostile/lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

ulimit -c "$(ulimit -Hc)" # a command has no higher limit than the daemon
mkdir -p "$T/stuck"
mkdir -m 777 "$T/cores"

mount_with <<CONF || exit 1
mode = direct
permissions = 0777
timeout = 500ms
kill_grace = 100ms
[d]
max_running = 64
CONF

mount_stuck() {
    rm -f "$T/stuck.out"
    "$TESTS/hostile/stuck.py" "$T/stuck" >"$T/stuck.out" 2>&1 &
    stuck_pid=$!
    wait_until 20 test -s "$T/stuck.out" || fail "the file system does not begin"
    [[ $(cat "$T/stuck.out") == mounted ]] || skip "no FUSE file system here: $(cat "$T/stuck.out")"
}

end_stuck() {
    [[ ${stuck_pid:-} ]] || return 0
    kill -KILL "$stuck_pid"
    wait "$stuck_pid" 2>/dev/null || :
    stuck_pid=
    umount -l "$T/stuck"
}

children() {
    pgrep -c -P "$daemon_pid" || :
}

test_commands_that_hang_in_exec() {
    trap end_stuck EXIT
    mount_stuck
    # Makes 40 calls at a time, until one is refused.
    mallory timeout 60 /usr/bin/python3 - "$M/d/call" "$T/stuck/program" >"$T/count" 2>&1 <<'PYTHON' || fail "$(cat "$T/count")"
import errno, os, sys
taken = 0
while taken < 1000:
    fds = []
    for i in range(40):
        fds.append(os.open(sys.argv[1], os.O_RDWR))
        try:
            os.write(fds[-1], sys.argv[2].encode() + b"\n")
        except OSError as e:
            assert e.errno == errno.EAGAIN, e
            print(taken)
            sys.exit(0)
        taken += 1
    for fd in fds:
        try:
            os.read(fd, 100)
            sys.exit("a command has ended well")
        except OSError as e:
            assert e.errno in (errno.ETIMEDOUT, errno.EIO), e
        os.close(fd)
sys.exit("1000 calls were taken")
PYTHON
    # 64, and those that ran when the 64th was over.
    (($(cat "$T/count") >= 64 && $(cat "$T/count") <= 64 + 40)) || fail "$(cat "$T/count") were taken"
    (($(children) >= 64 && $(children) <= 64 + 40)) || fail "$(children) children"
    # The jobs are over, and their processes still count.
    sleep 2
    is "$(mallory sh -c "cat >$M/d/request" 2>&1 <<<true | sed 's/.*: //')" "Resource temporarily unavailable"
    # Others do not notice.
    is "$(honest sh -c "echo 'echo served' >$M/d/request; timeout 10 cat $M/d/stdout")" served
    end_stuck
    wait_until 30 eval '[[ $(children) == 0 ]]' || fail "$(children) children are left"
    mallory sh -c "echo 'echo again' >$M/d/request"
    is "$(mallory timeout 10 cat "$M/d/stdout")" again
}

kernel_settings=(/proc/sys/fs/suid_dumpable /proc/sys/kernel/core_pattern)
restore_settings() {
    printf '%s\n' "${old_settings[0]}" >"${kernel_settings[0]}" || :
    printf '%s\n' "${old_settings[1]}" >"${kernel_settings[1]}" || :
}

# With 2, a process that has changed its user dumps its core, too.
dump_every_core() {
    { echo 2 >"${kernel_settings[0]}" && echo "$T/cores/core.%p" >"${kernel_settings[1]}"; } 2>/dev/null
}

# A child of another user shares the daemon's memory until its exec. A signal that dumps the core
# comes while the child waits in its exec, and takes effect as soon as the exec has failed.
test_a_core_dump_before_exec() {
    local pid
    # Not local: the trap needs it after the end of the function.
    old_settings=("$(cat "${kernel_settings[0]}")" "$(cat "${kernel_settings[1]}")")
    trap 'end_stuck; restore_settings' EXIT
    dump_every_core || skip "fs.suid_dumpable and kernel.core_pattern cannot be set here"
    # shellcheck disable=SC2016
    mallory sh -c 'kill -QUIT $$' || :
    wait_until 10 eval '[[ -n $(ls "$T/cores") ]]' || skip "no process here dumps its core"
    rm "$T/cores/"*
    mount_stuck
    mallory sh -c "echo '--timeout=1m $T/stuck/program' >$M/d/request"
    wait_until 10 eval 'pgrep -P "$daemon_pid" -u $MALLORY >/dev/null' || fail "no child has the user"
    pid=$(pgrep -P "$daemon_pid" -u $MALLORY)
    wait_until 10 grep -q '^request_wait_answer' "/proc/$pid/wchan" || fail "the child waits in $(cat "/proc/$pid/wchan")"
    mallory kill -QUIT "$pid"
    end_stuck
    like "$(timeout 30 cat "$M/d/status")" "131 signaled QUIT"
    is "$(ls "$T/cores")" "" "core dumps"
    is "$(honest sh -c "echo 'echo served' >$M/d/request; timeout 10 cat $M/d/stdout")" served
}

run_tests
