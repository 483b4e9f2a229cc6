#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Commands that an agent runs: their surroundings, their ends, and that the bootstrap of the
# agent leaves nothing in the container.
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh"

HANDED_ON="from the daemon" mount_with <<'CONF' || exit 1
mode = kubectl_exec
pod = my-pod
container = hooks
agent = require
connections = 1
kill_grace = 300ms

[sidecar]
connections = 2
timeout = 60s
[with-env]
env = GREETING=good morning
env = HANDED_ON
[workdir]
workdir = /hooks
[nowhere]
workdir = /no/such/directory
[bare]
container = bare
agent_path = /agent/hooksfs-agent
[debian]
pod = kinds
container = debian
[small]
max_output = 64K
[strict]
allow = cat
[alone]
max_running = 1
CONF

# Prints how a conversation of $1 with the request $2 ends: `end`, or an errno.
converse() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 py "$M/$1" "$2" "${3:-/dev/null}" <<'PYTHON'
import sys
from calls import *
answer, end = converse(sys.argv[1], sys.argv[2].encode() + b"\n" + get(sys.argv[3]))
sys.stdout.buffer.write(answer)
print("end" if end == "none" else end)
PYTHON
}

test_a_large_stdin_that_is_not_read() {
    head -c 48M /dev/zero | request "$M/sidecar" "sh -c 'exit 4'"
    is "$(status sidecar)" "4 exited"
}

test_the_example_of_the_readme() {
    echo 'python -m pii --strict
{"hook":"provider","phase":"before_call"}' >"$M/sidecar/request"
    is "$(stdout sidecar)" '{"allow":true}' stdout
    is "$(status sidecar)" "0 exited" status
    is "$(stderr sidecar)" "" stderr
}

test_exit_codes_are_the_commands() {
    local code
    for code in 0 1 2 3 124 125 126 127 130 137 255; do
        ask "$M/sidecar" "sh -c 'printf oops >&2; exit $code'"
        is "$(status sidecar)" "$code exited" status
        is "$(stderr sidecar)" "oops" "stderr with exit code $code"
    done
    is "$(converse sidecar true)" end
    is "$(converse sidecar "sh -c 'echo x; exit 137'")" $'x\nEIO'
}

test_signals_are_told_from_exit_codes() {
    local name
    for name in KILL TERM SEGV PIPE; do
        ask "$M/sidecar" "sh -c 'echo x; kill -$name \$\$; sleep 1'"
        is "$(status sidecar)" "$((128 + $(kill -l "$name"))) signaled $name" status
        is "$(stdout sidecar)" x stdout
    done
    is "$(converse sidecar "sh -c 'echo x; kill -KILL \$\$'")" $'x\nEIO'
}

test_what_cannot_be_executed() {
    ask "$M/sidecar" nope
    like "$(status sidecar)" '127 unstarted *nope*No such file or directory*'
    ask "$M/sidecar" /bin/nope
    like "$(status sidecar)" '127 unstarted */bin/nope*No such file or directory*'
    ask "$M/sidecar" /etc/passwd
    like "$(status sidecar)" '126 unstarted */etc/passwd*Permission denied*'
    ask "$M/sidecar" /tmp
    like "$(status sidecar)" '126 unstarted */tmp*Permission denied*'
    printf '\x7fELFnot really' | request "$M/sidecar" "sh -c 'cat >/tmp/bad; chmod 755 /tmp/bad'"
    is "$(status sidecar)" "0 exited"
    ask "$M/sidecar" /tmp/bad
    like "$(status sidecar)" '126 unstarted */tmp/bad*Exec format error*'
    ask "$M/nowhere" true
    like "$(status nowhere)" '126 unstarted *working directory*No such file or directory'
    is "$(converse sidecar nope)" ENOENT
    is "$(converse sidecar /etc/passwd)" EACCES
    is "$(converse nowhere true)" EACCES
    # A client cannot have a command with such a name: env would take it for a variable.
    ask "$M/with-env" "./x=1 evil"
    like "$(status with-env)" '127 unstarted *./x=1*'
}

test_what_is_refused_is_refused_here() {
    is "$(write_error "$M/strict/request" $'python -c 1\n')" EACCES
    is "$(write_error "$M/strict/request" $'cat\n')" none
    is "$(status strict)" "0 exited"
}

test_the_environment_reaches_the_command() {
    ask "$M/with-env" "WHO='a  b' sh -c 'echo \"\$GREETING,\$HANDED_ON,\$WHO,\$PYTHONPATH\"'"
    is "$(stdout with-env)" "good morning,from the daemon,a  b,/hooks"
    ask "$M/with-env" "GREETING=hi PATH=/nowhere:/bin sh -c 'echo \"\$GREETING \$PATH\"'"
    is "$(stdout with-env)" "hi /nowhere:/bin"
    # The command is looked for in its own PATH.
    ask "$M/with-env" "PATH=/nowhere sh -c true"
    like "$(status with-env)" '127 unstarted *'
    # No variable of this machine's environment reaches the command.
    ask "$M/sidecar" "sh -c 'echo \"\$KUBECONFIG\$CLUSTER_DIR\$HOOKSFS\"'"
    is "$(stdout sidecar)" ""
}

# This machine sees the processes of its containers too.
test_the_environment_is_in_nobodys_argument_list() {
    ask "$M/sidecar" "SECRET=hush-hush-hush sh -c 'echo begun; exec sleep 60'"
    is "$(head -n 1 "$M/sidecar/stdout")" begun
    [[ $(pgrep -f 'sleep 60') ]] || fail "the command is not seen at all"
    ! pgrep -af hush-hush-hush || fail "the value can be seen with ps"
    echo cancel >"$M/sidecar/ctl"
    is "$(status sidecar)" "130 cancelled"
}

test_the_working_directory() {
    ask "$M/workdir" pwd
    is "$(stdout workdir)" /hooks
    ask "$M/sidecar" pwd
    is "$(stdout sidecar)" /
    ask "$M/workdir" "--workdir=/tmp pwd"
    is "$(stdout workdir)" /tmp "that of the request"
    ask "$M/sidecar" "--workdir=/no/such/place pwd"
    like "$(status sidecar)" '126 unstarted *working directory*No such file or directory'
}

# No process of this machine has PATTERN in its command line.
is_gone() {
    ! pgrep -f "$1" >/dev/null
}

# A deadline ends the command in the container, too.
test_a_deadline() {
    ask "$M/sidecar" "--deadline=1s sleep 7321"
    like "$(status sidecar)" '124 timeout *'
    wait_until 20 is_gone '[s]leep 7321' || fail "the command lives on"
}

test_stderr_is_the_commands_alone() {
    ask "$M/sidecar" "sh -c 'echo one >&2; echo two >&2; exit 4'"
    is "$(stderr sidecar)" $'one\ntwo'
    ask "$M/sidecar" "sh -c 'echo command terminated with exit code 7 >&2; exit 7'"
    is "$(stderr sidecar)" "command terminated with exit code 7"
    is "$(status sidecar)" "7 exited"
    ask "$M/sidecar" "sh -c 'echo error: unable to upgrade connection >&2; exit 1'"
    is "$(status sidecar)" "1 exited"
}

test_payloads_of_many_sizes_and_of_any_bytes() {
    local size
    for size in 0 1 65535 65536 65537 262144 262145 1048577 3000000; do
        head -c "$size" /dev/urandom >"$T/payload"
        request "$M/sidecar" cat <"$T/payload"
        cp "$M/sidecar/stdout" "$T/answer"
        same_file "$T/payload" "$T/answer"
        is "$(status sidecar)" "0 exited"
        is "$(stat -c %s "$M/sidecar/stdout")" "$size" size
        { cat "$T/payload"; echo end; } >"$T/wanted"
        converse sidecar cat "$T/payload" >"$T/answer"
        same_file "$T/wanted" "$T/answer"
    done
}

test_both_streams_at_once() {
    ask "$M/sidecar" "sh -c 'i=0; while [ \$i -lt 20000 ]; do echo out\$i; echo err\$i >&2; i=\$((i+1)); done'"
    cp "$M/sidecar/stdout" "$T/out"
    cp "$M/sidecar/stderr" "$T/err"
    seq -f 'out%.0f' 0 19999 | same_file - "$T/out"
    seq -f 'err%.0f' 0 19999 | same_file - "$T/err"
}

test_a_command_that_does_not_read() {
    head -c 3000000 /dev/zero | request "$M/sidecar" "echo x"
    is "$(stdout sidecar)" x
    is "$(status sidecar)" "0 exited"
    head -c 3000000 /dev/zero | request "$M/sidecar" "sh -c 'exec <&-; sleep 0.3; echo x'"
    is "$(stdout sidecar)" x
    is "$(status sidecar)" "0 exited"
    head -c 3000000 /dev/zero | request "$M/sidecar" head -c 10
    is "$(status sidecar)" "0 exited"
}

test_stdin_and_stdout_stream() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 py "$M/sidecar" <<'PYTHON'
import sys
from calls import *
# Lines go there and back, one at a time.
os.chdir(sys.argv[1])
os.mkdir("lines")
request = os.open("lines/request", os.O_WRONLY)
os.write(request, b"sh -c 'while read x; do echo got $x; done'\n")
stdout = os.open("lines/stdout", os.O_RDONLY)
for number in range(100):
    os.write(request, b"%d\n" % number)
    assert os.read(stdout, 100) == b"got %d\n" % number
os.close(request)
assert os.read(stdout, 100) == b""
assert status("lines") == "0 exited"
os.close(stdout)
os.rmdir("lines")
# A slow reader.
fd = start(".", b"seq 400000")
got = b""
while piece := os.read(fd, 100000):
    got += piece
    time.sleep(0.01)
os.close(fd)
assert got == b"".join(b"%d\n" % number for number in range(1, 400001))
PYTHON
}

test_a_stalled_reader_holds_up_its_own_job_only() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 py "$M/debian" <<'PYTHON'
import sys
from calls import *
stalled = start(sys.argv[1], b"cat /dev/zero\n")
assert os.read(stalled, 100)
time.sleep(0.5)
for number in range(20):
    works(sys.argv[1], f"number {number}")
assert os.read(stalled, 100) == bytes(100)
os.close(stalled)
PYTHON
}

test_output_without_end() {
    ask "$M/small" yes
    is "$(status small)" "141 overflow stdout exceeded 64K"
    is "$(wc -c <"$M/small/stdout")" 65536
    wait_until 2 nothing_runs yes || fail "it is still there"
    ask "$M/small" "sh -c 'yes >&2'"
    is "$(status small)" "141 overflow stderr exceeded 64K"
    wait_until 2 nothing_runs yes || fail "it is still there"
    printf back | request "$M/small" cat
    is "$(stdout small)" back
}

nothing_runs() {
    ! processes_in my-pod hooks | grep -q "[ /]*$1"
}

test_no_shell_is_needed() {
    printf hello | request "$M/bare" /cat
    is "$(stdout bare)" hello
    is "$(status bare)" "0 exited"
    ask "$M/bare" sh -c true
    like "$(status bare)" '127 unstarted *sh*No such file or directory*'
    ask "$M/bare" WHO=me /agent/hooksfs-agent --version
    like "$(stdout bare)" 'hooksfs-agent *'
}

test_a_debian_userland() {
    printf hello | request "$M/debian" "bash -c 'cat; echo \" from \$BASH\"'"
    is "$(stdout debian)" "hello from /usr/bin/bash"
}

test_the_container_holds_no_file_of_the_agents() {
    local found
    found=$(kubectl exec -i my-pod -c hooks -- find / /dev/shm -xdev -name '*hooksfs*' </dev/null)
    is "$found" "" "files"
    found=$(pgrep -f -- '^/proc/self/fd/5 --serve' | head -n 1)
    like "$(readlink "/proc/$found/exe")" '/*/.hooksfs-* (deleted)' "the agent's own"
}

# A job can neither see the connection nor speak on it.
test_a_command_has_three_descriptors() {
    ask "$M/sidecar" "sh -c 'n=3; while [ \$n -lt 100 ]; do (eval : \"<&\$n\") 2>/dev/null && echo \$n; n=\$((n+1)); done'"
    is "$(stdout sidecar)" "" "other descriptors"
    ask "$M/sidecar" "sh -c 'eval : \"<&0\" && echo seen'"
    is "$(stdout sidecar)" seen
    # It cannot look into the agents either, although it is the same user.
    ask "$M/sidecar" "sh -c 'for p in /proc/[0-9]*; do tr \\\\0 \" \" <\$p/cmdline | grep -q \"^/[^ ]* --serve\" && echo an agent && readlink \$p/fd/*; done'"
    like "$(stdout sidecar)" "an agent*" "the agents are not seen"
    is "$(stdout sidecar | sort -u)" "an agent" "what it sees of them"
}

test_a_queue_in_front_of_the_agent() {
    local i
    for i in 1 2 3; do
        mkdir "$M/alone/$i"
        ask "$M/alone/$i" "sh -c 'sleep 0.2; echo $i'"
    done
    for i in 1 2 3; do
        is "$(cat "$M/alone/$i/stdout")" "$i"
        rmdir "$M/alone/$i"
    done
}

test_arguments_of_any_bytes() {
    local line
    printf "printf '<%%s>' 'a b' '' '\$x' \"it's\" ';|&' 'two\nlines' \xff\xfe\n" >"$M/sidecar/request"
    line=$(stdout sidecar | od -An -c | tr -d ' \n')
    is "$line" "$(printf "<a b><><\$x><it's><;|&><two\nlines><\xff\xfe>" | od -An -c | tr -d ' \n')"
}

# A request with as many arguments as it can have.
test_a_command_line_of_120_kib() {
    local word
    word=$(head -c 122880 /dev/zero | tr '\0' x)
    printf 'sh -c '\''printf %%s $1'\'' sh %s\n' "$word" >"$M/sidecar/request"
    is "$(stdout sidecar)" "$word"
}

# A thousand calls leave as much behind as none.
test_a_thousand_calls_in_a_row() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 py "$M/sidecar" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
sandbox, daemon = sys.argv[1], int(sys.argv[2])
for number in range(50):
    works(sandbox)
before, memory = settled(daemon), kib(daemon, "VmRSS")
for number in range(1000):
    assert converse(sandbox, b"sh -c 'cat; exit %d'\n%d" % (number % 3, number)) == (
        b"%d" % number, "EIO" if number % 3 else "none")
check_used(daemon, before)
grown = kib(daemon, "VmRSS") - memory
assert is_sanitized(daemon) or grown < 1024, f"it grew by {grown} KiB"
PYTHON
    [[ $(processes_in my-pod hooks | grep -vc -e --serve) == 0 ]] || fail "left: $(processes_in my-pod hooks)"
}

run_tests
