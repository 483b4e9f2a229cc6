#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Resident memory. Of the daemon: at its start, for each idle slot, each job that
runs, and while a gibibyte streams through a conversation. Or of the agents in a
container, idle and with many jobs.

usage: memory.py RESULTS daemon PID SANDBOX-DIRECTORY
       memory.py RESULTS agent PS-COMMAND SANDBOX-DIRECTORY
The sandbox needs max_slots of SLOTS and max_running of JOBS, and no timeout. PS-COMMAND
lists the processes of the container, as tests/cluster/ps does."""

import os
import shlex
import subprocess
import sys
import time

import contenders

SLOTS = 10000
JOBS = 1000
GIB = 1 << 30
PATIENCE_SECONDS = 120
JOB = "sleep 1000"
CONTAINERS_FIRST = "sleep 2147483647"


def resident_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def shared_out_kib(pid: int) -> int:
    """Resident too, but a page that several processes share counts once for all: an
    agent may have forked."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def wait_until(condition) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            sys.exit("memory.py: the jobs do not come, or do not end")
        time.sleep(0.05)


def converse(sandbox: str, command: bytes) -> int:
    fd = os.open(f"{sandbox}/call", os.O_RDWR | os.O_CLOEXEC)
    os.write(fd, command + b"\n")
    return fd


def of_the_daemon(pid: int, sandbox: str) -> dict[str, float]:
    def children() -> int:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return len(file.read().split())

    kib = {"at the start": resident_kib(pid)}

    before = resident_kib(pid)
    jobs = [converse(sandbox, JOB.encode()) for _ in range(JOBS)]
    wait_until(lambda: children() == JOBS)
    kib[f"each of {JOBS} running jobs"] = (resident_kib(pid) - before) / JOBS
    for fd in jobs:
        os.close(fd)
    wait_until(lambda: children() == 0)

    before = resident_kib(pid)
    for number in range(SLOTS):
        os.mkdir(f"{sandbox}/{number}")
    kib[f"each of {SLOTS} idle slots"] = (resident_kib(pid) - before) / SLOTS
    for number in range(SLOTS):
        os.rmdir(f"{sandbox}/{number}")

    fd = converse(sandbox, b"head -c %d /dev/zero" % GIB)
    size, most = 0, 0
    while piece := os.read(fd, 1 << 20):
        size += len(piece)
        most = max(most, resident_kib(pid))
    assert size == GIB, size
    os.close(fd)
    kib["at most, while 1 GiB streams"] = most
    return kib


def of_the_agents(ps: str, sandbox: str) -> dict[str, float]:
    def processes(are_jobs: bool) -> list[int]:
        """The jobs, or what runs beside them and is not the container's first process."""
        lines = subprocess.run(shlex.split(ps), check=True, text=True,
                               stdout=subprocess.PIPE).stdout.splitlines()
        return [int(line.split()[0]) for line in lines
                if CONTAINERS_FIRST not in line and (JOB in line) == are_jobs]

    def described(state: str) -> dict[str, float]:
        agents = processes(False)
        assert agents, "no agent runs in the container"
        return {f"{state}, {len(agents)} processes": sum(map(shared_out_kib, agents))}

    fd = converse(sandbox, b"true")
    assert os.read(fd, 1) == b""
    os.close(fd)
    kib = described("idle")
    jobs = [converse(sandbox, JOB.encode()) for _ in range(JOBS)]
    wait_until(lambda: len(processes(True)) == JOBS)
    kib |= described(f"with {JOBS} jobs")
    for fd in jobs:
        os.close(fd)
    wait_until(lambda: not processes(True))
    return kib


def main() -> None:
    results, whose, argument, sandbox = sys.argv[1:]
    if whose == "daemon":
        found = of_the_daemon(int(argument), sandbox)
    else:
        found = of_the_agents(argument, sandbox)
    for name, kib in found.items():
        contenders.record(results, what=f"memory {whose}", contender=name, kib=kib)


main()
