#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A crowd: 200 conversations and 200 slots at once, each a process of its own
# with a random payload that comes back. Every byte is compared.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

mount_with <<CONF || exit 1
mode = direct
timeout = none
[wide]
max_running = 400
[usual]
CONF

# crowd SANDBOX: one run, with a seed of its own
crowd() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 timeout 240 \
        /usr/bin/python3 - "$M/$1" "$daemon_pid" "${SEED:-$RANDOM$RANDOM}" <<'PYTHON'
import random, sys
from calls import *
sandbox, daemon, seed = sys.argv[1:]
print(f"seed {seed}")
works(sandbox)
before = used(daemon)
ready, go = os.pipe(), os.pipe()

def request(chance):
    """Of all sizes: as many small ones as large ones."""
    body = chance.randbytes(int(2 ** chance.uniform(0, 20)))
    return body, f"sh -c 'cat; echo {chance.random()} >&2; exit {chance.choice((0, 0, 3))}'\n".encode() + body

def wait_for_all():
    os.write(ready[1], b"x")
    os.read(go[0], 1)

def converses(number):
    chance = random.Random(f"{seed} {number}")
    body, text = request(chance)
    fd = open_call(sandbox)
    wait_for_all()
    at = 0
    while at < len(text):  # in pieces as they come
        at += os.write(fd, text[at : at + chance.randrange(1, 200000)])
    answer = b""
    end = "none"
    while True:
        try:
            part = os.read(fd, chance.randrange(1, 200000))
        except OSError as error:
            end = errno.errorcode[error.errno]
            break
        if not part:
            break
        answer += part
    assert answer == body, f"conversation {number}: {len(answer)} bytes of {len(body)}"
    assert end == ("EIO" if b"exit 3" in text[:100] else "none"), (number, end)
    os.close(fd)

def uses_a_slot(number):
    chance = random.Random(f"{seed} {number}")
    body, text = request(chance)
    slot = f"{sandbox}/{number}"
    os.mkdir(slot, 0o700)
    wait_for_all()
    if number % 2:
        ask(slot, text)
        answer = get(slot + "/stdout")
    else:  # read while it is written
        out = os.open(slot + "/stdout", os.O_RDONLY)
        fd = os.open(slot + "/request", os.O_WRONLY)
        got = []
        reader = threading.Thread(target=lambda: got.append(read_all(out)))
        write_all(fd, text[:100])
        reader.start()
        write_all(fd, text[100:])
        os.close(fd)
        reader.join()
        answer, end = got[0]
        assert end == "none", (number, end)
        os.close(out)
    assert answer == body, f"slot {number}: {len(answer)} bytes of {len(body)}"
    head = text[: text.index(b"\n")].decode()
    assert get(slot + "/stderr").decode() == head.split(" >&2")[0].split("echo ")[1] + "\n", number
    assert status(slot) == head.split("exit ")[1].rstrip("'") + " exited", number
    assert os.stat(slot + "/stdout").st_size == len(body)
    os.rmdir(slot)

with contextlib.ExitStack() as stack:
    users = []
    for number in range(200):
        users.append(stack.enter_context(child(converses, number)))
        users.append(stack.enter_context(child(uses_a_slot, 1000 + number)))
    for _ in users:
        os.read(ready[0], 1)
    os.write(go[1], b"x" * len(users))
    failed = [pid for pid in users if os.waitpid(pid, 0)[1] != 0]
    assert not failed, f"{len(failed)} of {len(users)} failed"
check_used(daemon, before)
left = [entry.name for entry in os.scandir(sandbox) if entry.is_dir()]
assert not left, f"slots are left: {left}"
works(sandbox)
PYTHON
}

# All of them run at once.
test_crowd_1() {
    crowd wide
}

# Most of them wait for a place, as many run as usual.
test_crowd_2() {
    crowd usual
}

test_crowd_3() {
    crowd wide
}

run_tests
