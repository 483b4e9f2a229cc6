#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calling a hook from Python, in each of the two ways, from as many threads at
once as wanted.

usage: client.py DIR slot|conversation N

DIR is the directory of a sandbox, for example /run/hooks/local. N calls of `cat`
run at once, each with a payload of its own. The exit code is 0 if each call got
its own payload back.
"""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


class HookError(Exception):
    """The command did not end with 0: there is no answer."""


# Each of the two ways takes the directory of a sandbox, a command line and bytes. It
# returns the stdout of the command, or raises OSError or HookError. Python itself
# goes on after a signal, so that a caller never gets EINTR.


def call_by_slot(sandbox, command, payload):
    """By a slot of one's own, which keeps stdout, stderr and the status."""
    slot = Path(tempfile.mkdtemp(dir=sandbox))
    try:
        (slot / "request").write_bytes(command.encode() + b"\n" + payload)
        answer = (slot / "stdout").read_bytes()
        status = (slot / "status").read_text().strip()
        if status != "0 exited":
            raise HookError(f"{command}: {status}\n{(slot / 'stderr').read_text(errors='replace')}")
        return answer
    finally:
        slot.rmdir()  # cancels the job if it still runs; there is no need to empty it


def call_by_conversation(sandbox, command, payload):
    """By a conversation: one descriptor. Reading fails unless the command ended with 0.
    When this process dies, the daemon cancels the command."""
    request = memoryview(command.encode() + b"\n" + payload)
    with open(Path(sandbox, "call"), "r+b", buffering=0) as file:
        while request:
            request = request[file.write(request) :]
        return file.readall()


# --- N of them at once


def main():
    calls = {"slot": call_by_slot, "conversation": call_by_conversation}
    if len(sys.argv) != 4 or sys.argv[2] not in calls:
        sys.exit("usage: client.py DIR slot|conversation N")
    sandbox, way, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

    def is_right(number):
        payload = b"payload %d\n" % number * (1 + number * 1000)
        try:
            return calls[way](sandbox, "cat", payload) == payload
        except (OSError, HookError) as error:
            print(f"call {number}: {error}", file=sys.stderr)
            return False

    with ThreadPoolExecutor(max_workers=max(count, 1)) as threads:
        right = sum(threads.map(is_right, range(count)))
    if right != count:
        sys.exit(f"{count - right} of {count} answers are missing or wrong")
    print(f"{count} answers, all right")


if __name__ == "__main__":
    main()
