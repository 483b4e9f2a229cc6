#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A control group for each job. Tests of limits need the controllers in version 2 of the control
# groups: tests/vm runs this script on a machine that has them.
# shellcheck source=tests/lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"

ALICE=23001
alice() { setpriv --reuid $ALICE --regid $ALICE --clear-groups -- "$@"; }

top=$(findmnt -t cgroup2 -n -o TARGET | head -n 1)
if [[ $(id -u) != 0 || ! $top ]] || ! mkdir "$top/hooksfs-test.$$"; then
    echo "1..0 # SKIP no control groups of version 2 to write to"
    exit 0
fi
G=$top/hooksfs-test.$$/delegated
BARE=$top/hooksfs-test.$$/bare
CONTAINER=$top/hooksfs-test.$$/container
mkdir "$G" "$BARE" "$CONTAINER"
controllers=
for controller in cpu memory pids; do
    echo "+$controller" >"$top/cgroup.subtree_control" &&
        echo "+$controller" >"$top/hooksfs-test.$$/cgroup.subtree_control" &&
        controllers+=" $controller "
done 2>/dev/null
# A group below BARE has no controllers.
mkdir "$BARE/none"

cat >"$T/join" <<'SH'
#!/bin/sh
# Runs a program in a control group.
echo 0 >"$1/cgroup.procs" || exit 1
shift
exec "$@"
SH
chmod +x "$T/join"
# The first process of a container, with a control group and a view of it.
"$T/join" "$CONTAINER" unshare -Cm sh -c "umount '$top'; mount -t cgroup2 none '$top' && exec sleep 4000" &
first=$!
# In place of docker: executes the agent in the container. Where the container's group takes no
# process, the group of the first process does, as runc has it.
cat >"$T/docker" <<SH
#!/bin/sh
while [ "\$1" != container ]; do shift; done
shift
{ echo 0 >"$CONTAINER/cgroup.procs" || echo 0 >"$CONTAINER/hooksfs-daemon/cgroup.procs"; } 2>/dev/null || exit 1
exec nsenter -t $first -C -m -- "\$@"
SH
chmod +x "$T/docker"
wrapper=${HOOKSFS_WRAPPER:-}
HOOKSFS_WRAPPER="$T/join $G $wrapper"

# A sandbox of mode direct, and one with an agent.
limits() {
    local name=$1
    [[ $controllers == *" $name "* ]] || return 0
    printf '[%s]\n%s\n[agent-%s]\n%s\n%s\n' "$name" "$2" "$name" "$AGENT" "$2"
}
AGENT="mode = docker_exec
container = container
docker_path = $T/docker
agent = require
agent_path = $HOOKSFS_AGENT"

{
    cat <<'CONF'
mode = direct
permissions = 0777
timeout = 60s
kill_grace = 200ms
[plain]
[group]
cgroup = yes
[standby]
cgroup = yes
user = root
standby = cat
CONF
    limits memory "limit_memory = 48M"
    limits pids "limit_pids = 12"
    limits cpu "limit_cpu = 20"
} >"$T/conf"
start_daemon || exit 1

needs_controller() {
    [[ $controllers == *" $1 "* ]] || skip "the controller $1 is not in version 2 here"
}

job_groups() { find "$G" -mindepth 1 -maxdepth 1 -name 'hooksfs-job-*'; }
# None but that of the sandbox standby.
has_no_group() { [[ $(job_groups | wc -l) == 1 ]]; }
own_group() { sed -n "s#^0::.*/##p" "/proc/$1/cgroup"; }

before_each() {
    if [[ -e $T/conf.all ]]; then
        mv "$T/conf.all" "$T/conf"
        [[ ! $daemon_pid ]] || kill -HUP "$daemon_pid"
    fi
    ! mountpoint -q "$T/other" || umount -l "$T/other"
    [[ -e $M/group/ctl ]] || return 0
    echo cancel >"$M/group/ctl"
    wait_until 20 has_no_group && return
    # The other tests shall not fail, too.
    local left
    left=$(job_groups)
    for group in $left; do echo 1 >"$group/cgroup.kill"; done
    fail "left: $left"
}

test_only_where_it_is_wanted() {
    ask "$M/group" "sed -n s/^0:://p /proc/self/cgroup"
    like "$(get "$M/group/stdout")" "*/hooksfs-job-*"
    ends "$M/group" "0 exited"
    ask "$M/plain" "sed -n s/^0:://p /proc/self/cgroup"
    ! grep hooksfs-job "$M/plain/stdout" || fail "a job without limits has a group"
    wait_until 10 has_no_group || fail "left: $(job_groups)"
}

test_a_command_that_cannot_be_executed() {
    ask "$M/group" "/nowhere/program"
    ends "$M/group" "127 unstarted*"
    wait_until 10 has_no_group || fail "left: $(job_groups)"
}

# A process that has left the session and the process group, and ignores SIGTERM.
test_a_cancel_ends_all_processes() {
    ask "$M/group" "sh -c 'setsid sh -c \"trap : TERM; while :; do sleep 4001; done\" & sleep 4001'"
    wait_until 10 eval '[[ $(pgrep -fc "^sleep 4001") == 2 ]]'
    echo cancel >"$M/group/ctl"
    ends "$M/group" "130 cancelled"
    wait_until 10 eval '! pgrep -f "^sleep 4001"' || fail "these live: $(pgrep -fa 'sleep 4001')"
    wait_until 10 has_no_group || fail "left: $(job_groups)"
}

test_a_timeout_ends_all_processes() {
    ask "$M/group" "--timeout=300ms sh -c 'setsid sleep 4002 >/dev/null 2>&1 & sleep 4002'"
    ends "$M/group" "124 timeout*"
    wait_until 10 eval '! pgrep -f "^sleep 4002"' || fail "these live: $(pgrep -fa 'sleep 4002')"
}

# A job that ends by itself leaves its background processes alone, in its group.
test_processes_in_the_background() {
    local pid
    ask "$M/group" "sh -c 'sleep 4003 >/dev/null 2>&1 & echo \$!'"
    pid=$(get "$M/group/stdout")
    ends "$M/group" "0 exited"
    like "$(own_group "$pid")" "hooksfs-job-*"
    kill "$pid"
    wait_until 10 has_no_group || fail "left: $(job_groups)"
}

test_a_standby_has_a_group() {
    local pid
    wait_until 10 pgrep -P "$daemon_pid" -x cat >"$T/standby"
    pid=$(head -n 1 "$T/standby")
    like "$(own_group "$pid")" "hooksfs-job-*"
    echo "these bytes" | request "$M/standby" cat
    is "$(get "$M/standby/stdout")" "these bytes"
    kill -HUP "$daemon_pid"
}
test_a_user_cannot_leave() {
    alice sh -c "echo 'sh -c \"echo 0 >$G/cgroup.procs; echo 0 >$top/cgroup.procs; echo 1 >/proc/self/cgroup; mkdir $G/mine; sed -n s/^0:://p /proc/self/cgroup\"' >$M/group/request"
    like "$(get "$M/group/stdout")" "*/hooksfs-job-*"
    [[ ! -e $G/mine ]]
    alice sh -c "echo 'find $G -writable' >$M/group/request"
    is "$(get "$M/group/stdout")" ""
}

test_many_at_once() {
    for i in $(seq 20); do
        mkdir "$M/group/$i"
        ask "$M/group/$i" "sh -c 'sleep 0.2; sed -n s/^0:://p /proc/self/cgroup'"
    done
    for i in $(seq 20); do
        get "$M/group/$i/stdout"
        rmdir "$M/group/$i"
    done >"$T/groups"
    is "$(sort -u "$T/groups" | grep -c hooksfs-job)" 20
    wait_until 10 has_no_group || fail "left: $(job_groups)"
}

# --- Limits

# The same by the daemon, and by an agent in the container.
check_memory() {
    local sandbox=$1
    needs_controller memory
    ask "$M/$sandbox" "sh -c 'setsid sleep 4004 & exec python3 -c \"print(len(bytearray(200000000)))\"'"
    ends "$M/$sandbox" "137 signaled KILL out of memory"
    grep -q "sandbox=$sandbox .*outcome=137 signaled KILL out of memory" "$T/log"
    wait_until 10 eval '! pgrep -f "^sleep 4004"' || fail "a part of the job lives"
    ask "$M/$sandbox" "python3 -c 'print(len(bytearray(1000000)))'"
    is "$(get "$M/$sandbox/stdout")" 1000000
    ask "$M/$sandbox" "sh -c 'kill -KILL \$\$'"
    ends "$M/$sandbox" "137 signaled KILL"
    ask "$M/plain" "python3 -c 'print(len(bytearray(200000000)))'"
    is "$(get "$M/plain/stdout")" 200000000
}
test_out_of_memory() { check_memory memory; }
test_out_of_memory_with_an_agent() { check_memory agent-memory; }

check_processes() {
    needs_controller pids
    ask "$M/$1" "python3 -c '
import os, time
made = 0
try:
    for _ in range(100):
        if os.fork() == 0:
            time.sleep(2)
            os._exit(0)
        made += 1
except OSError as error:
    print(made, error.strerror)
'"
    is "$(get "$M/$1/stdout")" "11 Resource temporarily unavailable"
}
test_no_more_processes() { check_processes pids; }
test_no_more_processes_with_an_agent() { check_processes agent-pids; }

check_share() {
    needs_controller cpu
    ask "$M/$1" "python3 -c '
import time
begin, used = time.monotonic(), time.process_time()
while time.monotonic() < begin + 3:
    pass
print(round(100 * (time.process_time() - used) / (time.monotonic() - begin)))
'"
    [[ $(get "$M/$1/stdout") -lt 45 ]] || fail "it used $(cat "$M/$1/stdout") % of a processor"
}
test_a_share_of_a_processor() { check_share cpu; }
test_a_share_of_a_processor_with_an_agent() { check_share agent-cpu; }

agent_groups() { find "$CONTAINER" -mindepth 1 -name 'hooksfs-agent-*'; }

# The other processes of the container stay without limits, and a job leaves no group behind.
test_an_agent_beside_others() {
    needs_controller pids
    ask "$M/agent-pids" "sed -n s/^0:://p /proc/self/cgroup"
    like "$(get "$M/agent-pids/stdout")" "/hooksfs-agent-*"
    is "$(own_group "$first")" "hooksfs-daemon"
    wait_until 10 eval '[[ ! $(agent_groups) ]]' || fail "left: $(agent_groups)"
    # Jobs at the same time have a group each, and a cancel ends all of a job.
    for i in 1 2 3; do
        mkdir "$M/agent-pids/$i"
        ask "$M/agent-pids/$i" "sh -c 'setsid setsid sleep 4007 & sleep 4007'"
    done
    wait_until 10 eval '[[ $(pgrep -fc "^sleep 4007") == 6 && $(agent_groups | wc -l) == 3 ]]'
    for i in 1 2 3; do
        echo cancel >"$M/agent-pids/$i/ctl"
        ends "$M/agent-pids/$i" "130 cancelled"
        rmdir "$M/agent-pids/$i"
    done
    wait_until 10 eval '! pgrep -f "^sleep 4007" && [[ ! $(agent_groups) ]]'
    ask "$M/agent-pids" "/nowhere/program"
    ends "$M/agent-pids" "127 unstarted cannot execute /nowhere/program: No such file or directory"
    wait_until 10 eval '[[ ! $(agent_groups) ]]' || fail "left: $(agent_groups)"
    kill -0 "$first"
}

# The agent and its supervisors are killed: the next agent removes what is left.
test_groups_of_a_killed_agent() {
    needs_controller pids
    ask "$M/agent-pids" "sh -c 'setsid sleep 4008 & sleep 4008'"
    wait_until 10 eval '[[ $(pgrep -fc "^sleep 4008") == 2 ]]'
    pkill -KILL -f "^$HOOKSFS_AGENT --serve"
    like "$(get "$M/agent-pids/status")" "125 unreachable*"
    pkill -KILL -f "^sleep 4008" || :
    wait_until 20 eval 'ask "$M/agent-pids" "echo served" && [[ $(get "$M/agent-pids/stdout") == served ]]'
    wait_until 10 eval '[[ ! $(agent_groups) ]]' || fail "left: $(agent_groups)"
}

# The files of the groups are read-only, as containers mostly have them: no job runs without its
# limits.
test_a_container_that_lets_no_agent_limit() {
    needs_controller pids
    sed "s#exec nsenter.*-- #&unshare -m sh -c 'mount -o remount,bind,ro \"$top\" \&\& exec \"\$@\"' sh #" "$T/docker" >"$T/docker.ro"
    chmod +x "$T/docker.ro"
    cp "$T/conf" "$T/conf.all"
    sed -i "s#docker_path = .*#&.ro#" "$T/conf"
    kill -HUP "$daemon_pid"
    wait_until 10 grep -q 'was read again' "$T/log"
    ask "$M/agent-pids" "touch $T/ran"
    like "$(get "$M/agent-pids/status")" "126 unstarted cannot limit the command: *"
    [[ ! -e $T/ran ]] || fail "it ran without its limit"
}

# A standby is limited from its start.
test_a_standby_without_memory() {
    needs_controller memory
    cp "$T/conf" "$T/conf.all"
    for sandbox in memory agent-memory; do
        printf '[%s]\nuser = root\nstandby = python3 -c "print(len(bytearray(len(input()) * 200000000)))"\n' "$sandbox"
    done >"$T/lines"
    python3 - "$T/conf" "$T/lines" <<'PYTHON'
import sys
conf, lines = (open(name).read() for name in sys.argv[1:])
for part in lines.strip("[").split("\n["):
    name, _, keys = part.partition("]\n")
    if name.startswith("agent"):
        keys = keys.partition("\n")[2]
    conf = conf.replace(f"[{name}]\n", f"[{name}]\n{keys.strip()}\n")
open(sys.argv[1], "w").write(conf)
PYTHON
    kill -HUP "$daemon_pid"
    wait_until 30 eval '[[ $(pgrep -fc "^python3 -c print.len.bytearray.len.input") == 2 ]]' || fail "no standbys"
    for sandbox in memory agent-memory; do
        echo x | request "$M/$sandbox" 'python3 -c "print(len(bytearray(len(input()) * 200000000)))"'
        is "$(get "$M/$sandbox/status")" "137 signaled KILL out of memory"
    done
}

# The kernel kills whoever shares the memory of its victim: that must not be the daemon.
test_too_little_memory_to_begin() {
    needs_controller memory
    cp "$T/conf" "$T/conf.all"
    sed -i 's/48M/16K/' "$T/conf"
    kill -HUP "$daemon_pid"
    wait_until 10 grep -q 'was read again' "$T/log"
    alice sh -c "echo 'id' >$M/memory/request"
    like "$(get "$M/memory/status")" "1*"
    kill -0 "$daemon_pid" || fail "the daemon is dead"
    ask "$M/plain" "echo served"
    is "$(get "$M/plain/stdout")" served
}

# --- The daemon

# Runs another daemon, in the group $1, until it serves or ends.
other_daemon() {
    local group=$1
    mkdir -p "$T/other"
    : >"$T/log.other"
    # shellcheck disable=SC2086
    "$T/join" "$group" $wrapper "$HOOKSFS" -f "$T/conf.other" "$T/other" >>"$T/log.other" 2>&1 &
    other=$!
    wait_until 60 eval 'grep -q "serving" "$T/log.other" || ! kill -0 $other 2>/dev/null'
}

test_a_missing_controller() {
    printf '[x]\nmode=direct\nlimit_memory=20M\n' >"$T/conf.other"
    other_daemon "$BARE/none"
    ! kill -0 "$other" 2>/dev/null || fail "it started"
    grep -q "sandbox x: .*no controller memory" "$T/log.other" || fail "$(cat "$T/log.other")"
}

test_a_group_of_another_daemon() {
    printf '[x]\nmode=direct\ncgroup=yes\n' >"$T/conf.other"
    if [[ -e $G/hooksfs-daemon ]]; then
        other_daemon "$G/hooksfs-daemon"
    else
        other_daemon "$G"
    fi
    ! kill -0 "$other" 2>/dev/null || fail "it started"
    grep -q "another daemon uses the control group of this one" "$T/log.other" || fail "$(cat "$T/log.other")"
}

test_a_reload_without_the_controller() {
    printf '[x]\nmode=direct\n' >"$T/conf.other"
    other_daemon "$BARE/none"
    printf '[x]\nmode=direct\nlimit_pids=5\n[y]\nmode=direct\n' >"$T/conf.other"
    kill -HUP "$other"
    wait_until 10 grep -q "sandbox x: .*the configuration of before stays" "$T/log.other" ||
        fail "$(cat "$T/log.other")"
    [[ ! -e $T/other/y ]]
    kill "$other"
    wait "$other"
}

test_the_next_daemon_ends_what_a_killed_one_left() {
    local group=$BARE/next
    mkdir -p "$group"
    printf '[x]\nmode=direct\ncgroup=yes\n' >"$T/conf.other"
    other_daemon "$group"
    ask "$T/other/x" "setsid sh -c 'sleep 4005 & sleep 4005'"
    wait_until 10 eval '[[ $(pgrep -fc "^sleep 4005") == 2 ]]'
    kill -KILL "$other"
    wait "$other" || :
    umount -l "$T/other"
    [[ $(find "$group" -name 'hooksfs-job-*') ]]
    other_daemon "$group"
    ask "$T/other/x" "echo served"
    is "$(get "$T/other/x/stdout")" served
    ! pgrep -f "^sleep 4005" || fail "these live"
    kill "$other"
    wait "$other"
    is "$(find "$group" -name 'hooksfs-job-*')" ""
}

remove_groups() {
    local group
    find "$top/hooksfs-test.$$" -depth -type d | while read -r group; do
        rmdir "$group" 2>/dev/null || { sleep 0.1; rmdir "$group"; }
    done
}
trap 'clean_up; kill "$first"; remove_groups' EXIT

run_tests
