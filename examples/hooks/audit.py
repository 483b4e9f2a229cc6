#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hook that keeps a record of every payload, and allows it.

usage: audit --log FILE < PAYLOAD

Appends one line of JSON to FILE: the time (UTC), the payload's "hook" and "phase"
if the payload is a JSON object that has them, its SHA-256 and its size in bytes.
A FILE that does not exist is made with mode 0600. The payload itself is not kept.
A payload can be any bytes.

Then the answer is {"allow":true}. Exit code 1: the line could not be written, and
stderr says why. There is no answer then, because a payload without a record is
not allowed. Exit code 2: the command line is wrong.
"""

import argparse
import datetime
import hashlib
import json
import os
import sys

MAX_NAME = 200  # characters of hook and phase, so that the line stays short


def name_of(payload, key):
    value = payload.get(key) if isinstance(payload, dict) else None
    return value[:MAX_NAME] if isinstance(value, str) else None


def record_of(data):
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError):
        payload = None
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
        "hook": name_of(payload, "hook"),
        "phase": name_of(payload, "phase"),
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }


def append(path, line):
    """Appends LINE in one write with O_APPEND, so that lines of several hooks do not mix."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, line) != len(line):
            raise OSError("only a part of the line could be written")
    finally:
        os.close(fd)


def main():
    parser = argparse.ArgumentParser(prog="audit", description="record a payload, and allow it")
    parser.add_argument("--log", required=True, metavar="FILE", help="where to append the record")
    options = parser.parse_args()
    record = record_of(sys.stdin.buffer.read())
    try:
        append(options.log, json.dumps(record, separators=(",", ":")).encode() + b"\n")
    except OSError as error:
        print(f"audit: {options.log}: {error.strerror or error}", file=sys.stderr)
        return 1
    sys.stdout.write('{"allow":true}\n')
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
