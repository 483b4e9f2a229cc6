#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two events at the same moment, which must not let one caller harm another. Each of these
# races was possible in an earlier version.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

conf_with() {
    cat <<CONF
[local]
mode = direct
[shared]
mode = direct
permissions = $1
CONF
}

mount_with < <(conf_with 0777) || exit 1

# A reader that waits for a job gets that job's result, also when the next request
# is opened as soon as that is possible.
test_a_waiting_reader_gets_its_own_jobs_result() {
    py "$M/local" <<'PYTHON'
import os, sys, threading, time

request, status = sys.argv[1] + "/request", sys.argv[1] + "/status"

def ask(line):
    while True:
        try:
            fd = os.open(request, os.O_WRONLY)
            break
        except OSError:
            pass
    os.write(fd, line)
    os.close(fd)

def read(results):
    fd = os.open(status, os.O_RDONLY)
    parked.append(1)
    results.append(os.read(fd, 100))
    os.close(fd)

for _ in range(20):
    ask(b"sh -c 'sleep 0.3; exit 7'\n")
    results, parked = [], []
    readers = [threading.Thread(target=read, args=[results]) for _ in range(4)]
    for reader in readers:
        reader.start()
    while len(parked) < 4:
        pass
    time.sleep(0.005)
    ask(b"true\n")
    for reader in readers:
        reader.join()
    # A reader who reads too late gets the next result, as hooksfs(5) says.
    assert set(results) <= {b"7 exited\n", b"0 exited\n"}, results
    assert results.count(b"0 exited\n") == 0, results
PYTHON
    ends "$M/local" "0 exited" # the last one may still run
}

# The child of one job hangs before it has executed its command; another job's
# stdin must end all the same.
test_a_child_that_hangs_before_its_exec_holds_nobody_up() {
    local other
    mkdir "$T/other"
    printf '[x]\nmode = direct\n' >"$T/other.conf"
    "$HOOKSFS" -f "$T/other.conf" "$T/other" 2>"$T/other.log" &
    other=$!
    wait_until 10 grep -q 'serving, with process' "$T/other.log"
    exec 5<>"$M/local/call"
    printf 'cat\nhello' >&5
    kill -STOP "$other"
    wait_until 10 grep -q '^State:.T' "/proc/$other/status"
    printf '%s\n' "--timeout=5s $T/other/x/y" >"$M/shared/request"
    is "$(timeout 4 cat <&5)" hello
    exec 5>&-
    kill -CONT "$other"
    cat "$M/shared/status" >/dev/null
    kill -TERM "$other"
    wait "$other"
}

# Permissions that a reload takes away are gone also for a process that keeps the file open.
test_a_reload_takes_permissions_away_for_good() {
    setpriv --reuid=65534 --regid=65534 --clear-groups /usr/bin/python3 - "$M/shared" \
        "$T/held" "$T/reloaded" <<'PYTHON' &
import errno, os, sys, time

names = ("stdout", "call")
held = [os.open(f"{sys.argv[1]}/{name}", os.O_PATH) for name in names]
flags = (os.O_RDONLY, os.O_RDWR)
for fd, flag in zip(held, flags):
    os.close(os.open(f"/proc/self/fd/{fd}", flag))
print("held", flush=True, file=open(sys.argv[2], "w"))
while not os.path.exists(sys.argv[3]):
    time.sleep(0.02)
for fd, flag in zip(held, flags):
    try:
        os.open(f"/proc/self/fd/{fd}", flag)
        sys.exit("it was opened")
    except OSError as e:
        assert e.errno == errno.EACCES, e
PYTHON
    local user=$!
    : >"$T/held"
    chmod 666 "$T/held"
    wait_until 10 test -s "$T/held" || fail "it cannot be opened before"
    conf_with 0700 >"$T/conf"
    kill -HUP "$daemon_pid"
    wait_until 10 grep -q 'was read again' "$T/log"
    touch "$T/reloaded"
    wait "$user" || fail "see above"
}

test_thousands_of_variables_are_refused() {
    local line
    line=$(printf 'a=%.0s ' {1..1000})
    is "$(write_error "$M/local/request" "$line true"$'\n')" none
    ends "$M/local" "0 exited"
    is "$(write_error "$M/local/request" "$line b= true"$'\n')" EINVAL
    ends "$M/local" "2 refused there are more than 1000*"
}

run_tests
