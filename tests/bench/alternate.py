#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lets the contenders of one row take turns, a few calls each, round by round, so that
whatever else the machine does hits all alike.

usage: alternate.py RESULTS WHAT SECONDS [REST], with a table on stdin:
    NAME | CALLS | COMMAND
COMMAND is a process that stays up and times its own calls: it answers a line with a
number by a line of so many times in nanoseconds. It gets a session of its own, because
Linux shares the CPU out among sessions, and hooksfs gives one to each job. Where a turn
has several CALLS, one more comes before them that does not count, because it finds the
caches cold. Before each turn the machine rests for REST seconds (0): what one contender
leaves to be done, such as a container runtime's cleaning up after an exec, would
otherwise be counted to the next."""

import select
import shlex
import subprocess
import sys
import time

import contenders

PATIENCE_SECONDS = 120


class Contender:
    def __init__(self, name: str, calls: str, command: str) -> None:
        self.name = name
        self.calls = int(calls)
        self.times: list[int] = []
        self.process = subprocess.Popen(shlex.split(command), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        start_new_session=True)

    def ask(self, calls: int) -> list[int]:
        self.process.stdin.write(f"{calls}\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], PATIENCE_SECONDS)[0]:
            sys.exit(f"alternate.py: {self.name} does not answer")
        times = [int(word) for word in self.process.stdout.readline().split()]
        if len(times) != calls:
            sys.exit(f"alternate.py: {self.name} failed")
        return times

    def take_turn(self) -> None:
        if self.calls > 1:
            self.ask(1)
        self.times += self.ask(self.calls)

    def end(self) -> None:
        self.process.stdin.close()
        if self.process.wait(PATIENCE_SECONDS) != 0:
            sys.exit(f"alternate.py: {self.name} ended badly")


def main() -> None:
    results, what, seconds = sys.argv[1:4]
    rest = float(sys.argv[4]) if len(sys.argv) > 4 else 0
    everyone = [Contender(*line) for line in contenders.read_table()]
    try:
        for contender in everyone:
            contender.ask(1)  # starting up does not count
        for order in contenders.rounds(everyone, float(seconds)):
            for contender in order:
                time.sleep(rest)
                contender.take_turn()
        for contender in everyone:
            contender.end()
    finally:
        for contender in everyone:
            contender.process.kill()
    for contender in everyone:
        contenders.record(results, what=what, contender=contender.name, ns=contender.times)


main()
