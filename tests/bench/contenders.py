# SPDX-License-Identifier: Apache-2.0
"""Common functions of the measuring scripts: the table of contenders on stdin, one a line with
columns separated by ` | `, the order of their turns, and the file of results, to which
each appends one JSON object a line for `report.py`."""

import json
import random
import sys
import time
from collections.abc import Iterator


def read_table() -> list[list[str]]:
    lines = (line.strip() for line in sys.stdin)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines if line]


def rounds(contenders: list, seconds: float, at_least: int = 3) -> Iterator[list]:
    """The contenders in a new order for each round, so that none always comes after
    the same one, for as many rounds as fit into SECONDS."""
    order = list(contenders)
    shuffle = random.Random(len(order)).shuffle
    end = time.monotonic() + seconds
    done = 0
    while done < at_least or time.monotonic() < end:
        shuffle(order)
        yield order
        done += 1


def record(path: str, **result) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(result) + "\n")
