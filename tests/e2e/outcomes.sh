#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How requests end: every KIND of status in mode direct, and commands that make
# an end hard to find.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119
. "$(dirname "$0")/../lib.sh"

mkdir "$T/work"

mount_with <<CONF || exit 1
mode = direct
timeout = 60s
max_timeout = none
kill_grace = 300ms

[local]
[short]
timeout = 1s
[small]
max_output = 1000
[kilobytes]
max_output = 64K
[patient]
kill_grace = 1m
[workdir]
workdir = $T/work
[no-workdir]
workdir = $T/nothing
CONF
L=$M/local

before_each() {
    [[ $daemon_pid ]] || return 0
    echo cancel >"$L/ctl"
    get "$L/status" >/dev/null
}

# Is the process whose id is in the file gone, a zombie counting as gone?
is_gone() {
    local state
    state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$(cat "$1")/status" 2>/dev/null) || true
    [[ ! $state || $state == Z ]]
}

gone() {
    [[ -s $1 ]] || fail "no process wrote its id to $1"
    wait_until 20 is_gone "$1" || fail "$2 still runs"
    rm "$1"
}

# --- exited

test_exited() {
    local code
    for code in 0 1 2 42 124 125 126 127 128 130 137 255; do
        ask "$L" "sh -c 'exit $code'"
        ends "$L" "$code exited"
    done
    ask "$L" true
    ends "$L" "0 exited"
    ask "$L" false
    ends "$L" "1 exited"
}

test_status_is_one_line_for_read() {
    local code kind detail
    ask "$L" "sh -c 'exit 3'"
    read -r code kind detail <"$L/status"
    is "$code|$kind|$detail" "3|exited|"
    ask "$L" --timeout=100ms sleep 1000
    read -r code kind detail <"$L/status"
    is "$code|$kind|$detail" "124|timeout|after 100ms"
    is "$(wc -l <"$L/status")" 1 lines
}

test_workdir() {
    ask "$M/workdir" pwd
    is "$(get "$M/workdir/stdout")" "$T/work" "a workdir"
    ask "$L" pwd
    is "$(get "$L/stdout")" / "without one"
}

# --- signaled

test_signaled() {
    local name
    for name in KILL:9 TERM:15 SEGV:11 INT:2 HUP:1 PIPE:13 ABRT:6 USR1:10; do
        ask "$L" "sh -c 'echo before; kill -${name%:*} \$\$'"
        ends "$L" "$((128 + ${name#*:})) signaled ${name%:*}"
        is "$(get "$L/stdout")" before "stdout before SIG${name%:*}"
    done
    ask "$L" "sh -c 'kill -37 \$\$'"
    ends "$L" "165 signaled RTMIN+3"
    ask "$L" "sh -c 'kill -64 \$\$'"
    ends "$L" "192 signaled RT*"
}

# The signals that a command inherits do not depend on the daemon's parent.
test_signals_are_not_ignored() {
    ask "$L" "bash -c 'trap -p; grep -E \"^Sig(Blk|Ign)\" /proc/self/status'"
    is "$(get "$L/stdout" | tr -s '\t\n' ' ')" "SigBlk: 0000000000000000 SigIgn: 0000000000000000 " masks
    ask "$L" "sh -c 'yes | head -n 1'"
    is "$(get "$L/stdout")" y "SIGPIPE"
    ends "$L" "0 exited"
}

# --- timeout

test_timeout_of_the_configuration() {
    ask "$M/short" "sh -c 'echo out; echo err >&2; exec sleep 1000'"
    ends "$M/short" "124 timeout after 1s"
    is "$(get "$M/short/stdout")" out "stdout before"
    is "$(get "$M/short/stderr")" err "stderr before"
}

test_timeout_of_the_request() {
    ask "$M/short" "--timeout=1m sh -c 'sleep 1.3; echo whole'"
    is "$(get "$M/short/stdout")" whole "with more time"
    ends "$M/short" "0 exited"
    ask "$M/short" "--timeout=none sh -c 'sleep 1.3; echo whole'"
    is "$(get "$M/short/stdout")" whole "with all time"
    ends "$M/short" "0 exited"
    ask "$L" "--timeout=1s sh -c 'echo out; exec sleep 1000'"
    ends "$L" "124 timeout after 1s"
    is "$(get "$L/stdout")" out "stdout before"
}

# The timeout counts for the job, also while a caller still writes or reads.
test_timeout_while_stdin_is_open() {
    exec 4>"$L/request"
    echo "--timeout=300ms cat" >&4
    ends "$L" "124 timeout after 300ms"
    echo late >&4
    exec 4>&-
    ends "$L" "124 timeout after 300ms"
}

test_timeout_while_a_writer_waits() {
    request "$L" --timeout=300ms sleep 1000 < <(head -c 8000000 /dev/zero)
    ends "$L" "124 timeout after 300ms"
}

# The outcome stays timeout, even if the command exits by itself within the grace.
test_sigterm_comes_first() {
    ask "$M/patient" "--timeout=1s sh -c 'trap \"echo cleaned up; exit 0\" TERM; sleep 1000 & wait'"
    is "$(get "$M/patient/stdout")" "cleaned up" stdout
    ends "$M/patient" "124 timeout after 1s"
}

test_a_command_that_ignores_sigterm() {
    ask "$L" "--timeout=1s sh -c 'trap \"\" TERM; echo \$\$ >$T/pid; echo out; while :; do sleep 0.05; done'"
    ends "$L" "124 timeout after 1s"
    is "$(get "$L/stdout")" out stdout
    gone "$T/pid" "the command"
}

# --- Grandchildren

test_a_grandchild_that_holds_stdout() {
    local start=$SECONDS
    ask "$L" "sh -c 'sleep 1000 & echo \$! >$T/pid; echo answer; exit 5'"
    is "$(get "$L/stdout")" answer stdout
    ends "$L" "5 exited"
    ((SECONDS - start < 25)) || fail "the answer was held up"
    # A command that was not stopped may leave processes behind: daemons are started so.
    ! is_gone "$T/pid" || fail "a grandchild of a command that ended well was killed"
    kill "$(cat "$T/pid")"
    rm "$T/pid"
}

test_a_grandchild_that_holds_stderr() {
    ask "$L" "sh -c 'sleep 1000 >/dev/null & echo \$! >$T/pid; echo answer'"
    is "$(get "$L/stderr")" "" stderr
    is "$(get "$L/stdout")" answer stdout
    ends "$L" "0 exited"
    kill "$(cat "$T/pid")"
    rm "$T/pid"
}

# Output of the grandchild within the drain time belongs to the output.
test_a_grandchild_that_writes_last() {
    ask "$L" "sh -c '(sleep 0.05; echo last) & echo first'"
    is "$(get "$L/stdout")" $'first\nlast' stdout
    ends "$L" "0 exited"
}

test_grandchildren_are_gone_after_a_timeout() {
    local redirect
    for redirect in "" ">/dev/null 2>&1"; do
        ask "$L" "--timeout=1s sh -c '(trap \"\" TERM; sh -c \"echo \\\$PPID\" >$T/pid; while :; do sleep 0.05; done) $redirect & echo \$\$ >$T/leader; wait'"
        ends "$L" "124 timeout after 1s"
        gone "$T/leader" "the command"
        gone "$T/pid" "its child ($redirect)"
    done
}

test_grandchildren_are_gone_after_a_cancel() {
    ask "$L" "sh -c 'sh -c \"sleep 1000 & echo \\\$! >$T/pid; wait\" & echo \$\$ >$T/leader; wait'"
    wait_until 20 test -s "$T/pid"
    echo cancel >"$L/ctl"
    ends "$L" "130 cancelled"
    gone "$T/leader" "the command"
    gone "$T/pid" "its grandchild"
}

# --- unstarted

test_unstarted() {
    printf 'echo no interpreter\n' >"$T/work/no-interpreter"
    chmod 755 "$T/work/no-interpreter"
    printf '#!/bin/sh\n' >"$T/work/not-executable"
    chmod 644 "$T/work/not-executable"

    ask "$L" no-such-command --at all
    ends "$L" "127 unstarted ?*no-such-command*"
    is "$(get "$L/stdout")" "" stdout
    is "$(get "$L/stderr")" "" stderr
    ask "$L" "$T/work/nothing"
    ends "$L" "127 unstarted ?*$T/work/nothing*"
    ask "$L" "$T/work/not-executable"
    ends "$L" "126 unstarted ?*ermission denied*"
    ask "$L" "$T/work"
    ends "$L" "126 unstarted ?*$T/work*"
    ask "$L" "$T/work/no-interpreter"
    ends "$L" "126 unstarted ?*"
    ask "$M/no-workdir" true
    ends "$M/no-workdir" "126 unstarted ?*director*"
}

# PATH is that of the request, and a file of PATH that cannot be executed is
# no reason to stop looking.
test_unstarted_and_path() {
    mkdir -p "$T/work/bin1" "$T/work/bin2"
    printf '#!/bin/sh\n' >"$T/work/bin1/hook"
    chmod 644 "$T/work/bin1/hook"
    printf '#!/bin/sh\necho found\n' >"$T/work/bin2/hook"
    chmod 755 "$T/work/bin2/hook"
    ask "$L" hook
    ends "$L" "127 unstarted ?*"
    ask "$L" "PATH=$T/work/bin1:$T/work/bin2 hook"
    is "$(get "$L/stdout")" found stdout
    ask "$L" "PATH=$T/work/bin1 hook"
    ends "$L" "126 unstarted ?*"
}

test_unstarted_with_stdin() {
    request "$L" no-such-command < <(head -c 3000000 /dev/zero)
    ends "$L" "127 unstarted ?*"
}

# --- cancelled

test_cancel() {
    ask "$L" "sh -c 'echo err >&2; echo \$\$ >$T/pid; echo out; exec sleep 1000'"
    is "$(timeout 30 head -n 1 "$L/stdout")" out "stdout while it runs"
    echo cancel >"$L/ctl"
    ends "$L" "130 cancelled"
    is "$(get "$L/stdout")" out "stdout before"
    is "$(get "$L/stderr")" err "stderr before"
    gone "$T/pid" "the command"
    ask "$L" sleep 1000
    printf cancel >"$L/ctl"
    ends "$L" "130 cancelled"
    ask "$L" sleep 1000
    printf 'cancel\n' >>"$L/ctl"
    ends "$L" "130 cancelled"
}

test_cancel_ends_what_ignores_sigterm() {
    ask "$L" "sh -c 'trap \"\" TERM; echo \$\$ >$T/pid; echo ready; while :; do sleep 0.05; done'"
    is "$(timeout 30 head -n 1 "$L/stdout")" ready stdout
    echo cancel >"$L/ctl"
    ends "$L" "130 cancelled"
    gone "$T/pid" "the command"
}

test_cancel_lets_a_waiting_writer_go() {
    { echo 'sleep 1000'; head -c 8000000 /dev/zero; } >"$L/request" 3>&- &
    local writer=$!
    sleep 0.3
    kill -0 "$writer" || fail "the writer did not wait"
    wait_until 20 is_running
    echo cancel >"$L/ctl"
    wait "$writer" || fail "the writer ended with $?"
    ends "$L" "130 cancelled"
}

is_running() {
    pgrep -P "$daemon_pid" -x sleep >/dev/null
}

test_cancel_while_nothing_runs() {
    ask "$L" "sh -c 'echo out; exit 4'"
    ends "$L" "4 exited"
    echo cancel >"$L/ctl"
    ends "$L" "4 exited"
    is "$(get "$L/stdout")" out stdout
    : >"$L/request"
    echo cancel >"$L/ctl"
    is "$(get "$L/status")" "" "status of an empty slot"
}

test_cancel_while_the_request_is_written() {
    exec 4>"$L/request"
    echo cancel >"$L/ctl"
    ends "$L" "130 cancelled"
    ! echo "touch $T/cancelled" 2>/dev/null >&4 || fail "a cancelled request was taken"
    exec 4>&-
    ends "$L" "130 cancelled"
    [[ ! -e $T/cancelled ]] || fail "a cancelled request was run"
    exec 4>"$L/request"
    printf 'touch %s' "$T/cancelled" >&4
    echo cancel >"$L/ctl"
    exec 4>&-
    ends "$L" "130 cancelled"
    is "$(get "$L/stdout")" "" stdout
    [[ ! -e $T/cancelled ]] || fail "a cancelled request was run"
    ask "$L" echo next
    is "$(get "$L/stdout")" next "stdout of the next"
    ends "$L" "0 exited"
}

test_junk_in_ctl() {
    local junk
    ask "$L" sleep 1000
    for junk in stop $'stop\n' cance cancell $'cancel\n\n' $'cancel \n' ' cancel' CANCEL $'\n' $'cancel\ncancel\n'; do
        is "$(write_error "$L/ctl" "$junk")" EINVAL "error of '$junk'"
    done
    is_running || fail "junk cancelled it"
    echo cancel >"$L/ctl"
    ends "$L" "130 cancelled"
}

# --- overflow

test_overflow() {
    local stream redirect
    for stream in stdout stderr; do
        redirect=
        [[ $stream == stdout ]] || redirect='>&2'
        ask "$M/small" "sh -c 'yes 123456789 | head -c 1000 $redirect'"
        ends "$M/small" "0 exited"
        is "$(stat -c %s "$M/small/$stream")" 1000 "just what it may write to $stream"

        ask "$M/small" "sh -c 'yes 123456789 | head -c 1001 $redirect; sleep 1000'"
        ends "$M/small" "141 overflow $stream exceeded 1000"
        get "$M/small/$stream" >"$T/got"
        yes 123456789 | head -c 1000 >"$T/wanted" || true
        same_file "$T/got" "$T/wanted"
        is "$(stat -c %s "$M/small/$stream")" 1000 "size of $stream"
    done
    ask "$M/small" "sh -c 'echo kept >&2; exec cat /dev/zero'"
    ends "$M/small" "141 overflow stdout exceeded 1000"
    is "$(get "$M/small/stderr")" kept "stderr before"
    ask "$M/kilobytes" cat /dev/zero
    ends "$M/kilobytes" "141 overflow stdout exceeded 64K"
    is "$(stat -c %s "$M/kilobytes/stdout")" 65536 "size of stdout"
    ask "$L" cat /dev/zero
    ends "$L" "141 overflow stdout exceeded 16M"
    is "$(stat -c %s "$L/stdout")" 16777216 "size of stdout by default"
}

# Output of one stream does not count for the other.
# The first reason stays: what it writes when it is being ended is dropped.
test_too_much_after_a_cancel() {
    rm -f "$T/go"
    ask "$M/patient" "sh -c 'trap \"\" TERM; echo ready; while [ ! -e $T/go ]; do sleep 0.05; done; head -c 17000000 /dev/zero'"
    is "$(timeout 30 head -n 1 "$M/patient/stdout")" ready stdout
    echo cancel >"$M/patient/ctl"
    touch "$T/go"
    ends "$M/patient" "130 cancelled"
    is "$(stat -c %s "$M/patient/stdout")" $((16 << 20)) "bytes kept"
}

test_no_overflow() {
    ask "$M/small" "sh -c 'head -c 1000 /dev/zero; head -c 1000 /dev/zero >&2'"
    ends "$M/small" "0 exited"
}

test_writing_without_end_and_without_sigterm() {
    ask "$M/small" "sh -c 'trap \"\" TERM; echo \$\$ >$T/pid; while :; do echo text; done'"
    ends "$M/small" "141 overflow stdout exceeded 1000"
    is "$(stat -c %s "$M/small/stdout")" 1000 "size of stdout"
    gone "$T/pid" "the command"
}

# A command that ends in the same moment has written too much all the same.
test_overflow_at_the_end() {
    local i
    for i in {1..20}; do
        ask "$M/small" "head -c $((1000 + i)) /dev/zero"
        ends "$M/small" "141 overflow stdout exceeded 1000"
    done
}

# --- Closed streams

test_a_command_that_closes_its_streams() {
    ask "$L" "sh -c 'echo out; exec >&- 2>&-; sleep 0.5; exit 3'"
    is "$(get "$L/stdout")" out stdout
    is "$(get "$L/stderr")" "" stderr
    ends "$L" "3 exited"
    ask "$L" "--timeout=500ms sh -c 'exec >&- 2>&-; exec sleep 1000'"
    is "$(get "$L/stdout")" "" stdout
    ends "$L" "124 timeout after 500ms"
    ask "$L" "sh -c 'trap \"\" TERM; exec <&- >&- 2>&-; echo \$\$ >$T/pid; while :; do sleep 0.05; done'"
    wait_until 20 test -s "$T/pid"
    echo cancel >"$L/ctl"
    ends "$L" "130 cancelled"
    gone "$T/pid" "the command"
}

# --- refused

test_refused() {
    ! ask "$L" 'a | b' 2>/dev/null || fail "not refused"
    ends "$L" "2 refused ?*"
    is "$(wc -l <"$L/status")" 1 "lines of status"
    # A message that quotes the request is still one line.
    ! printf '%s\n' "--option='of
two lines' cat" 2>/dev/null >"$L/request" || fail "not refused"
    ends "$L" "2 refused ?*"
    is "$(wc -l <"$L/status")" 1 "lines of status"
}

run_tests
