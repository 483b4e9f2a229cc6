#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The options of a request and their effects on its answer and its stdin: --answer, --stdin,
# --workdir, --deadline. Also fsync(2) as the end of stdin.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

mount_with <<CONF || exit 1
mode = direct
timeout = 200s
kill_grace = 300ms
[local]
[picky]
allow = echo
[small]
max_output = 1M
[one]
max_running = 1
[there]
workdir = /usr
[pod]
mode = kubectl_exec
pod = hooks
kubectl_path = $T/no-such-kubectl
CONF
L=$M/local

URING=${URING:-$(dirname "$HOOKSFS")/tests/e2e/uring}
export NAP=$T/nap
ln -s "$(command -v sleep)" "$NAP"

with_calls() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 timeout 240 /usr/bin/python3 - "$@"
}

# --- Frames

test_frames() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
slot = sys.argv[1]
fd = start(slot, b"--answer=frames sh -c 'cat; echo err >&2; exit 3'\nhello")
os.fsync(fd)
assert error_of(os.write, fd, b"more") == "EPIPE"
os.fsync(fd)  # the same again
out, err, state = by_kind(frames(fd))
assert (out, err, state) == (b"hello", b"err\n", b"3 exited\n"), (out, err, state)
assert os.read(fd, 10) == os.read(fd, 10) == b""
os.close(fd)

def answers(request, wanted, size=1):
    fd = start(slot, request)
    os.fdatasync(fd)
    assert by_kind(frames(fd, size)) == wanted, request
    os.close(fd)

answers(b"--answer=frames true", (b"", b"", b"0 exited\n"))
answers(b"--answer=frames --timeout=200ms sh -c 'echo x; exec sleep 100'", (b"x\n", b"", b"124 timeout after 200ms\n"))
answers(b"--answer=frames sh -c 'kill -KILL $$'\n", (b"", b"", b"137 signaled KILL\n"))
answers(b"--answer=frames sh -c 'head -c 3000000 /dev/zero >&2; exit 1'", (b"", bytes(3000000), b"1 exited\n"), 1 << 17)
PYTHON
}

# A read waits and does not end stdin, and holds up no write.
test_frames_both_ways_at_once() {
    with_calls "$L" <<'PYTHON'
import select, sys
from calls import *
fd = start(sys.argv[1], b"--answer=frames sh -c 'while read x; do echo got $x; echo log $x >&2; done; exit 5'\n")
got = []
reader = threading.Thread(target=lambda: got.extend(frames(fd)))
reader.start()
for number in range(20):
    os.write(fd, b"%d\n" % number)
    eventually(lambda: b"got %d\n" % number in b"".join(body for kind, body in got if kind == 1), "no answer to a line")
os.fsync(fd)
reader.join()
assert by_kind(got) == (b"".join(b"got %d\n" % n for n in range(20)),
                        b"".join(b"log %d\n" % n for n in range(20)), b"5 exited\n"), got
os.close(fd)
# The same by one thread with poll.
fd = start(sys.argv[1], b"--answer=frames cat\n")
poll = select.poll()
poll.register(fd, select.POLLIN)
assert poll.poll(100) == []
os.write(fd, b"x")
assert poll.poll(20000) == [(fd, select.POLLIN)]
assert os.read(fd, 100) == b"\1\0\0\0\0\0\0\1x"
assert poll.poll(100) == []
os.fsync(fd)
assert poll.poll(20000) == [(fd, select.POLLIN)]
assert by_kind(frames(fd)) == (b"", b"", b"0 exited\n")
os.close(fd)
PYTHON
}

# A read waits while the command line is not complete, and does not complete it. Without a byte
# of a request there is no answer.
test_frames_before_the_line_is_complete() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
fd = start(sys.argv[1], b"--answer=frames ec", os.O_NONBLOCK)
assert error_of(os.read, fd, 10) == "EAGAIN"
os.write(fd, b"ho x\n")
os.set_blocking(fd, True)
assert by_kind(frames(fd)) == (b"x\n", b"", b"0 exited\n")
os.close(fd)
fd = start(sys.argv[1], b"")
assert error_of(os.fsync, fd) == "EINVAL"
assert error_of(os.write, fd, b"echo\n") == "EPIPE"
assert error_of(os.read, fd, 10) == "EINVAL"
os.close(fd)
PYTHON
}

# Both streams wait while nobody reads, and neither takes the other's room.
test_frames_have_back_pressure() {
    with_calls "$L" "$daemon_pid" "$T" <<'PYTHON'
import sys
from calls import *
slot, daemon, folder = sys.argv[1:]
forget_peak(daemon)
before = kib(daemon, "VmHWM")
fd = start(slot, f"""--answer=frames sh -c '(head -c 50000000 /dev/zero >&2; touch {folder}/all-err) &
head -c 50000000 /dev/zero; touch {folder}/all-out; wait'
""".encode())
time.sleep(1)
assert not os.path.exists(folder + "/all-err") and not os.path.exists(folder + "/all-out"), "nobody reads yet"
os.fsync(fd)
counts = {1: 0, 2: 0, 3: 0}
for kind, body in frames(fd):
    counts[kind] += len(body)
    both = min(counts[1], counts[2]), max(counts[1], counts[2])
    assert both[1] == 50000000 or both[1] - both[0] < 16 << 20, f"one stream waits for the other: {counts}"
assert counts == {1: 50000000, 2: 50000000, 3: 9}, counts
grown = kib(daemon, "VmHWM") - before
assert is_sanitized(daemon) or grown < 24 * 1024, f"it grew by {grown} KiB"
os.close(fd)
PYTHON
}

# FRAMES_MIB=1024 runs a long version.
test_frames_of_any_size_both_ways() {
    with_calls "$L" "$daemon_pid" "$T" "${FRAMES_MIB:-64}" <<'PYTHON'
import sys
from calls import *
slot, daemon, folder, size = *sys.argv[1:4], int(sys.argv[4]) << 20
works(slot)
forget_peak(daemon)
before = kib(daemon, "VmHWM")
block = os.urandom(1 << 20)
fd = start(slot, b"--answer=frames sh -c 'tee /dev/stderr'\n")

def write():
    for _ in range(size >> 20):
        write_all(fd, block)
    os.fsync(fd)

counts = [0, 0]
def read():
    state = b""
    for kind, body in frames(fd, 1 << 20):
        assert not state, "a frame after the last one"
        if kind == 3:
            state = body
            continue
        at = counts[kind - 1] % len(block)
        counts[kind - 1] += len(body)
        part = block[at : at + len(body)]
        assert body == part + block[: len(body) - len(part)], f"kind {kind} at {counts[kind - 1]}"
    assert state == b"0 exited\n", state

side_by_side(write, read)
assert counts == [size, size], counts
grown = kib(daemon, "VmHWM") - before
assert is_sanitized(daemon) or grown < 24 * 1024, f"it grew by {grown} KiB"
os.close(fd)
PYTHON
}

# A reader that gets no frame 3 has no outcome.
test_frames_of_a_daemon_that_is_killed() {
    mkdir "$T/second"
    with_calls "$T/second" <<'PYTHON'
import sys
from calls import *
folder = sys.argv[1]
daemon = Daemon(folder, "mode = direct\n[local]\n")
slot = daemon.mount + "/local"
fds = [start(slot, b"--answer=frames sh -c 'while echo x; do echo y >&2; done'\n") for _ in range(4)]
results = {}

def read(fd):
    seen = b""
    try:
        while part := os.read(fd, 4096):
            seen = (seen + part)[-100000:]
        results[fd] = ("end", None)
    except OSError as error:
        results[fd] = (errno.errorcode[error.errno], seen)

readers = [threading.Thread(target=read, args=(fd,)) for fd in fds]
for reader in readers:
    reader.start()
time.sleep(0.5)
daemon.process.kill()
daemon.process.wait()
for reader in readers:
    reader.join(20)
for fd in fds:
    assert results[fd][0] in ("ENOTCONN", "ECONNABORTED"), results[fd][0]
    assert b"\3\0\0\0" not in results[fd][1]
    assert error_of(os.close, fd) in ("none", "ENOTCONN")
subprocess.run(["umount", "-l", daemon.mount], check=True)
PYTHON
}

test_a_cancelled_one_ends_with_its_status() {
    mkdir "$T/third"
    with_calls "$T/third" <<'PYTHON'
import sys
from calls import *
with Daemon(sys.argv[1], "mode = direct\n[local]\n") as daemon:
    fds = [start(daemon.mount + "/local", f"--answer={form} {nap} 1000\n".encode()) for form in ("frames", "json")]
    got = {}
    def read(fd):
        got[fd] = read_all(fd)
    readers = [threading.Thread(target=read, args=(fd,)) for fd in fds]
    for reader in readers:
        reader.start()
    there(nap, 2)
    end = threading.Thread(target=daemon.end)
    end.start()
    for reader in readers:
        reader.join()
    for fd in fds:
        os.close(fd)
    end.join()
    assert got[fds[0]] == (b"\3\0\0\0\0\0\0\x0e130 cancelled\n", "none"), got
    assert b'{"code":130,"kind":"cancelled",' in got[fds[1]][0] and got[fds[1]][1] == "none", got
PYTHON
}

# --- JSON

test_json() {
    with_calls "$M" <<'PYTHON'
import base64, json, sys
from calls import *
mount = sys.argv[1]

def answer(request, sandbox="local", size=1 << 17):
    fd = start(f"{mount}/{sandbox}", request)
    text, end = read_all(fd, size)
    assert end == "none" and text.endswith(b"}\n") and text.count(b"\n") == 1
    assert error_of(os.write, fd, b"x") == "EPIPE"
    os.close(fd)
    value = json.loads(text)
    assert isinstance(value.pop("ms"), int)
    return value

assert answer(b"--answer=json sh -c 'cat; echo \"e\\\"rr\" >&2; exit 3'\nh\xc3\xa4llo\0") == {
    "code": 3, "kind": "exited", "detail": "", "stdout": "h\u00e4llo\0", "stderr": 'e"rr\n'}
everything = bytes(range(256)) * 5000
for size in (1, 100, 1 << 17):
    got = answer(b"--answer=json cat\n" + everything[: 5000 if size == 1 else None], size=size)
    assert base64.b64decode(got["stdout_base64"]) == everything[: 5000 if size == 1 else None]
    assert set(got) == {"code", "kind", "detail", "stdout_base64", "stderr"}
long = "".join(chr(c) for c in (*range(0, 0xd800, 7), *range(0xe000, 0x110000, 101))).encode()
assert answer(b"--answer=json cat\n" + long)["stdout"].encode() == long
# A large one is looked at in several turns.
large = ("\u20ac" * 4_000_000).encode()
assert answer(b"--answer=json cat\n" + large)["stdout"].encode() == large
got = answer(b"--answer=json head -c 3000000 /dev/zero", "small")
assert (got["code"], got["kind"], got["detail"]) == (141, "overflow", "stdout exceeded 1M")
assert got["stdout"] == "\0" * (1 << 20)
got = answer(b"--answer=json --timeout=100ms sh -c 'echo part; exec sleep 100'")
assert (got["code"], got["kind"], got["detail"], got["stdout"]) == (124, "timeout", "after 100ms", "part\n")
got = answer(b"--answer=json nothing-of-this-name")
assert (got["code"], got["kind"]) == (127, "unstarted")
PYTHON
}

# --- Refusals

test_a_refusal_can_be_read() {
    with_calls "$M" <<'PYTHON'
import json, sys
from calls import *
mount = sys.argv[1]

def refused(line, wanted, reason, sandbox="local"):
    for form in ("frames", "json"):
        fd = open_call(f"{mount}/{sandbox}")
        assert error_of(os.write, fd, b"--answer=%s " % form.encode() + line) == wanted, line
        assert error_of(os.write, fd, b"more") == wanted
        if form == "frames":
            out, err, state = by_kind(frames(fd))
            assert (out, err) == (b"", b"") and state.startswith(b"2 refused ") and reason in state, state
        else:
            value = json.loads(read_all(fd)[0])
            assert (value["code"], value["kind"]) == (2, "refused") and reason.decode() in value["detail"], value
        os.close(fd)

refused(b"ls | wc\n", "EINVAL", b"unquoted |")
refused(b"--no-such-option=1 true\n", "EINVAL", b"no-such-option")
refused(b"--answer=json true\n", "EINVAL", b"twice")
refused(b"--stdin=x true\n", "EINVAL", b"--stdin")
refused(b"cat \xff\n", "EACCES", b"cat", "picky")
# After an error in front of --answer, the form of the answer is not known.
fd = open_call(f"{mount}/local")
assert error_of(os.write, fd, b"--bad --answer=frames true\n") == "EINVAL"
assert read_all(fd) == (b"", "EINVAL")
os.close(fd)
# fsync completes a command line without a newline, and so can return its error.
for form in (b"frames", b"json", b"plain"):
    fd = start(f"{mount}/local", b"--answer=" + form + b" echo 'unfinished")
    assert error_of(os.fsync, fd) == "EINVAL"
    assert error_of(os.fsync, fd) == "EINVAL"
    got = read_all(fd)
    assert got[1] == "EINVAL" if form == b"plain" else b"a quote is not closed" in got[0], got
    os.close(fd)
# --answer is only for call.
assert write_error(f"{mount}/local/request", b"--answer=frames true\n") == "EINVAL"
assert "--answer is for call" in status(f"{mount}/local")
assert write_error(f"{mount}/local/request", b"--answer=nonsense true\n") == "EINVAL"
PYTHON
}

# --- The end of stdin

test_fsync_ends_stdin() {
    with_calls "$L" <<'PYTHON'
import select, sys
from calls import *
slot = sys.argv[1]
for form in (b"", b"--answer=json "):
    for end in (os.fsync, os.fdatasync):
        fd = start(slot, form + b"sh -c 'cat; echo end'\nx")
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert not form or poll.poll(100) == []
        end(fd)
        assert error_of(os.write, fd, b"late") == "EPIPE"
        eventually(lambda: poll.poll(1000) == [(fd, select.POLLIN)], "poll does not become ready")
        got, how = read_all(fd)
        assert how == "none" and (b"xend\\n" if form else b"xend\n") in got, got
        os.close(fd)
# For a slot fsync means nothing.
fd = os.open(slot + "/request", os.O_WRONLY)
os.write(fd, b"cat\none ")
os.fsync(fd)
os.write(fd, b"two")
os.fdatasync(fd)
os.close(fd)
assert (get(slot + "/stdout"), status(slot)) == (b"one two", "0 exited")
with open(slot + "/stdout") as file:
    os.fsync(file.fileno())
PYTHON
}

test_a_count_ends_stdin() {
    with_calls "$L" "$T" <<'PYTHON'
import select, sys
from calls import *
slot, folder = sys.argv[1:]
for body in (b"", b"x", bytes(3_000_000)):
    fd = start(slot, b"--stdin=%d sh -c 'wc -c'\n" % len(body) + body)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(20000) == [(fd, select.POLLIN)], "poll before the first read"
    assert read_all(fd) == (b"%d\n" % len(body), "none")
    os.close(fd)
    ask(slot, b"--stdin=%d wc -c\n" % len(body) + body)
    assert (get(slot + "/stdout"), status(slot)) == (b"%d\n" % len(body), "0 exited")
# stdin ends with the last byte of --stdin, and not with the close.
fd = os.open(slot + "/request", os.O_WRONLY)
os.write(fd, b"--stdin=4 wc -c\nab")
os.write(fd, b"cd")
assert status(slot) == "0 exited"
assert error_of(os.write, fd, b"e") == "EINVAL"
os.close(fd)

# Fewer bytes: the job is cancelled, and its output is no answer.
fd = start(slot, b"--stdin=4 cat\nabc")
assert error_of(os.fsync, fd) == "EINVAL"
assert read_all(fd)[1] == "ECANCELED"
os.close(fd)
fd = start(slot, b"--stdin=4 cat\nabc")
assert read_all(fd)[1] == "ECANCELED"
os.close(fd)
fd = start(slot, f"--stdin=4 --answer=frames sh -c 'cat; exec {nap} 1000'\nabc".encode())
assert error_of(os.fsync, fd) == "EINVAL"
assert by_kind(frames(fd))[2] == b"130 cancelled stdin ended 1 bytes before --stdin said\n"
os.close(fd)
ask(slot, b"--stdin=4 cat\nabc")
assert status(slot) == "130 cancelled stdin ended 1 bytes before --stdin said"
ask(slot, b"--stdin=4 cat")
assert status(slot) == "2 refused --stdin=4, and nothing follows"
with child(lambda: write_all(start_slot(slot, b"--stdin=100 cat\n"), b"half") or os.kill(os.getpid(), signal.SIGKILL)) as pid:
    os.waitpid(pid, 0)
    assert status(slot).startswith("130 cancelled stdin ended 96"), "of a writer that was killed"

# More bytes: the command does not take a part for all.
assert write_error(slot + "/request", f"--stdin=4 touch {folder}/ran\nabcde".encode()) == "EINVAL"
assert status(slot) == "2 refused more bytes than --stdin=4 follow"
fd = start(slot, b"--stdin=4 cat\nab")
assert error_of(os.write, fd, b"cde") == "EINVAL"
assert read_all(fd)[1] == "ECANCELED"
os.close(fd)
assert not os.path.exists(folder + "/ran")
for wrong in (b"", b"-1", b"1x", b"99999999999999999999", b"0x10"):
    assert write_error(slot + "/request", b"--stdin=" + wrong + b" true\n") == "EINVAL", wrong
PYTHON
}

# --- Programs that poll, or look, before they read

# A poll does not end stdin; a program that says where its input ends gets the answer. Otherwise
# each of these programs hangs until the time is over.
test_programs_that_poll() {
    local count
    for count in 6 0; do
        exec 4<>"$L/call"
        printf -- '--stdin=%d sh -c "cat; echo answer"\n' "$count" >&4
        ((count == 0)) || printf 'hello\n' >&4
        is "$(timeout 20 busybox ash -c 'while read -r x; do echo "$x"; done <&4')" \
            "$( ((count == 0)) || echo hello; echo answer)" "busybox ash"
        exec 4>&-
    done
    exec 4<>"$L/call"
    printf -- '--stdin=5 cat\nhello' >&4
    is "$(timeout 20 bash -c 'read -t 10 -r x <&4; echo "$x"')" hello "bash read -t"
    exec 4>&-
    with_shell zsh 'read -t 10 -r x <&4; echo $x'
    with_shell mksh 'read -t 10 -r x <&4; echo $x'
    with_shell pv 'pv -q <&4'
    with_shell socat 'socat -u FD:4 STDOUT'
    with_calls "$L" <<'PYTHON'
import asyncio, sys
from calls import *
async def call():
    fd = start(sys.argv[1], b"--stdin=5 cat\nhello", os.O_NONBLOCK)
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
    await asyncio.wait_for(ready, 20)
    loop.remove_reader(fd)
    assert os.read(fd, 100) == b"hello"
    os.close(fd)
asyncio.run(call())
PYTHON
}

# with_shell PROGRAM COMMAND: if PROGRAM is there, COMMAND gets the answer from descriptor 4.
with_shell() {
    local shell=$1
    command -v "$shell" >/dev/null || return 0
    [[ $shell == *sh ]] || shell=bash
    exec 4<>"$L/call"
    printf -- '--stdin=5 cat\nhello' >&4
    is "$(timeout 20 "$shell" -c "$2")" hello "$1"
    exec 4>&-
}

test_io_uring() {
    local code=0
    "$URING" read /dev/null 0 1 >/dev/null || code=$?
    ((code != 77)) || skip "no io_uring here"
    ask "$L" "echo hello"
    ends "$L" "0 exited"
    is "$(timeout 20 "$URING" read "$L/stdout" 0 1000)" 6 "a read of more than there is"
    is "$(timeout 20 "$URING" read "$L/stdout" 2 1000)" 4 "at an offset"
    is "$(timeout 20 "$URING" read "$L/stdout" 6 1000)" 0 "at the end"
    is "$(timeout 20 "$URING" read "$L/status" 0 3000000)" 9 "a read in several parts"
    ask "$L" "head -c 5000000 /dev/zero"
    ends "$L" "0 exited"
    like "$(timeout 20 "$URING" read "$L/stdout" 0 4000000)" "[1-4]??????" "a large read"
    is "$(timeout 20 "$URING" call "$L/call" $'--stdin=5 cat\nhello' 1000)" hello
    is "$(timeout 20 "$URING" call "$L/call" $'--stdin=2 sh -c "cat; exit 3"\nab' 1000)" "abread: EIO"
    # The kernel passes on a large read in parts, and no byte is lost between these parts.
    timeout 20 "$URING" call "$L/call" '--stdin=0 sh -c "for i in 1 2 3 4 5 6; do seq \$i 300000; sleep 0.05; done"'$'\n' \
        5000000 >"$T/got"
    for i in 1 2 3 4 5 6; do seq $i 300000; done >"$T/wanted"
    same_file "$T/got" "$T/wanted"
}

# The attributes of a file that the kernel remembers, without a question to the daemon.
test_stat_without_asking() {
    ask "$L" "echo hello"
    ends "$L" "0 exited"
    py "$L" <<'PYTHON'
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_STATX_DONT_SYNC, STATX_BASIC_STATS = -100, 0x4000, 0x7FF
buffer = ctypes.create_string_buffer(256)
for name, size in (("stdout", 6), ("status", 9)):
    assert libc.statx(AT_FDCWD, os.fsencode(sys.argv[1] + "/" + name), AT_STATX_DONT_SYNC, STATX_BASIC_STATS, buffer) == 0
    assert struct.unpack_from("=Q", buffer, 40)[0] == size, (name, struct.unpack_from("=Q", buffer, 40))
PYTHON
}

# bash's mapfile does not report a read that fails; an answer in frames has the outcome in it.
test_mapfile() {
    exec 4<>"$L/call"
    printf 'sh -c "echo one; exit 1"' >&4
    mapfile -t lines <&4
    is "${lines[*]}" one
    exec 4>&-
    exec 4<>"$L/call"
    printf -- '--stdin=0 --answer=json sh -c "echo one; exit 1"\n' >&4
    mapfile -t lines <&4
    like "${lines[0]}" '{"code":1,"kind":"exited",*'
    exec 4>&-
}

# --- The working directory and the time

test_workdir() {
    mkdir "$T/here" "$T/locked"
    chmod 700 "$T/locked"
    is "$(ask "$L" --workdir="$T/here" pwd; get "$L/stdout")" "$T/here"
    is "$(ask "$M/there" pwd; get "$M/there/stdout")" /usr
    is "$(ask "$M/there" --workdir=/ pwd; get "$M/there/stdout")" /
    is "$(ask "$L" "--workdir='$T/no such place'" pwd; get "$L/status")" \
        "126 unstarted cannot enter the working directory: No such file or directory"
    is "$(write_error "$L/request" $'--workdir=here pwd\n')" EINVAL
    is "$(write_error "$L/request" $'--workdir= pwd\n')" EINVAL
    is "$(write_error "$M/pod/request" $'--workdir=/ pwd\n')" EINVAL
    ends "$M/pod" "2 refused --workdir: kubectl cannot *"
}

# The directory is entered with the user's rights.
test_workdir_of_another_user() {
    mkdir "$T/users"
    chmod 755 "$T/users"
    printf 'mode = direct\npermissions = 0777\n[open]\n' >"$T/users/conf"
    mkdir "$T/users/mnt" "$T/users/locked"
    chmod 700 "$T/users/locked"
    "$HOOKSFS" -f "$T/users/conf" "$T/users/mnt" 2>"$T/users/log" &
    local pid=$!
    wait_until 20 grep -q 'serving, with process' "$T/users/log"
    is "$(setpriv --reuid=65534 --regid=65534 --clear-groups bash -c \
        'exec 4<>"$1/mnt/open/call"; echo "--answer=json --workdir=$1/locked pwd" >&4; cat <&4' \
        bash "$T/users" | grep -o '"code":126,.*directory: [A-Z][a-z ]*')" \
        '"code":126,"kind":"unstarted","detail":"cannot enter the working directory: Permission denied'
    kill -TERM "$pid"
    wait "$pid"
}

# A deadline counts from the opening, and includes everything that follows.
test_deadline() {
    with_calls "$M" <<'PYTHON'
import sys
from calls import *
mount = sys.argv[1]
local, one = mount + "/local", mount + "/one"
assert converse(local, f"--deadline=300ms {nap} 1000".encode()) == (b"", "ETIMEDOUT")
ask(local, f"--deadline=300ms {nap} 1000".encode())
assert status(local) == "124 timeout after 300ms"
ask(local, b"--deadline=20s echo x")
assert (get(local + "/stdout"), status(local)) == (b"x\n", "0 exited")
# The earlier one of deadline and timeout counts.
ask(local, f"--deadline=20s --timeout=200ms {nap} 1000".encode())
assert status(local) == "124 timeout after 200ms"
ask(local, f"--deadline=200ms --timeout=20s {nap} 1000".encode())
assert status(local) == "124 timeout after 200ms"
# The time in the queue is part of the deadline; --timeout begins with the start.
blocker = start(one, f"{nap} 1000\n".encode())
there(nap)
ask(one, b"--deadline=300ms echo never")
assert status(one) == "124 timeout after 300ms"
os.close(blocker)
gone(nap)
# The time of the writer is part of the deadline.
fd = open_call(local)
time.sleep(0.4)
os.write(fd, f"--deadline=300ms {nap} 1000\n".encode())
assert read_all(fd) == (b"", "ETIMEDOUT")
os.close(fd)
for wrong in (b"", b"none", b"5", b"0s"):
    assert write_error(local + "/request", b"--deadline=" + wrong + b" true\n") == "EINVAL", wrong
PYTHON
}

run_tests
