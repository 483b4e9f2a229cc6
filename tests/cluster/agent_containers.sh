#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Kinds of containers, with agent = auto and with agent = require: the agent gets into most;
# for the others, jobs run without an agent or report the reason. Also with podman.
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh" --podman

# A container of each kind, and the reason for each kind that cannot have an agent.
declare -A options=(
    [busybox]="pod = my-pod;container = hooks"
    [debian]="pod = kinds;container = debian"
    [shm]="pod = kinds;container = shm"
    [tmp]="pod = kinds;container = tmp"
    [user]="pod = my-pod;container = nonroot"
    [nonroot]="pod = kinds;container = nonroot"
    [volume]="pod = my-pod;container = bare;agent_path = /agent/hooksfs-agent"
    [noexec]="pod = kinds;container = noexec"
    [nowhere]="pod = kinds;container = nowhere"
    [small]="pod = kinds;container = small"
    [aarch64]="pod = kinds;container = aarch64"
    [riscv64]="pod = kinds;container = riscv64"
    [bare]="pod = my-pod;container = bare"
    [wrong]="pod = my-pod;container = bare;agent_path = /cat"
    [missing]="pod = my-pod;container = bare;agent_path = /agent/nobody"
)
declare -A reasons=(
    [noexec]="nothing can be executed in /tmp"
    [nowhere]="no directory of the container can be written"
    [small]="/tmp has no room for the agent"
    [riscv64]="the container is riscv64, and this hooksfs has no agent for that machine"
    [bare]='*"sh"*executable file not found*'
    [wrong]="the agent there ended with 1*"
    [missing]='*/agent/nobody*no such file*'
)
# With a cross compiler the daemon has an agent for aarch64, which cannot be executed here.
if [[ -e ${HOOKSFS_AGENT%/*}/hooksfs-agent-aarch64 ]]; then
    reasons[aarch64]="nothing can be executed in *"
else
    reasons[aarch64]="the container is aarch64, and this hooksfs has no agent for that machine"
fi

mkdir "$T/hidden"
mv "$CLUSTER_DIR/agent/hooksfs-agent" "$T/hidden"

write_config() {
    cat <<'CONF'
connections = 1
connect = use
timeout = 30s
kill_grace = 300ms
mode = kubectl_exec
CONF
    for kind in "${!options[@]}"; do
        for agent in auto require; do
            printf '[%s-%s]\nagent = %s\n%s\n' "$kind" $agent $agent "${options[$kind]//;/$'\n'}"
        done
    done
    for agent in auto require; do
        cat <<CONF
[podman-$agent]
mode = docker_exec
docker_path = podman
container = hooks
agent = $agent
[podman-bare-$agent]
mode = docker_exec
docker_path = podman
container = bare
agent = $agent
CONF
    done
    cat <<'CONF'
[podman-as-user]
mode = docker_exec
docker_path = podman
container = hooks
agent = require
user = 1000
workdir = /tmp
env = GREETING=good morning
[podman-volume]
mode = docker_exec
docker_path = podman
container = bare
agent = auto
agent_path = /agent/hooksfs-agent
[podman-nobody]
mode = docker_exec
docker_path = podman
container = nobody
agent = require
timeout = 1s
CONF
}
mount_with < <(write_config) || exit 1

before_each() {
    [[ -e $CLUSTER_DIR/agent/hooksfs-agent ]] || cp "$T/hidden/hooksfs-agent" "$CLUSTER_DIR/agent"
}

kubectl_execs() {
    fault status | sed 's/.*execs=//'
}

# For the last test, this begins with the script: there is no agent at agent_path.
test_an_agent_that_is_not_there_yet() {
    rm "$CLUSTER_DIR/agent/hooksfs-agent"
    ask "$M/podman-volume" /cat /etc/passwd
    like "$(stdout podman-volume)" 'root:*'
    is "$(status podman-volume)" "0 exited unconfirmed"
    like "$(log_of podman-volume)" "*no agent in the container: *; each job has a client of its own"
    date +%s >"$T/declined"
}

log_of() {
    grep "sandbox $1: " "$T/log" || true
}

takes() {
    local kind=$1 s before
    for s in "$kind-auto" "$kind-require"; do
        printf hello | request "$M/$s" "$2"
        is "$(stdout "$s")" hello
        is "$(status "$s")" "0 exited"
        is "$(stderr "$s")" ""
        like "$(log_of "$s")" "*connection 1 of 1 to the agent is open*"
        before=$(kubectl_execs)
        printf hello | request "$M/$s" "$2"
        is "$(stdout "$s")" hello
        is "$(kubectl_execs)" "$before" "clients so far"
    done
    [[ $kind != volume ]] || return 0
    # Only an agent can tell this signal from an exit code.
    ask "$M/$kind-auto" "sh -c 'kill -KILL \$\$'"
    is "$(status "$kind-auto")" "137 signaled KILL"
    leaves_nothing "$kind"
}

leaves_nothing() {
    ask "$M/$1-auto" "sh -c 'cd /; ls -a / /dev/shm /tmp /var/tmp /root'"
    [[ $(stdout "$1-auto") == *tmp* && $(stdout "$1-auto") != *hooksfs-* ]] ||
        fail "files are left: $(stdout "$1-auto")"
}

# containerd's error names the exec by a number, which is another one each time.
without_ids() {
    sed -E 's/"[0-9a-f]{64}"/ID/'
}

reason_in_log() {
    log_of "$1" | without_ids | sed 's/.*: no agent in the container: //; s/; each job has a client of its own$//'
}

declines() {
    local kind=$1 command=$2 s=$1-auto before
    like "${reasons[$kind]}" '?*'
    for _ in 1 2 3; do
        before=$(kubectl_execs)
        printf hello | request "$M/$s" "$command"
        is "$(stdout "$s")" hello
        is "$(status "$s")" "0 exited unconfirmed"
        (($(kubectl_execs) > before)) || fail "no client was started for it"
    done
    is "$(log_of "$s" | wc -l)" 1 "lines of the log"
    like "$(log_of "$s")" "*: no agent in the container: ${reasons[$kind]}; each job has a client of its own"
    s=$kind-require
    printf hello | request "$M/$s" "$command"
    like "$(status "$s")" "125 unreachable ${reasons[$kind]}"
    is "$(stdout "$s")" ""
    before=$(kubectl_execs)
    printf hello | request "$M/$s" "$command"
    like "$(status "$s")" "125 unreachable ${reasons[$kind]}"
    is "$(kubectl_execs)" "$before" "attempts"
    is "$(log_of "$s" | wc -l)" 1 "lines of the log"
    like "$(log_of "$s")" "*: no agent in the container: ${reasons[$kind]}"
    is "$(reason_in_log "$kind-auto")" "$(sed 's/125 unreachable //' "$M/$s/status" | without_ids)" "the words"
    if [[ $command == cat ]]; then
        ask "$M/$kind-auto" "sh -c 'kill -KILL \$\$'"
        is "$(status "$kind-auto")" "137 exited" "as kubectl says it"
        ask "$M/$kind-auto" "A=b sh -c 'echo \$A'"
        is "$(stdout "$kind-auto")" b
        leaves_nothing "$kind"
    fi
}

test_busybox() { takes busybox cat; }
test_debian() { takes debian cat; }
test_read_only_with_dev_shm() { takes shm cat; }
test_read_only_with_tmp() { takes tmp cat; }
test_a_user_in_busybox() { takes user cat; }
test_a_user_in_a_read_only_debian() {
    takes nonroot cat
    ask "$M/nonroot-require" id -u
    is "$(stdout nonroot-require)" 1000
}
test_no_shell_and_an_agent_on_a_volume() { takes volume /cat; }
test_nothing_can_be_executed() { declines noexec cat; }
test_nothing_can_be_written() { declines nowhere cat; }
test_no_room() { declines small cat; }
test_a_machine_that_there_may_be_an_agent_for() { declines aarch64 cat; }
test_a_machine_that_there_is_no_agent_for() { declines riscv64 cat; }
test_no_shell() { declines bare /cat; }
test_a_path_to_something_else() { declines wrong /cat; }
test_a_path_to_nothing() { declines missing /cat; }

# Many jobs come at once, before there is a connection: all are served.
test_jobs_that_wait_when_it_is_declined() {
    local i
    cp "$T/conf" "$T/conf.old"
    printf '[late-auto]\nagent = auto\n%s\n' "${options[noexec]//;/$'\n'}" >>"$T/conf"
    kill -HUP "$daemon_pid"
    wait_until 5 test -d "$M/late-auto" || fail "the configuration was not read"
    for i in 1 2 3 4 5; do
        mkdir "$M/late-auto/$i"
        printf 'cat\nanswer %d' "$i" >"$M/late-auto/$i/request" &
    done
    wait
    for i in 1 2 3 4 5; do
        is "$(cat "$M/late-auto/$i/stdout")" "answer $i"
        is "$(cat "$M/late-auto/$i/status")" "0 exited unconfirmed"
        rmdir "$M/late-auto/$i"
    done
    is "$(log_of late-auto | wc -l)" 1 "lines of the log"
    mv "$T/conf.old" "$T/conf"
    kill -HUP "$daemon_pid"
    wait_until 5 test ! -d "$M/late-auto" || fail "the configuration was not read"
}

# --- podman

test_podman() {
    local s code
    for s in podman-auto podman-require; do
        for code in 0 1 125 126 127 137; do
            printf hello | request "$M/$s" "sh -c 'cat; printf oops >&2; exit $code'"
            is "$(stdout "$s")" hello
            is "$(status "$s")" "$code exited"
            is "$(stderr "$s")" oops "stderr with exit code $code"
        done
        ask "$M/$s" "sh -c 'kill -TERM \$\$'"
        is "$(status "$s")" "143 signaled TERM"
        ask "$M/$s" nope
        like "$(status "$s")" '127 unstarted *nope*No such file or directory*'
        head -c 3000000 /dev/urandom >"$T/payload"
        request "$M/$s" cat <"$T/payload"
        cp "$M/$s/stdout" "$T/answer"
        same_file "$T/payload" "$T/answer"
        is "$(log_of "$s" | wc -l)" 1
        like "$(log_of "$s")" "*connection 1 of 1 to the agent is open*"
    done
}

test_podman_with_a_user_and_a_working_directory() {
    ask "$M/podman-as-user" "WHO='a  b' sh -c 'pwd; id -u; echo \"\$GREETING,\$WHO\"'"
    is "$(stdout podman-as-user)" $'/tmp\n1000\ngood morning,a  b'
    is "$(status podman-as-user)" "0 exited"
    ask "$M/podman-as-user" "HUSH=hush-hush-hush sh -c 'echo begun; exec sleep 60'"
    is "$(head -n 1 "$M/podman-as-user/stdout")" begun
    ! pgrep -af hush-hush-hush || fail "the value can be seen with ps"
    echo cancel >"$M/podman-as-user/ctl"
    is "$(status podman-as-user)" "130 cancelled"
}

test_podman_without_a_shell() {
    ask "$M/podman-bare-auto" /cat /etc/passwd
    like "$(stdout podman-bare-auto)" 'root:*'
    is "$(status podman-bare-auto)" "0 exited unconfirmed"
    like "$(log_of podman-bare-auto)" '*no agent in the container: *sh*not found*; each job has a client of its own'
    ask "$M/podman-bare-require" /cat /etc/passwd
    like "$(status podman-bare-require)" '125 unreachable *sh*not found*'
}

test_podman_without_the_container() {
    ask "$M/podman-nobody" cat
    like "$(status podman-nobody)" '125 unreachable *"nobody"*'
}

test_podman_timeout_and_cancel() {
    ask "$M/podman-require" --timeout=1s "sh -c 'trap : TERM; echo begun; setsid sleep 7361 & sleep 7361; sleep 7361'"
    is "$(status podman-require)" "124 timeout after 1s"
    is "$(stdout podman-require)" begun
    wait_until 2 nobody_sleeps || fail "something is left"
    ask "$M/podman-require" "sh -c 'setsid sleep 7361 & echo begun; exec sleep 7361'"
    is "$(head -n 1 "$M/podman-require/stdout")" begun
    echo cancel >"$M/podman-require/ctl"
    is "$(status podman-require)" "130 cancelled"
    wait_until 2 nobody_sleeps || fail "something is left"
}

nobody_sleeps() {
    ! pgrep -f 'sleep 736[1]' >/dev/null
}

# A minute after it could take no agent, the container is tried again.
test_the_agent_that_has_come() {
    local left=$(($(cat "$T/declined") + 62 - $(date +%s)))
    if ((left > 3)); then
        ask "$M/podman-volume" /cat /etc/passwd
        is "$(status podman-volume)" "0 exited unconfirmed"
        is "$(log_of podman-volume | wc -l)" 1 "lines of the log"
    fi
    ((left <= 0)) || sleep "$left"
    ask "$M/podman-volume" /cat /etc/passwd
    like "$(stdout podman-volume)" 'root:*'
    is "$(status podman-volume)" "0 exited"
    like "$(log_of podman-volume)" "*connection 1 of 1 to the agent is open*"
}

run_tests
