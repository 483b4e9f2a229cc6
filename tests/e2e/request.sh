#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writing a request: its beginning and its end, its grammar, refused requests, and stdin on its
# way to the command.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119
. "$(dirname "$0")/../lib.sh"

export HOOKSFS_TEST_HANDED_ON="from the daemon"

mount_with <<'CONF' || exit 1
timeout = 60s
kill_grace = 100ms

[local]
mode = direct
[fresh]
mode = direct
[with-env]
mode = direct
env = GREETING=good morning
env = REPLACED=by the configuration
env = HOOKSFS_TEST_HANDED_ON
[allowed]
mode = direct
allow = echo
allow = /usr/bin/*
[limited]
mode = direct
max_timeout = 2s
CONF
L=$M/local

before_each() {
    [[ $daemon_pid ]] || return 0
    echo cancel >"$L/ctl"
    get "$L/status" >/dev/null
}

head -c 3000000 /dev/urandom >"$T/random"

# Is the slot's job known to have ended?
has_ended() {
    py "$1/status" <<'PYTHON'
import os, sys
try:
    os.read(os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK), 1)
except BlockingIOError:
    sys.exit(1)
PYTHON
}

with_calls() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 timeout 240 /usr/bin/python3 - "$@"
}

still_runs() {
    ! has_ended "$1" || fail "$1 has ended: $(get "$1/status"); $2"
}

# --- Where a request begins and ends

test_line_and_body() {
    request "$L" cat <"$T/random"
    get "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/random"
    ends "$L" "0 exited"
    is "$(get "$L/stderr")" "" stderr
}

test_line_without_newline() {
    printf 'wc -c' >"$L/request"
    is "$(get "$L/stdout")" 0 stdout
    ends "$L" "0 exited"
}

test_several_writers_make_one_request() {
    printf 'head\n' >"$T/head"
    printf 'tail, no newline' >"$T/tail"
    { echo cat; cat "$T/head"; cat "$T/tail"; printf x; } >"$L/request"
    printf 'head\ntail, no newlinex' >"$T/wanted"
    get "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/wanted"
    ends "$L" "0 exited"
}

test_starts_at_the_newline() {
    exec 4>"$L/request"
    echo "sh -c 'echo started; cat'" >&4
    is "$(timeout 30 head -n 1 "$L/stdout")" started "what it wrote before its stdin ended"
    still_runs "$L" "its stdin is open"
    echo more >&4
    exec 4>&-
    is "$(get "$L/stdout")" $'started\nmore' stdout
    ends "$L" "0 exited"
}

test_flush_and_duplicates_are_no_end() {
    exec 4>"$L/request"
    (exec 5>&4; exec 5>&-)
    (echo cat >&4)
    (printf 'a' >&4)
    exec 5>&4 5>&-
    /bin/echo b >&4
    cat <(echo c) >&4
    py 4>&4 <<'PYTHON'
import os
copy = os.dup(4)
os.write(copy, b"d\n")
os.close(copy)
PYTHON
    sleep 0.2
    still_runs "$L" "its stdin is open"
    exec 4>&-
    is "$(get "$L/stdout")" $'ab\nc\nd' stdout
    ends "$L" "0 exited"
}

test_the_last_close_ends_stdin() {
    exec 4>"$L/request"
    echo cat >&4
    # 3: the descriptor for the test's messages.
    sleep 1000 5>&4 4>&- >/dev/null 2>&1 3>&- &
    local holder=$!
    echo text >&4
    exec 4>&-
    sleep 0.2
    still_runs "$L" "another process has it open"
    kill "$holder"
    is "$(get "$L/stdout")" text stdout
    ends "$L" "0 exited"
}

test_a_killed_writer_ends_stdin() {
    mkfifo "$T/killed"
    { printf 'cat\nabc'; cat "$T/killed"; } >"$L/request" 3>&- &
    local writer=$!
    exec 4>"$T/killed"
    is "$(timeout 30 head -c 3 "$L/stdout")" abc "stdout before the kill"
    kill -KILL "$writer"
    exec 4>&-
    wait "$writer" || true
    is "$(get "$L/stdout")" abc stdout
    ends "$L" "0 exited"
    rm "$T/killed"
}

# Many programs open a file for reading and writing only to write it: Go's os.Create, "w+" of
# Ruby, PHP, Node, Perl and Tcl. The bytes are the slot's request all the same, and the results
# are new.
test_opened_for_reading_and_writing() {
    printf 'cat\n{"allow":true}' >"$L/request"
    ends "$L" "0 exited"
    py "$L" <<'PYTHON'
import errno, os, select, sys
slot = sys.argv[1]
def error_of(function, *args):
    try:
        function(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "none"
for flags in (0, os.O_TRUNC, os.O_CREAT, os.O_CREAT | os.O_TRUNC, os.O_APPEND):
    fd = os.open(slot + "/request", os.O_RDWR | flags, 0o644)
    assert error_of(os.open, slot + "/request", os.O_WRONLY) == "EBUSY"
    assert error_of(os.open, slot + "/request", os.O_RDWR) == "EBUSY"
    os.write(fd, b'sh -c "cat; exit 3"\n')
    assert error_of(os.read, fd, 10) == "EBADF"
    assert select.select([fd], [], [], 10)[0] == [fd], "a read that fails does not wait"
    os.write(fd, b'{"allow":false}')
    assert error_of(os.read, fd, 10) == "EBADF"
    os.close(fd)
    with open(slot + "/stdout") as out, open(slot + "/status") as status:
        assert (out.read(), status.read()) == ('{"allow":false}', "3 exited\n"), flags
for mode in ("r+", "w+", "a+"):
    with open(slot + "/request", mode + "b", buffering=0) as file:
        file.write(b"cat\n" + mode.encode())
    assert open(slot + "/stdout").read() == mode
assert error_of(os.open, slot + "/request", os.O_RDONLY) == "EACCES"
PYTHON
    is "$(get "$L/stdout")" a+ "results after an open that was refused"
}

test_append_and_tee() {
    printf 'cat\none' >>"$L/request"
    is "$(get "$L/stdout")" one "stdout of >>"
    { echo cat; cat "$T/random"; } | tee "$L/request" | tail -c +5 >"$T/copy"
    get "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/random"
    same_file "$T/copy" "$T/random"
    { echo cat; echo two; } | tee -a "$L/request" >/dev/null
    is "$(get "$L/stdout")" two "stdout of tee -a"
    ends "$L" "0 exited"
}

test_dd_of_any_block_size() {
    local size bytes
    for size in 1 3 511 4096 65536 131072 1M 4M; do
        case $size in
        1 | 3) bytes=300 ;;
        511) bytes=100000 ;;
        *) bytes=3000000 ;;
        esac
        head -c "$bytes" "$T/random" >"$T/part"
        { echo cat; cat "$T/part"; } >"$T/whole"
        dd if="$T/whole" of="$L/request" bs="$size" 2>"$T/dd" || fail "dd: $(cat "$T/dd")"
        get "$L/stdout" >"$T/got"
        same_file "$T/got" "$T/part"
        ends "$L" "0 exited"
        dd if="$T/whole" of="$L/request" bs="$size" conv=notrunc oflag=append 2>"$T/dd" ||
            fail "dd to append: $(cat "$T/dd")"
        get "$L/stdout" >"$T/got"
        same_file "$T/got" "$T/part"
    done
}

test_a_line_in_pieces() {
    py "$L" <<'PYTHON'
import os, sys
fd = os.open(sys.argv[1] + "/request", os.O_WRONLY)
for byte in b"sh -c 'cat; echo \"$0\" >&2' a\\ b\nX\n":
    assert os.write(fd, bytes([byte])) == 1
os.close(fd)
assert open(sys.argv[1] + "/stdout").read() == "X\n"
assert open(sys.argv[1] + "/stderr").read() == "a b\n"
assert open(sys.argv[1] + "/status").read() == "0 exited\n"
PYTHON
}

# As in a file, bytes that a program skips are zeros. Some programs leave zeros out so.
test_holes_are_zeros() {
    local size
    { printf 'cat\nbegin'; head -c 200000 /dev/zero; printf middle; head -c 3000000 /dev/zero; printf x; } >"$T/full"
    cp --sparse=always "$T/full" "$T/sparse"
    tail -c +5 "$T/full" >"$T/body"
    cp --sparse=always "$T/sparse" "$L/request"
    get "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/body"
    for size in 512 4096 65536; do
        dd if="$T/full" of="$L/request" bs="$size" conv=sparse 2>"$T/dd" || fail "dd: $(cat "$T/dd")"
        get "$L/stdout" >"$T/got"
        same_file "$T/got" "$T/body"
    done
    if command -v rsync >/dev/null; then
        # A newer rsync also wants to set the permissions of the file, and then ends with 23.
        rsync -S --inplace "$T/full" "$L/request" 2>"$T/rsync" ||
            [[ $? = 23 && $(cat "$T/rsync") = *"failed to set permissions"* ]] || fail "$(cat "$T/rsync")"
        get "$L/stdout" >"$T/got"
        same_file "$T/got" "$T/body"
    fi
    # For zeros at the end, a program sets the size, or writes the last byte.
    head -c 1000000 /dev/zero >>"$T/full"
    tail -c +5 "$T/full" >"$T/body"
    cp --sparse=always "$T/full" "$L/request"
    get "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/body"
    dd if="$T/full" of="$L/request" bs=4096 conv=sparse 2>"$T/dd" || fail "dd: $(cat "$T/dd")"
    get "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/body"
    ends "$L" "0 exited"
}

test_offsets() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]

def written(*steps):
    fd = os.open(slot + "/request", os.O_WRONLY)
    for step in steps:
        step(fd)
    os.close(fd)
    return get(slot + "/stdout"), status(slot)

def fails(function, *args):
    def step(fd):
        assert error_of(function, fd, *args) == "EINVAL", args
    return step

def at(offset, data):
    return lambda fd: os.pwrite(fd, data, offset)

assert written(at(0, b"cat\n"), at(4, b"one"), at(10, b"two")) == (b"one\0\0\0two", "0 exited")
# A write further back fails: just before the end, in the middle, and at the start.
assert written(at(0, b"cat\nabc"), fails(os.pwrite, b"x", 6), fails(os.pwrite, b"x", 0), at(7, b"d")) == (b"abcd", "0 exited")
# The size can be set to the number of bytes that there are, or more.
assert written(lambda fd: os.ftruncate(fd, 0), at(0, b"cat\nabc"), lambda fd: os.ftruncate(fd, 7), fails(os.ftruncate, 6),
               fails(os.ftruncate, 0), lambda fd: os.ftruncate(fd, 10)) == (b"abc\0\0\0", "0 exited")
# The end of a request is where its last byte is.
assert written(at(0, b"cat\n"), lambda fd: os.ftruncate(fd, 6), at(6, b"x")) == (b"\0\0x", "0 exited")
# A hole is not part of a command line.
assert written(fails(os.pwrite, b"cat\n", 10))[1].startswith("2 refused the command line has a NUL byte")
# By the name, the size can be set only before anything was written.
fd = os.open(slot + "/request", os.O_WRONLY)
os.truncate(slot + "/request", 0)
os.write(fd, b"cat\nabc")
assert error_of(os.truncate, slot + "/request", 0) == "EINVAL"
assert error_of(os.truncate, slot + "/request", 100) == "EINVAL"
os.close(fd)
assert get(slot + "/stdout") == b"abc"
assert error_of(os.truncate, slot + "/request", 100) == "EINVAL"
os.truncate(slot + "/request", 0)
assert get(slot + "/stdout") == b"abc"
# A write with O_APPEND goes to the end, whatever its offset is.
fd = os.open(slot + "/request", os.O_WRONLY | os.O_APPEND)
for part in (b"cat\n", b"one", b"two"):
    os.write(fd, part)
assert error_of(os.pwrite, fd, b"three", 0) == "none"
os.close(fd)
assert get(slot + "/stdout") == b"onetwothree"
PYTHON
}

# A hole can have any length: the daemon passes it on, never keeps it, and serves others
# meanwhile.
test_a_huge_hole() {
    with_calls "$L" "$M/fresh" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
slot, other, daemon = sys.argv[1:]
before = kib(daemon, "VmRSS")
# The command does not read the hole.
fd = start_slot(slot, b"true\n")
time.sleep(0.3)
os.pwrite(fd, b"x", 1 << 60)
os.close(fd)
fd = start_slot(slot, b"sh -c 'exec <&-; sleep 0.5'\n")
os.pwrite(fd, b"x", 1 << 60)
os.close(fd)
assert status(slot) == "0 exited"
# The command reads a part of the hole.
fd = start_slot(slot, b"head -c 300000000\n")
os.pwrite(fd, b"x", 1 << 60)
os.close(fd)
assert status(slot) == "141 overflow stdout exceeded 16M", status(slot)
# A command that reads all the time holds up nobody.
pid = os.fork()
if pid == 0:
    fd = start_slot(slot, b"--timeout=2s wc -c\n")
    error_of(os.pwrite, fd, b"x", 1 << 60)
    os._exit(0)
for number in range(30):
    begin = time.monotonic()
    works(other)
    assert time.monotonic() - begin < 5
os.waitpid(pid, 0)
assert status(slot) == "124 timeout after 2s"
grown = kib(daemon, "VmRSS") - before
assert is_sanitized(daemon) or grown < 20 * 1024 + 16 * 1024, f"it grew by {grown} KiB"
# A signal interrupts a caller that waits for a hole.
class Alarm(Exception):
    pass
def on_alarm(*_):
    raise Alarm
signal.signal(signal.SIGALRM, on_alarm)
for how in (lambda fd: os.pwrite(fd, b"x", 1 << 40), lambda fd: os.ftruncate(fd, 1 << 40)):
    fd = start_slot(slot, b"sleep 1000\n")
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        how(fd)
        raise SystemExit("it did not wait")
    except Alarm:
        pass
    with open(slot + "/ctl", "w") as ctl:
        ctl.write("cancel")
    os.close(fd)
    assert status(slot) == "130 cancelled"
PYTHON
}

# --- stdin

test_stdin_of_0_bytes_and_of_1() {
    echo 'wc -c' >"$L/request"
    is "$(get "$L/stdout")" 0 "bytes of none"
    printf 'wc -c\nx' >"$L/request"
    is "$(get "$L/stdout")" 1 "bytes of one"
    printf 'od -An -tx1\n\0' >"$L/request"
    is "$(get "$L/stdout")" " 00" "a NUL byte"
    printf 'wc -c\n\n' >"$L/request"
    is "$(get "$L/stdout")" 1 "bytes of a newline"
}

test_stdin_like_a_command_line() {
    cat >"$T/wanted" <<'TEXT'
--timeout=1s rm -rf /nowhere | cat & ; $(false) `false` > x
--unknown 'an open quote

cancel
TEXT
    request "$L" cat <"$T/wanted"
    get "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/wanted"
    ends "$L" "0 exited"
}

test_64_MiB_of_random_bytes() {
    head -c 67108864 /dev/urandom >"$T/big"
    request "$L" sha256sum <"$T/big"
    is "$(get "$L/stdout")" "$(sha256sum <"$T/big")" "sum at the other end"
    ends "$L" "0 exited"
    rm "$T/big"
}

# While the command does not read, the writer waits, and the daemon holds hardly any of the
# bytes that were written.
test_back_pressure() {
    py "$L" "$T/gate" "$daemon_pid" <<'PYTHON'
import hashlib, os, sys, threading, time
slot, gate, daemon = sys.argv[1:]
size = 96 << 20
block = os.urandom(32 << 10)
written = 0

def kib(field):
    for line in open(f"/proc/{daemon}/status"):
        if line.startswith(field + ":"):
            return int(line.split()[1])

def write():
    global written
    fd = os.open(slot + "/request", os.O_WRONLY)
    os.write(fd, f"sh -c 'while ! test -e {gate}; do sleep 0.05; done; sha256sum'\n".encode())
    while written < size:
        written += os.write(fd, block)
    os.close(fd)

maps = open(f"/proc/{daemon}/maps").read()
is_instrumented = "asan" in maps or "vgpreload" in maps
try:
    open(f"/proc/{daemon}/clear_refs", "w").write("5")  # the peak from here on
except OSError:
    pass
before = kib("VmRSS")
writer = threading.Thread(target=write)
writer.start()
last = -1
while last != written or written == 0:
    last = written
    time.sleep(0.5)
assert written <= 4 << 20, f"{written} bytes were taken that nobody reads"
open(gate, "w").close()
writer.join()
digest = hashlib.sha256()
for _ in range(size // len(block)):
    digest.update(block)
assert open(slot + "/stdout").read() == digest.hexdigest() + "  -\n"
assert open(slot + "/status").read() == "0 exited\n"
grown = kib("VmHWM") - before
assert is_instrumented or grown < 8192, f"the daemon grew by {grown} KiB"
PYTHON
    rm "$T/gate"
}

test_bytes_never_read_are_dropped() {
    request "$L" true <"$T/random"
    ends "$L" "0 exited"
    request "$L" head -c 3 <"$T/random"
    get "$L/stdout" >"$T/got"
    cmp -s -n 3 "$T/got" "$T/random" || fail "not its first bytes"
    is "$(stat -c %s "$T/got")" 3 size
    ends "$L" "0 exited"
    # The same after the command's end.
    exec 4>"$L/request"
    echo true >&4
    ends "$L" "0 exited"
    cat "$T/random" >&4
    exec 4>&-
    ends "$L" "0 exited"
}

test_a_command_that_closes_its_stdin() {
    request "$L" "sh -c 'exec 0<&-; sleep 0.5; echo done'" <"$T/random"
    is "$(get "$L/stdout")" "done" stdout
    ends "$L" "0 exited"
}

test_a_waiting_write_can_be_interrupted() {
    py "$L" <<'PYTHON'
import ctypes, errno, os, signal, sys
slot = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(slot + "/request", os.O_WRONLY)
os.write(fd, b"sleep 1000\n")
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, True)
block = b"x" * (1 << 20)
signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3)
total = 0
while True:
    count = libc.write(fd, block, len(block))
    if count < 0:
        assert ctypes.get_errno() == errno.EINTR, ctypes.get_errno()
        break
    total += count
    assert total < 8 << 20, "nothing waits"
signal.setitimer(signal.ITIMER_REAL, 0)
open(slot + "/ctl", "w").write("cancel\n")
# Nobody reads any more: the next write succeeds, and its bytes are dropped.
assert os.write(fd, b"x" * (1 << 20)) == 1 << 20
os.close(fd)
assert open(slot + "/status").read() == "130 cancelled\n"
PYTHON
}

# An interrupted write returns how many bytes were taken, so that the writer can go on.
test_nothing_is_lost_or_doubled_by_signals() {
    py "$L" <<'PYTHON'
import ctypes, errno, hashlib, os, signal, sys
slot = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, True)
data = os.urandom(8 << 20)
fd = os.open(slot + "/request", os.O_WRONLY)
os.write(fd, b"sh -c 'for i in 1 2 3 4 5 6; do sleep 0.05; head -c 262144; done; cat'\n")
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
at = interrupted = 0
while at < len(data):
    block = data[at : at + (1 << 20)]
    count = libc.write(fd, block, len(block))
    if 0 <= count < len(block):
        interrupted += 1
    elif count < 0:
        assert ctypes.get_errno() == errno.EINTR, ctypes.get_errno()
        interrupted += 1
        count = 0
    at += count
signal.setitimer(signal.ITIMER_REAL, 0)
os.close(fd)
got = open(slot + "/stdout", "rb").read()
assert interrupted > 0
assert got == data, (len(got), len(data))
PYTHON
}

test_a_writer_that_does_not_want_to_wait() {
    py "$L" "$T/gate" <<'PYTHON'
import hashlib, os, select, sys
slot, gate = sys.argv[1:]
data = os.urandom(4 << 20)
fd = os.open(slot + "/request", os.O_WRONLY | os.O_NONBLOCK)
line = f"sh -c 'while ! test -e {gate}; do sleep 0.05; done; sha256sum'\n".encode()
assert os.write(fd, line) == len(line)
poll = select.poll()
poll.register(fd, select.POLLOUT)
at = 0
try:
    while at < len(data):
        at += os.write(fd, data[at : at + 65536])
    sys.exit("no EAGAIN")
except BlockingIOError:
    pass
assert poll.poll(200) == [], "it says it can be written"
open(gate, "w").close()
while at < len(data):
    assert poll.poll(60000) == [(fd, select.POLLOUT)]
    try:
        at += os.write(fd, data[at : at + 65536])
    except BlockingIOError:
        pass
os.close(fd)
assert open(slot + "/stdout").read().split()[0] == hashlib.sha256(data).hexdigest()
PYTHON
    rm "$T/gate"
}

# --- One request at a time

test_busy_while_it_is_written() {
    exec 4>"$L/request"
    is "$(write_error "$L/request" $'true\n')" "open EBUSY" "before anything is written"
    printf 'ca' >&4
    is "$(write_error "$L/request" $'true\n')" "open EBUSY" "in the command line"
    printf 't\nstdin' >&4
    is "$(write_error "$L/request" $'true\n')" "open EBUSY" "in stdin"
    exec 4>&-
    is "$(get "$L/stdout")" stdin "stdout of the first"
    ends "$L" "0 exited"
}

# A job that has ended does not free the slot while its request is written.
test_busy_until_the_request_is_closed() {
    exec 4>"$L/request"
    echo true >&4
    ends "$L" "0 exited"
    is "$(write_error "$L/request" $'true\n')" "open EBUSY" "after the job"
    exec 4>&-
    wait_until 10 ask "$L" echo next
    is "$(get "$L/stdout")" next stdout
}

test_busy_while_the_job_runs() {
    ask "$L" sleep 1000
    is "$(write_error "$L/request" $'true\n')" "open EBUSY"
    if echo true 2>/dev/null >"$L/request"; then fail "bash was let in"; fi
    echo cancel >"$L/ctl"
    ends "$L" "130 cancelled"
    ask "$L" echo next
    is "$(get "$L/stdout")" next "stdout of the next"
}

test_a_slot_that_was_never_used_is_empty() {
    local file
    for file in stdout stderr status; do
        is "$(get "$M/fresh/$file")" "" "$file"
        is "$(stat -c %s "$M/fresh/$file")" 0 "size of $file"
    done
}

test_closed_with_nothing_written() {
    local file
    ask "$L" "sh -c 'echo out; echo err >&2'"
    ends "$L" "0 exited"
    : >"$L/request"
    for file in stdout stderr status; do
        is "$(get "$L/$file")" "" "$file"
        is "$(stat -c %s "$L/$file")" 0 "size of $file"
    done
    ask "$L" echo next
    is "$(get "$L/stdout")" next "stdout of the next"
}

test_opening_discards_the_results() {
    local file
    ask "$L" "sh -c 'echo out; echo err >&2'"
    ends "$L" "0 exited"
    exec 4>"$L/request"
    for file in stdout stderr status; do
        is "$(stat -c %s "$L/$file")" 0 "size of $file"
        # The old results are gone, and there are no new ones yet.
        ! timeout 0.2 cat "$L/$file" >"$T/got" || fail "$file could be read"
        is "$(cat "$T/got")" "" "$file"
    done
    echo 'echo new' >&4
    exec 4>&-
    is "$(get "$L/stdout")" new stdout
    is "$(get "$L/stderr")" "" stderr
    ends "$L" "0 exited"
}

# --- The grammar

# words COMMANDLINE: prints the arguments that the command got, each in <>.
words() {
    printf '%s\n' "printf <%s> $1" >"$T/line"
    sed -i "s/^printf <%s>/printf '<%s>'/" "$T/line"
    cat "$T/line" >"$L/request"
    get "$L/stdout"
}

test_words() {
    is "$(words 'a  b	c ')" '<a><b><c>' "blanks"
    is "$(words "a 'b  c' \"d  e\" f\\ g")" '<a><b  c><d  e><f g>' "quotes"
    is "$(words "'' \"\" x")" '<><><x>' "empty words"
    is "$(words "a'b'\"c\"\\d")" '<abcd>' "one word in parts"
    is "$(words "'|&;<>()\$\`\\\"'")" '<|&;<>()$`\">' "single quotes"
    is "$(words '"|&;<>()'"'"'"')" "<|&;<>()'>" "double quotes"
    # shellcheck disable=SC2016
    is "$(words '"\$\`\"\\" "\a"')" '<$`"\><\a>' "backslashes in double quotes"
    is "$(words '\|\&\;\<\>\(\)\$\`')" '<|&;<>()$`>' "backslashes"
    is "$(words "'two
lines' \"and
two\" x")" '<two
lines><and
two><x>' "newlines in quotes"
    is "$(words 'a\
b "c\
d" x')" '<ab><cd><x>' "backslash and newline"
    is "$(words '* ? [a-z] ~ {a,b} # !x a=b')" '<*><?><[a-z]><~><{a,b}><#><!x><a=b>' "no expansion"
    is "$(words 'äöü €')" '<äöü><€>' "UTF-8"
    ends "$L" "0 exited"
}

test_no_shell_runs() {
    ask "$L" "echo 'a | b' \"; c\""
    is "$(get "$L/stdout")" "a | b ; c" stdout
}

test_environment_of_a_request() {
    ask "$L" "A=1 B='two  words' C= sh -c 'echo \"\$A-\$B-\${C-unset}\"'"
    is "$(get "$L/stdout")" "1-two  words-" stdout
    ask "$L" "printenv A"
    is "$(get "$L/stdout")" "" "the next request's"
    ask "$L" "echo A=1"
    is "$(get "$L/stdout")" A=1 "after the command it is an argument"
    ask "$M/with-env" "sh -c 'echo \"\$GREETING; \$HOOKSFS_TEST_HANDED_ON; \$REPLACED\"'"
    is "$(get "$M/with-env/stdout")" "good morning; from the daemon; by the configuration" configured
    ask "$M/with-env" "REPLACED=here printenv REPLACED"
    is "$(get "$M/with-env/stdout")" here "of the request and configured"
}

test_timeout_option() {
    ask "$L" --timeout=300ms sleep 1000
    ends "$L" "124 timeout after 300ms"
    ask "$L" "--timeout=1m A=b printenv A"
    is "$(get "$L/stdout")" b "option, then environment"
    ends "$L" "0 exited"
    ask "$L" echo --timeout=300ms
    is "$(get "$L/stdout")" --timeout=300ms "after the command it is an argument"
}

# --- Refusals

# refused DIR ERROR LINE PATTERN: writing LINE to the slot DIR fails with ERROR,
# and status says why.
refused() {
    is "$(write_error "$1/request" "$3")" "$2" "error of $3"
    ends "$1" "2 refused $4"
    is "$(get "$1/stdout")" "" "stdout of $3"
    is "$(get "$1/stderr")" "" "stderr of $3"
}

test_characters_of_a_shell() {
    local char
    # shellcheck disable=SC2016
    for char in '|' '&' ';' '<' '>' '(' ')' '$' '`'; do
        refused "$L" EINVAL "echo a ${char}b"$'\n' "*[$char]*sh -c*"
        refused "$L" EINVAL "echo a${char}"$'\n' "*[$char]*sh -c*"
        refused "$L" EINVAL "${char}"$'\n' "*[$char]*sh -c*"
    done
    # shellcheck disable=SC2016
    for char in '$' '`'; do
        refused "$L" EINVAL "echo \"a ${char}b\""$'\n' "*[$char]*sh -c*"
    done
    ask "$L" echo next
    is "$(get "$L/stdout")" next "stdout of the next"
}

# The daemon sees an open quote at the last close, when no call can return an error.
test_an_open_quote() {
    local line
    for line in "echo 'a b" 'echo "a b' $'echo \'a\nstdin\n' "'" '"'; do
        printf '%s' "$line" >"$L/request"
        ends "$L" "2 refused *quote*"
        is "$(get "$L/stdout")" "" stdout
    done
}

test_a_NUL_byte() {
    py "$L" <<'PYTHON'
import errno, os, sys
slot = sys.argv[1]
for line in b"echo a\0b\n", b"\0", b"echo 'a\0'\n", b"echo \\\0\n":
    fd = os.open(slot + "/request", os.O_WRONLY)
    try:
        os.write(fd, line)
        sys.exit(f"{line} was taken")
    except OSError as error:
        assert error.errno == errno.EINVAL, error
    os.close(fd)
    status = open(slot + "/status").read()
    assert status.startswith("2 refused ") and "NUL" in status, status
PYTHON
}

test_the_longest_line() {
    py "$L" <<'PYTHON'
import errno, os, sys
slot = sys.argv[1]
LIMIT = 128 << 10
line = b"sh -c 'echo $#' x " + b"abc " * LIMIT

def send(data, piece):
    fd = os.open(slot + "/request", os.O_WRONLY)
    try:
        for at in range(0, len(data), piece):
            assert os.write(fd, data[at : at + piece]) == len(data[at : at + piece])
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        os.close(fd)

for piece in LIMIT * 2, 1000:
    whole = line[: LIMIT - 1]
    assert send(whole + b"\n" + b"stdin", piece) is None
    assert open(slot + "/stdout").read() == f"{len(whole.split()) - 5}\n"
    assert open(slot + "/status").read() == "0 exited\n"
    for end in b"", b"\n":
        assert send(line[: LIMIT + 1] + end, piece) == "E2BIG"
        status = open(slot + "/status").read()
        assert status.startswith("2 refused ") and "131072" in status, status
    # A quote without its end.
    assert send(b"echo '" + b"line\n" * LIMIT, piece) == "E2BIG"
PYTHON
}

test_nothing_to_run() {
    refused "$L" EINVAL $'\n' "?*"
    refused "$L" EINVAL $'  \t \n' "?*"
    refused "$L" EINVAL $'A=b\n' "?*"
    refused "$L" EINVAL $'--timeout=1s\n' "?*"
    refused "$L" EINVAL $'\necho later\n' "?*"
    # Without a newline the daemon sees the mistake at the last close.
    printf ' ' >"$L/request"
    ends "$L" "2 refused ?*"
}

test_unknown_options() {
    refused "$L" EINVAL $'--colour=red cat\n' "*--colour*"
    refused "$L" EINVAL $'-x cat\n' "*-x*"
    refused "$L" EINVAL $'--timeout cat\n' "*--timeout*"
    refused "$L" EINVAL $'--timeout= cat\n' "*timeout*"
    refused "$L" EINVAL $'--timeout=soon cat\n' "*soon*"
    refused "$L" EINVAL $'--timeout=-1s cat\n' "*-1s*"
    refused "$L" EINVAL $'--timeout=10 cat\n' "*10*"
}

test_a_command_that_is_not_allowed() {
    local slot=$M/allowed
    refused "$slot" EACCES $'cat /etc/hostname\n' "*cat*"
    refused "$slot" EACCES $'/usr/bin/../../bin/cat\n' "*cat*"
    refused "$slot" EACCES $'/usr/bin/x/cat\n' "*cat*"
    refused "$slot" EACCES $'echo2\n' "*echo2*"
    refused "$slot" EACCES $'--timeout=1s A=b cat\n' "*cat*"
    ask "$slot" echo yes
    is "$(get "$slot/stdout")" yes "a name in the list"
    ask "$slot" A=b /usr/bin/env printenv A
    is "$(get "$slot/stdout")" b "a path in the list"
    # Without a newline there is no write that could be refused.
    printf 'cat' >"$slot/request"
    ends "$slot" "2 refused *cat*"
}

test_more_time_than_there_is() {
    local slot=$M/limited
    refused "$slot" EINVAL $'--timeout=3s cat\n' "*2s*"
    refused "$slot" EINVAL $'--timeout=none cat\n' "*2s*"
    ask "$slot" --timeout=2s echo yes
    is "$(get "$slot/stdout")" yes "just that much"
    ask "$slot" --timeout=100ms sleep 1000
    ends "$slot" "124 timeout after 100ms"
}

test_later_writes_fail_as_well() {
    py "$L" <<'PYTHON'
import errno, os, sys
slot = sys.argv[1]
fd = os.open(slot + "/request", os.O_WRONLY)
for data in b"echo a | b\n", b"stdin", b"echo fine\n", b"x" * (1 << 20):
    try:
        os.write(fd, data)
        sys.exit(f"{data[:20]} was taken")
    except OSError as error:
        assert error.errno == errno.EINVAL, error
assert open(slot + "/status").read().startswith("2 refused ")
os.close(fd)
assert open(slot + "/status").read().startswith("2 refused ")
PYTHON
    ask "$L" echo next
    is "$(get "$L/stdout")" next "stdout of the next"
}

# sees_a_refusal SHELL...: the shell's echo fails, with a message that a person understands.
sees_a_refusal() {
    if LC_ALL=C "$@" -c "echo 'a | b' >$L/request" 2>"$T/err"; then fail "$* saw no error"; fi
    like "$(cat "$T/err")" "*rror*" "what $* says"
}

test_busybox_sees_a_refusal() {
    needs busybox
    sees_a_refusal busybox sh
}

test_a_shell_sees_a_refusal() {
    sees_a_refusal bash
    sees_a_refusal dash
    is "$(LC_ALL=C bash -c "echo '(' >$L/request" 2>&1)" \
        "bash: line 1: echo: write error: Invalid argument" "what bash says"
    if { echo 'a | b'; cat "$T/random"; } >"$L/request" 2>/dev/null; then fail "cat saw no error"; fi
    ends "$L" "2 refused *"
}

run_tests
