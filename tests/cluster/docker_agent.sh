#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mode docker_run with an agent, which is the first process of each job's container; and the end
# of docker's jobs, with and without an agent, when connections to the engine are cut. Uses the
# real clients and engines.
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh" --docker --podman
# shellcheck source=tests/cluster/dockers.sh
. "$(dirname "$0")/dockers.sh"
client_of[podman]=podman

: "${CUT_SEED:=$RANDOM$RANDOM}" "${CUTS:=}"
echo "# seed $CUT_SEED"

cat >"$T/runs.py" <<'PYTHON'
from inside import *

MARK = "7351"  # in the command line of each process that must not live on
RUN = """mode = docker_run
network = none
image = localhost/hooksfs:busybox
agent = require
timeout = 60s
kill_grace = 300ms
"""


def docker(*words, client="docker"):
    return subprocess.run([client, *words], capture_output=True, text=True, check=False).stdout


def containers(client="docker"):
    """The names of those that hooksfs has made."""
    names = docker("ps", "--all", "--format", "{{.Names}}", client=client).split()
    return [name for name in names if name.startswith("hooksfs-")]


def marked():
    return subprocess.run(["pgrep", "-f", f"sleep {MARK}"], capture_output=True, text=True).stdout.split()


def all_are_gone(began, seconds, client="docker"):
    within(seconds, lambda: not marked() and not containers(client), "containers and processes are gone", began)


def in_slot(sandbox, request):
    """stdout, stderr and the status of one request."""
    slot = f"{sandbox}/{threading.get_ident()}"
    os.mkdir(slot)
    try:
        ask(slot, request)
        return get(slot + "/stdout"), get(slot + "/stderr"), status(slot)
    finally:
        os.rmdir(slot)
PYTHON

# Like inside, with the functions above.
runs() {
    { echo 'from runs import *'; cat; } | inside "$@"
}

check_outcomes() {
    runs "$1" <<'PYTHON'
client = sys.argv[2]
CONFIG = RUN + f"""docker_path = {client}
[run]
env = GREETING=good morning
[user]
extra_args = --user=1000
extra_args = --workdir=/tmp
[bare]
image = localhost/hooksfs:bare
[shell]
agent_way = shell
[there]
agent_path = /volume/hooksfs-agent
mounts = {cluster}/agent:/volume:ro
[bad]
agent_path = /nobody
[nobody]
image = localhost/nobody:none
extra_args = --pull=never
"""
with Daemon(folder, CONFIG) as daemon:
    at = lambda name: f"{daemon.mount}/{name}"
    for name, codes in (("run", (0, 1, 125, 126, 127, 137)), ("shell", (0, 127)), ("there", (0, 126))):
        for code in codes:
            got = in_slot(at(name), f"sh -c 'cat; printf oops >&2; exit {code}'\nhello".encode())
            assert got == (b"hello", b"oops", f"{code} exited"), (name, code, got)
    assert in_slot(at("run"), b"sh -c 'kill -TERM $$'")[2] == "143 signaled TERM"
    assert in_slot(at("run"), b"nope")[2] == "127 unstarted cannot execute nope: No such file or directory"
    assert in_slot(at("run"), b"/etc/passwd")[2] == "126 unstarted cannot execute /etc/passwd: Permission denied"
    assert in_slot(at("user"), b"sh -c 'id -u; pwd'") == (b"1000\n/tmp\n", b"", "0 exited")
    assert in_slot(at("bare"), b"/cat\nno shell") == (b"no shell", b"", "0 exited")
    body = os.urandom(3000000)
    assert converse(at("run"), b"cat\n" + body) == (body, "none")
    assert converse(at("run"), b"nope") == (b"", "ENOENT")
    bad = in_slot(at("bad"), b"cat")
    assert bad[0] == b"" and re.match("125 unreachable .*/nobody", bad[2]), bad
    assert re.match("125 unreachable .*nobody", in_slot(at("nobody"), b"cat")[2])
    fd = start(at("run"), b"HUSH=hush-hush-hush sh -c 'echo $GREETING $HUSH; exec sleep 7351'\n")
    assert os.read(fd, 100) == b"good morning hush-hush-hush\n"
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "hush" not in lines, "the value can be seen with ps"
    assert len(containers(client)) == 1
    os.close(fd)
    all_are_gone(time.monotonic(), 5, client)
PYTHON
}

for name in "${!client_of[@]}"; do
    eval "test_outcomes_with_$name() { check_outcomes '${client_of[$name]}'; }"
done

# A docker_run without an agent, whose client is gone, leaves no container.
check_plain() {
    runs "$1" <<'PYTHON'
client = sys.argv[2]
STUBBORN = b"sh -c 'trap \"\" TERM; echo up; sleep 7351; sleep 7351'\n"
with Daemon(folder, RUN.replace("require", "no") + f"docker_path = {client}\n[run]\n") as daemon:
    sandbox = daemon.mount + "/run"
    fds = [start(sandbox, STUBBORN) for _ in range(3)]
    for fd in fds:
        assert os.read(fd, 100) == b"up\n"
    assert len(containers(client)) == 3
    os.close(fds[0])
    os.kill(children(daemon.pid, os.path.basename(client))[-1], signal.SIGKILL)
    assert in_slot(sandbox, b"--timeout=1s " + STUBBORN)[2] == "124 timeout after 1s"
    os.close(fds[1])
    os.close(fds[2])
    all_are_gone(time.monotonic(), 15, client)
    assert in_slot(sandbox, b"sh -c 'exit 3'")[2] == "3 exited"
PYTHON
}

for name in "${!client_of[@]}"; do
    eval "test_plain_with_$name() { check_plain '${client_of[$name]}'; }"
done

# Jobs that are cancelled, run out of time, are closed, or lose their client.
test_ends() {
    runs <<'PYTHON'
STUBBORN = b"sh -c 'trap \"\" TERM; setsid sleep 7351 & (sleep 7351 &); echo up; sleep 7351; sleep 7351'\n"
with Daemon(folder, RUN + "[run]\n") as daemon:
    sandbox = daemon.mount + "/run"

    def begin():
        fd = start(sandbox, STUBBORN)
        assert os.read(fd, 100) == b"up\n"
        return fd

    fds = [begin() for _ in range(3)]
    began = time.monotonic()
    for fd in fds:
        os.close(fd)
    within(PROMISE, lambda: not marked(), "everything is gone after the close", began)
    all_are_gone(began, 5)
    began = time.monotonic()
    assert in_slot(sandbox, b"--timeout=1s " + STUBBORN) == (b"up\n", b"", "124 timeout after 1s")
    all_are_gone(began, 6)
    fd = begin()
    for pid in children(daemon.pid, "docker"):
        os.kill(pid, signal.SIGKILL)
    assert read_all(fd) == (b"", "EHOSTUNREACH")
    os.close(fd)
    all_are_gone(time.monotonic(), 5)
PYTHON
}

test_killed_daemon() {
    runs <<'PYTHON'
count = 10 if os.environ.get("HOOKSFS_VALGRIND") else 50
with Daemon(folder, RUN + "[run]\n") as daemon:
    sandbox = daemon.mount + "/run"
    fds = [start(sandbox, b"sh -c 'echo up; setsid sleep 7351 & sleep 7351'\n") for _ in range(count)]
    for fd in fds:
        assert os.read(fd, 100) == b"up\n"
    assert len(containers()) == count
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait()
    began = time.monotonic()
    all_are_gone(began, 20)
    os.write(3, f"# {count} containers were gone after {time.monotonic() - began:.1f} s\n".encode())
    subprocess.run(["umount", "-l", daemon.mount], check=True)
PYTHON
}

# A proxy on the engine's socket cuts connections at random moments, in one direction or in both:
# connections of the commands' streams, and others.
test_cuts() {
    runs "$CUT_SEED" "$CUTS" "${client_of[@]}" <<'PYTHON'
import collections, random
from cutter import Cutter

seed, cuts = sys.argv[2:4]
chance = random.Random(seed)
found = [client for client in sys.argv[4:] if "podman" not in client]
lock, stop = threading.Lock(), threading.Event()
tally = collections.Counter()
host = os.environ["DOCKER_HOST"]
proxy = folder + "/proxy.sock"
CONFIG = "timeout = 30s\nkill_grace = 300ms\n"
for number, client in enumerate(found):
    for kind in ("exec", "run"):
        for agent in ("no", "require"):
            CONFIG += f"[{number}-{kind}-{agent}]\nmode = docker_{kind}\ndocker_path = {client}\nagent = {agent}\n"
            CONFIG += "container = hooks\n" if kind == "exec" else "image = localhost/hooksfs:busybox\nnetwork = none\n"
sandboxes = re.findall(r"\[([^]]+)\]", CONFIG)


def caller(number):
    mine = random.Random(f"{seed} {number}")
    while not stop.is_set():
        name = sandboxes[number % len(sandboxes)]
        body = mine.randbytes(mine.choice((0, 10, 1000, 200000)))
        code = mine.choice((0, 0, 3))
        work = mine.choice(("cat", "sleep 0.1; cat", "cat; sleep 0.3"))
        request = f"sh -c '{work}; echo done; exit {code}'\n".encode() + body
        out, err, end = in_slot(f"{daemon.mount}/{name}", request)
        whole = body + b"done\n"
        has_agent = name.endswith("require")
        if os.environ.get("CUT_TALK"):
            tally[f"{name}: {end}"] += 1
        if has_agent:
            assert end.startswith("125 unreachable ") or (end == f"{code} exited" and out == whole), (name, end, len(out))
        else:
            assert end != "0 exited", (name, end)
        assert whole.startswith(out) or not has_agent, name
        with lock:
            key = "exact" if out == whole and end.split()[:2] == [str(code), "exited"] else "lost"
            if end == "0 exited unconfirmed" and (out != whole or code != 0):
                key = "false but unconfirmed"
            tally[f"{name.partition('-')[2]}: {key}"] += 1


def choose(pairs):
    """One of them, mostly one that carries a command's streams."""
    streams = [pair for pair in pairs if pair[2]["upgraded"]]
    return [chance.choice(streams if streams and chance.random() < 0.7 else pairs)] if pairs else []


def cut_them(cutter):
    try:
        for _ in range(cuts):
            time.sleep(chance.random() * 0.16)
            tally["cut connections"] += cutter.cut(chance.choice(("both", "client", "engine")), choose)
    finally:
        stop.set()


with Cutter(proxy, host.removeprefix("unix://")) as cutter:
    os.environ["DOCKER_HOST"] = f"unix://{proxy}"
    try:
        with Daemon(folder, CONFIG) as daemon:
            cuts = int(cuts or (60 if is_sanitized(daemon.pid) else 200))
            side_by_side(lambda: cut_them(cutter), *(lambda number=number: caller(number) for number in range(len(sandboxes))))
            last = time.monotonic()
            within(20, lambda: not containers(), "containers that hooksfs has made", last)
            assert tally["cut connections"] > cuts / 2, tally
            for kind in ("exec", "run"):
                assert any(tally[f"{kind}-{agent}: exact"] for agent in ("no", "require")), tally
                assert any(count for key, count in tally.items() if key.startswith(kind) and "exact" not in key), tally
            os.write(3, f"# {cuts} cuts: {dict(sorted(tally.items()))}\n".encode())
    finally:
        os.environ["DOCKER_HOST"] = host
        for name in docker("ps", "--all", "--quiet", "--filter", "ancestor=localhost/hooksfs:busybox", "--format", "{{.Names}}").split():
            if name != "hooks":
                docker("rm", "-f", name)
PYTHON
}

run_tests
