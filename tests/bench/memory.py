#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the daemon keeps in memory: at its start, for each idle slot, for each job
that runs, and while a gibibyte streams through a conversation.

usage: memory.py DAEMON-PID SANDBOX-DIRECTORY
The sandbox needs max_slots of SLOTS and max_running of JOBS, and no timeout."""

import os
import sys
import time

SLOTS = 10000
JOBS = 1000
GIB = 1 << 30


def resident(kind="VmRSS"):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(kind))


def children():
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()


def converse(command):
    fd = os.open(f"{sandbox}/request", os.O_RDWR | os.O_CLOEXEC)
    os.write(fd, command + b"\n")
    return fd


pid, sandbox = sys.argv[1:]
rows = [("at the start", resident())]

before = resident()
jobs = [converse(b"sleep 1000") for _ in range(JOBS)]
rows.append((f"each of {JOBS} running jobs", (resident() - before) / JOBS))
for fd in jobs:
    os.close(fd)
while children():
    time.sleep(0.05)

before = resident()
for number in range(SLOTS):
    os.mkdir(f"{sandbox}/{number}")
rows.append((f"each of {SLOTS} idle slots", (resident() - before) / SLOTS))
for number in range(SLOTS):
    os.rmdir(f"{sandbox}/{number}")

fd = converse(b"head -c %d /dev/zero" % GIB)
size, most = 0, 0
while piece := os.read(fd, 1 << 20):
    size += len(piece)
    most = max(most, resident())
assert size == GIB, size
rows.append(("at most, while 1 GiB streams", most))

print("| memory of the daemon | KiB |\n| --- | --- |")
for name, kib in rows:
    print(f"| {name} | {kib:.1f} |")
