#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How often a processor stands still for us, though nobody else is busy: what a virtual
machine's host does with it meanwhile is in nobody's times, and in everybody's p99.

usage: stalls.py SECONDS
Prints, of all processors together, how often one stood still for LONG_MS or more, for
how many seconds they were watched, and the longest in milliseconds."""

import os
import sys
import time
from multiprocessing import Pool

LONG_MS = 0.5


def watch(processor: int, seconds: float) -> tuple[int, float]:
    os.sched_setaffinity(0, {processor})
    count, longest = 0, 0.0
    last = time.perf_counter()
    end = last + seconds
    while last < end:
        now = time.perf_counter()
        if now - last >= LONG_MS / 1000:
            count += 1
            longest = max(longest, now - last)
        last = now
    return count, longest * 1000


def main() -> None:
    seconds = float(sys.argv[1])
    processors = sorted(os.sched_getaffinity(0))
    with Pool(len(processors)) as pool:
        seen = pool.starmap(watch, [(processor, seconds) for processor in processors])
    print(sum(count for count, _ in seen), f"{seconds * len(processors):.1f}",
          f"{max(longest for _, longest in seen):.1f}")


if __name__ == "__main__":
    main()
