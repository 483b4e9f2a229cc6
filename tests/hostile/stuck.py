#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mounts a FUSE file system that takes each request and answers none, but the first one, which
comes with the mount. A process that looks up a name there waits in a state that SIGKILL does not
end. The end of this program ends the file system, and all waits.

usage: stuck.py MOUNTPOINT
"""

import ctypes
import os
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40755,user_id=0,group_id=0,allow_other".encode()
if libc.mount(b"stuck", os.fsencode(sys.argv[1]), b"fuse", 0, options) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
# struct fuse_in_header begins with the length, the operation and the number of the request. The
# answer to FUSE_INIT is a struct fuse_init_out of version 7.31.
_, _, unique = struct.unpack_from("IIQ", os.read(fd, 1 << 20))
init = struct.pack("IIIIHHII36x", 7, 31, 0, 0, 12, 9, 4096, 1)
os.write(fd, struct.pack("IiQ", 16 + len(init), 0, unique) + init)
print("mounted", flush=True)
while True:
    os.read(fd, 1 << 20)
