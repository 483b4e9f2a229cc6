#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The ends that an agent promises: when a job is cancelled, runs out of time or loses its
# connection, every process that it started in the container is dead.
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh"

cat >"$T/ends.py" <<'PYTHON'
from inside import *

MARK = "7341"  # in the command line of each process that must not live on

# Commands that try not to end. Each prints "up" when it is ready.
STUBBORN = {
    "one that does as it is told": "sh -c 'echo up; exec sleep 7341'",
    "one that ignores SIGTERM": "sh -c 'trap \"\" TERM; echo up; sleep 7341; sleep 7341'",
    "two forks": "sh -c '(sh -c \"trap : TERM; sleep 7341 & sleep 7341 & wait; sleep 7341\" &); echo up; sleep 7341'",
    "setsid": "sh -c 'setsid sh -c \"trap : TERM HUP; sleep 7341; sleep 7341\" & setsid sleep 7341 & echo up; sleep 7341'",
    "a daemon": "sh -c '(setsid sh -c \"sleep 7341 & sleep 7341\" </dev/null >/dev/null 2>&1 &); echo up; exec sleep 7341'",
    "one that holds stdout open": "sh -c 'sleep 7341 & trap \"exit 3\" TERM; echo up; wait'",
    "one that forks in a loop": "sh -c 'echo up; while :; do setsid sleep 7341 & sleep 0.01; done'",
    "one that is never the same process": "python -c 'import os, sys, time; print(\"up\", flush=True)\n"
    "if os.fork(): time.sleep(7341)\n"
    "end = time.monotonic() + 60\n"
    "while time.monotonic() < end:\n"
    "    if os.fork(): os._exit(0)\n"
    "    os.setsid(); time.sleep(0.005)'",
    "a stopped one": "sh -c 'sleep 7341 & kill -STOP $!; echo up; kill -STOP $$; sleep 7341'",
    "many": "sh -c 'i=0; while [ $i -lt 100 ]; do setsid sleep 7341 & i=$((i+1)); done; echo up; wait'",
}


def marked():
    return {pid: line for pid, line in jobs().items() if MARK in line}


def cancel(slot):
    with open(slot + "/ctl", "w") as ctl:
        ctl.write("cancel\n")


def begin(sandbox, command):
    """Starts a conversation with one of these commands, and waits until it is ready."""
    fd = start(sandbox, command.encode() + b"\n", 0)
    assert os.read(fd, 100) == b"up\n"
    assert marked(), "nothing runs"
    return fd


def all_of_them(sandbox):
    return [begin(sandbox, command) for command in STUBBORN.values()]


def all_are_gone(began, seconds=PROMISE):
    within(seconds, lambda: not marked(), "everything that the jobs started is gone", began)
PYTHON

# Like inside, with the functions above.
ends() {
    { echo 'from ends import *'; cat; } | inside
}

test_cancel() {
    ends <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon, 2)
    for name, command in STUBBORN.items():
        ask(sandbox, command.encode())
        with open(sandbox + "/stdout", "rb", buffering=0) as stdout:
            assert stdout.read(100) == b"up\n", name
        assert marked(), name
        began = time.monotonic()
        cancel(sandbox)
        assert status(sandbox) == "130 cancelled", name
        within(PROMISE, lambda: not marked(), name, began)
    eventually(is_idle, f"left in the container: {inside()}")
PYTHON
}

test_timeout() {
    ends <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon, 2)
    slots = []
    for number, (name, command) in enumerate(STUBBORN.items()):
        slots.append(f"{sandbox}/{number}")
        os.mkdir(slots[-1])
        ask(slots[-1], f"--timeout=5s {command}".encode())
    began = time.monotonic()  # the last job
    for slot, name in zip(slots, STUBBORN):
        with open(slot + "/stdout", "rb", buffering=0) as stdout:
            assert stdout.read(100) == b"up\n", name
    assert len(marked()) > len(STUBBORN)
    for slot, name in zip(slots, STUBBORN):
        assert status(slot) == "124 timeout after 5s", (name, status(slot))
    all_are_gone(began, 5 + PROMISE)
    assert time.monotonic() - began > 5
    eventually(is_idle, f"left in the container: {inside()}")
PYTHON
}

test_a_conversation_that_is_closed_and_a_slot_that_is_removed() {
    ends <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon, 2)
    fds = all_of_them(sandbox)
    began = time.monotonic()
    for fd in fds:
        os.close(fd)
    all_are_gone(began)
    os.mkdir(sandbox + "/slot")
    ask(sandbox + "/slot", STUBBORN["setsid"].encode())
    assert os.read(os.open(sandbox + "/slot/stdout", os.O_RDONLY), 100) == b"up\n"
    began = time.monotonic()
    os.rmdir(sandbox + "/slot")
    all_are_gone(began)
    eventually(is_idle, f"left in the container: {inside()}")
PYTHON
}

# SIGTERM comes first, and the command has time to obey.
test_last_words() {
    ends <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\nkill_grace = 5s\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    ask(sandbox, b"--timeout=1s sh -c 'trap \"echo bye; exit 4\" TERM; echo up; while :; do sleep 0.05; done'")
    began = time.monotonic()
    assert status(sandbox) == "124 timeout after 1s"
    in_time(2, began, "it does not wait for the kill")
    assert get(sandbox + "/stdout") == b"up\nbye\n"
PYTHON
}

# A job that ends by itself may leave a process behind, as in mode direct.
test_what_a_job_leaves_behind_lives_on() {
    ends <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon, 2)
    began = time.monotonic()
    assert converse(sandbox, b"sh -c 'setsid sleep 7341 <&- >&- 2>&- & sleep 7341 >/dev/null 2>&1 & echo x'") == (
        b"x\n", "none")
    ask(sandbox, b"sh -c 'sleep 7341 & exit 3'")  # holds stdout
    assert status(sandbox) == "3 exited"
    in_time(2, began, "nobody waits for who is left behind")
    time.sleep(PROMISE + 0.5)
    assert len(marked()) == 3, marked()
    # The end of the connection does not kill it either.
    os.kill(clients(daemon)[0], signal.SIGKILL)
    os.kill(clients(daemon)[-1], signal.SIGKILL)
    retry(sandbox)
    time.sleep(1)
    assert len(marked()) == 3, marked()
    for pid in marked():
        os.kill(pid, signal.SIGKILL)
    eventually(is_idle, f"left in the container: {inside()}")
PYTHON
}

test_the_daemon_killed() {
    ends <<'PYTHON'
daemon = Daemon(folder, HEAD + "[sidecar]\n")
try:
    connected(daemon, 2)
    fds = all_of_them(daemon.mount + "/sidecar")
    kubectls = clients(daemon)
    assert len(kubectls) == 2
    began = time.monotonic()
    daemon.process.kill()
    all_are_gone(began)
    within(5, lambda: not inside(), f"the agents are gone, too: {inside()}", began)
    within(5, lambda: not any(is_alive(pid) for pid in kubectls), "so are the kubectls", began)
finally:
    daemon.process.kill()
    daemon.process.wait()
    subprocess.run(["umount", "-l", daemon.mount], check=True)
PYTHON
}

test_the_daemon_ended() {
    ends <<'PYTHON'
daemon = Daemon(folder, HEAD + "[sidecar]\n")
connected(daemon, 2)
sandbox = daemon.mount + "/sidecar"
ask(sandbox, STUBBORN["two forks"].encode())
assert os.read(os.open(sandbox + "/stdout", os.O_RDONLY), 100) == b"up\n"
fds = all_of_them(sandbox)
kubectls = clients(daemon)
waiting = os.open(sandbox + "/status", os.O_RDONLY)
began = time.monotonic()
daemon.process.send_signal(signal.SIGTERM)
assert os.read(waiting, 100) == b"130 cancelled\n"
os.close(waiting)
for fd in fds:
    assert read_all(fd)[1] == "ECANCELED"
    os.close(fd)
all_are_gone(began)
within(3, lambda: not inside(), f"the agents are gone, too", began)
assert daemon.process.wait(10) == 0, daemon.text()
within(2, lambda: not any(is_alive(pid) for pid in kubectls), "no kubectl survives",
       time.monotonic())
daemon.end = lambda: None
PYTHON
}

test_kubectl_killed() {
    ends <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon, 2)
    ask(sandbox, b"sh -c 'echo up; sleep 7341'")
    assert os.read(os.open(sandbox + "/stdout", os.O_RDONLY), 100) == b"up\n"
    fds = all_of_them(sandbox)
    began = time.monotonic()
    for pid in clients(daemon):
        os.kill(pid, signal.SIGKILL)
    assert status(sandbox).startswith("125 unreachable the connection to the agent broke"), status(sandbox)
    for fd in fds:
        assert read_all(fd)[1] == "EHOSTUNREACH"
        os.close(fd)
    in_time(0.7, began, "the jobs are told at once")
    assert retry(sandbox) < allowed(2)
    all_are_gone(began)
    eventually(lambda: is_idle() and len(agents()) == 2, f"not two agents alone: {inside()}")
PYTHON
}

# One of two connections breaks: only its jobs do.
test_the_agent_killed() {
    ends <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon, 2)
    fds = all_of_them(sandbox)
    victim = agents()[0]
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    broken = 0
    for fd in fds:
        os.set_blocking(fd, False)
    while broken < len(fds) // 2 and time.monotonic() - began < 10:
        broken = 0
        for fd in fds:
            with contextlib.suppress(BlockingIOError):
                broken += read_all(fd)[1] == "EHOSTUNREACH"
        time.sleep(0.02)
    assert broken == len(fds) // 2, broken
    in_time(0.7, began, "the jobs are told at once")
    assert converse(sandbox, b"echo works") == (b"works\n", "none")  # over the other connection
    time.sleep(PROMISE)
    eventually(lambda: len(agents()) == 2, "it is not replaced")
    assert marked(), "the other's jobs are gone as well"
    both = agents()
    assert len(both) == 2 and victim not in both, both
    for pid in both:
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    all_are_gone(began)
    assert retry(sandbox) < allowed(2)
    for fd in fds:
        os.set_blocking(fd, True)
        assert read_all(fd)[1] == "EHOSTUNREACH"
        os.close(fd)
    eventually(lambda: is_idle() and len(agents()) == 2, f"not two agents alone: {inside()}")
PYTHON
}

run_tests
