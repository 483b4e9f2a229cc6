#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is killed under load, at any moment: nobody hangs, no command goes on,
# and the next daemon serves the same place. $CRASH_ROUNDS times; $CRASH_SEED makes
# the moments the same again.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

: "${CRASH_ROUNDS:=20}" "${CRASH_SEED:=$RANDOM$RANDOM}"
echo "# seed $CRASH_SEED, $CRASH_ROUNDS rounds"
export NAP=$T/nap CRASH_ROUNDS CRASH_SEED
ln -s "$(command -v sleep)" "$NAP"

crash() {
    mkdir "$T/$1"
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 PY_TIMEOUT=300 py "$T/$1"
}

test_killed_under_load() {
    crash load <<'PYTHON'
import collections, random, select
from calls import *

folder, rounds = sys.argv[1], int(os.environ["CRASH_ROUNDS"])
chance = random.Random(os.environ["CRASH_SEED"])
faulthandler.dump_traceback_later(290, exit=True)
CONFIG = "mode = direct\ntimeout = none\n[local]\nmax_running = 200\n"
GONE = {"ENOTCONN", "ECONNABORTED", "EIO"}
told = collections.Counter()
answers = 0


def ends(what, function, *args):
    """Runs function, which may end only with an error that says that the daemon has."""
    try:
        function(*args)
    except OSError as error:
        name = errno.errorcode[error.errno]
        assert name in GONE, f"{what}: {name}"
        told[f"{what} {name}"] += 1
        return
    raise AssertionError(f"{what}: no error")


def parked_reader():
    fd = start(slot, f"{nap} 600\n".encode())
    try:
        os.read(fd, 100)
    finally:
        os.close(fd)


def stalled_writer():
    fd = open_call(slot)
    try:
        write_all(fd, f"{nap} 600\n".encode() + bytes(1 << 22))
    finally:
        os.close(fd)


def poller():
    fd = start(slot, f"{nap} 600\n".encode())
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll()
        os.read(fd, 100)
    finally:
        os.close(fd)


def slot_reader(number, name):
    own = f"{slot}/{name}{number}"
    os.mkdir(own)
    ask(own, f"{nap} 600".encode())
    get(f"{own}/{name}")


def busy_caller(number):
    global answers
    own = random.Random(number)
    while True:
        body = own.randbytes(own.randrange(1, 100000))
        out, end = converse(slot, b"cat\n" + body)
        if end == "none":
            assert out == body, "a wrong answer"
            answers += 1
            continue
        assert end in GONE, end
        assert body.startswith(out), "bytes of another"
        os.stat(slot)


def busy_slot(number):
    global answers
    own = f"{slot}/busy{number}"
    os.mkdir(own)
    while True:
        body = os.urandom(5000)
        ask(own, b"cat\n" + body)
        out, line = get(own + "/stdout"), status(own)
        assert (out, line) == (body, "0 exited"), line
        answers += 1


def maker(number):
    while True:
        own = f"{slot}/made{number}"
        os.mkdir(own)
        os.listdir(own)
        os.rmdir(own)


CALLERS = ([("read", parked_reader)] * 6 + [("write", stalled_writer)] * 3 + [("poll", poller)] * 3
           + [("stdout", slot_reader, n, "stdout") for n in range(3)]
           + [("status", slot_reader, n, "status") for n in range(3)]
           + [("conversation", busy_caller, n) for n in range(3)]
           + [("slot", busy_slot, n) for n in range(2)] + [("mkdir", maker, 0)])

for number in range(rounds):
    daemon = Daemon(folder, CONFIG)
    slot = f"{daemon.mount}/local"
    works(slot, f"round{number}")
    failures = []

    def run(*args):
        try:
            ends(*args)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=caller, daemon=True) for caller in CALLERS]
    for thread in threads:
        thread.start()
    if number % 4:
        time.sleep(chance.random() * 0.4)
    else:  # all of them are there
        there(nap, 18)
    assert daemon.process.poll() is None, daemon.text()
    daemon.process.kill()
    daemon.process.wait()
    for thread, caller in zip(threads, CALLERS):
        thread.join(30)
        assert not thread.is_alive(), f"round {number}: {caller[0]} hangs"
    assert not failures, failures
    gone(nap)
    assert not re.search("runtime error:|ERROR: [A-Za-z]+Sanitizer", daemon.text()), daemon.text()
    daemon.log.close()
with Daemon(folder, CONFIG) as daemon:
    works(f"{daemon.mount}/local")
    with open("/proc/self/mountinfo") as mounts:
        assert mounts.read().count(f" {daemon.mount} ") == 1, "a mount of before is left"
assert answers > rounds and len({key.split()[0] for key in told}) == 8, (answers, told)
print(f"{answers} right answers; {dict(told)}")
PYTHON
    grep -h 'right answers' "$T/out" | sed 's/^/# /' >&3
}

run_tests
