#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Breaks the connections to the agents at $CUTS random moments, while 16 callers are at
# work: each reported success is true, no command runs twice, and no command lives on.
# $CUT_SEED repeats the same moments.
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh"

: "${CUT_SEED:=$RANDOM$RANDOM}" "${CUTS:=}"
echo "# seed $CUT_SEED"

test_cuts() {
    inside "$CUT_SEED" "$CUTS" <<'PYTHON'
import collections, random
seed, cuts = sys.argv[2:]
chance = random.Random(seed)
lock = threading.Lock()
stop = threading.Event()
tally = collections.Counter()
succeeded, started, ends = [], set(), {}

# Each command leaves a mark when it starts, and another when it ends.
COMMAND = "sh -c 'echo $0 >>/tmp/begun; {work}; echo $0 >>/tmp/ended; echo done $0' {id}\n"
# A command that never ends, with two processes outside of its process group.
HANGER = "sh -c 'echo $0 >>/tmp/begun; setsid sleep 7331 & setsid -w sleep 7331 & sleep 7331' {id}\n"


def call_by_conversation(sandbox, request, answer):
    got, end = converse(sandbox, request)
    assert end in ("none", "EHOSTUNREACH"), end
    assert answer.startswith(got), (answer, got)
    assert end != "none" or got == answer, (answer, got)
    return end == "none"


def call_by_slot(sandbox, request, answer):
    slot = f"{sandbox}/{threading.get_ident()}"
    os.mkdir(slot)
    try:
        ask(slot, request)
        got, end = get(slot + "/stdout"), status(slot)
        assert end == "0 exited" or end.startswith("125 unreachable "), end
        assert answer.startswith(got), (answer, got)
        assert end != "0 exited" or got == answer, (answer, got)
        return end == "0 exited"
    finally:
        os.rmdir(slot)


def caller(number):
    mine = random.Random(f"{seed} {number}")
    for count in range(1 << 30):
        if stop.is_set():
            return
        name = f"{number}-{count}"
        hangs = number < 3
        body = mine.randbytes(mine.choice((0, 10, 1000, 200000)))
        work = mine.choice(("cat", "cat; sleep 0.02", "sleep 0.1; cat", "cat; sleep 0.3"))
        line = HANGER.format(id=name) if hangs else COMMAND.format(work=work, id=name)
        answer = b"never" if hangs else body + b"done " + name.encode() + b"\n"
        call = mine.choice((call_by_conversation, call_by_slot))
        with lock:
            started.add(name)
        is_success = call(sandbox, line.encode() + (b"" if hangs else body), answer)
        ends[name] = f"{call.__name__}, {work}, {len(body)} bytes, success: {is_success}"
        assert not (hangs and is_success), name
        with lock:
            tally["successes" if is_success else "breaks"] += 1
            if is_success:
                succeeded.append(name)


def cut(number):
    """Breaks connections in one of several ways. Returns the name of the way."""
    if number % 5 == 4:
        for pid in clients(daemon)[: chance.randrange(1, 3)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return "kubectl killed"
    how = chance.choice(("close", "fin", "rst"))
    fault("cut-now", how)
    return how


def cut_them():
    try:
        for number in range(int(cuts)):
            time.sleep(chance.random() * 0.25)
            if number == int(cuts) - 1:
                stop.set()  # so that no call begins after the last cut
            tally[cut(number)] += 1
            slowest.append(retry(sandbox))
            assert slowest[-1] < allowed(2), f"calls worked again after {slowest[-1]:.2f} s"
    finally:
        stop.set()
        fault("cut-now")  # streams that hang


slowest = []
config = HEAD + "[sidecar]\ntimeout = 100s\n"
with Daemon(folder, config) as daemon:
    sandbox = daemon.mount + "/sidecar"
    cuts = cuts or ("40" if is_sanitized(daemon.pid) else "200")
    connected(daemon, 2)
    assert converse(sandbox, b"sh -c 'rm -f /tmp/begun /tmp/ended; touch /tmp/begun /tmp/ended'") == (b"", "none")
    before = settled(daemon.pid)
    side_by_side(cut_them, *(lambda number=number: caller(number) for number in range(16)))
    last = time.monotonic()
    within(PROMISE, lambda: not jobs(), "survivors", last)
    eventually(lambda: is_idle() and len(agents()) == 2, f"not two agents alone: {inside()}")
    begun, end = converse(sandbox, b"cat /tmp/begun")
    assert end == "none"
    ended, end = converse(sandbox, b"cat /tmp/ended")
    assert end == "none"
    begun = collections.Counter(begun.decode().split())
    ended = collections.Counter(ended.decode().split())
    twice = [name for name, times in (begun + ended).items() if begun[name] > 1 or ended[name] > 1]
    assert not twice, [f"{name} ran twice: begun {begun[name]}, ended {ended[name]}; {ends[name]}" for name in twice]
    assert not set(begun) - started, "commands that nobody asked for"
    false = [name for name in succeeded if not ended[name]]
    assert not false, f"successes of commands that did not end: {false}"
    assert tally["successes"] > 2 * int(cuts) and tally["breaks"] > int(cuts), tally
    # Some of the commands that were cut had begun; otherwise the cuts hit nothing.
    assert set(begun) - set(ended), "no command was cut off"
    check_used(daemon.pid, before)
    os.write(3, f"# {cuts} cuts: {dict(tally)}, {len(begun)} begun, {len(ended)} ended, "
             f"back after {sum(slowest) / len(slowest):.2f} s, at most {max(slowest):.2f}\n".encode())
PYTHON
}

run_tests
