#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many callers over few connections: each caller gets its own answer, a reader who stalls
# holds up no other caller, and no buffer grows beyond its window.
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh"

test_10000_calls_from_64_callers() {
    inside <<'PYTHON'
import random
CALLS, CALLERS, PROCESSES = 10000, 64, 4
seed = random.randrange(1 << 30)
print(f"seed {seed}")


def payload(mine):
    kind = mine.random()
    if kind < 0.02:
        return mine.randbytes(mine.choice((1 << 20, (1 << 20) + 1, 1000003)))
    return mine.randbytes(mine.choice((0, 1, 4096, 65536)) if kind < 0.2 else mine.randrange(65536))


def caller(number):
    mine = random.Random(f"{seed} {number}")
    for count in range(number, CALLS, CALLERS):
        body, code = payload(mine), mine.choice((0, 0, 0, 7))
        request = f"sh -c 'cat; echo {count} >&2; exit {code}'\n".encode() + body
        if mine.random() < 0.6:
            assert converse(sandbox, request) == (body, "EIO" if code else "none"), count
            continue
        slot = f"{sandbox}/{count}"
        os.mkdir(slot)
        ask(slot, request)
        answer = get(slot + "/stdout"), get(slot + "/stderr"), status(slot)
        os.rmdir(slot)
        assert answer == (body, b"%d\n" % count, f"{code} exited"), count


def callers(process):
    side_by_side(*(lambda number=number: caller(number) for number in range(process, CALLERS, PROCESSES)))


with Daemon(folder, HEAD + "connections = 2\n[sidecar]\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon, 2)
    works(sandbox)
    before = settled(daemon.pid)
    serving = agents()
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        for pid in [stack.enter_context(child(callers, process)) for process in range(PROCESSES)]:
            wait_for(pid)
    took = time.monotonic() - began
    # A process that was left behind would stay for ever: there is no hurry.
    eventually(is_idle, f"left in the container: {inside()}")
    assert agents() == serving and len(serving) == 2, "a connection was opened again"
    check_used(daemon.pid, before)
    os.write(3, f"# {CALLS / took:.0f} calls a second\n".encode())
PYTHON
}

# 63 callers over one connection: alone, and beside a 64th caller who has stopped reading.
test_a_stalled_reader_holds_up_nobody() {
    inside <<'PYTHON'
CALLERS, CALLS = 63, 10


def measure():
    def caller():
        for _ in range(CALLS):
            assert converse(sandbox, b"cat\n" + body) == (body, "none")

    body = os.urandom(20000)
    began = time.monotonic()
    side_by_side(*[caller] * CALLERS)
    return time.monotonic() - began


with Daemon(folder, HEAD + "connections = 1\n[sidecar]\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon)
    measure()
    alone, beside = [], []
    for _ in range(3):
        alone.append(measure())
        # The windows are full: the command cannot write any more.
        stalled = start(sandbox, b"cat /dev/zero\n")
        assert os.read(stalled, 100)
        time.sleep(0.3)
        beside.append(measure())
        assert os.read(stalled, 1 << 20)  # the bytes were there all the time
        os.close(stalled)
    ratio = min(beside) / min(alone)
    # A sanitized daemon is not measured: other tests run beside it.
    assert ratio < (4 if is_sanitized(daemon.pid) else 1.6), f"{min(alone):.2f} s without a stalled reader, {min(beside):.2f} s with one"
    eventually(is_idle, f"left in the container: {inside()}")
    os.write(3, f"# {ratio:.2f} times as long as without\n".encode())
PYTHON
}

# The same in the other direction: commands that do not read.
test_a_command_that_does_not_read_holds_up_nobody() {
    inside <<'PYTHON'
with Daemon(folder, HEAD + "connections = 1\n[sidecar]\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon)
    # More bytes than all buffers on the way can hold.
    stuck = start(sandbox, b"sleep 7332\n", os.O_NONBLOCK)
    sent, moved = 0, time.monotonic()
    while time.monotonic() - moved < 1 and sent < 64 << 20:
        try:
            sent += os.write(stuck, bytes(1 << 16))
            moved = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    assert (256 << 10) <= sent < (4 << 20), f"it took {sent} bytes"
    began = time.monotonic()
    for _ in range(50):
        works(sandbox)
    in_time(5, began, "the others go on")
    os.close(stuck)
    within(PROMISE, lambda: not jobs(), "the command is still there", time.monotonic())
PYTHON
}

test_a_long_answer_stays_within_its_windows() {
    inside <<'PYTHON'
with Daemon(folder, HEAD + "connections = 1\n[sidecar]\ntimeout = 200s\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon)
    size = 256 << 20 if is_sanitized(daemon.pid) else 1 << 30
    assert converse(sandbox, b"head -c 50000000 /dev/zero") == (bytes(50000000), "none")
    agent = agents()[0]
    watched = {"the daemon": daemon.pid, "the agent": agent}
    before = {name: kib(pid, "VmRSS") for name, pid in watched.items()}
    for pid in watched.values():
        forget_peak(pid)
    began, slept, count, next_stop = time.monotonic(), 0, 0, size // 10
    fd = start(sandbox, f"sh -c 'head -c {size - 5} /dev/zero; echo last'\n".encode())
    while piece := os.read(fd, 1 << 17):
        count += len(piece)
        last = piece
        if count > next_stop:
            next_stop += size // 10
            time.sleep(0.5)
            slept += 0.5
    took = time.monotonic() - began - slept
    os.close(fd)
    assert (count, last[-5:]) == (size, b"last\n"), (count, last[-5:])
    grown = {name: kib(pid, "VmHWM") - before[name] for name, pid in watched.items()}
    # 1 MiB is the window, and 1 MiB waits for the reader; and buffers grow by doubling.
    assert grown["the agent"] < 4096, grown
    assert grown["the daemon"] < 8192 or is_sanitized(daemon.pid), grown
    eventually(is_idle, f"left in the container: {inside()}")
    os.write(3, f"# {size / took / 1e6:.0f} MB a second; KiB more at the peak: {grown}\n".encode())
PYTHON
}

run_tests
