#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks a mount, as one ordinary user, until it is killed: at full speed, with each attack
of a list in turn, in a random order. Prints how often each was made at SIGTERM.

usage: attack.py SANDBOX-DIRECTORY SEED
"""

import os
import random
import signal
import sys
import threading

T = sys.argv[1]
CALL, REQUEST = T + "/call", T + "/request"
rng = random.Random(int(sys.argv[2]))
counts = {}
held = []


def drop():
    while len(held) > 300 or (held and rng.random() < 0.3):
        try:
            os.close(held.pop(rng.randrange(len(held))))
        except OSError:
            pass


def call(line, end=True):
    fd = os.open(CALL, os.O_RDWR)
    held.append(fd)
    os.write(fd, line)
    return fd


def half_written():
    call(b"x" * rng.choice([1, 5000, 130000]))


def words():
    call(b"a " * 60000)


def bomb():
    call(b"PATH=" + b":" * 60000 + b" " + b"x" * 60000 + b"\n")


def sleepers():
    call(b"--timeout=1h sleep 3600\n")


def unread():
    call(b"head -c 3000000 /dev/zero\n")


def parked():
    fd = call(b"sleep 2\n")
    thread = threading.Thread(target=lambda: os.write(fd, b"x" * 1000000), daemon=True)
    thread.start()


def slots():
    name = f"{T}/{os.getuid()}-{rng.randrange(10000)}"
    os.mkdir(name, rng.choice([0o700, 0o777]))
    fd = os.open(name + "/request", os.O_WRONLY)
    os.write(fd, b"head -c 500000 /dev/zero\n")
    os.close(fd)
    held.append(os.open(name + "/stdout", os.O_RDONLY))
    os.rmdir(name)


def shared():
    held.append(os.open(REQUEST, os.O_WRONLY))


def refusals():
    for _ in range(50):
        fd = os.open(CALL, os.O_RDWR)
        try:
            os.write(fd, b"| refused\n")
        except OSError:
            pass
        os.close(fd)


def handles():
    for name in ("stdout", "stderr", "status", "call"):
        held.append(os.open(f"{T}/{name}", os.O_PATH))


def forks():
    call(b"sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 30 & done; kill -QUIT $$'\n")


def stubborn():
    call(b"sh -c 'trap \"\" TERM; exec >&- 2>&-; sleep 30'\n")


ATTACKS = [half_written, words, bomb, sleepers, unread, parked, slots, shared, refusals, handles, forks, stubborn]


def stop(*_):
    print(" ".join(f"{name}={count}" for name, count in sorted(counts.items())), flush=True)
    os._exit(0)


threading.excepthook = lambda args: None
signal.signal(signal.SIGTERM, stop)
while True:
    attack = rng.choice(ATTACKS)
    counts[attack.__name__] = counts.get(attack.__name__, 0) + 1
    try:
        attack()
    except OSError:
        counts["refused"] = counts.get("refused", 0) + 1
    drop()
