# SPDX-License-Identifier: Apache-2.0
"""Lets each call of one kind fail in turn: the first one that a scenario leads to,
the second, and so on until there is none left. Each time the one caller may have an
error, and nothing else may be wrong: no answer that is not its own or not whole, no
`0 exited` of a command that did not succeed, and the next call is served.

usage: sweep.py FOLDER CALL ERRNO SCENARIO...; HOOKSFS is the daemon hooksfs-faulty,
HOOKSFS_AGENT the agent of the scenarios that have one"""

import collections
import select
from calls import *
from faults import Faults

CONFIG = """mode = direct
timeout = 20s
kill_grace = 50ms
max_output = 2M
[stable]
[user]
permissions = 0777
[pipes]
mode = docker_exec
container = c
docker_path = {folder}/docker
"""
AGENT_CONFIG = """[agent]
mode = docker_exec
container = c
docker_path = {folder}/docker
agent = require
agent_path = {agent}
connections = 1
"""
STANDBY_CONFIG = """[ready]
user = root
standby = cat -
"""
# In docker's place: the command, which stands after the container's name.
DOCKER = '#!/bin/sh\nwhile [ "$1" != c ]; do shift; done\nshift\nexec "$@"\n'
SUCCESS = {"pipes": "0 exited unconfirmed"}  # only docker says so
# For a slow daemon: every second or third call, not every call.
STEP = int(os.environ.get("SWEEP_STEP", "1"))
BODY = bytes(range(256)) * 8
LONG = BODY * 300
NUMBERS = b"".join(b"%d\n" % number for number in range(1, 400001))  # 2.7 MB, no two parts alike
# The errors that a caller may get when there is no memory or no descriptor.
ERRORS = {"ENOMEM", "EMFILE", "ENFILE", "EAGAIN", "EIO", "EACCES", "ECANCELED", "EINVAL", "EHOSTUNREACH"}
STATUS = re.compile(r"(126 unstarted|125 unreachable|130 cancelled|141 overflow \w+ exceeded the memory|2 refused) ?.*")


class Failed(Exception):
    """The caller was told."""


def allowed(error):
    name = errno.errorcode[error.errno]
    assert name in ERRORS, f"{name} is no error of this kind"
    raise Failed(name)


def check_status(line, wanted):
    # Without memory there is no detail, but the code and the kind are there.
    if line in (wanted, " ".join(wanted.split()[:2])):
        return
    assert STATUS.fullmatch(line), f"status is {line!r}, not {wanted!r}"
    raise Failed(line)


# --- Scenarios


def in_slot(slot, request, answer, wanted="0 exited", err=b""):
    ask(slot, request)
    out, errors, line = get(slot + "/stdout"), get(slot + "/stderr"), status(slot)
    check_status(line, wanted)
    assert out == answer, f"{wanted}, with {len(out)} bytes instead of {len(answer)}"
    assert errors == err, errors[:200]


def slot(daemon):
    in_slot(f"{daemon.mount}/stable", b"a=b cat\n" + BODY, BODY)


def failing(daemon, sandbox="stable"):
    in_slot(f"{daemon.mount}/{sandbox}", b"a=b sh -c 'cat; echo no >&2; exit 3'\n" + BODY, BODY, "3 exited", b"no\n")


def unknown(daemon, sandbox="stable"):
    in_slot(f"{daemon.mount}/{sandbox}", b"no-such-command\n", b"",
            "127 unstarted cannot execute no-such-command: No such file or directory")


def client(daemon):
    in_slot(f"{daemon.mount}/pipes", b"cat\n" + BODY, BODY, SUCCESS["pipes"])


def conversation_of(directory, request, answer, delay=0):
    fd = start(directory, request)
    try:
        time.sleep(delay)
        out, end = read_all(fd)
    finally:
        os.close(fd)
    if end == "none":
        assert out == answer, f"{len(out)} bytes instead of {len(answer)}, and no error"
        return
    assert end in ERRORS, end
    assert answer.startswith(out), "bytes that are not its own"
    raise Failed(end)


def conversation(daemon):
    conversation_of(f"{daemon.mount}/stable", b"cat\n" + BODY, BODY)


def mkdir(daemon):
    own = f"{daemon.mount}/stable/own"
    os.mkdir(own)
    try:
        in_slot(own, b"cat\n" + BODY, BODY)
        assert sorted(os.listdir(own)) == ["ctl", "request", "status", "stderr", "stdout"]
    finally:
        daemon.faults.clear()
        os.rmdir(own)
    assert not os.path.exists(own)


def cancel(daemon, sandbox="stable"):
    directory = f"{daemon.mount}/{sandbox}"
    ask(directory, f"{nap} 30".encode())
    with open(directory + "/ctl", "w") as ctl:
        ctl.write("cancel\n")
    check_status(status(directory), "130 cancelled")


def timeout(daemon):
    in_slot(f"{daemon.mount}/stable", f"--timeout=50ms {nap} 30".encode(), b"", "124 timeout after 50ms")


def user(daemon):
    """The command of another user, with the groups and the environment of one."""
    uid, groups = 65534, [4321, 1234]
    command = b"sh -c 'id -u; id -G; echo $HOME $USER'"
    wanted = b"65534\n65534 1234 4321\n/nonexistent nobody\n"
    path = f"{daemon.mount}/user/call"
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups(groups)
            os.setgid(uid)
            os.setuid(uid)
            fd = os.open(path, os.O_RDWR)
            os.write(fd, command)
            out, end = read_all(fd)
            os.write(write, end.encode() + b"\n" + out)
            code = 0
        except OSError as error:
            os.write(write, errno.errorcode[error.errno].encode() + b"\n")
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with open(read, "rb") as file:
        end, _, out = file.read().partition(b"\n")
    os.waitpid(pid, 0)
    if end.decode() in ERRORS:
        raise Failed(end.decode())
    assert end == b"none", end
    assert out == wanted, out


def long_slot(daemon):
    """More than the pipes hold, both ways: writes and reads wait."""
    in_slot(f"{daemon.mount}/stable", b"cat\n" + LONG, LONG)


def long_conversation(daemon):
    """The command waits for its reader."""
    conversation_of(f"{daemon.mount}/stable", b"seq 400000\n", NUMBERS, 0.05)


def overflow(daemon):
    directory = f"{daemon.mount}/stable"
    ask(directory, b"head -c 3000000 /dev/zero")
    check_status(status(directory), "141 overflow stdout exceeded 2M")


def waiting(daemon):
    """Readers are there before the answer, and poll for it."""
    fd = open_call(f"{daemon.mount}/stable", os.O_NONBLOCK)
    try:
        write_all(fd, f"sh -c '{nap} 0.02; echo yes'".encode())
        out, poll = b"", select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            try:
                part = os.read(fd, 100)
                if not part:
                    break
                out += part
            except BlockingIOError:
                poll.poll(2000)  # a lost notification must not be the end of it
        assert out == b"yes\n", out
    finally:
        os.close(fd)


def look(daemon):
    with os.scandir(f"{daemon.mount}/stable") as entries:
        assert sorted(entry.name for entry in entries) == ["call", "ctl", "request", "status", "stderr", "stdout"]
    assert os.stat(f"{daemon.mount}/stable/stdout").st_size == len(get(f"{daemon.mount}/stable/stdout"))


# Over a connection to an agent, which may break, and is opened again.


def agent(daemon):
    failing(daemon, "agent")


def agent_unknown(daemon):
    unknown(daemon, "agent")


def agent_conversation(daemon):
    conversation_of(f"{daemon.mount}/agent", b"cat\n" + LONG, LONG)


def agent_cancel(daemon):
    cancel(daemon, "agent")


def serving(daemon):
    """The clients of its connections."""
    with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children") as children:
        for pid in map(int, children.read().split()):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as words:
                if b"--serve" in words.read():
                    yield pid


def agent_again(daemon):
    """The connection has broken. The call waits for another one."""
    for pid in serving(daemon):
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "it is not reaped")
    agent(daemon)


def standby(daemon):
    """One that was started before is taken, or not, and there is another one afterwards."""
    directory = f"{daemon.mount}/ready"
    conversation_of(directory, b"cat -\n" + BODY, BODY)
    deadline = time.monotonic() + 20
    while not any(command(pid) == b"cat\0-\0" for pid in children(daemon)):
        assert time.monotonic() < deadline, "there is no standby any more"
        with contextlib.suppress(OSError):
            converse(directory, b"true")  # without memory for a timer it takes a request
        time.sleep(0.02)


def children(daemon):
    with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children") as pids:
        return pids.read().split()


def command(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as words:
        return words.read()


def reload_with(daemon, text):
    before = len(daemon.text())
    daemon.configure(text)
    os.kill(daemon.pid, signal.SIGHUP)
    told = eventually(lambda: re.search("was read again|the configuration of before stays|reload it again",
                                        daemon.text()[before:]), "a reload without a word")
    return told.group()


def reload(daemon):
    old = {"stable", "user", "pipes"}
    new = daemon.config.replace("[user]", "[other]") + "[more]\npermissions = 0750\nowner = nobody\nallow = c*t\n"
    try:
        told = reload_with(daemon, new)
        daemon.faults.clear()
        names = set(os.listdir(daemon.mount))
        if told == "was read again":
            assert names == {"stable", "other", "more", "pipes"}, names
            st = os.stat(f"{daemon.mount}/more")
            assert (st.st_mode & 0o777, st.st_uid) == (0o750, 65534), st
            # Nothing that it does not say has become another than before.
            assert converse(f"{daemon.mount}/more", b"cat\n1") == (b"1", "none")
            assert error_of(converse, f"{daemon.mount}/more", b"true\n1") == "EACCES"
            assert converse(f"{daemon.mount}/stable", b"cat\n1") == (b"1", "none")
            return
        if told == "the configuration of before stays":
            assert names == old, names
        raise Failed(told)
    finally:
        daemon.faults.clear()
        assert reload_with(daemon, daemon.config) == "was read again"
        assert set(os.listdir(daemon.mount)) == old


def wrong_reload(daemon):
    """A configuration with an error is never taken."""
    try:
        told = reload_with(daemon, daemon.config + "[more]\ntimeout = often\nmode = direct\n")
        assert told == "the configuration of before stays", told
        assert sorted(os.listdir(daemon.mount)) == ["pipes", "stable", "user"]
    finally:
        daemon.faults.clear()
        daemon.configure(daemon.config)


# --- The sweep


def run(scenario, daemon):
    try:
        scenario(daemon)
    except Failed as failed:
        return str(failed)
    except OSError as error:
        try:
            allowed(error)
        except Failed as failed:
            return str(failed)
    return None


def rest(daemon):
    """Leaves nothing long in the slots, and waits until nothing is under way."""
    directories = [f"{daemon.mount}/{name}" for name in ("stable", "pipes", "agent")]
    for directory in filter(os.path.isdir, directories):
        with open(directory + "/ctl", "w") as ctl:
            ctl.write("cancel\n")
        get(directory + "/status")
        ask(directory, b"true")
        assert status(directory) == SUCCESS.get(os.path.basename(directory), "0 exited")


LINES = re.compile(r"hooksfs: (job sandbox=\w+ slot=\S+ uid=\d+ pid=\d+ command=\S+ ms=\d+ in=\d+ out=\d+ err=\d+ "
                   r"outcome=\d+ .+|refused sandbox=\w+ slot=\S+ uid=\d+ pid=\d+ error=E\w+)")


def check_log(text):
    """Each line of the log about a job or a refusal is complete."""
    for line in text.splitlines():
        if re.match("hooksfs: (job|refused)?[^:]*=", line):
            assert LINES.fullmatch(line), line


def sweep(daemon, scenario, call, error):
    told = collections.Counter()
    log = open(f"{daemon.folder}/log", errors="replace")
    log.seek(0, os.SEEK_END)
    for number in range(0, 5000, STEP):
        before = daemon.faults.injected()
        daemon.faults.set(call, error, after=number, times=1)
        try:
            how = run(scenario, daemon)
            daemon.faults.clear()
            assert daemon.process.poll() is None, "the daemon has ended"
            works(f"{daemon.mount}/stable")
            rest(daemon)
            check_log(log.read())
        except BaseException:
            print(f"{scenario.__name__}: with failure {number} of {call}")
            raise
        if daemon.faults.injected() == before:
            assert how is None, f"without any failure: {how}"
            return sum(told.values()), told
        told[how or "right all the same"] += 1
    raise AssertionError("it never ends")


def main(folder, call, error, *names):
    text = CONFIG
    if any(name.startswith("agent") for name in names):
        text += AGENT_CONFIG
    if any(name.startswith("standby") for name in names):
        text += STANDBY_CONFIG
    text = text.format(folder=folder, agent=os.environ.get("HOOKSFS_AGENT"))
    with open(f"{folder}/docker", "w") as docker:
        docker.write(DOCKER)
    os.chmod(f"{folder}/docker", 0o755)
    os.chmod(folder, 0o755)
    faults = Faults(f"{folder}/faults", create=True)
    total = 0
    with Daemon(folder, text, faults) as daemon:
        daemon.config = text
        for scenario in map(globals().get, names):
            for _ in range(3):
                assert run(scenario, daemon) is None, scenario
                rest(daemon)
            before, blocks = settled(daemon.pid), faults.blocks()
            count, told = sweep(daemon, scenario, call, error)
            total += count
            rest(daemon)
            check_used(daemon.pid, before)
            # The kernel keeps some names for a while, and the daemon has to know them.
            grown = faults.blocks() - blocks
            assert grown < 10 + count / 4, f"{scenario.__name__}: {grown} pieces of memory are left"
            print(f"{scenario.__name__}: {count} failures of {call}: {dict(told)}", flush=True)
    print(f"{total} failures of {call}")
    # These two are for children that have a copy of the daemon's memory (child.c).
    assert total > 0 or call in ("pidfd_open", "fcntl"), f"nobody has called {call}"


main(*sys.argv[1:])
