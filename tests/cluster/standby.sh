#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Standbys in a pod and in podman's containers. Each gives an answer, and no hook runs without a
# request, even if the daemon, the client or the connection ends.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh" --podman

# A hook that leaves a file when it ran, and another file when it ran without input.
hook="sh -c 'cat >/tmp/got; if [ -s /tmp/got ]; then echo ran; else echo >>/tmp/empty; fi'"

conf() {
    cat <<CONF
timeout = 20s
standby = $hook
standby = cat
[pod]
mode = kubectl_exec
pod = my-pod
container = hooks
[agent]
mode = kubectl_exec
pod = my-pod
container = second
agent = require
[box]
mode = docker_exec
docker_path = podman
container = hooks
[run]
mode = docker_run
docker_path = podman
image = localhost/hooksfs:busybox
network = none
[slow]
mode = docker_run
docker_path = podman
image = localhost/hooksfs:busybox
network = none
standby = sh -c 'cat; sleep 60'
[single]
mode = docker_run
docker_path = podman
image = localhost/hooksfs:busybox
network = none
agent = require
[shell-less]
mode = kubectl_exec
pod = my-pod
container = bare
CONF
}

# Lists the hooks that wait in the container of SANDBOX.
waiting_in() {
    case $1 in
    pod) processes_in my-pod hooks ;;
    agent) processes_in my-pod second ;;
    box) podman exec hooks ps -o args ;;
    esac | grep -c '^ *sh -c cat >/tmp/got' || true
}

is_ready() {
    (($(waiting_in "$1") >= 1))
}

ready() {
    (($(waiting_in "$1") >= 1))
}

is_over() {
    (($(waiting_in "$1") == 0))
}

ready() {
    wait_until 30 is_ready "$1" || fail "no standby in $1"
}

empty() {
    kubectl exec my-pod -c hooks -- ls /tmp | grep empty || true
    kubectl exec my-pod -c second -- ls /tmp | grep empty || true
    podman exec hooks ls /tmp | grep empty || true
}

nothing_ran() {
    is "$(empty)" "" "a hook ran without a request"
}

call() {
    py "$M/$1" "$2" <<'PYTHON'
import os, sys
fd = os.open(sys.argv[1] + "/call", os.O_RDWR)
os.write(fd, sys.argv[2].encode() + b"\npayload")
answer = b""
while part := os.read(fd, 4096):
    answer += part
sys.stdout.buffer.write(answer)
PYTHON
}

hits() {
    grep -c "sandbox $1: standby of .* taken" "$T/log" || true
}

test_each_place_answers_from_a_standby() {
    local place
    for place in pod agent box run single; do
        wait_until 20 has_taken "$place" || fail "$place never takes a standby"
    done
    is "$(call shell-less cat)" payload
    like "$(cat "$T/log")" '*sandbox shell-less: a standby of *sh*'
    nothing_ran
}

has_taken() {
    is "$(call "$1" cat)" payload
    (($(hits "$1") > 0))
}

test_the_hook_runs_for_a_request() {
    local place
    for place in pod agent box; do
        ready "$place"
        is "$(call "$place" "$hook")" ran
    done
    nothing_ran
}

# The client is killed, and then the connection is cut. A call right afterwards has the right answer
# or fails, and a later call has the right answer.
test_clients_and_connections_that_die() {
    local place
    ready pod && ready box && ready agent
    pkill -KILL -P "$daemon_pid"
    for place in pod agent box; do
        is "$(call "$place" cat)" payload
    done
    ready pod && ready agent && ready box
    fault cut-now
    sleep 0.5
    fault none
    for place in pod agent box; do
        wait_until 20 has_answer "$place" || fail "no answer from $place"
    done
    ready pod && ready agent && ready box
    nothing_ran
}

has_answer() {
    [[ $(call "$1" cat 2>&1) == payload ]]
}

test_reload_leaves_none_of_the_old_ones() {
    local before
    ready pod && ready agent && ready box
    before=$(grep -c 'was read again' "$T/log" || true)
    kill -HUP "$daemon_pid"
    wait_until 10 reloaded "$before"
    ready pod && ready agent && ready box
    nothing_ran
}

reloaded() {
    (($(grep -c 'was read again' "$T/log") > $1))
}

# A first process that waits for no children gets none, except a hook's own children.
test_no_zombies_of_the_shell() {
    local before after
    before=$("$TESTS/cluster/ps" "$T/cluster" my-pod hooks | grep -c '\[sh\] <defunct>' || true)
    for _ in 1 2 3 4 5; do
        is "$(call pod cat)" payload
        ready pod
    done
    kill -HUP "$daemon_pid"
    sleep 1
    ready pod
    after=$("$TESTS/cluster/ps" "$T/cluster" my-pod hooks | grep -c '\[sh\] <defunct>' || true)
    is "$after" "$before" "zombies"
}

# The job runs in the container of the standby, and not in the container that the request would have
# had.
test_a_job_that_runs_too_long_leaves_no_container() {
    wait_until 30 has_containers 5 || fail "too few containers: $(containers)"
    ask "$M/slow" "--timeout=1s sh -c 'cat; sleep 60'"
    like "$(get "$M/slow/status")" '124 timeout*'
    (($(hits slow) == 1)) || fail "it was no standby"
    sleep 5
    wait_until 30 has_containers 5 || fail "containers: $(containers)"
}

# Another daemon beside the first one, whose standbys stay.
test_a_daemon_that_is_killed_leaves_nothing() {
    local place other
    ready pod && ready agent && ready box
    mkdir "$T/other"
    wait_until 30 has_containers 5 || fail "too few containers: $(containers)"
    "$HOOKSFS" -f "$T/conf" "$T/other" 2>"$T/other.log" &
    other=$!
    for place in pod agent box; do
        wait_until 30 has "$place" 2 || fail "no second standby in $place"
    done
    wait_until 30 has_containers 10 || fail "too few containers: $(containers)"
    kill -KILL "$other"
    wait "$other" || true
    umount -l "$T/other"
    for place in pod agent box; do
        wait_until 20 has "$place" 1 || fail "left in $place: $(waiting_in "$place")"
    done
    wait_until 20 has_containers 5 || fail "containers are left: $(containers)"
    nothing_ran
}

# The containers of mode docker_run: five commands are on standby.
containers() {
    podman ps --format '{{.Names}}' | grep -cvE '^(hooks|bare|nobody)$' || true
}

has_containers() {
    (($(containers) == $1))
}

has() {
    (($(waiting_in "$1") == $2))
}

mount_with --debug=job < <(conf) || exit 1
run_tests
