#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Modes docker_exec and docker_run, with a real podman.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh" --podman

mount_with <<'CONF' || exit 1
docker_path = podman

[exec]
mode = docker_exec
container = hooks
[exec-options]
mode = docker_exec
container = hooks
workdir = /tmp
user = 1000
env = GREETING=good morning
env = PATH=/bin:/usr/bin:/sbin
[exec-nobody]
mode = docker_exec
container = nobody
[exec-usage]
mode = docker_exec
container = hooks
extra_args = --no-such-option
[exec-nowhere]
mode = docker_exec
container = hooks
workdir = /no/such/directory
[run]
mode = docker_run
network = none
image = localhost/hooksfs:busybox
timeout = 60s
[run-mounts]
mode = docker_run
network = none
image = localhost/hooksfs:busybox
mounts = /etc/debian_version:/one:ro
mounts = /etc/passwd:/two:ro
env = GREETING=good morning
[run-nobody]
mode = docker_run
network = none
image = localhost/nobody:none
extra_args = --pull=never
[no-docker]
mode = docker_exec
docker_path = /no/such/docker
container = hooks
CONF

check_mode() {
    local s=$1 code
    printf hello | request "$M/$s" cat
    is "$(stdout "$s")" hello
    is "$(status "$s")" "0 exited unconfirmed"
    for code in 1 3 125 126 127 255; do
        ask "$M/$s" "sh -c 'printf oops >&2; exit $code'"
        is "$(status "$s")" "$code exited"
        is "$(stderr "$s")" oops "stderr with exit code $code"
    done
    # The words of a client, but not with an exit code that a client has.
    ask "$M/$s" "sh -c 'echo Error: bad >&2; exit 1'"
    is "$(status "$s")" "1 exited"
    ask "$M/$s" nope
    like "$(status "$s")" '127 unstarted *nope*'
    ask "$M/$s" /etc/passwd
    like "$(status "$s")" '126 unstarted *'
    head -c 4000000 /dev/urandom >"$T/payload"
    request "$M/$s" cat <"$T/payload"
    cp "$M/$s/stdout" "$T/answer"
    same_file "$T/payload" "$T/answer"
    echo 'python -m pii --strict
{"hook":"provider","phase":"before_call"}' >"$M/$s/request"
    is "$(stdout "$s")" '{"allow":true}'
}

test_docker_exec() {
    check_mode exec
}

test_docker_run() {
    check_mode run
}

test_exec_with_options_and_environment() {
    ask "$M/exec-options" "WHO='a  b' sh -c 'pwd; id -u; echo \"\$GREETING,\$WHO,\$PATH\"'"
    is "$(stdout exec-options)" $'/tmp\n1000\ngood morning,a  b,/bin:/usr/bin:/sbin'
    is "$(status exec-options)" "0 exited unconfirmed"
}

# A variable that podman itself reads must reach the command, and not podman.
test_a_variable_that_the_client_would_act_on() {
    ask "$M/exec" "CONTAINER_HOST=tcp://192.0.2.1:1 LD_PRELOAD=/no/such.so HOME=/h sh -c 'echo \$CONTAINER_HOST \$HOME'"
    is "$(stdout exec)" "tcp://192.0.2.1:1 /h"
    is "$(status exec)" "0 exited unconfirmed"
}

# Written one by one: podman would then leave the command where it is.
test_the_keys_that_detach() {
    local s key
    for s in exec run; do
        exec 5>"$M/$s/request"
        echo "sh -c 'echo begun; cat; echo ended'" >&5
        is "$(head -n 1 "$M/$s/stdout")" begun
        for key in '\020' '\021' rest; do
            printf "$key" >&5
            sleep 0.2
        done
        exec 5>&-
        is "$(stdout "$s")" $'begun\n\020\021restended'
        is "$(status "$s")" "0 exited unconfirmed"
    done
}

test_values_stay_out_of_argument_lists() {
    ask "$M/exec" "SECRET=hush-hush-hush sh -c 'echo begun; exec sleep 5'"
    is "$(head -n 1 "$M/exec/stdout")" begun
    ! pgrep -f hush-hush-hush || fail "the value can be seen with ps"
    echo cancel >"$M/exec/ctl"
    is "$(status exec)" "130 cancelled"
}

test_run_with_mounts() {
    ask "$M/run-mounts" "sh -c 'cat /one; echo \"\$GREETING\"; test -s /two'"
    is "$(stdout run-mounts)" "$(cat /etc/debian_version)"$'\n'"good morning"
    is "$(status run-mounts)" "0 exited unconfirmed"
}

test_what_is_not_there() {
    ask "$M/exec-nobody" cat
    like "$(status exec-nobody)" '125 unreachable *"nobody"*'
    ask "$M/run-nobody" cat
    like "$(status run-nobody)" '125 unreachable *nobody*'
    ask "$M/exec-usage" cat
    like "$(status exec-usage)" '125 unreachable *no-such-option*'
    ask "$M/no-docker" cat
    like "$(status no-docker)" '125 unreachable *No such file*'
    ask "$M/exec-nowhere" cat
    like "$(status exec-nowhere)" '126 unstarted *chdir*'
}

test_timeout_and_cancel() {
    ask "$M/exec" --timeout=1s "sh -c 'echo begun; sleep 30'"
    is "$(status exec)" "124 timeout after 1s"
    is "$(stdout exec)" begun
    ask "$M/run" "sh -c 'echo begun; exec sleep 30'"
    is "$(head -n 1 "$M/run/stdout")" begun
    echo cancel >"$M/run/ctl"
    is "$(status run)" "130 cancelled"
}

test_a_client_that_dies() {
    ask "$M/exec" "sh -c 'echo begun; exec sleep 5'"
    is "$(head -n 1 "$M/exec/stdout")" begun
    pkill -KILL -P "$daemon_pid" podman
    like "$(status exec)" "125 unreachable *signal KILL"
}

run_tests
