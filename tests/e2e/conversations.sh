#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Conversations: one descriptor of `call` for the request and its answer. The bytes that reads
# give and when, each outcome as the last read's error, back-pressure in both directions, and
# the end of the job when its caller ends.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

mount_with <<CONF || exit 1
mode = direct
timeout = 200s
kill_grace = 300ms
[local]
[other]
[narrow]
max_running = 1
max_queued = 1
[picky]
allow = echo
max_timeout = 5s
[small]
max_output = 1M
[pod]
mode = kubectl_exec
pod = hooks
kubectl_path = $T/no-such-kubectl
CONF
L=$M/local

# The program of jobs that a test looks for among the processes: no other process has this
# word in its command line.
export NAP=$T/nap
ln -s "$(command -v sleep)" "$NAP"

# Removes the files of a test that failed.
before_each() {
    rm -f "$T"/go* "$T/progress" "$T/seen" "$T/ran"
    [[ ! -d $L/mine ]] || rmdir "$L/mine"
}

# Runs the Python program on stdin, which can import calls.py, with ARGUMENTS.
with_calls() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 timeout 240 /usr/bin/python3 - "$@"
}

# --- Reading and writing

test_a_shell_has_a_conversation() {
    exec 4<>"$L/call"
    printf 'cat\nhello' >&4
    is "$(cat <&4)" hello
    is "$(cat <&4)" "" "the end, once more"
    exec 4>&-
    exec 4<>"$L/call"
    printf 'echo without a newline' >&4
    is "$(cat <&4)" "without a newline"
    exec 4>&-
    exec 4<>"$L/call"
    printf 'head -n 1\none\ntwo\n' >&4
    read -r answer <&4
    is "$answer" one
    exec 4>&-
}

# Each write and each read goes on where the last one ended. A call that asks for another
# offset has no effect, whether it is refused or not.
test_offsets_mean_nothing() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]
fd = open_call(slot)

def seek(offset):
    assert error_of(os.lseek, fd, offset, os.SEEK_SET) in ("none", "ESPIPE")

os.write(fd, b"cat\nab")
seek(12345)
os.write(fd, b"cd")
seek(0)
os.write(fd, b"ef")
if error_of(os.pwrite, fd, b"gh", 3) == "ESPIPE":
    os.write(fd, b"gh")
seek(99999)
assert os.read(fd, 2) == b"ab"
seek(0)
assert os.read(fd, 2) == b"cd"
part = b""
try:
    part = os.pread(fd, 2, 77)
except OSError as error:
    assert error.errno == errno.ESPIPE
assert part in (b"", b"ef")
while len(part) < 4:
    part += os.read(fd, 100) # in the pieces in which cat read them
assert part == b"efgh"
seek(1)
assert os.read(fd, 100) == b""
os.close(fd)
PYTHON
}

# The kernel would serve sendfile by the size that it remembers, which a truncation changes:
# the answer would be empty, and look whole.
test_sendfile_finds_no_empty_answer() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
path = sys.argv[1] + "/call"
into = os.pipe()
for flags, truncates in ((0, False), (0, True), (os.O_TRUNC, False), (os.O_CREAT | os.O_TRUNC, True)):
    fd = os.open(path, os.O_RDWR | flags, 0o600)
    os.write(fd, b"echo x\n")
    if truncates:
        os.ftruncate(fd, 7)
        assert error_of(os.ftruncate, fd, 0) == "EINVAL", "what was written cannot be taken back"
    assert error_of(os.sendfile, into[1], fd, None, 100) == "EINVAL", (flags, truncates)
    assert os.fstat(fd).st_size == os.stat(path).st_size == 0
    assert read_all(fd) == (b"x\n", "none"), flags
    os.close(fd)
PYTHON
}

# The inode has a size that nobody must see, from the first moment on.
test_stat_shows_no_size_of_the_inode() {
    with_calls "$L" <<'PYTHON'
import sys, threading
from calls import *
sizes = set()
def look():
    for _ in range(1000):
        for name in ("call", "request"):
            sizes.add(os.stat(f"{sys.argv[1]}/{name}").st_size)
threads = [threading.Thread(target=look) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
held = os.open(sys.argv[1] + "/call", os.O_PATH)
sizes.add(os.fstat(held).st_size)
fd = os.open(f"/proc/self/fd/{held}", os.O_RDWR)
sizes.add(os.fstat(fd).st_size)
os.write(fd, b"echo x\n")
assert error_of(os.sendfile, os.pipe()[1], fd, None, 100) == "EINVAL"
assert read_all(fd) == (b"x\n", "none")
assert sizes == {0}, sizes
PYTHON
}

# All the ways in which a program can get a descriptor of `call`.
test_every_way_to_open_it() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
path = sys.argv[1] + "/call"
for mode in ("r+b", "w+b", "a+b"):
    with open(path, mode, buffering=0) as file:
        file.write(b"cat\n" + mode.encode())
        assert file.readall() == mode.encode()
for flags in (os.O_TRUNC, os.O_CREAT, os.O_APPEND, os.O_SYNC, os.O_CREAT | os.O_TRUNC):
    fd = os.open(path, os.O_RDWR | flags, 0o600)
    os.write(fd, b"echo x")
    assert read_all(fd) == (b"x\n", "none"), flags
    os.close(fd)
PYTHON
}

test_it_is_opened_for_both_or_not_at_all() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
path = sys.argv[1] + "/call"
for flags in (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
    assert error_of(os.open, path, flags) == "EACCES", flags
PYTHON
}

# Two threads of a program that reads and writes at once: the reader waits, and holds up no
# write. (The read has ended stdin, so the write fails, and does not wait.)
test_a_write_while_a_read_waits() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
fd = start(sys.argv[1], b"sh -c 'cat; sleep 1.5; echo end'\n")
answers = []
reader = threading.Thread(target=lambda: answers.append(read_all(fd)))
reader.start()
time.sleep(0.3)
begin = time.monotonic()
assert error_of(os.write, fd, b"late") == "EPIPE"
assert time.monotonic() - begin < 1, "the write waited for the read"
reader.join()
assert answers == [(b"end\n", "none")], answers
os.close(fd)
PYTHON
}

test_the_first_read_ends_stdin() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
fd = start(sys.argv[1], b"cat\nfirst")
assert os.read(fd, 100) == b"first"
assert error_of(os.write, fd, b"second") == "EPIPE"
assert os.read(fd, 100) == b""
assert error_of(os.write, fd, b"third") == "EPIPE"
os.close(fd)
# Also a read that would wait.
fd = start(sys.argv[1], b"sh -c 'cat; echo end'\nx", os.O_NONBLOCK)
with contextlib.suppress(BlockingIOError):
    os.read(fd, 1)
assert error_of(os.write, fd, b"more") == "EPIPE"
os.close(fd)
PYTHON
}

# Only asynchronous I/O brings a read while a write of the same descriptor waits.
# The read ends stdin, and the command gets exactly as many bytes as the write returns.
test_a_read_while_a_write_waits() {
    with_calls "$L" <<'PYTHON'
import ctypes, os, platform, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
SETUP, SUBMIT, GETEVENTS = (206, 209, 208) if platform.machine() == "x86_64" else (0, 2, 4)
def aio(number, *args):
    result = libc.syscall(number, *args)
    assert result >= 0, os.strerror(ctypes.get_errno())
    return result
fd = os.open(sys.argv[1] + "/call", os.O_RDWR)
os.write(fd, b"sh -c 'sleep 2; wc -c'\n")
wrote = 0
def write():
    global wrote
    try:
        while True:
            wrote += os.write(fd, bytes(1 << 20))
    except BrokenPipeError:
        pass
writer = threading.Thread(target=write)
writer.start()
time.sleep(1)
assert writer.is_alive()
context = ctypes.c_ulong(0)
aio(SETUP, 1, ctypes.byref(context))
answer = ctypes.create_string_buffer(100)
block = ctypes.create_string_buffer(struct.pack(
    "=QIIHhIQQqQII", 0, 0, 0, 0, 0, fd, ctypes.addressof(answer), len(answer), 0, 0, 0, 0))
pointer = ctypes.c_void_p(ctypes.addressof(block))
aio(SUBMIT, context, ctypes.c_long(1), ctypes.byref(pointer))
event = (ctypes.c_int64 * 4)()
aio(GETEVENTS, context, ctypes.c_long(1), ctypes.c_long(1), event, None)
assert event[2] > 0, event[2]
writer.join()
assert wrote > 0 and answer.value == b"%d\n" % wrote, (wrote, answer.value)
assert os.read(fd, 100) == b""
PYTHON
}

# The reader gets stdout while the command runs, and the command gets stdin before the first
# read.
test_it_streams() {
    mkfifo "$T/go"
    with_calls "$L" "$T/go" "$T/seen" <<'PYTHON'
import sys
from calls import *
slot, go, seen = sys.argv[1:]
fd = start(slot, f"sh -c 'head -n 1 >{seen}; echo one; read x <{go}; echo two; exit 0'\n".encode())
os.write(fd, b"input\n")
eventually(lambda: os.path.exists(seen) and get(seen) == b"input\n", "stdin does not arrive")
assert os.read(fd, 100) == b"one\n"
with open(go, "w") as file:
    file.write("x\n")
assert read_all(fd) == (b"two\n", "none")
os.close(fd)
PYTHON
    rm "$T/go" "$T/seen"
}

test_stderr_is_not_in_the_answer() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
assert converse(sys.argv[1], b"sh -c 'echo err >&2; echo out; head -c 3000000 /dev/zero >&2'") == (b"out\n", "none")
PYTHON
}

# An input of every size that is written whole before the first read comes back.
test_echo_of_every_size() {
    with_calls "$L" <<'PYTHON'
import random, sys
from calls import *
random.seed(3)
for size in [1, 2, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 1 << 20, (1 << 20) + 1, 3000000, 8 << 20]:
    body = random.randbytes(size)
    answer, end = converse(sys.argv[1], b"cat\n" + body)
    assert end == "none" and answer == body, (size, len(answer), end)
assert converse(sys.argv[1], b"cat\n") == (b"", "none")
PYTHON
}

# Reads of one byte, and of many at once, see the same stream.
test_reads_of_every_size() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
wanted = b"".join(b"%d\n" % number for number in range(1, 3001))
for size in (1, 7, 4096, 1 << 22):
    fd = start(sys.argv[1], b"seq 3000")
    assert read_all(fd, size) == (wanted, "none"), size
    os.close(fd)
PYTHON
}

# --- Outcomes

test_outcomes_are_errors_of_the_last_read() {
    with_calls "$M" "$T" <<'PYTHON'
import sys
from calls import *
mount, folder = sys.argv[1:]
with open(folder + "/text", "w") as file:
    file.write("no program\n")
os.chmod(folder + "/text", 0o755)
os.mkdir(folder + "/locked")
os.close(os.open(folder + "/locked/file", os.O_CREAT, 0o644))

def ends(wanted, request, before=b"", sandbox="local"):
    fd = start(f"{mount}/{sandbox}", request)
    assert read_all(fd) == (before, wanted), request
    for _ in range(3):
        assert error_of(os.read, fd, 10) == wanted, "it does not stay"
        assert error_of(os.pread, fd, 10, 0) in (wanted, "ESPIPE")
    os.close(fd)

ends("none", b"true")
ends("EIO", b"false")
ends("EIO", b"sh -c 'echo before; exit 3'", b"before\n")
ends("EIO", b"sh -c 'echo before; kill -KILL $$'", b"before\n")
ends("EIO", b"sh -c 'kill -TERM $$'")
ends("ETIMEDOUT", b"--timeout=300ms sh -c 'echo before; sleep 1000'", b"before\n")
ends("ETIMEDOUT", b"--timeout=20ms sleep 1000")
ends("ENOENT", b"no-such-command-anywhere")
ends("ENOENT", b"/no/such/command")
ends("EACCES", f"{folder}/locked/file".encode())
ends("EACCES", b"/etc")
ends("EHOSTUNREACH", b"true", sandbox="pod")
ends("EIO", b"sh -c 'head -c 200000 /dev/zero; exit 1'", bytes(200000))
# A command's own code never looks like another outcome.
for code in (2, 124, 125, 126, 127, 130, 141, 255):
    ends("EIO", b"sh -c 'exit %d'" % code)
PYTHON
}

test_refusals() {
    with_calls "$M" <<'PYTHON'
import sys
from calls import *
mount = sys.argv[1]

def refused(wanted, request, sandbox="local"):
    fd = open_call(f"{mount}/{sandbox}")
    assert error_of(write_all, fd, request) == wanted, request[:50]
    assert error_of(os.write, fd, b"more") == wanted, "it is not refused any more"
    assert read_all(fd) == (b"", "EINVAL"), request[:50]
    assert read_all(fd) == (b"", "EINVAL"), "it does not stay"
    os.close(fd)

refused("EINVAL", b"ls | wc\n")
refused("EINVAL", b"echo $HOME\n")
refused("EINVAL", b"--no-such-option=1 true\n")
refused("EINVAL", b"--timeout=6s echo\n", "picky")
refused("EINVAL", b"--timeout=none echo\n", "picky")
refused("EINVAL", b"ec\0ho\n")
refused("EACCES", b"cat\n", "picky")
refused("E2BIG", b"echo " + b"x" * 140000 + b"\n")
# The read completes the command line, so only the read can report an error of it.
for request in (b"echo 'unfinished", b"--timeout=1s", b"A=1", b""):
    fd = start(f"{mount}/local", request)
    assert read_all(fd) == (b"", "EINVAL"), request
    assert read_all(fd) == (b"", "EINVAL"), request
    assert error_of(os.write, fd, b"true\n") == "EPIPE"
    os.close(fd)
assert converse(f"{mount}/picky", b"--timeout=5s echo fine") == (b"fine\n", "none")
PYTHON
}

test_a_full_queue() {
    with_calls "$M/narrow" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]
running = start(slot, f"{nap} 1000\n".encode())
there(nap)
waiting = start(slot, b"echo next\n")
fd = open_call(slot)
assert error_of(os.write, fd, b"echo third\n") == "EAGAIN"
assert read_all(fd) == (b"", "EINVAL")
os.close(fd)
os.close(running)
assert read_all(waiting) == (b"next\n", "none")
os.close(waiting)
gone(nap)
PYTHON
}

test_the_end_of_the_daemon_is_ecanceled() {
    mkdir "$T/second"
    with_calls "$T/second" <<'PYTHON'
import sys
from calls import *
folder = sys.argv[1]
with Daemon(folder, "mode = direct\nmax_running = 2\n[local]\n") as daemon:
    slot = daemon.mount + "/local"
    running = start(slot, f"sh -c 'echo before; {nap} 1000'\n".encode())
    assert os.read(running, 100) == b"before\n"
    silent = start(slot, f"{nap} 1000\n".encode())
    queued = start(slot, b"echo never\n")
    unfinished = start(slot, b"echo unfin")
    there(nap, 2)
    results = {}

    def read(name, fd):
        results[name] = read_all(fd)
        os.close(fd)

    readers = [threading.Thread(target=read, args=args, daemon=True)
               for args in (("running", running), ("silent", silent), ("queued", queued))]
    for reader in readers:
        reader.start()
    time.sleep(0.2)
    end = threading.Thread(target=daemon.end)
    end.start()
    results["unfinished"] = read_all(unfinished)
    os.close(unfinished)
    for thread in readers + [end]:
        thread.join()
    gone(nap)
    assert daemon.process.returncode == 0
    assert results["running"] == results["silent"] == results["queued"] == (b"", "ECANCELED"), results
    # This read can come before or after the end of the daemon, and is no success either way.
    assert results["unfinished"][0] == b"" and results["unfinished"][1] != "none", results
PYTHON
}

# A conversation has nothing to do with slots: the removal of a slot does not end it.
test_rmdir_of_a_slot_is_nothing_to_it() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
sandbox = sys.argv[1]
slot = sandbox + "/mine"
os.mkdir(slot)
running = start(sandbox, b"sh -c 'read x; echo $x'\nelse")
assert error_of(open_call, slot) == "ENOENT"
assert "call" not in os.listdir(slot) and "call" in os.listdir(sandbox)
assert error_of(os.mkdir, sandbox + "/call") == "EEXIST"
assert error_of(os.unlink, sandbox + "/call") == "EPERM"
os.rmdir(slot)
assert read_all(running) == (b"else\n", "none")
os.close(running)
PYTHON
}

# --- Back-pressure

# 1 GiB passes through the daemon, which keeps little of it at any time.
test_memory_stays_flat() {
    with_calls "$L" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
slot, daemon = sys.argv[1:]
works(slot)
forget_peak(daemon)
before = kib(daemon, "VmHWM")
fd = start(slot, b"head -c 1073741824 /dev/zero\n")
zeros, total = bytes(1 << 20), 0
while part := os.read(fd, 1 << 20):
    assert part == zeros[: len(part)]
    total += len(part)
os.close(fd)
assert total == 1 << 30, total
grown = kib(daemon, "VmHWM") - before
assert is_sanitized(daemon) or grown < 24 * 1024, f"it grew by {grown} KiB"
PYTHON
}

# The command waits while nobody reads.
test_a_slow_reader_slows_the_command() {
    with_calls "$L" "$daemon_pid" "$T/progress" <<'PYTHON'
import sys
from calls import *
slot, daemon, progress = sys.argv[1:]
forget_peak(daemon)
before = kib(daemon, "VmHWM")
fd = start(slot, b"/usr/bin/python3 -c '\n"
    b"import os, sys\n"
    b"done = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\n"
    b"for number in range(1, 2001):\n"
    b"    sys.stdout.buffer.write(b\"x\" * 100000)\n"
    b"    sys.stdout.buffer.flush()\n"
    b"    os.pwrite(done, b\"%d\" % number, 0)\n"
    b"' " + progress.encode() + b"\n")

def written():
    try:
        return 100000 * int(get(progress) or 0)
    except FileNotFoundError:
        return 0

def settled():
    last = -1
    while written() != last:
        last = written()
        time.sleep(0.5)
    return last

assert 0 < settled() < 40 << 20, "nobody reads yet"
got = 0
while got < 50_000_000:
    got += len(os.read(fd, 65536))
ahead = settled() - got
assert ahead < 40 << 20, f"it is {ahead} bytes ahead of its reader"
assert written() < 200_000_000
while part := os.read(fd, 1 << 20):
    got += len(part)
assert got == 200_000_000, got
os.close(fd)
grown = kib(daemon, "VmHWM") - before
assert is_sanitized(daemon) or grown < 48 * 1024, f"it grew by {grown} KiB"
PYTHON
    rm "$T/progress"
}

# The writer waits while the command does not read.
test_a_slow_command_slows_the_writer() {
    mkfifo "$T/go"
    with_calls "$L" "$T/go" "$daemon_pid" <<'PYTHON'
import hashlib, random, sys
from calls import *
slot, go, daemon = sys.argv[1:]
body = random.Random(5).randbytes(60_000_000)
forget_peak(daemon)
before = kib(daemon, "VmHWM")
fd = start(slot, f"sh -c 'read x <{go}; sha256sum'\n".encode(), os.O_NONBLOCK)
taken = 0
try:
    while taken < len(body):
        taken += os.write(fd, body[taken:taken + 100000])
except BlockingIOError:
    pass
assert 0 < taken < 20 << 20, taken
os.set_blocking(fd, True)
with open(go, "w") as file:
    file.write("x\n")
write_all(fd, body[taken:])
assert read_all(fd) == (hashlib.sha256(body).hexdigest().encode() + b"  -\n", "none")
os.close(fd)
grown = kib(daemon, "VmHWM") - before
assert is_sanitized(daemon) or grown < 24 * 1024, f"it grew by {grown} KiB"
PYTHON
    rm "$T/go"
}

# A command answers more than the daemon holds, before the request is written: writer and
# command wait for each other. The time limit ends that with an error, and not with a part of
# the answer that looks like a success.
test_a_standstill_is_ended_by_the_time_limit() {
    with_calls "$M/small" <<'PYTHON'
import sys
from calls import *
body = os.urandom(40_000_000)
fd = open_call(sys.argv[1])
os.write(fd, b"--timeout=2s cat\n")
write_all(fd, body)  # after the end of the command bytes are dropped
answer, end = read_all(fd)
assert end == "ETIMEDOUT", end
assert 0 < len(answer) < len(body) and body.startswith(answer), len(answer)
os.close(fd)
PYTHON
}

# Bytes that the command does not read are dropped, and do not change the answer.
test_bytes_that_are_never_read() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
for request in (b"true\n", b"sh -c 'exec <&-; sleep 0.3'\n", b"head -c 5\n"):
    fd = start(sys.argv[1], request)
    write_all(fd, bytes(5_000_000))
    answer, end = read_all(fd)
    assert end == "none" and answer in (b"", bytes(5)), (request, end)
    os.close(fd)
PYTHON
}

# A slow reader gets all of the output of a command that has exited, also when the output is
# more than a pipe holds.
test_a_reader_after_the_end_of_the_command() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]
for size in (1, 60000, 65536, 65537, 200000, 900000, 5_000_000):
    fd = start(slot, f"/usr/bin/python3 -c 'import sys; sys.stdout.buffer.write(bytes({size}))' {nap}\n".encode())
    first = os.read(fd, 1)
    if size < 1_000_000:
        gone(nap)  # the command has exited, though its output is unread
    time.sleep(0.7)  # longer than the drain
    rest, end = read_all(fd, 3000)
    assert end == "none" and first + rest == bytes(size), (size, len(rest), end)
    os.close(fd)
PYTHON
}

test_a_grandchild_that_holds_stdout() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]
assert converse(slot, f"sh -c 'echo answer; {nap} 1000 & exit 0'\n".encode()) == (b"answer\n", "none")
assert converse(slot, f"sh -c 'echo answer; {nap} 1000 & exit 4'\n".encode()) == (b"answer\n", "EIO")
for pid in processes(nap):
    os.kill(pid, signal.SIGKILL)
# A process in the background that writes on and on ends with the job.
answer, end = converse(slot, f"sh -c '{{ while echo y; do :; done; }} & exit 0' {nap}\n".encode())
assert end == "none" and answer.replace(b"y\n", b"") in (b"", b"y")
gone(nap)
PYTHON
}

# --- The end of the caller

test_an_early_close_cancels() {
    with_calls "$L" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
slot, daemon = sys.argv[1:]
works(slot)
before = used(daemon)
for command in (f"{nap} 1000", f"sh -c '{nap} 1000 & {nap} 1000 & wait'",
                f"sh -c 'trap \"\" TERM; {nap} 1000 & {nap} 1000'"):
    # Before the first read, and after it.
    for is_read in (False, True):
        fd = start(slot, command.encode() + b"\n" + bytes(1000), os.O_NONBLOCK)
        there(nap, command.count(nap))
        if is_read:
            assert error_of(os.read, fd, 10) == "EAGAIN"
        os.close(fd)
        gone(nap)
check_used(daemon, before)
PYTHON
    grep -q 'command=.* outcome=130 cancelled' "$T/log" || fail "no line in the log"
}

# The job of a caller that was killed is cancelled, although nobody asks for that.
test_a_killed_caller_leaves_no_job() {
    with_calls "$M" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
mount, daemon = sys.argv[1:]
slot, narrow = mount + "/local", mount + "/narrow"
works(slot)
before = used(daemon)
said, say = os.pipe()
sleeping = f"sh -c '{nap} 1000 & {nap} 1000'\n".encode()

def dies(function, runs=True):
    def run():
        function()
        os.write(say, b"x")
        time.sleep(1000)
    with child(run) as pid:
        if runs:
            there(nap, 2)
        else:
            assert os.read(said, 1) == b"x"
        time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        gone(nap)
        os.waitpid(pid, 0)
    while runs and select.select([said], [], [], 0)[0]:
        os.read(said, 1)
    check_used(daemon, before)

import select
dies(lambda: open_call(slot), False)
dies(lambda: start(slot, sleeping[:9]), False)
dies(lambda: start(slot, sleeping))
dies(lambda: write_all(start(slot, sleeping), bytes(10_000_000)))  # in mid-write
dies(lambda: os.read(start(slot, sleeping), 10))
dies(lambda: os.read(start(slot, sleeping + b"x" * 3000), 1 << 20))
dies(lambda: read_all(start(slot, b"sh -c 'echo x; " + sleeping[7:])))
# The caller dies while its answer streams, and while nobody reads the answer.
dies(lambda: read_all(start(slot, f"sh -c '{nap} 1000 & cat /dev/zero' {nap}\n".encode())))
dies(lambda: os.read(start(slot, f"sh -c '{nap} 1000 & cat /dev/zero' {nap}\n".encode()), 10))

# The caller dies while its job waits in the queue, which has one place.
marker = f"{mount}/../ran"
running = start(narrow, f"{nap} 1000\n".encode())
there(nap)

def is_full():
    fd = open_call(narrow)
    try:
        return error_of(os.write, fd, b"true\n") == "EAGAIN"
    finally:
        os.close(fd)

def queue():
    """A conversation that waits in the queue, as soon as there is a place."""
    while True:
        fd = open_call(narrow)
        if error_of(os.write, fd, f"touch {marker}\n".encode()) == "none":
            return fd
        os.close(fd)

def queues(use):
    fd = queue()
    os.write(say, b"x")
    use(fd)

for use in (lambda fd: time.sleep(1000), lambda fd: os.read(fd, 10), lambda fd: write_all(fd, bytes(1_000_000))):
    with child(queues, use):
        assert os.read(said, 1) == b"x"
        assert is_full()
        time.sleep(0.1)
    eventually(lambda: not is_full(), "its place in the queue is not free again")
os.close(running)
works(narrow)
assert not os.path.exists(marker), "it ran although its caller was gone"
gone(nap)
check_used(daemon, before)
PYTHON
}

# A conversation ends when the last copy of its descriptor is closed.
test_copies_of_the_descriptor() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]

# Two processes write a request, and a third one reads the answer.
fd = start(slot, b"cat\none ")
with child(lambda: os.write(fd, b"two ")) as pid:
    wait_for(pid)
copy = os.dup(fd)
os.write(copy, b"three")
os.close(copy)
def read():
    assert os.read(fd, 4) == b"one "
with child(read) as pid:
    wait_for(pid)
assert read_all(fd) == (b"two three", "none")
os.close(fd)

# The other copy keeps the job alive.
fd = start(slot, f"{nap} 1000\n".encode())
copy = os.dup(fd)
os.close(fd)
with child(lambda: time.sleep(1000)) as pid:
    os.close(copy)
    there(nap)
    time.sleep(0.5)
    assert processes(nap), "it was cancelled while a child still has the descriptor"
    os.kill(pid, signal.SIGKILL)
    gone(nap)

# A command gets the descriptor as its stdin and stdout.
fd = start(slot, b"cat\n")
subprocess.run(["echo", "from a command"], stdout=fd, check=True)
done = subprocess.run(["cat"], stdin=fd, stdout=subprocess.PIPE, check=True)
assert done.stdout == b"from a command\n"
os.close(fd)
PYTHON
    bash -c 'exec 4<>"$1"; { printf "cat\n"; (printf sub); printf shell; } >&4; [ "$(cat <&4)" = subshell ]' \
        bash "$L/call" || fail "the shell's pieces"
}

# --- Without waiting

test_without_blocking() {
    mkfifo "$T"/go{1,2}
    with_calls "$L" "$T/go" <<'PYTHON'
import sys
from calls import *
slot, go = sys.argv[1:]
fd = start(slot, f"sh -c 'read x <{go}1; head -c 60000; read x <{go}2; echo end; exit 5'\n".encode(), os.O_NONBLOCK)
block = b"x" * 4096
taken = 0
with contextlib.suppress(BlockingIOError):
    while True:
        taken += os.write(fd, block)
assert error_of(os.write, fd, b"x") == "EAGAIN"
with open(go + "1", "w") as file:
    file.write("x\n")
def is_taken():
    return error_of(os.write, fd, b"x") == "none"
eventually(is_taken, "it cannot be written to although the command reads")
answer = b""
def read_on():
    global answer
    try:
        answer += os.read(fd, 5000)
    except BlockingIOError:
        pass
    return len(answer) == 60000
eventually(read_on, "its answer does not come")
assert error_of(os.read, fd, 10) == "EAGAIN"
assert error_of(os.read, fd, 10) == "EAGAIN"
with open(go + "2", "w") as file:
    file.write("x\n")
end = []
def read_end():
    try:
        end.append(os.read(fd, 100))
    except BlockingIOError:
        return False
    except OSError as error:
        end.append(error.errno)
        return True
eventually(read_end, "its end does not come")
assert end == [b"end\n", errno.EIO], end
os.close(fd)
PYTHON
    rm "$T"/go{1,2}
}

test_poll_and_select() {
    mkfifo "$T"/go{1,2,3} # one for each step: two readers of one could share a writer
    with_calls "$L" "$T/go" <<'PYTHON'
import select, sys
from calls import *
slot, go = sys.argv[1:]

def polled(fd, events, milliseconds):
    poll = select.poll()
    poll.register(fd, events)
    return dict(poll.poll(milliseconds)).get(fd, 0)

def release(step):
    with open(f"{go}{step}", "w") as file:
        file.write("x\n")

fd = open_call(slot, os.O_NONBLOCK)
assert polled(fd, select.POLLIN | select.POLLOUT, 0) == select.POLLOUT, "empty"
os.write(fd, f"sh -c 'read x <{go}1; cat >/dev/null; echo one; read x <{go}2; echo two; read x <{go}3; exit 1'\n".encode())
block = bytes(4096)
with contextlib.suppress(BlockingIOError):
    while True:
        os.write(fd, block)
assert polled(fd, select.POLLOUT | select.POLLIN, 100) == 0, "full"
assert select.select([fd], [fd], [], 0) == ([], [], [])
# A poll that waits returns when its event comes.
threading.Timer(0.3, release, (1,)).start()
assert polled(fd, select.POLLOUT, 20000) == select.POLLOUT, "read by the command"
assert error_of(os.read, fd, 10) in ("EAGAIN", "none")
assert polled(fd, select.POLLIN, 20000) == select.POLLIN, "one"
assert os.read(fd, 100) == b"one\n"
assert polled(fd, select.POLLIN, 100) == 0, "before two"
threading.Timer(0.3, release, (2,)).start()
assert select.select([fd], [], [], 20) == ([fd], [], []), "two"
assert os.read(fd, 100) == b"two\n"
threading.Timer(0.3, release, (3,)).start()
assert polled(fd, select.POLLIN, 20000) & select.POLLIN, "the end"
assert error_of(os.read, fd, 10) == "EIO"
assert polled(fd, select.POLLIN, 0) & select.POLLIN, "the end, again"
os.close(fd)

# Many conversations at once with one poll, each with its own answer.
poll = select.poll()
waiting = {}
for number in range(40):
    fd = start(slot, b"sh -c 'sleep 0.%02d; echo %d'\n" % (number * 7 % 40, number), os.O_NONBLOCK)
    assert error_of(os.read, fd, 10) in ("EAGAIN", "none")
    poll.register(fd, select.POLLIN)
    waiting[fd] = number
answers = {}
while waiting:
    ready = poll.poll(30000)
    assert ready, f"{len(waiting)} wait for ever"
    for fd, _ in ready:
        part = os.read(fd, 100)
        if part:
            answers[waiting[fd]] = answers.get(waiting[fd], b"") + part
            continue
        poll.unregister(fd)
        del waiting[fd]
        os.close(fd)
for number in range(40):
    assert answers.get(number, b"%d\n" % number) == b"%d\n" % number, (number, answers[number])
PYTHON
    rm "$T"/go{1,2,3}
}

# --- Several at once

# A writer that waits for ever holds up nobody, on the same file or elsewhere.
test_a_stalled_conversation_holds_up_nobody() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]
with contextlib.ExitStack() as stack:
    for _ in range(3):
        stack.enter_context(child(lambda: write_all(start(slot, f"{nap} 1000\n".encode()), bytes(50_000_000))))
    there(nap, 3)
    time.sleep(0.3)
    for number in range(20):
        works(slot, f"number {number}")
    assert converse(slot, b"cat\n" + bytes(2_000_000)) == (bytes(2_000_000), "none")
    for name in ("call", "request"):
        os.stat(f"{slot}/{name}")
        assert name in os.listdir(slot)
    ask(slot, b"cat\nslot")
    assert (get(slot + "/stdout"), status(slot)) == (b"slot", "0 exited")
    assert len(processes(nap)) == 3
gone(nap)
PYTHON
}

# A slot whose writer waits holds up no conversation.
test_a_stalled_slot_holds_up_no_conversation() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]
with child(lambda: ask(slot, f"{nap} 1000\n".encode() + bytes(50_000_000))):
    there(nap)
    time.sleep(0.2)
    for number in range(10):
        works(slot, f"number {number}")
    assert error_of(os.open, slot + "/request", os.O_WRONLY) == "EBUSY"
    with open(slot + "/ctl", "w") as ctl:
        ctl.write("cancel")
    gone(nap)
assert status(slot) == "130 cancelled"
PYTHON
}

test_slot_and_conversations_are_apart() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]
ask(slot, b"sh -c 'echo slot; echo err >&2; exit 9'")
assert status(slot) == "9 exited"

def is_kept():
    assert (get(slot + "/stdout"), get(slot + "/stderr"), status(slot)) == (b"slot\n", b"err\n", "9 exited")

# A conversation takes nothing from the slot, at any stage.
fd = open_call(slot)
is_kept()
os.write(fd, b"sh -c 'echo mine; echo mine >&2; cat'\n")
is_kept()
os.read(fd, 5)
is_kept()
assert read_all(fd) == (b"", "none")
os.close(fd)
is_kept()
assert error_of(os.write, open_call(slot), b"a | b\n") == "EINVAL"
is_kept()

# The slot can be used while a conversation runs, and its cancel does not end the conversation.
fd = start(slot, b"sh -c 'read x; echo $x'\nstill ")
ask(slot, f"{nap} 1000".encode())
there(nap)
assert error_of(os.open, slot + "/request", os.O_WRONLY) == "EBUSY"
works(slot)
with open(slot + "/ctl", "w") as ctl:
    ctl.write("cancel\n")
assert status(slot) == "130 cancelled"
os.write(fd, b"there\n")
assert read_all(fd) == (b"still there\n", "none")
os.close(fd)
gone(nap)

# A request that is being written to the slot does not prevent conversations.
writer = os.open(slot + "/request", os.O_WRONLY)
works(slot)
os.write(writer, b"echo from the slot")
works(slot)
os.close(writer)
assert get(slot + "/stdout") == b"from the slot\n"
PYTHON
}

# No process gets bytes of another one's answer, and no answer is lost.
test_many_side_by_side() {
    with_calls "$M" "$daemon_pid" <<'PYTHON'
import random, sys
from calls import *
mount, daemon = sys.argv[1:]
works(mount + "/local")
before = used(daemon)

def calls(seed):
    chance = random.Random(seed)
    for number in range(10):
        body = chance.randbytes(chance.randrange(1, 300000))
        code = chance.randrange(3)
        got = converse(f"{mount}/{chance.choice(['local', 'other'])}", b"sh -c 'cat; exit %d'\n" % code + body)
        assert got == (body, "EIO" if code else "none"), (seed, number)

with contextlib.ExitStack() as stack:
    for pid in [stack.enter_context(child(calls, seed)) for seed in range(20)]:
        wait_for(pid)
check_used(daemon, before)
PYTHON
}

# Repeated look-ups of `call` use no memory.
test_looking_at_a_file_costs_nothing() {
    with_calls "$L" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
slot, daemon = sys.argv[1:]

def look(count):
    for _ in range(count):
        for name in ("call", "request"):
            os.stat(f"{slot}/{name}")
            os.access(f"{slot}/{name}", os.W_OK)

fd = start(slot, b"cat\n")
look(2000)
before = kib(daemon, "VmRSS")
look(10000)
grown = kib(daemon, "VmRSS") - before
assert is_sanitized(daemon) or grown < 1024, f"it grew by {grown} KiB"
os.write(fd, b"still here")
assert read_all(fd) == (b"still here", "none")
os.close(fd)
PYTHON
}

# --- Signals and threads

# Signals arrive all the time while a reader waits most of the time.
test_interrupted_reads_lose_no_byte() {
    with_calls "$L" "$T/stream" <<'PYTHON'
import sys
from calls import *
slot, path = sys.argv[1:]
wanted = os.urandom(400_000)
with open(path, "wb") as file:
    file.write(wanted)
fd = start(slot, b"/usr/bin/python3 -c '\n"
    b"import sys, time\n"
    b"data = open(sys.argv[1], \"rb\").read()\n"
    b"for at in range(0, len(data), 777):\n"
    b"    sys.stdout.buffer.write(data[at:at + 777])\n"
    b"    sys.stdout.buffer.flush()\n"
    b"    time.sleep(0.003)\n"
    b"' " + path.encode() + b"\n")
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
buffer = ctypes.create_string_buffer(500)
got, interrupts = [], 0
while True:
    count = libc.read(fd, buffer, len(buffer))
    if count == 0:
        break
    if count > 0:
        got.append(buffer.raw[:count])
        continue
    assert ctypes.get_errno() == errno.EINTR, errno.errorcode[ctypes.get_errno()]
    interrupts += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert b"".join(got) == wanted
assert interrupts > 10, interrupts
os.close(fd)
PYTHON
}

test_interrupted_writes_lose_no_byte() {
    with_calls "$L" <<'PYTHON'
import hashlib, sys
from calls import *
wanted = os.urandom(6_000_000)
fd = start(sys.argv[1], b"/usr/bin/python3 -c '\n"
    b"import hashlib, os, time\n"
    b"sum = hashlib.sha256()\n"
    b"while part := os.read(0, 20000):\n"
    b"    sum.update(part)\n"
    b"    time.sleep(0.002)\n"
    b"print(sum.hexdigest())'\n")
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
done = interrupts = partial = 0
while done < len(wanted):
    part = wanted[done : done + 300_000]
    count = libc.write(fd, part, len(part))
    if count < 0:
        assert ctypes.get_errno() == errno.EINTR, errno.errorcode[ctypes.get_errno()]
        interrupts += 1
        continue
    partial += count < len(part)
    done += count
signal.setitimer(signal.ITIMER_REAL, 0)
assert read_all(fd) == (hashlib.sha256(wanted).hexdigest().encode() + b"\n", "none")
assert interrupts + partial > 10, (interrupts, partial)
os.close(fd)
PYTHON
}

# A signal ends only one read: the next read gets the answer.
test_a_read_can_be_interrupted() {
    mkfifo "$T/go"
    with_calls "$L" "$T/go" <<'PYTHON'
import sys
from calls import *
slot, go = sys.argv[1:]
fd = start(slot, f"sh -c 'read x <{go}; echo answer'\n".encode())
class Alarm(Exception):
    pass
def on_alarm(*_):
    raise Alarm
signal.signal(signal.SIGALRM, on_alarm)
for _ in range(5):
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        os.read(fd, 100)
        raise SystemExit("a read that was to wait did not")
    except Alarm:
        pass
with open(go, "w") as file:
    file.write("x\n")
assert read_all(fd) == (b"answer\n", "none")
os.close(fd)
PYTHON
    rm "$T/go"
}

# Each byte of the stream goes to exactly one of the threads, and each thread sees the end.
test_threads_read_one_stream() {
    with_calls "$L" "$T/stream" <<'PYTHON'
import collections, sys
from calls import *
slot, path = sys.argv[1:]
wanted = os.urandom(3_000_000)
with open(path, "wb") as file:
    file.write(wanted)
def pread(fd, size):
    """Several of these wait at the same time, of os.read only one does; if there are any."""
    try:
        return os.pread(fd, size, 0)
    except OSError as error:
        if error.errno != errno.ESPIPE:
            raise
        return os.read(fd, size)

for read in (os.read, pread):
    for code, error in ((0, "none"), (7, "EIO")):
        fd = start(slot, f"sh -c 'cat {path}; exit {code}'\n".encode())
        counts = collections.Counter()
        ends = []

        def reader():
            mine = collections.Counter()
            while True:
                try:
                    part = read(fd, 1000)
                except OSError as failure:
                    ends.append(errno.errorcode[failure.errno])
                    break
                if not part:
                    ends.append("none")
                    break
                mine.update(part)
            counts.update(mine)

        side_by_side(*[reader] * 8)
        assert ends == [error] * 8, ends
        assert counts == collections.Counter(wanted), f"{counts.total()} bytes of {len(wanted)}"
        os.close(fd)
PYTHON
}

# Threads of one process write and read different conversations.
test_threads_with_their_own_conversations() {
    with_calls "$L" <<'PYTHON'
import random, sys
from calls import *

def calls(seed):
    chance = random.Random(seed)
    for _ in range(6):
        body = chance.randbytes(chance.randrange(1, 400000))
        assert converse(sys.argv[1], b"cat\n" + body) == (body, "none"), seed

side_by_side(*[lambda seed=seed: calls(seed) for seed in range(16)])
PYTHON
}

test_nothing_is_left() {
    with_calls "$L" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
slot, daemon = sys.argv[1:]
works(slot)
gone(nap)
eventually(lambda: used(daemon)[1] == 0, "it still has children")
before = used(daemon)
fds = [start(slot, b"cat\n") for _ in range(20)]
for fd in fds:
    os.close(fd)
check_used(daemon, before)
PYTHON
}

run_tests
