#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Reading the results: waiting, streaming, sizes, polling, interrupts, the tools and languages
# that people use, and operations on the files as files.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2012
. "$(dirname "$0")/../lib.sh"

mount_with <<'CONF' || exit 1
timeout = 60s
kill_grace = 100ms
mode = direct

[local]
[other]
[open]
permissions = 0755
CONF
L=$M/local

before_each() {
    [[ $daemon_pid ]] || return 0
    echo cancel >"$L/ctl"
    get "$L/status" >/dev/null
}

for i in {1..20000}; do echo "line $i of some text"; done >"$T/text"

# Runs a job whose stdout is $T/text, and waits for its end.
with_text() {
    request "$L" cat <"$T/text"
    ends "$L" "0 exited"
}

cancel() {
    echo cancel >"$1/ctl"
    ends "$1" "130 cancelled"
}

# --- Waiting and streaming

# Readers of all three files wait while nothing of the request has been written, and also while
# only a part of its command line has been written.
test_reads_wait_for_the_new_request() {
    local file reader readers=()
    ask "$L" "sh -c 'echo old; echo old >&2'"
    ends "$L" "0 exited"
    exec 4>"$L/request"
    for file in stdout stderr status; do
        timeout 60 cat "$L/$file" >"$T/got.$file" 4>&- 3>&- &
        readers+=($!)
    done
    sleep 0.2
    printf "sh -c 'echo new; echo " >&4
    sleep 0.2
    for reader in "${readers[@]}"; do
        kill -0 "$reader" || fail "a read did not wait"
    done
    echo "more >&2'" >&4
    exec 4>&-
    wait "${readers[@]}"
    is "$(cat "$T/got.stdout")" new stdout
    is "$(cat "$T/got.stderr")" more stderr
    is "$(cat "$T/got.status")" "0 exited" status
}

# A request without a byte wakes waiting readers as well.
test_reads_wait_for_an_empty_request() {
    local file readers=()
    exec 4>"$L/request"
    for file in stdout stderr status; do
        timeout 60 cat "$L/$file" >"$T/got.$file" 4>&- 3>&- &
        readers+=($!)
    done
    sleep 0.2
    exec 4>&-
    wait "${readers[@]}"
    for file in stdout stderr status; do
        is "$(cat "$T/got.$file")" "" "$file"
    done
}

test_reads_wait_for_a_refused_request() {
    local file readers=()
    exec 4>"$L/request"
    for file in stdout stderr status; do
        timeout 60 cat "$L/$file" >"$T/got.$file" 4>&- 3>&- &
        readers+=($!)
    done
    sleep 0.2
    ! echo 'a | b' >&4 || fail "not refused"
    wait "${readers[@]}"
    exec 4>&-
    is "$(cat "$T/got.stdout")" "" stdout
    is "$(cat "$T/got.stderr")" "" stderr
    like "$(cat "$T/got.status")" "2 refused ?*" status
}

test_output_streams_while_the_job_runs() {
    py "$L" <<'PYTHON'
import os, sys
slot = sys.argv[1]
request = os.open(slot + "/request", os.O_WRONLY)
os.write(request, b"sh -c 'while read -r line; do echo \"got $line\"; echo \"saw $line\" >&2; done'\n")
out = os.open(slot + "/stdout", os.O_RDONLY)
err = os.open(slot + "/stderr", os.O_RDONLY)
for i in range(20):
    os.write(request, b"%d\n" % i)
    assert os.read(out, 100) == b"got %d\n" % i
    assert os.read(err, 100) == b"saw %d\n" % i
os.close(request)
assert os.read(out, 100) == b""
assert os.read(err, 100) == b""
assert os.read(out, 100) == b""
PYTHON
    ends "$L" "0 exited"
}

test_any_offset_as_often_as_wanted() {
    py "$L" "$T/text" <<'PYTHON'
import os, random, sys
slot, text = sys.argv[1], open(sys.argv[2], "rb").read()
with open(slot + "/request", "wb") as request:
    request.write(b"cat\n" + text)
for _ in range(3):
    assert open(slot + "/stdout", "rb").read() == text
    assert open(slot + "/status").read() == "0 exited\n"
fd = os.open(slot + "/stdout", os.O_RDONLY)
for _ in range(200):
    at, size = random.randrange(len(text)), random.randrange(1, 200000)
    assert os.pread(fd, size, at) == text[at : at + size]
assert os.pread(fd, 10, len(text)) == b""
assert os.pread(fd, 10, len(text) + 1000000) == b""
assert os.pread(fd, 10, 1 << 40) == b""
assert os.lseek(fd, -20, os.SEEK_END) == len(text) - 20
assert os.read(fd, 100) == text[-20:]
status = os.open(slot + "/status", os.O_RDONLY)
assert os.read(status, 1) == b"0"
assert os.read(status, 3) == b" ex"
assert os.read(status, 100) == b"ited\n"
assert os.read(status, 100) == b""
PYTHON
}

test_a_read_ahead_of_the_job_waits() {
    py "$L" <<'PYTHON'
import os, sys, threading, time
slot = sys.argv[1]
request = os.open(slot + "/request", os.O_WRONLY)
os.write(request, b"cat\n0123456789")
fd = os.open(slot + "/stdout", os.O_RDONLY)
got = []
thread = threading.Thread(target=lambda: got.append(os.pread(fd, 10, 15)))
thread.start()
time.sleep(0.2)
assert got == []
os.write(request, b"abcdefghij")
thread.join()
assert got == [b"fghij"], got
os.close(request)
assert os.pread(fd, 10, 20) == b""
PYTHON
}

test_size_is_0_until_the_end_then_exact() {
    local file
    exec 4>"$L/request"
    echo "sh -c 'echo 12345; echo 123 >&2; cat; exit 7'" >&4
    is "$(timeout 30 head -n 1 "$L/stdout")" 12345 "what there is"
    is "$(timeout 30 head -n 1 "$L/stderr")" 123 "what there is"
    for file in stdout stderr status; do
        is "$(stat -c %s "$L/$file")" 0 "size of $file while the job runs"
    done
    printf 'abc' >&4
    exec 4>&-
    ends "$L" "7 exited"
    is "$(stat -c %s "$L/stdout")" 9 "size of stdout"
    is "$(stat -c %s "$L/stderr")" 4 "size of stderr"
    is "$(stat -c %s "$L/status")" 9 "size of status"
    with_text
    is "$(stat -c %s "$L/stdout")" "$(stat -c %s "$T/text")" "size of more"
    # The size is also right through a descriptor that was opened before.
    py "$L" <<'PYTHON'
import os, sys
slot = sys.argv[1]
fd = os.open(slot + "/stdout", os.O_RDONLY)
assert os.fstat(fd).st_size > 7
with open(slot + "/request", "w") as request:
    request.write("printf 1234567")
assert open(slot + "/status").read() == "0 exited\n"
assert os.fstat(fd).st_size == 7
PYTHON
}

# --- Not waiting

test_reads_that_do_not_want_to_wait() {
    py "$L" <<'PYTHON'
import os, sys, time
slot = sys.argv[1]

def would_wait(fd):
    try:
        got = os.read(fd, 100)
    except BlockingIOError:
        return True
    sys.exit(f"got {got}")

def eventually(fd):
    while True:
        try:
            return os.read(fd, 100)
        except BlockingIOError:
            time.sleep(0.02)

request = os.open(slot + "/request", os.O_WRONLY)
fds = [os.open(f"{slot}/{name}", os.O_RDONLY | os.O_NONBLOCK) for name in ("stdout", "stderr", "status")]
out, err, status = fds
assert all(would_wait(fd) for fd in fds)
os.write(request, b"sh -c 'read x; echo \"$x\"; echo \"err $x\" >&2; cat")
assert all(would_wait(fd) for fd in fds)
os.write(request, b"; exit 9'\n")
time.sleep(0.1)
assert all(would_wait(fd) for fd in fds)
os.write(request, b"line\n")
assert eventually(out) == b"line\n"
assert eventually(err) == b"err line\n"
assert all(would_wait(fd) for fd in fds)
os.close(request)
assert eventually(status) == b"9 exited\n"
assert [os.read(fd, 10) for fd in fds] == [b""] * 3
PYTHON
}

test_poll_select_and_epoll() {
    py "$L" <<'PYTHON'
import os, select, sys, threading, time
slot = sys.argv[1]

def with_poll(fd, seconds):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return [event & select.POLLIN for _, event in poll.poll(seconds * 1000)] == [select.POLLIN]

def with_select(fd, seconds):
    return select.select([fd], [], [], seconds)[0] == [fd]

def with_epoll(fd, seconds):
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN)
        return epoll.poll(seconds) == [(fd, select.EPOLLIN)]

for is_ready in with_poll, with_select, with_epoll:
    request = os.open(slot + "/request", os.O_WRONLY)
    out = os.open(slot + "/stdout", os.O_RDONLY)
    status = os.open(slot + "/status", os.O_RDONLY)
    assert not is_ready(out, 0.1) and not is_ready(status, 0.1)
    os.write(request, b"sh -c 'read x; echo $x; cat; exit 3'\n")
    assert not is_ready(out, 0.1) and not is_ready(status, 0.1)

    # A write wakes a poll that waits already.
    later = threading.Timer(0.3, lambda: os.write(request, b"first\n"))
    later.start()
    assert is_ready(out, 60), is_ready
    assert os.read(out, 100) == b"first\n"
    assert not is_ready(out, 0.1) and not is_ready(status, 0)

    later = threading.Timer(0.3, lambda: os.close(request))
    later.start()
    assert is_ready(status, 60), is_ready
    assert os.read(status, 100) == b"3 exited\n"
    assert is_ready(out, 60)  # the end is ready as well
    assert os.read(out, 100) == b""

# Two descriptors wait for the same file, and one poll waits for both files.
request = os.open(slot + "/request", os.O_WRONLY)
fds = [os.open(f"{slot}/{name}", os.O_RDONLY) for name in ("stdout", "status", "status")]
poll = select.poll()
for fd in fds:
    poll.register(fd, select.POLLIN)
woken = []
other = os.open(slot + "/status", os.O_RDONLY)
thread = threading.Thread(target=lambda: woken.append(with_poll(other, 60)))
thread.start()
assert poll.poll(200) == []
os.write(request, b"true\n")
os.close(request)
seen = set()
while len(seen) < 3:
    events = poll.poll(60000)
    assert events, "nothing came"
    for fd, _ in events:
        seen.add(fd)
        poll.unregister(fd)
thread.join()
assert woken == [True]
PYTHON
}

# --- Interrupts

test_a_signal_interrupts_a_waiting_read() {
    py "$L" <<'PYTHON'
import ctypes, errno, os, signal, sys
slot = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, True)
request = os.open(slot + "/request", os.O_WRONLY)
os.write(request, b"cat\n")
for name in "stdout", "stderr", "status":
    fd = os.open(f"{slot}/{name}", os.O_RDONLY)
    buffer = ctypes.create_string_buffer(100)
    for _ in range(3):
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert libc.read(fd, buffer, 100) == -1
        assert ctypes.get_errno() == errno.EINTR, ctypes.get_errno()

# The handler is restartable: the read is done again, and gets its bytes.
signal.siginterrupt(signal.SIGALRM, False)
signal.signal(signal.SIGALRM, lambda *_: os.write(request, b"text"))
signal.setitimer(signal.ITIMER_REAL, 0.1)
assert os.read(os.open(slot + "/stdout", os.O_RDONLY), 100) == b"text"
os.close(request)
assert open(slot + "/status").read() == "0 exited\n"
PYTHON
}

test_any_fatal_signal_ends_a_reader() {
    local signal code
    ask "$L" sleep 1000
    for signal in INT TERM HUP KILL; do
        code=0
        timeout -s "$signal" 0.2 cat "$L/status" || code=$?
        if [[ $signal == KILL ]]; then
            is "$code" 137 "exit code of timeout -s KILL"
        else
            is "$code" 124 "exit code of timeout -s $signal"
        fi
    done
    cancel "$L"
}

test_killed_readers_leave_nothing_behind() {
    local i before readers=()
    exec 4>"$L/request"
    echo "sh -c 'echo begun; cat'" >&4
    is "$(timeout 30 head -n 1 "$L/stdout")" begun stdout
    before=$(open_files)
    for i in {1..20}; do
        cat "$L/stdout" >/dev/null 4>&- 3>&- &
        readers+=($!)
        cat "$L/status" >/dev/null 4>&- 3>&- &
        readers+=($!)
    done
    sleep 0.3
    kill -KILL "${readers[@]}"
    wait "${readers[@]}" || true
    for i in "${readers[@]}"; do
        ! kill -0 "$i" 2>/dev/null || fail "reader $i does not die"
    done
    is "$(open_files)" "$before" "descriptors of the daemon"
    echo "goes on" >&4
    exec 4>&-
    is "$(get "$L/stdout")" $'begun\ngoes on' stdout
    ends "$L" "0 exited"
}

open_files() {
    find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l
}

# --- A new request

test_a_reader_in_the_middle_of_older_results() {
    py "$L" <<'PYTHON'
import errno, os, sys
slot = sys.argv[1]

def ask(line):
    with open(slot + "/request", "w") as request:
        request.write(line)
    assert open(slot + "/status").read() == "0 exited\n"

def is_stale(fd):
    try:
        got = os.read(fd, 100)
    except OSError as error:
        assert error.errno == errno.ESTALE, error
        return True
    sys.exit(f"read {got} of another request")

ask("sh -c 'echo abcdef; echo ghijkl >&2'")
fds = [os.open(f"{slot}/{name}", os.O_RDONLY) for name in ("stdout", "stderr", "status")]
assert [os.read(fd, 3) for fd in fds] == [b"abc", b"ghi", b"0 e"]
request = os.open(slot + "/request", os.O_WRONLY)
assert all(is_stale(fd) for fd in fds)
os.write(request, b"sh -c 'echo ABCDEF; echo GHIJKL >&2'\n")
os.close(request)
assert open(slot + "/status").read() == "0 exited\n"
assert all(is_stale(fd) for fd in fds)
assert all(is_stale(fd) for fd in fds)
# A read from offset 0 gives the new answer.
for fd in fds:
    os.lseek(fd, 0, os.SEEK_SET)
assert [os.read(fd, 3) for fd in fds] == [b"ABC", b"GHI", b"0 e"]
assert [os.read(fd, 9) for fd in fds] == [b"DEF\n", b"JKL\n", b"xited\n"]
PYTHON
}

# --- Tools and languages

test_cat_cp_dd() {
    with_text
    get "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/text"
    cp "$L/stdout" "$T/got.cp"
    same_file "$T/got.cp" "$T/text"
    for size in 1000 4096 1M; do
        dd if="$L/stdout" of="$T/got.dd" bs="$size" status=none
        same_file "$T/got.dd" "$T/text"
    done
    dd if="$L/stdout" bs=1000 skip=3 count=2 status=none | cmp - <(tail -c +3001 "$T/text" | head -c 2000)
    cp -a "$L/stdout" "$T/got.a"
    same_file "$T/got.a" "$T/text"
    tar -C "$L" -cf - stdout | tar -xOf - >"$T/got.tar"
    same_file "$T/got.tar" "$T/text"
}

test_head_tail_wc_grep() {
    with_text
    is "$(head -n 2 "$L/stdout")" "$(head -n 2 "$T/text")" "head -n"
    is "$(head -c 30 "$L/stdout")" "$(head -c 30 "$T/text")" "head -c"
    is "$(head -n -19998 "$L/stdout")" "$(head -n 2 "$T/text")" "head -n -N"
    is "$(tail -n 3 "$L/stdout")" "$(tail -n 3 "$T/text")" "tail -n"
    is "$(tail -c 30 "$L/stdout")" "$(tail -c 30 "$T/text")" "tail -c"
    is "$(tail -c +500000 "$L/stdout")" "$(tail -c +500000 "$T/text")" "tail -c +N"
    is "$(wc -c <"$L/stdout")" "$(wc -c <"$T/text")" "wc -c"
    is "$(wc "$L/stdout" | tr -s ' ' | cut -d ' ' -f 2-4)" \
        "$(wc "$T/text" | tr -s ' ' | cut -d ' ' -f 2-4)" wc
    is "$(grep -c 'line 1' "$L/stdout")" "$(grep -c 'line 1' "$T/text")" grep
    is "$(sed -n '$p' "$L/stdout")" "$(tail -n 1 "$T/text")" sed
    is "$(awk 'END { print NR }' "$L/stdout")" 20000 awk
    is "$(sort -r "$L/stdout" | head -n 1)" "line 9999 of some text" sort
    is "$(sha256sum <"$L/stdout")" "$(sha256sum <"$T/text")" sha256sum
    is "$(tee "$T/got" <"$L/stdout" | wc -c)" "$(wc -c <"$T/text")" tee
    same_file "$T/got" "$T/text"
}

# The same tools while the job runs: each must wait for the end.
test_tools_before_the_end() {
    local tool
    for tool in 'cat %s' 'cp %s /dev/stdout' 'tail -n 1 %s' 'tail -c 12 %s' 'wc -c %s' 'wc -l %s' \
        'grep -c . %s' 'head -n 2 %s' 'dd status=none if=%s' 'tee /dev/null' 'sed -n 2,3p %s'; do
        before_the_end "$tool"
    done
}

test_busybox_tools_before_the_end() {
    local tool
    needs busybox
    for tool in 'tail -n 1 %s' 'wc -c %s' 'head -n 2 %s' 'dd if=%s'; do
        before_the_end "busybox $tool"
    done
}

# before_the_end TOOL: a tool that is started while a job still writes sees all of the output.
# %s in TOOL is the file's name; stdin is the file as well.
before_the_end() {
    printf 'one\ntwo\nthe last one\n' >"$T/wanted"
    bash -c "${1//%s/$T/wanted}" <"$T/wanted" >"$T/wanted.out" 2>/dev/null
    ask "$L" "sh -c 'echo one; sleep 0.1; echo two; sleep 0.1; echo the last one'"
    timeout 30 bash -c "${1//%s/$L/stdout}" <"$L/stdout" >"$T/got" 2>/dev/null
    is "$(sed "s,$L/stdout,F," "$T/got")" "$(sed "s,$T/wanted,F," "$T/wanted.out")" "$1"
    ends "$L" "0 exited"
}

# busybox cat uses sendfile(2), which goes by the size that the kernel remembers.
test_busybox_cat_before_the_end() {
    needs busybox
    before_the_end 'busybox cat %s'
    before_the_end "busybox sh -c 'cat %s'"
    before_the_end 'busybox cp %s /dev/stdout'
}

test_python_copyfile_before_the_end() {
    before_the_end "/usr/bin/python3 -c 'import shutil; shutil.copyfile(\"%s\", \"$T/copied\")' && cat $T/copied"
}

# The kernel must not keep anything of an older answer.
test_busybox_cat_of_the_next_answer() {
    local answer
    needs busybox
    for answer in first other third; do
        ask "$L" echo "$answer"
        ends "$L" "0 exited"
        is "$(timeout 30 busybox cat "$L/stdout")" "$answer" "busybox cat"
    done
}

test_jq() {
    needs jq
    request "$L" jq -c "'{allow: (.text | test(\"secret\") | not), n: (.list | length)}'" \
        <<<'{"text": "no such thing", "list": [1, 2, 3]}'
    is "$(jq .allow "$L/stdout")" true "jq of a file"
    is "$(jq -r '.n' <"$L/stdout")" 3 "jq of stdin"
    ends "$L" "0 exited"
}

# use_shell SHELL...: makes a request and reads its results as people do in that shell.
use_shell() {
    # shellcheck disable=SC2016
    timeout 60 "$@" -euc '
        cd "$1"
        echo "sh -c \"cat; exit 3\"
first line
second line" > request
        read first < stdout
        read code kind detail < status
        echo "$first $code $kind $detail"
        { echo "cat"; echo a; cat /dev/null; printf b; } > request
        read status < status
        echo "$(cat stdout)" "$status"
        printf "cat\\nappended" >> request
        while read -r line || test "$line"; do echo "line: $line"; done < stdout
        echo "echo done" > request
        read code kind detail < status && test "$code" -eq 0 && cat stdout
        echo "--timeout=100ms sleep 100" > request
        read code kind detail < status
        echo "$code/$kind/$detail"
    ' sh "$L" >"$T/got" || fail "$* ended with $?: $(cat "$T/got")"
    is "$(cat "$T/got")" $'first line 3 exited \na\nb 0 exited\nline: appended\ndone\n124/timeout/after 100ms' "$*"
}

test_busybox_shell() {
    needs busybox
    use_shell busybox sh
}

test_shells() {
    use_shell bash
    use_shell dash
    ask "$L" seq 3
    mapfile -t lines <"$L/stdout"
    is "${lines[*]}" "1 2 3" "bash mapfile"
    is "$(<"$L/stdout")" $'1\n2\n3' "bash \$(<file)"
}

test_busybox() {
    needs busybox
    { echo cat; cat "$T/text"; } >"$T/request"
    busybox cp "$T/request" "$L/request"
    ends "$L" "0 exited"
    busybox cat "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/text"
    busybox cp "$L/stdout" "$T/got.cp"
    same_file "$T/got.cp" "$T/text"
    busybox dd if="$L/stdout" of="$T/got.dd" bs=5000 2>/dev/null
    same_file "$T/got.dd" "$T/text"
    is "$(busybox head -n 2 "$L/stdout")" "$(head -n 2 "$T/text")" head
    is "$(busybox tail -n 2 "$L/stdout")" "$(tail -n 2 "$T/text")" tail
    is "$(busybox wc -c <"$L/stdout")" "$(wc -c <"$T/text")" wc
    is "$(busybox grep -c 'line 1' "$L/stdout")" "$(grep -c 'line 1' "$T/text")" grep
    busybox dd if="$T/request" of="$L/request" bs=1000 2>/dev/null
    ends "$L" "0 exited"
    busybox cat "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/text"
    busybox tee "$L/request" <"$T/request" >/dev/null
    ends "$L" "0 exited"
    busybox cat "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/text"
}

test_cp_to_request() {
    { echo cat; cat "$T/text"; } >"$T/request"
    cp "$T/request" "$L/request"
    get "$L/stdout" >"$T/got"
    same_file "$T/got" "$T/text"
    ends "$L" "0 exited"
}

test_python() {
    py "$L" "$T/text" <<'PYTHON'
import io, os, shutil, subprocess, sys
from pathlib import Path
slot, text = Path(sys.argv[1]), Path(sys.argv[2]).read_text()

(slot / "request").write_text("cat\n" + text)
assert (slot / "stdout").read_text() == text
assert (slot / "stderr").read_bytes() == b""
code, kind, *detail = (slot / "status").read_text().split(maxsplit=2)
assert (code, kind, detail) == ("0", "exited", [])

for mode in "w", "a", "wb", "ab":
    data = "cat\n" + text
    with open(slot / "request", mode) as request:
        request.write(data.encode() if "b" in mode else data)
    with open(slot / "stdout") as out:
        assert list(out) == text.splitlines(keepends=True)
with open(slot / "request", "wb", buffering=0) as request:
    request.write(b"cat\n")
    for line in text.splitlines(keepends=True)[:100]:
        request.write(line.encode())
with open(slot / "stdout", "rb") as out:
    assert out.readline() == b"line 1 of some text\n"
    assert len(out.read().splitlines()) == 99
    out.seek(-5, os.SEEK_END)
    assert out.read() == b"text\n"
    out.seek(0)
    assert out.readline() == b"line 1 of some text\n"
with open(slot / "request", "w") as request:
    print("cat", file=request, flush=True)
    print("printed", file=request)
assert (slot / "stdout").read_text() == "printed\n"
shutil.copyfile(slot / "stdout", "/dev/null")
assert subprocess.check_output(["cat"], stdin=open(slot / "stdout")) == b"printed\n"
PYTHON
}

test_node() {
    needs node
    timeout 60 node - "$L" "$T/text" <<'NODE'
const fs = require('fs');
const assert = require('assert');
const [slot, file] = process.argv.slice(2);
const text = fs.readFileSync(file, 'utf8');

async function main() {
    fs.writeFileSync(`${slot}/request`, 'cat\n' + text);
    assert.strictEqual(fs.readFileSync(`${slot}/stdout`, 'utf8'), text);
    assert.strictEqual(fs.readFileSync(`${slot}/status`, 'utf8'), '0 exited\n');
    fs.appendFileSync(`${slot}/request`, 'cat\nappended');
    assert.strictEqual(fs.readFileSync(`${slot}/stdout`, 'utf8'), 'appended');

    await fs.promises.writeFile(`${slot}/request`, 'cat\n' + text);
    assert.strictEqual(await fs.promises.readFile(`${slot}/stdout`, 'utf8'), text);
    assert.strictEqual(await fs.promises.readFile(`${slot}/status`, 'utf8'), '0 exited\n');

    // A read that waits holds up only itself.
    await fs.promises.writeFile(`${slot}/request`, 'sh -c "sleep 0.3; echo late; exit 4"');
    const [out, status] = await Promise.all([
        fs.promises.readFile(`${slot}/stdout`, 'utf8'),
        fs.promises.readFile(`${slot}/status`, 'utf8')]);
    assert.strictEqual(out, 'late\n');
    assert.strictEqual(status, '4 exited\n');

    const stream = fs.createWriteStream(`${slot}/request`);
    stream.write('cat\n');
    stream.write(text);
    await new Promise(done => stream.end(done));
    let streamed = '';
    for await (const piece of fs.createReadStream(`${slot}/stdout`, 'utf8'))
        streamed += piece;
    assert.strictEqual(streamed, text);
    assert.throws(() => fs.writeFileSync(`${slot}/request`, 'a | b\n'), {code: 'EINVAL'});
}
main().catch(error => { console.error(error); process.exit(1); });
NODE
}

# --- The files as files

test_what_is_there() {
    is "$(LC_ALL=C ls "$M" | tr '\n' ' ')" "local open other " "the root"
    is "$(LC_ALL=C ls -A "$L" | tr '\n' ' ')" "call ctl request status stderr stdout " "a slot"
    is "$(cd "$M" && find . -type d | sort | tr '\n' ' ')" ". ./local ./open ./other " directories
    is "$(find "$M" -type f | wc -l)" 18 files
    is "$(find "$L" -name 'st*' -size 0 -not -name x | wc -l)" "$(find "$L" -name 'st*' -size 0 | wc -l)" find
    ls -laR "$M" >"$T/got"
    du -s "$M" >"$T/got"
    df "$M" | grep -q "$M" || fail "df"
    stat -f "$M" >"$T/got"
    ! stat "$M/nothing" 2>/dev/null || fail "there is nothing of that name"
    ! stat "$L/nothing" 2>/dev/null || fail "there is nothing of that name in a slot"
    ! stat "$L/stdout/x" 2>/dev/null || fail "a file has no files"
}

test_owner_and_permissions() {
    is "$(stat -c '%F %a %u %g' "$L")" "directory 700 $(id -u) $(id -g)" "a sandbox"
    is "$(stat -c '%F %a %u %g' "$M/open")" "directory 755 $(id -u) $(id -g)" "an open one"
    is "$(stat -c %a "$L/request")" 600 request
    is "$(stat -c %a "$L/ctl")" 200 ctl
    is "$(stat -c %a "$L/stdout" "$L/stderr" "$L/status" | sort -u)" 400 results
    is "$(stat -c %a "$M/open/stdout")" 444 "stdout of the open one"
    is "$(stat -c %a "$M/open/request")" 644 "request of the open one"
}

# error COMMAND...: prints the errno's message of a command that must fail.
error() {
    ! LC_ALL=C "$@" 2>"$T/err" >/dev/null || fail "$* did not fail"
    sed 's/.*: //' "$T/err" | tail -n 1
}

test_what_cannot_be_opened() {
    is "$(error cat "$L/request")" "Permission denied" "reading request"
    is "$(error cat "$L/ctl")" "Permission denied" "reading ctl"
    is "$(error dd if=/dev/zero count=1 conv=notrunc of="$L/stdout")" "Permission denied" "writing stdout"
    is "$(error dd if=/dev/zero count=1 of="$L/status")" "Permission denied" "writing status"
    is "$(error cat "$L")" "Is a directory" "reading a directory"
}

test_what_cannot_be_made_or_removed() {
    local denied="Operation not permitted"
    ask "$L" echo text
    ends "$L" "0 exited"
    is "$(error rm "$L/stdout")" "$denied" "rm of a file"
    is "$(error rm -f "$L/request")" "$denied" "rm of request"
    is "$(error rmdir "$L")" "$denied" "rmdir of a sandbox"
    is "$(error mv "$L/stdout" "$L/x")" "$denied" "mv of a file"
    is "$(error mv "$L" "$M/x")" "$denied" "mv of a sandbox"
    is "$(error mv "$L/stdout" "$M/other/stdout")" "$denied" "mv over another"
    is "$(error ln "$L/stdout" "$L/x")" "$denied" ln
    is "$(error ln -s stdout "$L/x")" "$denied" "ln -s"
    is "$(error mkdir "$M/x")" "$denied" "mkdir in the root"
    is "$(error mknod "$L/x" p)" "$denied" mknod
    is "$(error touch "$L/x")" "$denied" "touch of a new file"
    is "$(error bash -c "echo >$M/x")" "$denied" "a new file in the root"
    is "$(error chmod 777 "$L/stdout")" "$denied" chmod
    is "$(error chmod 777 "$L")" "$denied" "chmod of a sandbox"
    is "$(error chown 1 "$L/stdout")" "$denied" chown
    is "$(get "$L/stdout")" text "stdout after all that"
    is "$(LC_ALL=C ls -A "$L" | tr '\n' ' ')" "call ctl request status stderr stdout " "the slot after all that"
}

# Not even rm -r by root removes anything.
test_rm_r() {
    ask "$L" echo text
    ends "$L" "0 exited"
    ! rm -rf "$L" 2>/dev/null || fail "rm -rf did not fail"
    is "$(get "$L/stdout")" text stdout
    is "$(find "$M" -type f | wc -l)" 18 files
}

test_touch_and_truncate() {
    ask "$L" echo text
    ends "$L" "0 exited"
    touch "$L/stdout" "$L/status" || fail "touch"
    touch -d 2001-01-01 "$L/stdout" || fail "touch -d"
    is "$(get "$L/stdout")" text "stdout after touch"
    is "$(error truncate -s 0 "$L/stdout")" "Permission denied" truncate
    is "$(get "$L/stdout")" text "stdout after truncate"
    # truncate(2) by the name: an open would fail before.
    is "$(py "$L" <<'PYTHON'
import os, sys
for file in "stdout", "stderr", "status":
    try:
        os.truncate(sys.argv[1] + "/" + file, 0)
    except PermissionError:
        print(file, "EACCES")
PYTHON
    )" $'stdout EACCES\nstderr EACCES\nstatus EACCES' "truncate(2)"
    # A shell truncates a file so before it writes.
    py "$L" <<'PYTHON'
import os, sys
os.truncate(sys.argv[1] + "/request", 0)
os.truncate(sys.argv[1] + "/ctl", 0)
try:
    os.open(sys.argv[1] + "/request", os.O_ACCMODE) # an access mode for ioctl alone (open(2))
    raise SystemExit("opened")
except OSError as error:
    assert error.errno == 22, error
assert open(sys.argv[1] + "/stdout").read() == "text\n"
PYTHON
}

test_times_follow_the_jobs() {
    local before
    ask "$L" true
    ends "$L" "0 exited"
    before=$(stat -c %.9Y "$L/status")
    sleep 0.05
    ask "$L" true
    ends "$L" "0 exited"
    [[ $(stat -c %.9Y "$L/status") > $before ]] || fail "status is not newer"
}

run_tests
