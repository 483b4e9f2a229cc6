#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes calls one after the other for SECONDS, as a user who only wants to work, and compares
each answer. Prints how many there were, and the median and the 99th percentile of their
times in milliseconds; ends with 1 if one was wrong or failed.

usage: honest.py SANDBOX-DIRECTORY SECONDS
"""

import os
import sys
import time

path, seconds = sys.argv[1] + "/call", float(sys.argv[2])
times, number = [], 0
end = time.monotonic() + seconds
while time.monotonic() < end:
    number += 1
    payload = b"%d " % number * 300
    begin = time.perf_counter()
    fd = os.open(path, os.O_RDWR)
    try:
        os.write(fd, b"cat\n" + payload)
        got = b""
        while data := os.read(fd, 65536):
            got += data
    except OSError as e:
        sys.exit(f"call {number}: {e}")
    os.close(fd)
    times.append((time.perf_counter() - begin) * 1000)
    if got != payload:
        sys.exit(f"call {number}: a wrong answer of {len(got)} bytes")
    time.sleep(0.002)
times.sort()
print(len(times), f"{times[len(times) // 2]:.2f} {times[len(times) * 99 // 100]:.2f}")
