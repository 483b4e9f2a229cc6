#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many calls, one after another through one slot and side by side in several:
# each answer belongs to its own request, and nothing is left behind.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

mount_with <<'CONF' || exit 1
mode = direct
timeout = 60s
kill_grace = 100ms
[one]
[two]
[three]
[four]
CONF

# Common functions of the tests below, for python on stdin: used(), is_clean().
cat >"$T/many.py" <<'PYTHON'
import os
import time


def used(daemon):
    """Descriptors, children and KiB of memory of the daemon."""
    with open(f"/proc/{daemon}/status") as status:
        kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    with open(f"/proc/{daemon}/task/{daemon}/children") as children:
        return len(os.listdir(f"/proc/{daemon}/fd")), len(children.read().split()), kib


def check_clean(daemon, before):
    """The last close and the last child's end take the daemon a moment."""
    for _ in range(500):
        now = used(daemon)
        if now[:2] == before[:2]:
            break
        time.sleep(0.02)
    assert now[:2] == before[:2], f"descriptors and children: {before[:2]} before, {now[:2]} after"
    with open(f"/proc/{daemon}/maps") as maps:
        text = maps.read()
    if "libasan" not in text and "vgpreload" not in text:
        assert now[2] - before[2] < 1024, f"it grew from {before[2]} to {now[2]} KiB"
PYTHON

with_many() {
    PY_TIMEOUT=200 PYTHONPATH=$T PYTHONDONTWRITEBYTECODE=1 py "$@"
}

test_1000_calls_through_one_slot() {
    with_many "$M/one" "$daemon_pid" <<'PYTHON'
import sys
from many import *
slot, daemon = sys.argv[1:]

def call(number):
    code = number % 200
    with open(slot + "/request", "w") as request:
        request.write(f"sh -c 'cat; echo \"err $0\" >&2; exit {code}' {number}\nanswer {number}\n" + "x" * number)
    with open(slot + "/stdout") as out, open(slot + "/stderr") as err, open(slot + "/status") as status:
        assert out.read() == f"answer {number}\n" + "x" * number, number
        assert err.read() == f"err {number}\n", number
        assert status.read() == f"{code} exited\n", number

for number in range(100):
    call(number)
before = used(daemon)
for number in range(1000):
    call(number)
check_clean(daemon, before)
PYTHON
}

test_200_calls_of_a_shell() {
    timeout 120 dash -euc '
        number=0
        while [ $number -lt 200 ]; do
            number=$((number + 1))
            printf "sh -c \"read x; echo got \\\\\$x; exit $((number % 100))\"\nnumber %s" $number >"$1/request"
            read answer <"$1/stdout"
            read code kind <"$1/status"
            [ "$answer|$code|$kind" = "got number $number|$((number % 100))|exited" ] || {
                echo "$number: $answer|$code|$kind"
                exit 1
            }
        done' dash "$M/one"
}

# Every kind of end, also those after which the daemon has to clean up.
test_many_bad_ends_leave_nothing_behind() {
    with_many "$M/one" "$daemon_pid" <<'PYTHON'
import subprocess, sys
from many import *
slot, daemon = sys.argv[1:]

def ends(line, wanted, stdin=b""):
    fd = os.open(slot + "/request", os.O_WRONLY)
    try:
        os.write(fd, line.encode() + b"\n")
        os.write(fd, stdin)
    except OSError:
        pass
    os.close(fd)
    if wanted == "cancelled":
        with open(slot + "/ctl", "w") as ctl:
            ctl.write("cancel\n")
    with open(slot + "/status") as status:
        got = status.read()
    assert wanted in got, (line, got)

def all_of_them():
    ends("sh -c 'kill -KILL $$'", "137 signaled KILL")
    ends("--timeout=20ms sleep 100", "124 timeout")
    ends("no-such-command", "127 unstarted")
    ends("/etc", "126 unstarted")
    ends("sleep 100", "cancelled")
    ends("a | b", "2 refused")
    ends("head -c 20000000 /dev/zero", "141 overflow")
    ends("true", "0 exited", b"x" * 1000000)
    ends("sh -c 'exec >&- 2>&- <&-'", "0 exited")
    open(slot + "/request", "w").close()
    reader = subprocess.Popen(["cat", slot + "/request"], stderr=subprocess.DEVNULL)
    assert reader.wait() == 1

for _ in range(3):
    all_of_them()
ends("true", "0 exited")
before = used(daemon)
for _ in range(15):
    all_of_them()
ends("true", "0 exited")
check_clean(daemon, before)
PYTHON
}

test_side_by_side() {
    with_many "$M" "$daemon_pid" <<'PYTHON'
import hashlib, sys, threading
from many import *
mount, daemon = sys.argv[1:]
failures = []

def calls(name, count):
    slot = f"{mount}/{name}"
    try:
        for number in range(count):
            body = (f"{name} {number} ".encode() * (number * 37 % 5000 + 1))
            with open(slot + "/request", "wb") as request:
                request.write(b"sh -c 'cat; exit %d'\n" % (number % 100) + body)
            with open(slot + "/stdout", "rb") as out:
                assert out.read() == body, (name, number)
            with open(slot + "/status") as status:
                assert status.read() == f"{number % 100} exited\n", (name, number)
    except Exception as error:
        failures.append(f"{name}: {error!r}")

def all_at_once(count):
    threads = [threading.Thread(target=calls, args=(name, count)) for name in ("one", "two", "three", "four")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures

all_at_once(130)
before = used(daemon)
all_at_once(150)
check_clean(daemon, before)
PYTHON
}

# One slot that waits, and its reader, hold up nobody.
test_a_slow_one_does_not_hold_up_the_others() {
    local number
    exec 4>"$M/two/request"
    echo cat >&4
    timeout 100 cat "$M/two/stdout" >"$T/slow" 3>&- 4>&- &
    { echo sleep 1000; head -c 4000000 /dev/zero; } >"$M/three/request" 3>&- 4>&- &
    for number in {1..50}; do
        ask "$M/one" "echo $number"
        is "$(get "$M/one/stdout")" "$number"
    done
    wait_until 20 is_running "$M/three"
    echo cancel >"$M/three/ctl"
    ends "$M/three" "130 cancelled"
    echo "done" >&4
    exec 4>&-
    wait
    is "$(cat "$T/slow")" "done" "the slow one's answer"
}

is_running() {
    ! timeout 0.1 cat "$1/status" >/dev/null
}

# Many readers of one answer, each with all of it.
test_many_readers_of_one_answer() {
    local number
    exec 4>"$M/one/request"
    for number in {1..40}; do
        timeout 60 cat "$M/one/stdout" >"$T/reader.$number" 3>&- 4>&- &
    done
    echo "seq 50000" >&4
    exec 4>&-
    wait
    seq 50000 >"$T/wanted"
    for number in {1..40}; do
        same_file "$T/reader.$number" "$T/wanted"
    done
}

run_tests
