#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls a second with many callers at once, and who used the CPU meanwhile. The
contenders take turns of a second or two.

usage: rates.py RESULTS WHAT SECONDS DAEMON-PID CALLERS..., with a table on stdin:
    NAME | COMMAND
COMMAND gets CALLERS and the length of its turn in place of CALLERS and TURN; it prints
how many calls a second there were, and the time of the slowest hundredth of them."""

import os
import shlex
import subprocess
import sys
import time

import contenders

TICKS = os.sysconf("SC_CLK_TCK")
TURN_SECONDS = 1


def cpu_seconds(pid: int) -> tuple[float, float]:
    """Of the process itself, and of its children that have ended."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    own_user, own_system, user, system = map(int, fields[11:15])
    return (own_user + own_system) / TICKS, (user + system) / TICKS


def run_turn(command: list[str], daemon: int) -> dict:
    own, children = cpu_seconds(daemon)
    start = time.monotonic()
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE,
                               start_new_session=True)  # see alternate.py
    answer = process.stdout.read().split()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0 or len(answer) != 2:
        sys.exit(f"rates.py: {shlex.join(command)} failed")
    took = time.monotonic() - start
    own_after, children_after = cpu_seconds(daemon)
    daemons = own_after - own
    total = daemons + children_after - children + usage.ru_utime + usage.ru_stime
    return {"rate": float(answer[0]), "p99_ns": int(answer[1]), "busy": total / took,
            "daemon_share": daemons / total}


def measure(results: str, what: str, seconds: float, daemon: int, callers: str,
            table: list[list[str]]) -> None:
    turns: dict[str, list[dict]] = {name: [] for name, _ in table}
    for order in contenders.rounds(table, seconds):
        for name, command in order:
            place = {"CALLERS": callers, "TURN": str(TURN_SECONDS)}
            words = [place.get(word, word) for word in shlex.split(command)]
            turns[name].append(run_turn(words, daemon))
    for name, taken in turns.items():
        contenders.record(results, what=f"{what} {callers}", contender=name,
                          **{key: [turn[key] for turn in taken] for key in taken[0]})


def main() -> None:
    results, what, seconds, daemon, *callers = sys.argv[1:]
    table = contenders.read_table()
    for number in callers:
        measure(results, what, float(seconds) / len(callers), int(daemon), number, table)


main()
