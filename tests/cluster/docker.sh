#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Modes docker_exec and docker_run, with a real podman and a real Docker engine, and with
# each docker of this machine.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh" --podman --docker

# shellcheck source=tests/cluster/dockers.sh
. "$(dirname "$0")/dockers.sh"
client_of[podman]=podman

sections_of() {
    cat <<CONF
[$1-exec]
mode = docker_exec
docker_path = ${client_of[$1]}
container = hooks
[$1-exec-options]
mode = docker_exec
docker_path = ${client_of[$1]}
container = hooks
workdir = /tmp
user = 1000
env = GREETING=good morning
env = PATH=/bin:/usr/bin:/sbin
[$1-exec-nobody]
mode = docker_exec
docker_path = ${client_of[$1]}
container = nobody
[$1-exec-usage]
mode = docker_exec
docker_path = ${client_of[$1]}
container = hooks
extra_args = --no-such-option
[$1-exec-nowhere]
mode = docker_exec
docker_path = ${client_of[$1]}
container = hooks
workdir = /no/such/directory
[$1-run]
mode = docker_run
docker_path = ${client_of[$1]}
network = none
image = localhost/hooksfs:busybox
timeout = 60s
[$1-run-mounts]
mode = docker_run
docker_path = ${client_of[$1]}
network = none
image = localhost/hooksfs:busybox
mounts = /etc/debian_version:/one:ro
mounts = /etc/passwd:/two:ro
env = GREETING=good morning
[$1-run-nobody]
mode = docker_run
docker_path = ${client_of[$1]}
network = none
image = localhost/nobody:none
extra_args = --pull=never
CONF
}

write_config() {
    local client
    for client in "${!client_of[@]}"; do
        sections_of "$client"
    done
    cat <<'CONF'
[no-docker]
mode = docker_exec
docker_path = /no/such/docker
container = hooks
CONF
}
mount_with < <(write_config) || exit 1


check_mode() {
    local s=$1 code
    printf hello | request "$M/$s" cat
    is "$(stdout "$s")" hello
    is "$(status "$s")" "0 exited unconfirmed"
    for code in 1 125 127 255; do
        ask "$M/$s" "sh -c 'printf oops >&2; exit $code'"
        is "$(status "$s")" "$code exited"
        is "$(stderr "$s")" oops "stderr with exit code $code"
    done
    # stderr looks like a client's message, but no client ends with this exit code.
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

with_docker_exec() {
    check_mode "$c-exec"
}

with_docker_run() {
    check_mode "$c-run"
}

with_exec_with_options_and_environment() {
    ask "$M/$c-exec-options" "WHO='a  b' sh -c 'pwd; id -u; echo \"\$GREETING,\$WHO,\$PATH\"'"
    is "$(stdout "$c-exec-options")" $'/tmp\n1000\ngood morning,a  b,/bin:/usr/bin:/sbin'
    is "$(status "$c-exec-options")" "0 exited unconfirmed"
}

# The working directory of a request counts more than the sandbox's own.
with_a_working_directory_of_the_request() {
    local s
    for s in "$c-exec" "$c-exec-options" "$c-run"; do
        ask "$M/$s" "--workdir=/etc pwd"
        is "$(stdout "$s")" /etc "$s"
        is "$(status "$s")" "0 exited unconfirmed" "$s"
    done
}

# A variable that podman itself reads must reach the command, and not podman.
with_a_variable_that_the_client_would_act_on() {
    ask "$M/$c-exec" "CONTAINER_HOST=tcp://192.0.2.1:1 LD_PRELOAD=/no/such.so HOME=/h sh -c 'echo \$CONTAINER_HOST \$HOME'"
    is "$(stdout "$c-exec")" "tcp://192.0.2.1:1 /h"
    is "$(status "$c-exec")" "0 exited unconfirmed"
}

# Written one by one: podman would then leave the command where it is.
with_the_keys_that_detach() {
    local s key
    for s in "$c-exec" "$c-run"; do
        exec 5>"$M/$s/request"
        echo "sh -c 'echo begun; cat; echo ended'" >&5
        is "$(head -n 1 "$M/$s/stdout")" begun
        for key in '\020' '\021' rest; do
            printf %b "$key" >&5
            sleep 0.2
        done
        exec 5>&-
        is "$(stdout "$s")" $'begun\n\020\021restended'
        is "$(status "$s")" "0 exited unconfirmed"
    done
}

with_values_stay_out_of_argument_lists() {
    ask "$M/$c-exec" "SECRET=hush-hush-hush sh -c 'echo begun; exec sleep 5'"
    is "$(head -n 1 "$M/$c-exec/stdout")" begun
    ! pgrep -f hush-hush-hush || fail "the value can be seen with ps"
    echo cancel >"$M/$c-exec/ctl"
    is "$(status "$c-exec")" "130 cancelled"
}

with_run_with_mounts() {
    ask "$M/$c-run-mounts" "sh -c 'cat /one; echo \"\$GREETING\"; test -s /two'"
    is "$(stdout "$c-run-mounts")" "$(cat /etc/debian_version)"$'\n'"good morning"
    is "$(status "$c-run-mounts")" "0 exited unconfirmed"
}

converse() {
    /usr/bin/python3 - "$M/$1/call" "$2" <<'PYTHON'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, sys.argv[2].encode() + b"\n")
answer = b""
try:
    while part := os.read(fd, 1 << 16):
        answer += part
    print(answer.decode(), "end")
except OSError as e:
    print(answer.decode(), errno.errorcode[e.errno])
PYTHON
}

# docker exec has the engine's message on its stdout.
with_conversations_of_what_is_not_there() {
    local s
    for s in "$c-exec" "$c-run"; do
        is "$(converse "$s" nope)" " ENOENT"
        is "$(converse "$s" /etc/passwd)" " EACCES"
        is "$(converse "$s" "echo OCI runtime exec failed: ")" $'OCI runtime exec failed:\n end'
        is "$(converse "$s" "sh -c 'exit 126'")" " EIO"
    done
}

with_what_is_not_there() {
    ask "$M/$c-exec-nobody" cat
    like "$(status "$c-exec-nobody")" '125 unreachable *nobody*'
    ask "$M/$c-run-nobody" cat
    like "$(status "$c-run-nobody")" '125 unreachable *nobody*'
    ask "$M/$c-exec-usage" cat
    like "$(status "$c-exec-usage")" '125 unreachable *no-such-option*'
    ask "$M/no-docker" cat
    like "$(status no-docker)" '125 unreachable *No such file*'
    ask "$M/$c-exec-nowhere" cat
    like "$(status "$c-exec-nowhere")" '126 unstarted *chdir*'
}

with_timeout_and_cancel() {
    ask "$M/$c-exec" --timeout=3s "sh -c 'echo begun; sleep 30'"
    is "$(status "$c-exec")" "124 timeout after 3s"
    is "$(stdout "$c-exec")" begun
    ask "$M/$c-run" "sh -c 'echo begun; exec sleep 30'"
    is "$(head -n 1 "$M/$c-run/stdout")" begun
    echo cancel >"$M/$c-run/ctl"
    is "$(status "$c-run")" "130 cancelled"
}

with_a_client_that_dies() {
    ask "$M/$c-exec" "sh -c 'echo begun; exec sleep 5'"
    is "$(head -n 1 "$M/$c-exec/stdout")" begun
    pkill -KILL -P "$daemon_pid" "${c%%_*}"
    like "$(status "$c-exec")" "125 unreachable *signal KILL"
}

for c in "${!client_of[@]}"; do
    for body in $(declare -F | sed -n 's/^declare -f with_//p'); do
        eval "test_${body}_with_$c() { c=$c; with_$body; }"
    done
done

run_tests
