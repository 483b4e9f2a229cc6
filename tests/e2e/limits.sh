#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How many jobs run and wait, and in which order; how a job leaves the queue; a job's time
# begins with its start; and a thousand jobs at once.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

mount_with <<CONF || exit 1
mode = direct
timeout = 200s
kill_grace = 300ms
[one]
max_running = 1
[four]
max_running = 4
[short]
max_running = 1
max_queued = 2
[only]
max_running = 1
max_queued = 0
[bounded]
timeout = 300ms
max_timeout = 2s
[free]
max_timeout = none
[small]
rlimit_core = 0
rlimit_cpu = 1s
rlimit_fsize = 8K
rlimit_nofile = 40
rlimit_stack = 2M
[large]
rlimit_nofile = 2147483647
CONF
export NAP=$T/nap
ln -s "$(command -v sleep)" "$NAP"

# Common functions of the tests of queues.
cat >"$T/queues.py" <<'PYTHON'
import sys
from calls import *
mount, folder, *more = sys.argv[1:]


class Blocker:
    """A job that runs until it is told to end, so that others wait for it."""

    def __init__(self, sandbox, name="go"):
        self.fifo = f"{folder}/{name}"
        os.mkfifo(self.fifo)
        self.fd = start(sandbox, f"sh -c 'echo runs; read x <{self.fifo}; echo ends'\n".encode())
        assert os.read(self.fd, 100) == b"runs\n"

    def end(self):
        with open(self.fifo, "w") as fifo:
            fifo.write("x\n")
        assert read_all(self.fd) == (b"ends\n", "none")
        os.close(self.fd)
        os.unlink(self.fifo)


def slot_with(sandbox, name, request):
    os.mkdir(f"{sandbox}/{name}")
    ask(f"{sandbox}/{name}", request)
    return f"{sandbox}/{name}"


def cancel(slot):
    with open(slot + "/ctl", "w") as ctl:
        ctl.write("cancel\n")
PYTHON

# The program on stdin, after queues.py.
with_queues() {
    { echo "from queues import *"; cat; } | PYTHONPATH=$TESTS/e2e:$T PYTHONDONTWRITEBYTECODE=1 \
        timeout 240 /usr/bin/python3 - "$M" "$T" "$@"
}

before_each() {
    local slot
    for slot in "$M"/*/*/; do
        [[ ! -d $slot ]] || rmdir "$slot"
    done
    rm -f "$T"/go* "$T"/order "$T"/ran*
}

# --- Order

# Slots and conversations stand in one line, and start as they came.
test_order_of_arrival() {
    with_queues <<'PYTHON'
sandbox = mount + "/one"
for turn in range(3):
    blocker = Blocker(sandbox)
    slots, fds = [], []
    for number in range(40):
        request = f"sh -c 'echo {number} >>{folder}/order; echo {number}'\n".encode()
        if number % 3:
            fds.append((number, start(sandbox, request)))
        else:
            slots.append((number, slot_with(sandbox, str(number), request)))
    time.sleep(0.2)
    assert not os.path.exists(folder + "/order"), "one ran beside the one that may"
    blocker.end()
    for number, fd in reversed(fds):
        assert read_all(fd) == (b"%d\n" % number, "none")
        os.close(fd)
    for number, slot in slots:
        assert (get(slot + "/stdout"), status(slot)) == (b"%d\n" % number, "0 exited")
        os.rmdir(slot)
    order = get(folder + "/order").split()
    assert order == [b"%d" % number for number in range(40)], order
    os.unlink(folder + "/order")
PYTHON
}

# The arrival is the end of the command line, not the opening of the file.
test_arrival_is_the_end_of_the_line() {
    with_queues <<'PYTHON'
sandbox = mount + "/one"
blocker = Blocker(sandbox)
early = open_call(sandbox)
os.write(early, b"sh -c 'echo early >>")
late = start(sandbox, f"sh -c 'echo late >>{folder}/order'\n".encode())
os.write(early, f"{folder}/order'\n".encode())
blocker.end()
assert read_all(early) == read_all(late) == (b"", "none")
assert get(folder + "/order") == b"late\nearly\n"
os.close(early), os.close(late)
PYTHON
}

# At no time more jobs than max_running run, and at some time as many.
test_max_running() {
    with_queues <<'PYTHON'
sandbox = mount + "/four"
request = f"sh -c 'echo + >>{folder}/order; {nap} 0.05; echo - >>{folder}/order'\n".encode()
fds = [start(sandbox, request) for _ in range(40)]
for fd in fds:
    assert read_all(fd) == (b"", "none")
    os.close(fd)
running, most = 0, 0
signs = get(folder + "/order").split()
for sign in signs:
    running += 1 if sign == b"+" else -1
    most = max(most, running)
assert len(signs) == 80 and running == 0
assert most == 4, f"{most} at once"
# The number of running jobs stays at its maximum, in whatever way jobs end.
for _ in range(5):
    with contextlib.ExitStack() as stack:
        fds = [start(sandbox, f"{nap} 1000\n".encode()) for _ in range(4)]
        there(nap, 4)
        for fd in fds:
            os.close(fd)
    gone(nap)
works(sandbox)
PYTHON
}

# --- The queue

test_max_queued() {
    with_queues <<'PYTHON'
short = mount + "/short"
blocker = Blocker(short)
first = slot_with(short, "first", b"echo first\n")
second = start(short, b"echo second\n")
os.mkdir(short + "/third")
for attempt in range(3):
    assert write_error(short + "/third/request", b"echo third\n") == "EAGAIN"
    code, kind, reason = status(short + "/third").split(" ", 2)
    assert (code, kind) == ("2", "refused") and reason
    assert get(short + "/third/stdout") == get(short + "/third/stderr") == b""
    fd = open_call(short)
    assert error_of(os.write, fd, b"echo fourth\n") == "EAGAIN"
    assert error_of(os.write, fd, b"more") == "EAGAIN"
    assert read_all(fd) == (b"", "EINVAL")
    os.close(fd)
done = subprocess.run(["sh", "-c", f"/bin/echo echo third >{short}/third/request"], capture_output=True)
assert done.returncode != 0 and b"temporarily unavailable" in done.stderr, done
blocker.end()
assert get(first + "/stdout") == b"first\n"
assert read_all(second) == (b"second\n", "none")
os.close(second)
ask(short + "/third", b"echo third\n")
assert (get(short + "/third/stdout"), status(short + "/third")) == (b"third\n", "0 exited")

only = mount + "/only"
blocker = Blocker(only)
fd = open_call(only)
assert error_of(os.write, fd, b"true\n") == "EAGAIN"
os.close(fd)
blocker.end()
works(only)
PYTHON
}

# The queue of the other sandbox is full and does not move while this one serves.
test_a_full_queue_slows_no_other() {
    with_queues <<'PYTHON'
short, free = mount + "/short", mount + "/free"
blocker = Blocker(short)
waiting = [start(short, f"touch {folder}/ran\n".encode()) for _ in range(2)]
def full():
    fd = open_call(short)
    try:
        return error_of(os.write, fd, b"true\n") == "EAGAIN"
    finally:
        os.close(fd)
assert full()
with child(lambda: write_all(waiting[0], bytes(10_000_000))):
    for number in range(50):
        works(free, str(number))
        ask(free, b"cat\n" + bytes(number * 1000))
        assert get(free + "/stdout") == bytes(number * 1000)
    os.mkdir(free + "/slot"), os.rmdir(free + "/slot")
    os.mkdir(short + "/slot"), os.rmdir(short + "/slot")
    assert full() and not os.path.exists(folder + "/ran")
for fd in waiting:
    os.close(fd)
blocker.end()
works(short)
assert not os.path.exists(folder + "/ran")
PYTHON
}

# The whole stdin of a queued request waits with it.
test_stdin_of_a_queued_request() {
    with_queues <<'PYTHON'
sandbox = mount + "/one"
blocker = Blocker(sandbox)
body = os.urandom(3_000_000)
answers = {}
def converses():
    answers["conversation"] = converse(sandbox, b"cat\n" + body)
def asks():
    slot = slot_with(sandbox, "queued", b"cat\n" + body)
    answers["slot"] = (get(slot + "/stdout"), "none" if status(slot) == "0 exited" else status(slot))
threads = [threading.Thread(target=function, daemon=True) for function in (converses, asks)]
for thread in threads:
    thread.start()
time.sleep(0.3)
assert not answers
# Reads wait as well, and do not take an empty answer for the end.
fd = start(sandbox, b"echo short\n", os.O_NONBLOCK)
assert error_of(os.write, fd, b"stdin") == "EAGAIN"
assert error_of(os.read, fd, 10) == "EAGAIN"
assert error_of(os.open, sandbox + "/queued/request", os.O_WRONLY) == "EBUSY"
blocker.end()
for thread in threads:
    thread.join()
os.set_blocking(fd, True)
assert read_all(fd) == (b"short\n", "none")
os.close(fd)
for how, (answer, end) in answers.items():
    assert end == "none" and answer == body, (how, len(answer), end)
PYTHON
}

test_a_caller_who_disappears_leaves_the_queue() {
    with_queues "$daemon_pid" <<'PYTHON'
short = mount + "/short"
works(short)
before = used(more[0])
blocker = Blocker(short)
request = f"touch {folder}/ran\n".encode()

def full():
    fd = open_call(short)
    try:
        return error_of(os.write, fd, b"true\n") == "EAGAIN"
    finally:
        os.close(fd)

def queue():
    """A conversation that waits in the queue, as soon as there is a place."""
    while True:
        fd = open_call(short)
        if error_of(os.write, fd, request) == "none":
            return fd
        os.close(fd)

said, say = os.pipe()
def queues(use):
    fd = queue()
    os.write(say, b"x")
    use(fd)

# More often than there are places.
for number in range(10):
    # Closed by itself.
    fds = [queue() for _ in range(2)]
    assert full()
    for fd in fds:
        os.close(fd)
    eventually(lambda: not full(), "a close gives no place back")
    # Killed: asleep, in mid-read, in mid-write.
    with contextlib.ExitStack() as stack:
        for use in (lambda fd: time.sleep(1000), lambda fd: os.read(fd, 10), lambda fd: write_all(fd, bytes(1_000_000)))[number % 2 :][:2]:
            stack.enter_context(child(queues, use))
            assert os.read(said, 1) == b"x"
        assert full()
        time.sleep(0.05)
    eventually(lambda: not full(), "a kill gives no place back")
request = b"echo survivor\n"
survivor = queue()
blocker.end()
assert read_all(survivor) == (b"survivor\n", "none")
os.close(survivor)
works(short)
assert not os.path.exists(folder + "/ran"), "it ran although its caller had gone"
check_used(more[0], before)
PYTHON
}

# A slot's job goes on after its writer has ended.
test_a_slot_stays_in_the_queue() {
    with_queues <<'PYTHON'
sandbox = mount + "/one"
blocker = Blocker(sandbox)
with child(slot_with, sandbox, "slot", b"echo still\n") as pid:
    wait_for(pid)
blocker.end()
assert get(sandbox + "/slot/stdout") == b"still\n"
PYTHON
}

test_cancel_in_the_queue() {
    with_queues <<'PYTHON'
sandbox = mount + "/one"
blocker = Blocker(sandbox)
request = f"touch {folder}/ran\n".encode()
first = slot_with(sandbox, "first", request)
second = slot_with(sandbox, "second", request)
third = slot_with(sandbox, "third", b"echo third\n")
cancel(first)
assert status(first) == "130 cancelled"  # while the one before it runs on
assert get(first + "/stdout") == b""
ask(first, b"echo again\n")  # at the end of the queue
out, state = (os.open(f"{second}/{name}", os.O_RDONLY) for name in ("stdout", "status"))
threading.Timer(0.2, os.rmdir, (second,)).start()
assert os.read(state, 100) == b"130 cancelled\n"
assert read_all(out) == (b"", "none")
for fd in (out, state):
    os.close(fd)
blocker.end()
assert get(third + "/stdout") == b"third\n"
assert get(first + "/stdout") == b"again\n"
assert not os.path.exists(folder + "/ran"), "a cancelled one ran"
PYTHON
}

# --- Time

# The job waits in the queue for longer than its timeout.
test_the_time_limit_begins_with_the_start() {
    with_queues <<'PYTHON'
sandbox = mount + "/one"
blocker = Blocker(sandbox)
fds = [start(sandbox, b"--timeout=2s sh -c 'sleep 0.1; echo done'\n") for _ in range(2)]
slot = slot_with(sandbox, "slot", b"--timeout=2s echo done\n")
late = start(sandbox, f"--timeout=300ms {nap} 1000\n".encode())
time.sleep(3)
assert not processes(nap)
blocker.end()
for fd in fds:
    assert read_all(fd) == (b"done\n", "none")
    os.close(fd)
assert status(slot) == "0 exited"
assert read_all(late) == (b"", "ETIMEDOUT")
os.close(late)
gone(nap)
PYTHON
}

test_timeout_and_max_timeout() {
    with_queues <<'PYTHON'
bounded = mount + "/bounded"

def refused(option):
    assert write_error(bounded + "/request", option + b" true\n") == "EINVAL", option
    code, kind, reason = status(bounded).split(" ", 2)
    assert (code, kind) == ("2", "refused") and "2s" in reason, reason
    fd = open_call(bounded)
    assert error_of(os.write, fd, option + b" true\n") == "EINVAL", option
    os.close(fd)

for option in (b"--timeout=2001ms", b"--timeout=3s", b"--timeout=1h", b"--timeout=none"):
    refused(option)
for option in (b"--timeout=2s", b"--timeout=2000ms", b"--timeout=1s"):
    assert converse(bounded, option + b" sh -c 'sleep 0.5; echo fine'") == (b"fine\n", "none"), option
assert converse(bounded, f"sh -c 'echo before; exec {nap} 1000'".encode()) == (b"before\n", "ETIMEDOUT")
ask(bounded, f"{nap} 1000".encode())
assert status(bounded) == "124 timeout after 300ms"
assert converse(mount + "/free", b"--timeout=none echo fine") == (b"fine\n", "none")
gone(nap)
PYTHON
}

# --- A thousand

test_1000_jobs_at_once() {
    mkdir "$T/second"
    with_queues <<'PYTHON'
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
if hard < 8000:
    sys.exit(77)
config = "mode = direct\ntimeout = none\nkill_grace = 500ms\n[big]\nmax_running = 1000\nmax_slots = 1000\n[other]\n"
with Daemon(folder + "/second", config) as daemon:
    big, other = daemon.mount + "/big", daemon.mount + "/other"
    works(other)
    before, idle = used(daemon.pid), kib(daemon.pid, "VmRSS")
    request = f"{nap} 1000\n".encode()
    fds = []
    for number in range(500):
        slot_with(big, f"slot{number}", request)
        fds.append(start(big, request))
    there(nap, 1000)
    assert used(daemon.pid)[1] == 1000
    print(f"{(kib(daemon.pid, 'VmRSS') - idle) / 1000} KiB and {(used(daemon.pid)[0] - before[0]) / 1000} descriptors for each job")
    for _ in range(5):
        subprocess.run(["ls", "-l", daemon.mount, big, big + "/slot77"], stdout=subprocess.DEVNULL, check=True, timeout=60)
        os.stat(big + "/slot100/status")
        works(other)
        ask(other, b"cat\nslot")
        assert (get(other + "/stdout"), status(other)) == (b"slot", "0 exited")
    assert write_error(other + "/request", b"true") == "none"
    # One more has to wait, and gets the place of one that ends.
    late = start(big, b"echo late\n", os.O_NONBLOCK)
    assert error_of(os.read, late, 10) == "EAGAIN"
    cancel(big + "/slot0")
    assert status(big + "/slot0") == "130 cancelled"
    os.set_blocking(late, True)
    assert read_all(late) == (b"late\n", "none")
    os.close(late)
    assert len(processes(nap)) == 999
    # A hundred close, a hundred are removed.
    for fd in fds[:100]:
        os.close(fd)
    for number in range(100, 200):
        os.rmdir(f"{big}/slot{number}")
    eventually(lambda: len(processes(nap)) == 799 == used(daemon.pid)[1], "what was cancelled stays")
    # The end of all.
    daemon.end()
    assert processes(nap) == [], "it leaves processes behind"
    for fd in fds[100:]:
        assert error_of(os.read, fd, 10) != "none", "a success although it was cancelled"
        os.close(fd)
PYTHON
    local code=$?
    ((code != 77)) || skip "no 8000 descriptors"
    return "$code"
}

# Every waiting caller gets an answer at the end.
test_the_end_of_many_is_heard() {
    mkdir -p "$T/third"
    with_queues <<'PYTHON'
config = "mode = direct\ntimeout = none\n[big]\nmax_running = 100\n"
with Daemon(folder + "/third", config) as daemon:
    big = daemon.mount + "/big"
    fds = [start(big, f"{nap} 1000\n".encode()) for _ in range(150)]
    slots = [slot_with(big, f"slot{number}", f"{nap} 1000\n".encode()) for number in range(20)]
    states = [os.open(slot + "/status", os.O_RDONLY) for slot in slots]
    there(nap, 100)
    ends = []
    def wait(fd):
        ends.append(read_all(fd))
        os.close(fd)
    threads = [threading.Thread(target=wait, args=(fd,), daemon=True) for fd in fds + states]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    daemon.end()
    for thread in threads:
        thread.join()
    assert processes(nap) == []
    assert ends.count((b"", "ECANCELED")) == 150, ends
    assert ends.count((b"130 cancelled\n", "none")) == 20, ends
PYTHON
}

test_limits_of_a_command() {
    python3 - "$M" "$T" <<'PYTHON'
import os, sys
mount, folder = sys.argv[1:]


def run(sandbox, line):
    slot = os.path.join(mount, sandbox)
    with open(slot + "/request", "wb", buffering=0) as f:
        f.write(line.encode() + b"\n")
    return open(slot + "/stdout").read(), open(slot + "/status").read()


out, status = run("small", "bash -c 'for s in S H; do for l in c t f n s; do ulimit -$s$l; done; done'")
assert out.split() == ["0", "1", "8", "40", "2048"] * 2, (out, status)
run("small", f"dd if=/dev/zero of={folder}/big bs=64K count=2")
assert os.path.getsize(folder + "/big") == 8192, os.path.getsize(folder + "/big")
out, status = run("small", "bash -c 'while :; do :; done'")
assert status.startswith("137 signaled KILL"), status
# A key does not raise a limit, and without a key nothing changes.
own = os.popen("bash -c 'ulimit -n; ulimit -Hn'").read()
for sandbox in "large", "one":
    out, status = run(sandbox, "bash -c 'ulimit -n; ulimit -Hn'")
    assert out == own, (out, own)
PYTHON
}

run_tests
