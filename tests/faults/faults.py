#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tells a hooksfs-faulty which of its calls are to fail: as a module, and for
scripts as a command:

    faults.py FILE create
    faults.py FILE set CALL ERRNO [after=N] [times=N] [chance=X]
    faults.py FILE clear
    faults.py FILE called|injected CALL
    faults.py FILE blocks

FILE is what HOOKSFS_FAULTS names for the daemon. faulty.h says what each CALL is.
ERRNO is a name, or 0, which means of waitid that there is nothing to reap yet."""

import errno
import mmap
import struct
import sys

CALLS = ("memory", "fork", "pidfd_open", "waitid", "pipe2", "socket", "epoll_ctl",
         "epoll_wait", "fcntl", "open", "device", "device_read", "device_write", "log", "write")
CERTAIN = 1000000
HEAD = struct.Struct("=Qq")
FAULT = struct.Struct("=iIQQQQ")
ALWAYS = 1 << 62


class Faults:
    """The file PATH; create makes it new, with nothing that fails."""

    def __init__(self, path, create=False, seed=1):
        self.path = path
        if create:
            with open(path, "wb") as file:
                file.write(HEAD.pack(seed, 0) + FAULT.pack(0, 0, 0, 0, 0, 0) * len(CALLS))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), HEAD.size + FAULT.size * len(CALLS))

    @staticmethod
    def _at(call):
        return HEAD.size + FAULT.size * CALLS.index(call)

    def set(self, call, error, after=0, times=ALWAYS, chance=1.0):
        """After AFTER more calls of CALL, TIMES of them fail, each with CHANCE."""
        at = self._at(call)
        number = int(error) if str(error).isdigit() else getattr(errno, error)
        struct.pack_into("=Q", self.map, at + 16, 0)  # not half of the old and half of the new
        struct.pack_into("=iIQ", self.map, at, number, round(chance * CERTAIN), after)
        struct.pack_into("=Q", self.map, at + 16, times)

    def clear(self):
        for call in CALLS:
            struct.pack_into("=Q", self.map, self._at(call) + 16, 0)

    def called(self, call):
        return struct.unpack_from("=Q", self.map, self._at(call) + 24)[0]

    def injected(self, call=None):
        """How many calls have failed, of one kind or of all."""
        if call is None:
            return sum(self.injected(each) for each in CALLS)
        return struct.unpack_from("=Q", self.map, self._at(call) + 32)[0]

    def blocks(self):
        """Pieces of memory that the daemon has allocated and not freed."""
        return HEAD.unpack_from(self.map, 0)[1]


def main(path, action, *args):
    faults = Faults(path, create=action == "create")
    if action == "set":
        named = dict(arg.split("=") for arg in args[2:])
        faults.set(args[0], args[1], **{name: float(value) if name == "chance" else int(value)
                                        for name, value in named.items()})
    elif action == "clear":
        faults.clear()
    elif action in ("called", "injected"):
        print(getattr(faults, action)(*args))
    elif action == "blocks":
        print(faults.blocks())
    elif action != "create":
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
