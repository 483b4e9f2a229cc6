#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon: command line, background, signals, reload, obstacles at its start, and the
# rights of commands. Each test has daemons of its own.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

NOBODY=65534
# Users who have no access to the build folder can run this copy.
install -m 755 "$HOOKSFS" "$T/hooksfs"

# Ends daemons that a failed test has left. Their command lines have the path of the
# configuration, which no other daemon has.
before_each() {
    local pid
    for pid in $(daemons); do
        kill -KILL "$pid"
    done
    while mountpoint -q "$M" || ! stat "$M" >/dev/null 2>&1; do
        umount -l "$M" || return
    done
    printf 'mode = direct\n[local]\n' >"$T/conf"
    rm -f "$T/log" "$T/pid"
    daemon_pid=
}
trap 'before_each; clean_up' EXIT

# The processes that serve $T/conf or the configuration $1.
daemons() {
    pgrep -f -- "hooksfs .*${1:-$T/conf}" || true
}

# Starts the daemon in the foreground, with more options or another environment:
# serve [NAME=VALUE...] [OPTION...]. $T/conf is its configuration.
serve() {
    local environment=()
    while [[ ${1:-} == [A-Z]*=* ]]; do
        environment+=("$1")
        shift
    done
    : >"$T/log"
    env "${environment[@]}" "$HOOKSFS" -f "$@" "$T/conf" "$M" 2>>"$T/log" &
    daemon_pid=$!
    wait_until 20 daemon_answered || fail "it does not start: $(cat "$T/log")"
    grep -q 'serving, with process' "$T/log" || fail "it does not serve: $(cat "$T/log")"
}

# Ends the daemon, which must exit with 0.
stop() {
    unmount || fail "its exit code was $?: $(tail -n 30 "$T/log")"
    ! mountpoint -q "$M" || fail "it is still mounted"
    ! grep -E -A 30 'runtime error:|ERROR: [A-Za-z]+Sanitizer' "$T/log" || fail "see its log"
}

# fails WANTED_CODE PATTERN COMMAND...: the command ends with that code, and
# with something like PATTERN on stderr.
fails() {
    local wanted=$1 pattern=$2 code=0
    shift 2
    timeout 60 "$@" >"$T/stdout" 2>"$T/stderr" || code=$?
    is "$code" "$wanted" "exit code of $*: $(cat "$T/stderr")"
    like "$(cat "$T/stderr")" "$pattern" "stderr of $*"
}

is_mounted() {
    mountpoint -q "$M"
}

is_gone() {
    local state
    state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || true
    [[ ! $state || $state == Z ]]
}

# --- Background and foreground

test_background() {
    local pid output name
    name=$(basename "$T").conf # of no other daemon on this machine
    cp "$T/conf" "$T/$name"
    # The pipe of its output ends with the parent: the daemon does not hold it open.
    output=$(cd "$T" && timeout 60 "$HOOKSFS" "$name" mnt 2>&1) || fail "exit code $?: $output"
    # Without waiting: the command has returned because the mount answers.
    printf 'echo ready' >"$M/local/request"
    is "$(get "$M/local/stdout")" ready stdout
    pid=$(daemons "$name mnt")
    is "$(wc -w <<<"$pid")" 1 "daemons, which are: $pid"
    is "$(readlink "/proc/$pid/cwd")" / "its working directory"
    is "$(ps -o sid= "$pid" | tr -d ' ')" "$pid" "its session"
    is "$(readlink "/proc/$pid/fd/0" "/proc/$pid/fd/1" "/proc/$pid/fd/2" | sort -u)" /dev/null "its standard files"
    # The configuration was named by a relative path, and is still found.
    printf '[more]\n' >>"$T/$name"
    kill -HUP "$pid"
    wait_until 20 test -d "$M/more" || fail "SIGHUP"
    kill -TERM "$pid"
    wait_until 20 is_gone "$pid" || fail "SIGTERM does not end it"
    ! is_mounted || fail "still mounted"
}

test_background_that_fails() {
    fails 1 "*$T/nothing*" "$HOOKSFS" "$T/conf" "$T/nothing"
    fails 1 "*$T/nothing*" "$HOOKSFS" "$T/nothing" "$M"
    fails 1 "*no-such-option*" "$HOOKSFS" -o no-such-option=1 "$T/conf" "$M"
    is "$(daemons)" "" "daemons left"
    ! is_mounted || fail "mounted"
}

# The child is killed before it could print a reason, while it reads its configuration from
# a pipe to which nobody writes. The parent must end as well.
test_background_that_is_killed() {
    local code=0 parent child
    mkfifo "$T/fifo"
    "$HOOKSFS" "$T/fifo" "$M" 2>"$T/stderr" &
    parent=$!
    wait_until 20 pgrep -P "$parent" >/dev/null || fail "there is no child"
    child=$(pgrep -P "$parent")
    kill -KILL "$child"
    wait "$parent" || code=$?
    rm "$T/fifo"
    is "$code" 1 "exit code"
    ! is_mounted || fail "mounted"
}

test_background_as_in_a_service() {
    "$HOOKSFS" "$T/conf" "$M" <&- >&- 2>&- || fail "exit code $?"
    ask "$M/local" "sh -c 'echo out; echo err >&2; cat'"
    is "$(get "$M/local/stdout")" out stdout
    is "$(get "$M/local/stderr")" err stderr
    ends "$M/local" "0 exited"
    umount "$M"
    wait_until 20 none_left || fail "it does not end"
}

none_left() {
    [[ ! $(daemons) ]]
}

# --- The end

test_sigterm_and_sigint() {
    local signal code
    for signal in TERM INT; do
        serve
        code=0
        kill "-$signal" "$daemon_pid"
        wait "$daemon_pid" || code=$?
        is "$code" 0 "exit code after SIG$signal"
        ! is_mounted || fail "still mounted after SIG$signal"
    done
    daemon_pid=
}

# Jobs end even if they ignore SIGTERM, and every waiting caller gets an answer.
test_the_end_of_the_daemon_cancels() {
    local file readers=()
    printf 'mode = direct\nkill_grace = 300ms\n[local]\n[stubborn]\n[written]\n' >"$T/conf"
    serve
    ask "$M/local" "sh -c 'echo before; sleep 1000 & echo \$! >$T/pid.child; echo \$\$ >$T/pid; wait'"
    ask "$M/stubborn" "sh -c 'trap \"\" TERM; echo \$\$ >$T/pid.stubborn; while :; do sleep 0.05; done'"
    exec 4>"$M/written/request"
    printf 'ech' >&4
    is "$(timeout 30 head -n 1 "$M/local/stdout")" before "stdout while it runs"
    wait_until 20 test -s "$T/pid.stubborn"
    for file in local/stdout local/status stubborn/stdout stubborn/status written/status; do
        timeout 60 cat "$M/$file" >"$T/got.${file/\//.}" 3>&- 4>&- &
        readers+=($!)
    done
    sleep 0.3
    unmount || fail "exit code $?"
    for file in "${readers[@]}"; do
        wait "$file" || fail "a reader failed"
    done
    exec 4>&-
    is "$(cat "$T/got.local.stdout")" before stdout
    is "$(cat "$T/got.local.status")" "130 cancelled" status
    is "$(cat "$T/got.stubborn.status")" "130 cancelled" "status of what ignores SIGTERM"
    is "$(cat "$T/got.written.status")" "130 cancelled" "status of what was being written"
    ! is_mounted || fail "still mounted"
    for file in pid pid.child pid.stubborn; do
        wait_until 20 is_gone "$(cat "$T/$file")" || fail "the process of $file still runs"
    done
}

# A second SIGTERM ends a daemon that waits for a long grace. Before that no new request
# begins; after it, callers who still wait get ENOTCONN.
test_a_second_signal_ends_at_once() {
    local code=0 reader error
    printf 'mode = direct\nkill_grace = 40s\n[local]\n' >"$T/conf"
    serve
    ask "$M/local" "sh -c 'trap \"\" TERM; echo \$\$ >$T/pid; while :; do sleep 0.05; done'"
    wait_until 20 test -s "$T/pid"
    timeout 60 cat "$M/local/status" >"$T/got" 2>"$T/stderr" 3>&- &
    reader=$!
    sleep 0.3
    kill -TERM "$daemon_pid"
    wait_until 20 grep -q 'ending: SIGTERM; 1 jobs' "$T/log"
    error=$(mkdir "$M/local/new" 2>&1) && fail "a slot was made"
    like "$error" "*transport endpoint shutdown*" "mkdir at the end"
    error=$(ask "$M/local" true 2>&1) && fail "a request was begun"
    like "$error" "*transport endpoint shutdown*" "open at the end"
    sleep 0.3
    kill -0 "$daemon_pid" || fail "it has not waited for the job"
    kill -TERM "$daemon_pid"
    SECONDS=0
    wait "$daemon_pid" || code=$?
    daemon_pid=
    is "$code" 0 "exit code"
    ((SECONDS < 20)) || fail "it took $SECONDS s"
    grep -q 'SIGTERM again' "$T/log" || fail "not a word of it"
    ! wait "$reader" || fail "the reader got '$(cat "$T/got")'"
    like "$(cat "$T/stderr")" "*ransport endpoint*" "the reader's error"
    is "$(cat "$T/got")" "" status
    wait_until 20 is_gone "$(cat "$T/pid")" || fail "the job still runs"
    ! is_mounted || fail "still mounted"
}

test_unmounted_by_somebody_else() {
    local code=0
    serve
    ask "$M/local" echo text
    ends "$M/local" "0 exited"
    umount "$M"
    wait "$daemon_pid" || code=$?
    is "$code" 0 "exit code"
    is "$(daemons)" "" "daemons left"
    daemon_pid=
}

test_unmounted_while_a_job_runs() {
    local code=0
    serve
    ask "$M/local" "sh -c 'echo \$\$ >$T/pid; exec sleep 1000'"
    wait_until 20 test -s "$T/pid"
    umount "$M"
    wait "$daemon_pid" || code=$?
    is "$code" 0 "exit code"
    wait_until 20 is_gone "$(cat "$T/pid")" || fail "the job still runs"
    daemon_pid=
}

# The daemon is killed, so that it cannot end its jobs itself.
test_jobs_do_not_outlive_a_killed_daemon() {
    serve
    ask "$M/local" "sh -c 'echo \$\$ >$T/pid; exec sleep 1000'"
    wait_until 20 test -s "$T/pid"
    kill -KILL "$daemon_pid"
    wait_until 20 is_gone "$(cat "$T/pid")" || fail "the job still runs"
}

# --- Obstacles at the start

test_a_stale_mount_is_taken_down() {
    local i
    for i in 1 2; do
        serve
        kill -KILL "$daemon_pid"
        wait "$daemon_pid" || true
        ! stat "$M" 2>/dev/null || fail "the mount of a killed daemon answers ($i)"
    done
    serve
    is "$(grep -c " $M " /proc/self/mountinfo)" 1 mounts
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text stdout
    stop
}

test_a_stale_mount_with_open_files() {
    serve
    ask "$M/local" sleep 1000
    exec 4<"$M/local/status"
    kill -KILL "$daemon_pid"
    wait "$daemon_pid" || true
    serve
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text stdout
    exec 4<&-
    stop
}

# In every way to write the path, and with strange characters in it.
test_a_stale_mount_with_an_odd_name() {
    local odd="$T/a stale, \\mount" old=$M
    mkdir "$odd"
    M=$odd
    serve
    M=$old
    kill -KILL "$daemon_pid"
    wait "$daemon_pid" || true
    M=$odd///
    serve
    M=$old
    is "$(grep -c " $T/a.040stale" /proc/self/mountinfo)" 1 mounts
    fails 1 "*a stale*another hooksfs*" "$HOOKSFS" -f "$T/conf" "$odd"
    ask "$odd/local" echo text
    is "$(get "$odd/local/stdout")" text stdout
    stop
    rmdir "$odd"
}

# Only its maker and root can take the mount down.
test_a_stale_mount_of_another() {
    local path
    serve
    kill -KILL "$daemon_pid"
    wait "$daemon_pid" || true
    for path in "$PATH" /nonexistent; do # with fusermount3, and without
        fails 1 "*$M*cannot be taken down*fusermount3 -u*" unshare -m sh -euc '
            mkdir -p "$1/elsewhere"
            mount -t tmpfs -o mode=755 none "$1/elsewhere"
            mknod -m 666 "$1/elsewhere/fuse" c 10 229
            mount --bind "$1/elsewhere/fuse" /dev/fuse
            exec setpriv --reuid="$2" --clear-groups env PATH="$3" "$1/hooksfs" -f "$1/conf" "$4"' \
            sh "$T" "$NOBODY" "$path" "$M"
    done
    serve
    stop
}

# A hooksfs that answers with an error is not dead: it is not taken down.
test_a_mount_that_answers_with_an_error() {
    local pid
    py "$M" "$T/mounted" <<'PYTHON' &
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open("/dev/fuse", os.O_RDWR)
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fd
if libc.mount(b"broken", os.fsencode(sys.argv[1]), b"fuse.hooksfs", 0, options) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
INIT, FORGET, EIO = 26, 2, 5
while True:
    try:
        request = os.read(fd, 1 << 20)
    except OSError: # unmounted
        break
    opcode, unique = struct.unpack_from("=4xIQ", request)
    if opcode == INIT:
        reply = struct.pack("=IIIIHHII", 7, 31, 65536, 0, 12, 12, 65536, 1) + bytes(36)
        os.write(fd, struct.pack("=IiQ", 16 + len(reply), 0, unique) + reply)
        open(sys.argv[2], "w").close()
    elif opcode != FORGET:
        os.write(fd, struct.pack("=IiQ", 16, -EIO, unique))
PYTHON
    pid=$!
    wait_until 20 test -e "$T/mounted"
    fails 1 "*$M*cannot find out*Input/output error*" "$HOOKSFS" -f "$T/conf" "$M"
    is "$(grep -c " $M " /proc/self/mountinfo)" 1 mounts
    umount -l "$M"
    wait "$pid" || fail "exit code $?"
    rm "$T/mounted"
}

test_a_second_daemon_on_a_live_mount() {
    serve
    fails 1 "*$M*another hooksfs*" "$HOOKSFS" "$T/conf" "$M"
    fails 1 "*$M*another hooksfs*" "$HOOKSFS" -f "$T/conf" "$M/"
    fails 1 "*/mnt*another hooksfs*" "$HOOKSFS" -f "$T/conf" "$T/../$(basename "$T")/mnt"
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text "stdout of the first"
    stop
}

# A hooksfs that is alive but too busy to answer must not be taken down.
test_a_stopped_daemon_is_no_stale_mount() {
    serve
    kill -STOP "$daemon_pid"
    fails 1 "*$M*" "$HOOKSFS" -f "$T/conf" "$M"
    kill -CONT "$daemon_pid"
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text "stdout of the first"
    stop
}

test_mount_points_that_cannot_be() {
    : >"$T/file"
    fails 1 "*$T/nothing*No such file*" "$HOOKSFS" -f "$T/conf" "$T/nothing"
    fails 1 "*$T/file*not a directory*" "$HOOKSFS" -f "$T/conf" "$T/file"
    fails 1 "*$T/file/x*" "$HOOKSFS" -f "$T/conf" "$T/file/x"
    fails 1 "*$T/nothing/x*No such file*" "$HOOKSFS" -f "$T/conf" "$T/nothing/x"
}

test_configurations_that_cannot_be() {
    fails 1 "*$T/nothing*No such file*" "$HOOKSFS" -f "$T/nothing" "$M"
    fails 1 "*$T*directory*" "$HOOKSFS" -f "$T" "$M"
    printf '[local]\nmode = direct\nmode_ = x\n[\nnonsense\n' >"$T/conf"
    fails 1 "*" "$HOOKSFS" -f "$T/conf" "$M"
    is "$(grep -o "^$T/conf:[345]:" "$T/stderr" | wc -l)" 3 "errors of $(cat "$T/stderr")"
    : >"$T/conf"
    fails 1 "*$T/conf*no sandbox*" "$HOOKSFS" -f "$T/conf" "$M"
    head -c 100000 /dev/urandom >"$T/conf"
    fails 1 "*$T/conf*" "$HOOKSFS" -f "$T/conf" "$M"
    ! is_mounted || fail "mounted"
}

# With a /dev without fuse, and with a /dev/fuse that is no working device.
test_without_dev_fuse() {
    fails 1 "*/dev/fuse*" unshare -m sh -euc '
        mkdir -p "$1"
        mount -t tmpfs dev "$1"
        cp -a /dev/null /dev/zero /dev/random /dev/urandom "$1"
        mount --move "$1" /dev
        exec "$2" -f "$3" "$4"' sh "$T/elsewhere" "$HOOKSFS" "$T/conf" "$M"
    is "$(wc -l <"$T/stderr")" 1 "lines on stderr"
    fails 1 "*" unshare -m sh -euc '
        mount --bind /dev/null /dev/fuse
        exec "$1" -f "$2" "$3"' sh "$HOOKSFS" "$T/conf" "$M"
    [[ -s $T/stderr ]] || fail "not a word"
    : >"$T/no-device"
    chmod 600 "$T/no-device"
    fails 1 "*/dev/fuse: Permission denied*permissions*" unshare -m sh -euc '
        mount --bind "$1/no-device" /dev/fuse
        exec setpriv --reuid="$2" --clear-groups "$1/hooksfs" -f "$1/conf" "$3"' \
        sh "$T" "$NOBODY" "$M"
    ! is_mounted || fail "mounted"
}

# --- Reload

reload() {
    local count
    count=$(grep -c 'was read again\|has errors' "$T/log") || true
    kill -HUP "$daemon_pid"
    wait_until 20 reloaded "$count" || fail "not a word of the reload"
}

reloaded() {
    (($(grep -c 'was read again\|has errors' "$T/log") > $1))
}

test_sighup_adds_changes_removes() {
    printf 'mode = direct\n[kept]\n[changed]\nenv = A=before\n[removed]\n' >"$T/conf"
    serve
    ask "$M/kept" echo text
    ask "$M/changed" printenv A
    is "$(get "$M/changed/stdout")" before "stdout before the change"
    printf 'mode = direct\n[added]\n[changed]\nenv = A=after\npermissions = 0750\n[kept]\n' >"$T/conf"
    reload
    is "$(find "$M" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ')" "added changed kept " sandboxes
    is "$(get "$M/kept/stdout")" text "results of what was kept"
    is "$(get "$M/changed/stdout")" before "results of what was changed"
    is "$(stat -c %a "$M/changed")" 750 "permissions of what was changed"
    ask "$M/changed" printenv A
    is "$(get "$M/changed/stdout")" after "stdout after the change"
    ask "$M/added" echo new
    is "$(get "$M/added/stdout")" new "stdout of what was added"
    wait_until 10 is_not_there "$M/removed" || fail "what was removed is still there"
    stop
}

test_sighup_with_an_invalid_configuration() {
    serve
    ask "$M/local" sleep 1000
    printf 'mode = direct\n[local]\n[other]\ntimeuot = 3s\n[third]\npod = x\n' >"$T/conf"
    reload
    grep -q "$T/conf:4:.*\[other\].*timeuot.*timeout" "$T/log" || fail "the first error is not reported: $(cat "$T/log")"
    grep -q "$T/conf:6:.*\[third\].*pod" "$T/log" || fail "the second error is not reported"
    is "$(find "$M" -mindepth 1 -maxdepth 1 -printf '%f\n')" local sandboxes
    rm "$T/conf"
    reload
    echo cancel >"$M/local/ctl"
    ends "$M/local" "130 cancelled"
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text stdout
    stop
}

is_not_there() {
    ! stat "$1" 2>/dev/null
}

is_not_there() {
    ! stat "$1" 2>/dev/null
}

test_a_job_of_a_removed_sandbox_runs_to_its_end() {
    local reader
    printf 'mode = direct\n[local]\n[removed]\n' >"$T/conf"
    serve
    exec 4>"$M/removed/request"
    echo "sh -c 'cat; touch $T/ended; exit 6'" >&4
    timeout 60 cat "$M/removed/stdout" >"$T/got.stdout" 3>&- 4>&- &
    reader=$!
    timeout 60 cat "$M/removed/status" >"$T/got.status" 3>&- 4>&- &
    sleep 0.2
    printf 'mode = direct\n[local]\n' >"$T/conf"
    reload
    wait_until 10 is_not_there "$M/removed" || fail "what was removed is still there"
    sleep 0.2
    [[ ! -e $T/ended ]] || fail "it did not go on"
    echo text >&4
    exec 4>&-
    wait "$reader"
    wait $!
    is "$(cat "$T/got.stdout")" text "stdout for who had it open"
    is "$(cat "$T/got.status")" "6 exited" "status for who had it open"
    [[ -e $T/ended ]] || fail "it did not run to its end"
    # A new sandbox with the same name has nothing to do with the removed one.
    printf 'mode = direct\n[local]\n[removed]\n' >"$T/conf"
    reload
    is "$(get "$M/removed/status")" "" "status of the new one"
    ask "$M/removed" echo new
    is "$(get "$M/removed/stdout")" new "stdout of the new one"
    stop
}

test_many_reloads_leave_nothing_behind() {
    local i before after
    printf 'mode = direct\n[local]\n[a]\n' >"$T/conf"
    serve
    for i in {1..40}; do
        printf 'mode = direct\n[local]\nenv = A=%s\n[%s]\n' "$i" "b$((i % 3))" >"$T/conf"
        reload
        ls "$M"/* >/dev/null
        ((i != 10)) || before=$(find "/proc/$daemon_pid/fd" | wc -l)
    done
    after=$(find "/proc/$daemon_pid/fd" | wc -l)
    is "$after" "$before" "descriptors"
    ask "$M/local" printenv A
    is "$(get "$M/local/stdout")" 40 stdout
    stop
}

# --- Commands that do not serve a mount

test_check() {
    printf 'timeout = 3s\n\n[local]\nmode = direct\n' >"$T/conf"
    "$HOOKSFS" --check "$T/conf" >"$T/stdout" 2>"$T/stderr" || fail "exit code $?"
    is "$(cat "$T/stderr")" "" stderr
    cat >"$T/conf" <<'CONF'
timeout = soon
colour = red
[a]
mode = direct
timeuot = 3s
pod = x
[b]
mode = kubectl_exec
[c/d]
mode = direct
[e]
[f]
mode = directly
max_output = 3X
[a]
mode = direct
env = ${HOOKSFS_TEST_UNSET}
CONF
    fails 1 "*" "$HOOKSFS" --check "$T/conf"
    while IFS='|' read -r line pattern; do
        grep -q "$T/conf:$line: $pattern" "$T/stderr" || fail "line $line: nothing like $pattern in $(cat "$T/stderr")"
    done <<'WANTED'
1|timeout: .*soon
2|colour: .*not a known key
5|\[a\] timeuot: .*timeout
6|\[a\] pod: .*kubectl_exec
7|\[b\] pod: .*required
9|\[c/d\]
11|\[e\] mode: .*required
13|\[f\] mode: .*directly
14|\[f\] max_output: .*3X
15|\[a\] .*already
17|\[a\] env: .*HOOKSFS_TEST_UNSET
WANTED
    is "$(grep -c "^$T/conf:" "$T/stderr")" 11 "errors of $(cat "$T/stderr")"
    fails 1 "*$T/nothing*" "$HOOKSFS" --check "$T/nothing"
    fails 1 "*$T*directory*" "$HOOKSFS" --check "$T"
}

test_show_argv() {
    cat >"$T/conf" <<'CONF'
[full]
mode = kubectl_exec
kubeconfig = /etc/kube.yaml
context = prod
namespace = default
container = hooks
extra_args = --request-timeout=5s
pod = my-pod
[short]
mode = kubectl_exec
pod = my-pod
[local]
mode = direct
[docker]
mode = docker_exec
container = c1
workdir = /srv
user = me
extra_args = --privileged
[run]
mode = docker_run
image = alpine
network = none
mounts = /a:/b
mounts = /c:/d:ro
extra_args = --read-only
CONF
    is "$("$HOOKSFS" --show-argv "$T/conf" full python -m pii)" \
        "kubectl --kubeconfig=/etc/kube.yaml --context=prod exec -i -n default -c hooks --request-timeout=5s my-pod -- python -m pii"
    is "$("$HOOKSFS" --show-argv "$T/conf" short ls)" "kubectl exec -i my-pod -- ls"
    is "$("$HOOKSFS" --show-argv "$T/conf" local ls -l "a b")" "ls -l 'a b'"
    is "$("$HOOKSFS" --show-argv "$T/conf" docker ls -l)" \
        "docker exec -i --workdir=/srv --user=me --detach-keys= --privileged c1 ls -l"
    is "$("$HOOKSFS" --show-argv "$T/conf" run ls -l)" \
        "docker run --rm -i --network=none -v /a:/b -v /c:/d:ro --detach-keys= --read-only alpine ls -l"
    # So that a shell would read the same words.
    is "$("$HOOKSFS" --show-argv "$T/conf" local echo "it's" "" '$x')" "echo 'it'\\''s' '' '\$x'"
    fails 1 "*nothing*" "$HOOKSFS" --show-argv "$T/conf" nothing ls
    fails 1 "*--no-such-option*" "$HOOKSFS" --show-argv "$T/conf" local --no-such-option ls
    fails 1 "*$T/nothing*" "$HOOKSFS" --show-argv "$T/nothing" local ls
}

test_usage() {
    fails 2 "*usage:*" "$HOOKSFS"
    fails 2 "*usage:*" "$HOOKSFS" "$T/conf"
    fails 2 "*usage:*" "$HOOKSFS" "$T/conf" "$M" more
    fails 2 "*usage:*" "$HOOKSFS" --no-such-option "$T/conf" "$M"
    fails 2 "*usage:*" "$HOOKSFS" -x "$T/conf" "$M"
    fails 2 "*usage:*" "$HOOKSFS" -o
    fails 2 "*'nothing'*config, connection, fuse, job, queue, all*usage:*" \
        "$HOOKSFS" --debug=nothing "$T/conf" "$M"
    fails 2 "*usage:*" "$HOOKSFS" --debug
    fails 2 "*usage:*" "$HOOKSFS" --check
    fails 2 "*usage:*" "$HOOKSFS" --check "$T/conf" "$T/conf"
    fails 2 "*usage:*" "$HOOKSFS" --show-argv "$T/conf" local
    fails 0 "" "$HOOKSFS" --help
    grep -q '^usage:' "$T/stdout" || fail "no help"
    fails 0 "" "$HOOKSFS" --version
    grep -q '^hooksfs [0-9]' "$T/stdout" || fail "no version"
    ! is_mounted || fail "mounted"
}

# --- A service

# Prints what the daemon sends. The mount must answer before READY=1 is sent.
test_notify_socket() {
    py "$HOOKSFS" "$T" <<'PYTHON'
import os, signal, socket, subprocess, sys
hooksfs, folder = sys.argv[1:]
for name in folder + "/notify", "@hooksfs-test-%d" % os.getpid():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.settimeout(60)
        service.bind("\0" + name[1:] if name[0] == "@" else name)
        daemon = subprocess.Popen([hooksfs, "-f", folder + "/conf", folder + "/mnt"],
                                  env={**os.environ, "NOTIFY_SOCKET": name})
        told = service.recv(1000).decode().splitlines()
        assert "READY=1" in told, told
        assert f"MAINPID={daemon.pid}" in told, told
        assert os.path.ismount(folder + "/mnt")
        with open(folder + "/mnt/local/request", "w") as request:
            request.write("env")
        assert "NOTIFY_SOCKET" not in open(folder + "/mnt/local/stdout").read()
        daemon.send_signal(signal.SIGHUP)
        assert "RELOADING=1" in service.recv(1000).decode().splitlines()
        assert "READY=1" in service.recv(1000).decode().splitlines()
        daemon.terminate()
        assert "STOPPING=1" in service.recv(1000).decode().splitlines()
        assert daemon.wait(60) == 0
PYTHON
    # If nobody listens at the socket, the daemon serves all the same.
    serve NOTIFY_SOCKET="$T/nothing"
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text stdout
    stop
}

test_notify_socket_in_the_background() {
    py "$HOOKSFS" "$T" <<'PYTHON'
import os, signal, socket, subprocess, sys
hooksfs, folder = sys.argv[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
    service.settimeout(60)
    service.bind(folder + "/notify2")
    subprocess.run([hooksfs, folder + "/conf", folder + "/mnt"], check=True,
                   env={**os.environ, "NOTIFY_SOCKET": folder + "/notify2"})
    told = dict(line.split("=") for line in service.recv(1000).decode().splitlines())
    assert told["READY"] == "1", told
    os.kill(int(told["MAINPID"]), signal.SIGTERM)
    assert b"STOPPING=1" in service.recv(1000)
PYTHON
    wait_until 20 none_left || fail "it does not end"
}

test_mount_options() {
    local options option super
    serve
    options=$(awk -v m="$M" '$5 == m { print $6 }' /proc/self/mountinfo)
    super=$(awk -v m="$M" '$5 == m { sub(".* - ", ""); print $3 }' /proc/self/mountinfo)
    is "$(awk -v m="$M" '$5 == m { sub(".* - ", ""); print $1 }' /proc/self/mountinfo)" fuse.hooksfs type
    for option in nosuid nodev noexec; do
        [[ ,$options, == *,$option,* ]] || fail "no $option in $options"
    done
    [[ ,$super, == *,default_permissions,* ]] || fail "no default_permissions in $super"
    stop
    # Also when the options ask for the opposite.
    serve -o suid,dev,exec
    options=$(awk -v m="$M" '$5 == m { print $6 }' /proc/self/mountinfo)
    for option in nosuid nodev noexec; do
        [[ ,$options, == *,$option,* ]] || fail "no $option in $options after -o suid,dev,exec"
    done
    stop
}

# Options that mount(8) has for every file system, and one of libfuse that it wants to be
# told of twice.
test_more_mount_options() {
    local options
    for options in noatime,relatime strictatime,nodiratime relatime,rw,lazytime max_read=4096 max_read=131072,sync; do
        serve -o "$options"
        head -c 300000 /dev/urandom >"$T/payload"
        { echo cat; cat "$T/payload"; } >"$M/local/request"
        get "$M/local/stdout" >"$T/got"
        same_file "$T/got" "$T/payload"
        exec 4<>"$M/local/call"
        { echo cat; cat "$T/payload"; } >&4
        cat <&4 >"$T/got"
        exec 4>&-
        same_file "$T/got" "$T/payload"
        stop
    done
}

test_remount() {
    serve
    ask "$M/local" echo text
    for options in remount,ro remount,rw,noatime remount,relatime; do
        "$HOOKSFS" "$T/conf" "$M" -o "$options" || fail "-o $options: exit code $?"
        options=,$(awk -v m="$M" '$5 == m { print $6 }' /proc/self/mountinfo),
        like "$options" "*,nosuid,*" "after a remount"
        is "$(get "$M/local/stdout")" text "the same daemon"
    done
    "$HOOKSFS" "$T/conf" "$M" -o remount,ro || fail "-o remount,ro"
    like "$(mkdir "$M/local/x" 2>&1)" "*Read-only file system" "mkdir"
    "$HOOKSFS" "$T/conf" "$M" -o remount,rw || fail "-o remount,rw"
    mkdir "$M/local/x"
    rmdir "$M/local/x"
    stop
    ! "$HOOKSFS" "$T/conf" "$M" -o remount 2>"$T/stderr" || fail "a remount of nothing"
    like "$(cat "$T/stderr")" "*no hooksfs is mounted there"
}

test_names_with_blanks_and_commas() {
    local odd="$T/a mount, of = \\mine" conf="$T/a conf, too"
    mkdir "$odd"
    printf '[a b,c]\nmode = direct\n' >"$conf"
    "$HOOKSFS" "$conf" "$odd" || fail "exit code $?"
    ask "$odd/a b,c" echo text
    is "$(get "$odd/a b,c/stdout")" text stdout
    umount "$odd"
    wait_until 20 none_left_of "$conf" || fail "it does not end"
    rmdir "$odd"
}

none_left_of() {
    [[ ! $(pgrep -f -- "hooksfs $1") ]]
}

# As a line of /etc/fstab is used: mount(8), mount.fuse3, hooksfs. They pass on no
# PATH, so that hooksfs has to be where a shell looks without one.
test_fstab() {
    mkdir -p "$T/bin"
    ln -sf "$T/hooksfs" "$T/bin/hooksfs"
    printf '%s %s fuse.hooksfs defaults,nofail 0 0\n' "$T/conf" "$M" >"$T/fstab"
    cat >"$T/fstab.sh" <<'SCRIPT'
set -eu
folder=$1
conf=$folder/conf mnt=$folder/mnt
mount --bind "$folder/bin" /usr/local/sbin
gone() {
    while pgrep -f -- "hooksfs $conf" >/dev/null; do sleep 0.05; done
}
for options in "-T $folder/fstab" "-t fuse.hooksfs -o nosuid,allow_other $conf"; do
    mount $options "$mnt" # without quotes: several
    findmnt -n -o FSTYPE,SOURCE "$mnt"
    echo 'sh -c "ls /dev/null"' >"$mnt/local/request"
    cat "$mnt/local/stdout" "$mnt/local/status"
    umount "$mnt"
    gone
done
echo nonsense >"$conf"
if mount -T "$folder/fstab" "$mnt"; then echo mounted; fi
SCRIPT
    timeout 100 unshare -m bash "$T/fstab.sh" "$T" >"$T/got" 2>"$T/stderr" ||
        fail "exit code $?: $(cat "$T/got" "$T/stderr")"
    is "$(tr -s ' ' <"$T/got")" "fuse.hooksfs $T/conf
/dev/null
0 exited
fuse.hooksfs $T/conf
/dev/null
0 exited"
    like "$(cat "$T/stderr")" "*$T/conf:1:*" "stderr of mount"
}

# The kernel sends six requests for a call, for which the caller waits.
costs_six_requests() {
    (cd "$M/local" && py) <<'PYTHON'
import os
fd = os.open("call", os.O_RDWR)
os.write(fd, b"cat\ntext")
assert os.read(fd, 100) == b"text"
assert os.read(fd, 100) == b""
os.close(fd)
PYTHON
    wait_until 10 eval '[[ $(tail -n 20 "$T/log") == *"opcode: RELEASE"* ]]'
    # python looks for its modules in the working directory before.
    like "$(sed -n 's/.*, opcode: \([A-Z]*\).*/\1/p' "$T/log" | grep -v FORGET | tr '\n' ' ')" \
        "*LOOKUP GETATTR OPEN WRITE READ READ RELEASE " operations
}

# -d stays in the foreground, and logs each operation of the kernel.
test_debug() {
    : >"$T/log"
    timeout 60 "$HOOKSFS" -d "$T/conf" "$M" 2>"$T/log" &
    daemon_pid=$!
    wait_until 20 daemon_answered || fail "it does not start: $(cat "$T/log")"
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text stdout
    kill -0 "$daemon_pid" || fail "it went to the background"
    grep -q '^hooksfs: unique: [0-9]*, opcode: LOOKUP' "$T/log" || fail "no operations in its log"
    costs_six_requests
    stop
    serve
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text stdout
    ! grep 'opcode' "$T/log" || fail "operations in the log without -d"
    stop
}

# --debug=fuse logs the operations, too, but only -f keeps the daemon in the foreground.
test_debug_of_a_part() {
    serve --debug=config,fuse
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text stdout
    grep -q '^hooksfs: unique: [0-9]*, opcode: LOOKUP' "$T/log" || fail "no operations in its log"
    costs_six_requests
    kill -HUP "$daemon_pid"
    wait_until 20 grep -q '^hooksfs: config: ' "$T/log" || fail "no reload in its log"
    stop
    serve --debug=config
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text stdout
    ! grep 'opcode' "$T/log" || fail "operations in the log without being asked for"
    stop
}

# --debug=job has a line for each state of a job, and for nothing else.
test_debug_of_jobs() {
    serve --debug=job
    ask "$M/local" false
    is "$(get "$M/local/status")" "1 exited" status
    stop
    grep -q '^hooksfs: job: job [0-9]*: false, by route 1 of 1$' "$T/log" || fail "no job in its log"
    grep -q '^hooksfs: job: job [0-9]*: start: queued -> running$' "$T/log" || fail "no start in its log"
    grep -q '^hooksfs: job: job [0-9]*: .* -> done$' "$T/log" || fail "no end in its log"
    ! grep '^hooksfs: queue:' "$T/log" || fail "another module is in its log"
    serve
    ask "$M/local" echo text
    is "$(get "$M/local/stdout")" text stdout
    stop
    ! grep '^hooksfs: job: ' "$T/log" || fail "states in the log without being asked for"
}

# A daemon in the background, with a /dev/log of its own. At first nobody reads there; then a
# reader starts, ends, and is started again.
test_system_log() {
    [[ $(id -u) == 0 ]] || skip "only root can have a /dev of its own"
    PY_TIMEOUT=100 unshare -m /usr/bin/python3 - "$HOOKSFS" "$T" "$M" <<'PYTHON' || fail "see above"
import os, signal, socket, subprocess, sys, time

hooksfs, folder, mountpoint = sys.argv[1:]
dev = folder + "/dev"
os.mkdir(dev)
subprocess.run(["mount", "-t", "tmpfs", "none", dev], check=True)
for name in ("null", "zero", "urandom", "fuse"):
    subprocess.run(["cp", "-a", "/dev/" + name, dev], check=True)
subprocess.run(["mount", "--move", dev, "/dev"], check=True)
subprocess.run([hooksfs, folder + "/conf", mountpoint], check=True)
daemon = None

def run(command):
    with open(mountpoint + "/local/request", "w") as request:
        request.write(command + "\n")
    with open(mountpoint + "/local/status") as status:
        assert status.read() == "0 exited\n"

def listen():
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind("/dev/log")
    log.settimeout(20)
    return log

def receive(log, wanted):
    line = log.recv(4096).decode()
    assert wanted in line and line.startswith("<"), line
    return line

try:
    run("true nobody reads this")
    log = listen()
    run("true")
    line = receive(log, "log lines were lost")
    daemon = int(line.split("hooksfs[")[1].split("]")[0])
    receive(log, "command=true")
    log.close()
    os.unlink("/dev/log")
    log = listen()
    run("echo")
    receive(log, "command=echo")
finally:
    subprocess.run(["umount", mountpoint], check=True)
PYTHON
}

test_log() {
    local line
    serve
    request "$M/local" "SECRET=in-the-environment cat in-the-arguments" <<<"in the input" || true
    like "$(get "$M/local/status")" "1 exited" status
    request "$M/local" "sh -c 'cat; echo error >&2; exit 3'" <<<"in the input"
    ends "$M/local" "3 exited"
    ! ask "$M/local" "cat 'not accepted' | x" 2>/dev/null || fail "not refused"
    is "$(grep -c 'command=' "$T/log")" 2 "lines for two jobs"
    line=$(grep 'command=sh' "$T/log")
    like "$line" "*sandbox=local*" "the sandbox"
    like "$line" "*slot=*" "the slot"
    like "$line" "*uid=$(id -u)*pid=[0-9]*" "the caller"
    like "$line" "*ms=[0-9]*" "the duration"
    like "$line" "*in=13*out=13*err=6*" "the bytes"
    like "$line" "*outcome=3 exited" "the outcome"
    like "$(grep 'command=cat' "$T/log")" "*outcome=1 exited" "the other's outcome"
    ! grep -E 'in-the-|in the |not accepted|SECRET' "$T/log" || fail "the log says too much"
    ask "$M/local" "'a \"quoted
command' x"
    like "$(get "$M/local/status")" "127 unstarted*" status
    is "$(grep -c 'quoted' "$T/log")" 1 "lines for an odd command"
    stop
}

# --- Rights

# A command gets no descriptor of the daemon, and none that the daemon inherited.
test_hooks_get_three_descriptors() {
    exec 7<"$T/conf" 8>"$T/leak"
    serve
    exec 7<&- 8>&-
    ask "$M/local" "ls -l /proc/self/fd"
    get "$M/local/stdout" | grep -v ' /proc/' | grep -c -- '->' >"$T/got" || true
    is "$(cat "$T/got")" 3 "descriptors in $(get "$M/local/stdout")"
    is "$(get "$M/local/stdout" | grep -c 'pipe:')" 3 pipes
    stop
}

as_nobody() {
    setpriv --reuid="$NOBODY" --regid="$NOBODY" --groups=100,60 "$@"
}

# A command has the rights of the user who asks, not of the user who started the daemon.
test_requests_of_another_user() {
    printf 'mode = direct\n[shared]\npermissions = 0777\n[private]\n' >"$T/conf"
    serve DAEMONS_SECRET=secret
    as_nobody bash -euc '
        echo "sh -c \"id -u; id -g; id -G; grep -h Cap /proc/self/status; touch /root/x 2>&1\"" >"$1/shared/request"
        cat "$1/shared/stdout"' bash "$M" >"$T/got"
    is "$(sed -n 1p "$T/got")" "$NOBODY" uid
    is "$(sed -n 2p "$T/got")" "$NOBODY" gid
    is "$(sed -n 3p "$T/got" | tr ' ' '\n' | sort -n | tr '\n' ' ')" "60 100 $NOBODY " groups
    is "$(grep -E 'Cap(Inh|Prm|Eff|Amb)' "$T/got" | grep -cv '\s0*$')" 0 "capabilities in $(cat "$T/got")"
    like "$(tail -n 1 "$T/got")" "*ermission denied*" "a file of root's"
    as_nobody bash -euc 'echo env >"$1/shared/request"; cat "$1/shared/stdout"' bash "$M" >"$T/got"
    ! grep SECRET "$T/got" || fail "the daemon's environment is not for others"
    grep -q '^PATH=/' "$T/got" || fail "no PATH"
    grep -q "uid=$NOBODY .*command=env" "$T/log" || fail "not in the log: $(cat "$T/log")"
    if as_nobody bash -c 'echo true >"$1/private/request"' bash "$M" 2>"$T/stderr"; then
        fail "the private one was opened"
    fi
    like "$(cat "$T/stderr")" "*ermission denied*" stderr
    if as_nobody cat "$M/private/status" 2>/dev/null; then fail "the private one was read"; fi
    # And root's own are root's.
    ask "$M/shared" id -u
    is "$(get "$M/shared/stdout")" 0 "root's uid"
    stop
}

test_a_mount_of_root_and_permissions_of_a_sandbox() {
    printf 'mode = direct\n[theirs]\nowner = nobody\ngroup = nogroup\npermissions = 0750\n' >"$T/conf"
    serve
    is "$(stat -c '%U:%G %a' "$M/theirs")" "nobody:nogroup 750" "the sandbox"
    is "$(stat -c '%U:%G %a' "$M/theirs/request")" "nobody:nogroup 640" request
    as_nobody bash -euc 'echo "id -u" >"$1/theirs/request"; cat "$1/theirs/stdout"' bash "$M" >"$T/got"
    is "$(cat "$T/got")" "$NOBODY" uid
    stop
}

test_user_of_the_configuration() {
    printf 'mode = direct\n[as-nobody]\nuser = nobody\nenv = HANDED_ON\n' >"$T/conf"
    serve DAEMONS_SECRET=secret HANDED_ON="by env"
    ask "$M/as-nobody" "sh -c 'id -u; id -g; echo \$HANDED_ON; echo \$DAEMONS_SECRET; echo \$USER'"
    is "$(get "$M/as-nobody/stdout" | tr '\n' '|')" "$NOBODY|$NOBODY|by env||nobody|" stdout
    stop
    printf 'mode = direct\n[local]\nuser = no-such-user\n' >"$T/conf"
    fails 1 "*$T/conf:*no-such-user*" "$HOOKSFS" --check "$T/conf"
}

# A user's own daemon, through fusermount3. /dev/fuse is given the rights that
# it has on a machine with udev.
test_a_daemon_of_another_user() {
    mkdir -p "$T/user"
    chown "$NOBODY:$NOBODY" "$T/user"
    rm -f "$T/fuse"
    mknod -m 666 "$T/fuse" c 10 229
    cat >"$T/user.sh" <<'SCRIPT'
set -eu
conf=$1 mnt=$2 hooksfs=$3 folder=$4
mount --bind "$folder/fuse" /dev/fuse
exec setpriv --reuid=65534 --regid=65534 --clear-groups bash -eu -c '
    "$3" "$1" "$2"
    echo "sh -c \"id -u; cat\"" >"$4/request.txt"
    { cat "$4/request.txt"; echo payload; } >"$2/local/request"
    cat "$2/local/stdout" "$2/local/status"
    pid=$(pgrep -n -f -- "$3 $1 $2")
    "$3" "$1" "$2" || echo "second: $?"
    kill -KILL "$pid"
    while grep -q "^State:.[^Z]" "/proc/$pid/status" 2>/dev/null; do sleep 0.05; done
    "$3" "$1" "$2"
    echo "echo again" >"$2/local/request"
    cat "$2/local/stdout"
    pid=$(pgrep -n -f -- "$3 $1 $2")
    kill -TERM "$pid"
    while grep -q "^State:.[^Z]" "/proc/$pid/status" 2>/dev/null; do sleep 0.05; done
    ! mountpoint -q "$2"
    echo unmounted
' bash "$conf" "$mnt" "$hooksfs" "$mnt/.."
SCRIPT
    mkdir "$T/user/mnt"
    chown "$NOBODY:$NOBODY" "$T/user/mnt"
    chmod 644 "$T/conf"
    timeout 100 unshare -m bash "$T/user.sh" "$T/conf" "$T/user/mnt" "$T/hooksfs" "$T" >"$T/got" 2>"$T/stderr" ||
        fail "exit code $?: $(cat "$T/got" "$T/stderr")"
    is "$(sed -n 1,3p "$T/got" | tr '\n' '|')" "$NOBODY|payload|0 exited|" "a request in $(cat "$T/got")"
    grep -q '^second: 1$' "$T/got" || fail "a second one was let in: $(cat "$T/got")"
    is "$(tail -n 2 "$T/got" | tr '\n' '|')" "again|unmounted|" "the end of $(cat "$T/got")"
    rm -r "$T/user"
    # It cannot run commands as another user.
    printf 'mode = direct\n[local]\nuser = root\n' >"$T/conf"
    fails 1 "*user*root*" setpriv --reuid="$NOBODY" --regid="$NOBODY" --clear-groups "$T/hooksfs" --check "$T/conf"
}

run_tests
