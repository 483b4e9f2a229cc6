#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The connections to agents: when they are opened, how jobs are spread over them; and the
# daemon while the API is away, while no byte comes, and when the container changes.
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh"

before_each() {
    fault none >/dev/null
}

test_connections_are_opened_at_start() {
    inside <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\nconnections = 3\n") as daemon:
    connected(daemon, 3)
    assert len(agents()) == len(clients(daemon)) == 3
    assert is_idle()
    works(daemon.mount + "/sidecar")
    assert len(agents()) == 3
PYTHON
}

test_connections_are_opened_at_the_first_use() {
    inside <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\nconnections = 3\nconnect = use\n") as daemon:
    before = execs()
    time.sleep(1)
    assert execs() == before and not clients(daemon) and not agents()
    works(daemon.mount + "/sidecar")
    connected(daemon, 3)
    assert len(agents()) == len(clients(daemon)) == 3
PYTHON
}

test_jobs_are_spread() {
    inside <<'PYTHON'
def loads():
    """The number of jobs of each agent, sorted."""
    count = dict.fromkeys(agents(), 0)
    for pid in jobs():
        with contextlib.suppress(OSError):  # the process has just ended
            ancestor = pid
            while ancestor not in count:
                ancestor = parent(ancestor)
            count[ancestor] += 1
    return sorted(count.values())

with Daemon(folder, HEAD + "[sidecar]\nconnections = 3\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon, 3)
    fds = [start(sandbox, b"sleep 7351\n") for _ in range(9)]
    eventually(lambda: loads() == [3, 3, 3], f"{loads()}")
    # Jobs that end leave the connections unevenly loaded; new jobs make the load even.
    for fd in fds[:6]:
        os.close(fd)
    eventually(lambda: sum(loads()) == 3, f"{loads()}")
    fds = fds[6:] + [start(sandbox, b"sleep 7351\n") for _ in range(6)]
    eventually(lambda: loads() == [3, 3, 3], f"{loads()}")
    for fd in fds:
        os.close(fd)
    eventually(is_idle, f"left in the container: {inside()}")
PYTHON
}

# away FAULT... : the API has this fault when the daemon starts, and jobs wait until it works.
away() {
    inside "$@" <<'PYTHON'
fault(*sys.argv[2:])
with Daemon(folder, HEAD + "[sidecar]\n[brief]\ntimeout = 1500ms\n") as daemon:
    sandbox, brief = daemon.mount + "/sidecar", daemon.mount + "/brief"
    began = time.monotonic()
    ask(brief, b"touch /tmp/it-ran")
    fd = start(sandbox, b"cat\nhello")
    os.mkdir(sandbox + "/slot")
    ask(sandbox + "/slot", b"sh -c 'echo x; exit 3'")
    said = status(brief)
    took = time.monotonic() - began
    assert 1.4 < took < allowed(2), took
    assert said.startswith("125 unreachable "), said
    print(said)
    # The reason is in kubectl's words, if it wrote any.
    wanted = {"refuse": "refused", "403": "forbidden", "hang": "no connection"}[sys.argv[2]]
    assert wanted in said, said
    time.sleep(3)
    fault("none")
    began = time.monotonic()
    assert read_all(fd) == (b"hello", "none")
    assert (get(sandbox + "/slot/stdout"), status(sandbox + "/slot")) == (b"x\n", "3 exited")
    in_time(2, began, "they are served")
    assert converse(sandbox, b"test -e /tmp/it-ran") == (b"", "EIO"), "it ran after its time"
    os.close(fd)
    works(brief)
    # When the API goes away later, no job notices.
    connected(daemon, 4)
    fault(*sys.argv[2:])
    for _ in range(10):
        works(sandbox)
    fault("none")
PYTHON
}

test_an_api_that_refuses_connections() {
    away refuse
}

test_an_api_that_refuses_the_request() {
    away 403 exec
}

test_an_api_that_does_not_answer() {
    away hang
}

# While the API is away the daemon tries less and less often, and hurries for a job.
test_pauses_grow() {
    inside <<'PYTHON'
fault("403", "exec")
before = execs()
with Daemon(folder, HEAD + "[sidecar]\nconnections = 1\n") as daemon:
    time.sleep(7)
    # After 0, 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 s, or later; each attempt may be two requests.
    tried = execs() - before
    assert 4 <= tried <= 14, tried
    assert daemon.text().count("connection 1 of 1") == 1, "the log says it each time"
    fault("none")
    began = time.monotonic()
    works(daemon.mount + "/sidecar")
    in_time(2, began, "the job does not wait for the pause")
PYTHON
}

test_frozen_connections() {
    inside <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\n[patient]\ntimeout = 300s\n") as daemon:
    sandbox = daemon.mount + "/patient"
    connected(daemon, 4)
    time.sleep(1)
    fd = start(sandbox, b"sh -c 'echo up; setsid sleep 7352 & sleep 7352'\n")
    assert os.read(fd, 10) == b"up\n"
    old = agents()
    fault("freeze")
    began = time.monotonic()
    seen = {}

    def notices():
        answer = read_all(fd)
        seen["the daemon"] = time.monotonic() - began
        assert answer == (b"", "EHOSTUNREACH"), answer

    def container_notices():
        eventually(lambda: not jobs(), "the jobs live on", 30)
        seen["the jobs"] = time.monotonic() - began
        eventually(lambda: not set(agents()) & set(old), "the old agents live on", 30)
        seen["the agents"] = time.monotonic() - began

    side_by_side(notices, container_notices)
    print(seen)
    # The last bytes may have come up to a beat before the freeze.
    assert all(9 < took < allowed(16) for took in seen.values()), seen
    fault("none")
    began = time.monotonic()
    works(sandbox)
    in_time(2, began, "it works again")
    works(daemon.mount + "/sidecar")
PYTHON
}

# A command that is silent for long does not break the connection. This runs beside other
# tests.
silent_command() {
    { echo 'from inside import *'; cat; } <<'PYTHON' >"$T/silent.py"
with Daemon(folder, HEAD + "[sidecar]\ncontainer = second\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    assert converse(sandbox, b"sh -c 'sleep 18; echo x'") == (b"x\n", "none")
    connected(daemon, 2)
    assert daemon.text().count("is open") == 2
PYTHON
    mkdir "$T/silent"
    PYTHONPATH=$TESTS/e2e:$TESTS/cluster PYTHONDONTWRITEBYTECODE=1 timeout 240 \
        /usr/bin/python3 "$T/silent.py" "$T/silent" >"$T/silent.out" 2>&1
    echo $? >"$T/silent.code"
}
silent_command &

test_a_silent_command() {
    wait_until 100 test -s "$T/silent.code" || fail "it does not end"
    cat "$T/silent.out"
    is "$(cat "$T/silent.code")" 0
}

test_another_container() {
    inside <<'PYTHON'
def where(sandbox):
    return converse(sandbox, b"cat /tmp/where")

config = HEAD + "[sidecar]\n"
other = config + "container = second\n"
with Daemon(folder, config + "[other]\ncontainer = second\nconnections = 1\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon, 3)
    converse(sandbox, b"sh -c 'echo first >/tmp/where'")
    converse(daemon.mount + "/other", b"sh -c 'echo second >/tmp/where'")
    reload(daemon, config)
    # The connections stay when other keys change.
    old = agents()
    reload(daemon, config + "max_output = 1M\ntimeout = 50s\nmax_running = 2\n")
    assert where(sandbox) == (b"first\n", "none")
    assert agents() == old
    eventually(lambda: not agents("my-pod", "second"), "those of a removed sandbox stay")
    # Two jobs run, and one is queued.
    running = [start(sandbox, b"sh -c 'cat; cat /tmp/where'\nhello ") for _ in range(2)]
    queued = start(sandbox, b"cat /tmp/where\n", os.O_NONBLOCK)
    reload(daemon, other)
    assert where(sandbox) == (b"second\n", "none")
    time.sleep(1)
    assert agents() == old, "the old connections are closed while they have jobs"
    for fd in running:
        write_all(fd, b"you\n")
        assert read_all(fd) == (b"hello you\nfirst\n", "none")
        os.close(fd)
    os.set_blocking(queued, True)
    # This job was accepted for the old container.
    assert read_all(queued) == (b"first\n", "none")
    os.close(queued)
    within(5, lambda: not agents(), "the old agents stay", time.monotonic())
    assert len(agents("my-pod", "second")) == 2
    # First without an agent, then with an agent again.
    reload(daemon, other + "agent = no\n")
    within(5, lambda: not agents("my-pod", "second"), "they stay", time.monotonic())
    assert where(sandbox) == (b"second\n", "none") and not clients(daemon)
    reload(daemon, other + "connections = 1\n")
    assert where(sandbox) == (b"second\n", "none")
    assert len(agents("my-pod", "second")) == 1
PYTHON
}

# The log names the connections, and contains no secret.
test_the_log() {
    inside <<'PYTHON'
with Daemon(folder, HEAD + "[sidecar]\nconnections = 1\n") as daemon:
    sandbox = daemon.mount + "/sidecar"
    connected(daemon)
    assert converse(sandbox, b"A=hush-hush cat hush-hush\nhush-hush")[1] == "EIO"
    os.kill(agents()[0], signal.SIGKILL)
    eventually(lambda: "the connection to the agent broke" in daemon.text(), "it does not say that it broke")
    connected(daemon, 2)
    text = daemon.text()
    assert "hush-hush" not in text
    assert re.search(r"sandbox=sidecar .*command=cat .*outcome=1 exited", text.replace('"', "")), text
    assert "connection 1 of 1 to the agent is open (" in text
PYTHON
}

run_tests
