#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Limits of commands in containers: by an agent, and by the engine for a container of docker_run.
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh" --docker --podman
# shellcheck source=tests/cluster/dockers.sh
. "$(dirname "$0")/dockers.sh"
client_of[podman]=podman

cat >"$T/limited.py" <<'PYTHON'
from inside import *

RLIMITS = """rlimit_core = 0
rlimit_cpu = 1s
rlimit_fsize = 8K
rlimit_nofile = 40
rlimit_nproc = 1000
rlimit_stack = 2M
"""
WELL = ("0 exited", "0 exited unconfirmed")
SHOW = b"cat /proc/self/limits"
LIMITED = {"cpu time": "1", "file size": "8192", "core file size": "0", "open files": "40",
           "processes": "1000", "stack size": str(2 << 20)}


def limits(text):
    """Name: (soft, hard), of /proc/PID/limits."""
    lines = (re.match(r"Max (\S.*?)  +(\S+) +(\S+)", line) for line in text.decode().splitlines())
    return {line[1]: (line[2], line[3]) for line in lines if line}


def ask_for(sandbox, request):
    ask(sandbox, request)
    return get(sandbox + "/stdout"), status(sandbox)


def check_rlimits(limited, free):
    """The commands of LIMITED have the limits, each time, and those of FREE have none of them."""
    for _ in range(3):
        out, how = ask_for(limited, SHOW)
        assert how in WELL, (how, get(limited + "/stderr"))
        got = limits(out)
        assert {name: got[name] for name in LIMITED} == {name: (value, value) for name, value in LIMITED.items()}, got
        others, how = ask_for(free, SHOW)
        assert how in WELL, how
        assert not any(limits(others)[name] == (value, value) for name, value in LIMITED.items() if name != "core file size"), others
    assert ask_for(limited, b"sh -c 'ulimit -n 30; ulimit -n'")[0] == b"30\n"
    out, how = ask_for(limited, b"sh -c 'ulimit -Sn 41 || echo no; ulimit -n'")
    assert out in (b"no\n40\n", b""), (out, how)  # busybox ends
    # Children, because the first process of a container does not take such signals.
    assert ask_for(limited, b"sh -c 'sh -c \"while :; do :; done\"; exit $?'")[1] in ("137 exited", "152 exited")
    out, how = ask_for(limited, b"sh -c 'dd if=/dev/zero of=/dev/shm/hooksfs-big bs=4096 count=4; exit $?'")
    assert how == "153 exited", (how, get(limited + "/stderr"))
PYTHON

limited() {
    { echo 'from limited import *'; cat; } | inside "$@"
}

test_rlimits_by_an_agent_in_a_pod() {
    limited <<'PYTHON'
CONFIG = f"""mode = kubectl_exec
pod = my-pod
container = hooks
agent = require
timeout = 60s
[limited]
{RLIMITS}
[free]
"""
with Daemon(folder, CONFIG) as daemon:
    check_rlimits(daemon.mount + "/limited", daemon.mount + "/free")
PYTHON
}

check_containers() {
    limited "$1" <<'PYTHON'
client = sys.argv[2]
CONFIG = f"""docker_path = {client}
timeout = 60s
[exec]
mode = docker_exec
container = hooks
agent = require
{RLIMITS}
[exec-free]
mode = docker_exec
container = hooks
agent = require
[run]
mode = docker_run
image = localhost/hooksfs:busybox
network = none
{RLIMITS}
[run-free]
mode = docker_run
image = localhost/hooksfs:busybox
network = none
[agent]
mode = docker_run
image = localhost/hooksfs:busybox
network = none
agent = require
rlimit_as = 1G
{RLIMITS}
[agent-free]
mode = docker_run
image = localhost/hooksfs:busybox
network = none
agent = require
"""
with Daemon(folder, CONFIG) as daemon:
    for name in ("exec", "run", "agent"):
        check_rlimits(f"{daemon.mount}/{name}", f"{daemon.mount}/{name}-free")
    assert limits(ask_for(daemon.mount + "/agent", SHOW)[0])["address space"] == (str(1 << 30), str(1 << 30))
PYTHON
}
for name in "${!client_of[@]}"; do
    eval "test_rlimits_with_$name() { check_containers '${client_of[$name]}'; }"
done

# The limits of a container. $1: the client; $2: yes, with an agent
check_groups() {
    limited "$1" "$2" <<'PYTHON'
client, agent = sys.argv[2:]
CONFIG = f"""docker_path = {client}
mode = docker_run
image = localhost/hooksfs:busybox
network = none
timeout = 60s
agent = {agent}
[memory]
limit_memory = 32M
[pids]
limit_pids = 9
[cpu]
limit_cpu = 20
[standby]
limit_memory = 32M
standby = sh -c 'read -r x; exec tail -n 1 /dev/zero'
[free]
"""
# Each byte of /dev/zero is the beginning of a line without an end, which tail keeps.
EAT = b"sh -c 'read -r x; exec tail -n 1 /dev/zero'"
KILLED = ("137 signaled KILL", "137 exited")
with Daemon(folder, CONFIG) as daemon:
    at = lambda name: f"{daemon.mount}/{name}"
    assert ask_for(at("memory"), b"echo fine")[0] == b"fine\n", get(at("memory") + "/status")
    assert ask_for(at("memory"), EAT + b"\nx\n")[1] in KILLED, get(at("memory") + "/status")
    out, how = ask_for(at("pids"), b"sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait; echo eight'")
    assert out == b"eight\n" and how in WELL, (out, how, get(at("pids") + "/stderr"))
    out, how = ask_for(at("pids"), b"sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait; echo nine'")
    assert b"nine" not in out and b"fork" in get(at("pids") + "/stderr"), (out, how)
    out, how = ask_for(at("cpu"), b"sh -c 'timeout 3 sh -c \"while :; do :; done\"; times'")
    used = [sum(float(part) * 60 ** (1 - i) for i, part in enumerate(word.rstrip("s").split("m"))) for word in out.decode().split()]
    assert 0.1 < sum(used) < 1.5, out
    assert ask_for(at("standby"), EAT + b"\nx\n")[1] in KILLED, get(at("standby") + "/status")
    out, how = ask_for(at("free"), b"sh -c 'head -c 64000000 /dev/zero | tail -n 1 | wc -c'")
    assert out == b"64000000\n", (out, how)
    daemon.end()
    assert re.search("standby sandbox=standby .* hits=1 misses=0 ", daemon.text()), daemon.text()
PYTHON
}
for name in "${!client_of[@]}"; do
    for agent in no require; do
        eval "test_groups_with_${name}_agent_$agent() { check_groups '${client_of[$name]}' $agent; }"
    done
done

run_tests
