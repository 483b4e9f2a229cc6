#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Standbys in containers that decline an agent, and in containers of Docker and podman; and the
# containers of standbys and of their jobs after the death of a client, of the daemon or of podman's
# monitor.
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh" --docker --podman

cat >"$T/stand.py" <<'PYTHON'
import itertools

from inside import *

RUN = """mode = docker_run
network = none
image = localhost/hooksfs:busybox
timeout = 15s
kill_grace = 300ms
"""
# Reads its payload and lives on. A run without a payload leaves a word in the log of the test.
LONG = "sh -c 'cat; echo up; sleep 7352; sleep 7352'"
ECHO = "sh -c 'read -r a; echo got $a'"


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def containers(client):
    """The names of those that hooksfs has made, with those that do not run."""
    names = output(client, "ps", "--all", "--format", "{{.Names}}").split()
    return [name for name in names if name not in ("hooks", "bare", "nobody")]


def hits(daemon, sandbox):
    return len(re.findall(f"sandbox {sandbox}: standby of .* taken", daemon.text()))


def takes(daemon, sandbox, command=ECHO, answer=b"got payload\n", seconds=30):
    """A standby of the sandbox answers."""
    def is_hit():
        before = hits(daemon, sandbox)
        assert converse(f"{daemon.mount}/{sandbox}", f"{command}\npayload\n".encode())[0] == answer
        return hits(daemon, sandbox) > before
    eventually(is_hit, f"no standby of {sandbox}", seconds)


def is_ready(client, count):
    """The containers of COUNT standbys run."""
    names = output(client, "ps", "--format", "{{.Names}}").split()
    return len([name for name in names if name not in ("hooks", "bare")]) >= count


class Verbose(Daemon):
    """A daemon that logs who takes a standby."""

    def __init__(self, config):
        os.environ["HOOKSFS"], self.real = f"{folder}/hooksfs", os.environ["HOOKSFS"]
        with open(f"{folder}/hooksfs", "w") as file:
            file.write(f'#!/bin/sh\nexec {self.real} --debug=job "$@"\n')
        os.chmod(f"{folder}/hooksfs", 0o755)
        try:
            super().__init__(folder, config)
        finally:
            os.environ["HOOKSFS"] = self.real
PYTHON

stand() {
    { echo 'from stand import *'; cat; } | inside "$@"
}

# A client stands in for the agent that a container declines. Where there is no shell either, the log
# has the reason, and each request has a client of its own.
test_containers_that_decline_an_agent() {
    stand <<'PYTHON'
with Verbose(f"""mode = kubectl_exec
timeout = 60s
agent = auto
standby = {ECHO}
[noexec]
pod = kinds
container = noexec
[nowhere]
pod = kinds
container = nowhere
[small]
pod = kinds
container = small
[riscv64]
pod = kinds
container = riscv64
[bare]
pod = my-pod
container = bare
standby = /cat
""") as daemon:
    for sandbox in "noexec", "nowhere", "small", "riscv64":
        takes(daemon, sandbox)
        assert re.search(f"sandbox {sandbox}: no agent", daemon.text()), daemon.text()
    assert converse(f"{daemon.mount}/bare", b"/cat\npayload\n")[0] == b"payload\n"
    eventually(lambda: re.search('sandbox bare: a standby of "/cat": .*"sh".*not found', daemon.text()), "no reason: " + daemon.text())
    assert hits(daemon, "bare") == 0
PYTHON
}

check_engine() {
    stand "$1" <<'PYTHON'
client = sys.argv[2]
with Verbose(f"""docker_path = {client}
timeout = 60s
standby = {ECHO}
[exec]
mode = docker_exec
container = hooks
[exec-agent]
mode = docker_exec
container = hooks
agent = require
[run]
mode = docker_run
network = none
image = localhost/hooksfs:busybox
[run-agent]
mode = docker_run
network = none
image = localhost/hooksfs:busybox
agent = require
[exec-bare]
mode = docker_exec
container = bare
agent = auto
standby = /cat
""") as daemon:
    for _ in range(3):
        for sandbox in "exec", "exec-agent", "run", "run-agent":
            takes(daemon, sandbox)
    assert converse(f"{daemon.mount}/exec-bare", b"/cat\npayload\n")[0] == b"payload\n"
    eventually(lambda: 'sandbox exec-bare: a standby of "/cat"' in daemon.text(), "no reason: " + daemon.text())
    # An empty payload is a payload.
    assert converse(f"{daemon.mount}/run", f"{ECHO}\n".encode())[0] == b"got\n"
    # A job of a standby has its own time limit, and its own exit code.
    answer = converse(f"{daemon.mount}/exec", b"sh -c 'exit 3'\n")
    assert answer == (b"", "EIO"), answer
eventually(lambda: not containers(client), "containers are left")
PYTHON
}

test_docker() { check_engine docker; }
test_podman() { check_engine podman; }

# Each of them dies while a job has a standby, and another standby waits; or a client dies, and the
# daemon ends orderly, perhaps before it has removed the client's container. Without an agent only the
# end of stdin ends the command of a daemon that was killed.
check_deaths() {
    stand "$1" <<'PYTHON'
client = sys.argv[2]


def monitors():
    for pid in output("pgrep", "-x", "conmon").split():
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as file:
                if os.environ["CONTAINERS_STORAGE_CONF"].encode() in file.read():
                    yield int(pid)


for agent, victim in itertools.product(("no", "require"), ("client", "daemon", "monitor", *["client and daemon"] * 4)):
    if victim == "monitor" and client != "podman":
        continue
    command = "sh -c 'cat; echo up'" if (agent, victim) == ("no", "daemon") else LONG
    with_standbys = RUN + f"docker_path = {client}\nagent = {agent}\n[run]\n"
    daemon = Verbose(with_standbys + f"standby = {command}\nstandby_count = 2\n")
    try:
        eventually(lambda: is_ready(client, 2), "no standbys")
        time.sleep(0.5)
        fd = start(f"{daemon.mount}/run", f"{command}\npayload\n".encode())
        assert hits(daemon, "run") == 1, daemon.text()
        if victim == "daemon":
            daemon.process.kill()
            daemon.process.wait()
            with contextlib.suppress(OSError):
                os.close(fd)
        else:
            victims = monitors() if victim == "monitor" else children(daemon.pid, os.path.basename(client))
            for pid in list(victims):
                os.kill(pid, signal.SIGKILL)
            answer = read_all(fd)
            # podman does not notice that its monitor is gone.
            expected = ("EHOSTUNREACH", "ETIMEDOUT") if victim == "monitor" else ("EHOSTUNREACH",)
            assert answer[1] in expected, (agent, victim, answer, daemon.text())
            os.close(fd)
            if victim == "client and daemon":
                daemon.end()
            else:
                daemon.configure(with_standbys)
                os.kill(daemon.pid, signal.SIGHUP)
        eventually(lambda: not containers(client), f"agent={agent}: containers are left of a {victim} that was killed", 60)
        if daemon.process.poll() is None:
            daemon.end()
    finally:
        if daemon.process.poll() is None or victim == "daemon":
            daemon.process.kill()
            subprocess.run(["umount", "-l", daemon.mount])
        for name in containers(client):
            output(client, "rm", "-f", name)
PYTHON
}

test_deaths_with_docker() { check_deaths docker; }
test_deaths_with_podman() { check_deaths podman; }

run_tests
