#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a reload takes away is gone, whatever somebody holds from before.
# shellcheck source=tests/hostile/lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

mount_with <<CONF || exit 1
mode = direct
timeout = 60s
[d]
permissions = 0777
CONF

test_access_that_was_withdrawn() {
    chmod 1777 "$T" # for a file that says how far it is
    mallory /usr/bin/python3 - "$M/d" "$T" <<'PYTHON' &
import errno, os, sys, time
T, folder = sys.argv[1:]
os.mkdir(T + "/m", 0o700)
slot = os.open(T + "/m", os.O_RDONLY)
idle = os.open(T + "/call", os.O_RDWR)
busy = os.open(T + "/call", os.O_RDWR)
os.write(busy, b"cat\n")
def refused(call, *args, **more):
    try:
        call(*args, **more)
    except OSError as e:
        assert e.errno == errno.EACCES, e
        return
    sys.exit(f"{call.__name__} {args} went well")
fd = os.open("request", os.O_WRONLY, dir_fd=slot)
os.write(fd, b"true\n")
os.close(fd)
print("ready", flush=True, file=open(folder + "/ready", "w"))
while not os.path.exists(folder + "/reloaded"):
    time.sleep(0.02)
for name, flags in (("request", os.O_WRONLY), ("status", os.O_RDONLY), ("ctl", os.O_WRONLY)):
    refused(os.open, name, flags, dir_fd=slot)
refused(os.write, idle, b"id\n")
# One that runs goes on to its end.
os.write(busy, b"so far")
os.fsync(busy)
assert os.read(busy, 100) == b"so far"
PYTHON
    local pid=$!
    wait_until 20 test -s "$T/ready" || fail "it did not begin"
    sed -i 's/^permissions.*/permissions = 0700/' "$T/conf"
    kill -HUP "$daemon_pid"
    wait_until 20 sh -c "[ \$(stat -c %a $M/d) = 700 ]"
    touch "$T/reloaded"
    wait "$pid" || fail "it ended with $?"
    rmdir "$M/d/m"
}

run_tests
