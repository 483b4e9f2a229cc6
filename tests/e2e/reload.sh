#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Reloads under load: sandboxes are added, changed and removed, and some files are invalid,
# while calls of other sandboxes go on undisturbed.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

export NAP=$T/nap
ln -s "$(command -v sleep)" "$NAP"

# Runs the program on stdin, after the functions that all programs need. Each has its own
# daemon.
with_daemon() {
    rm -rf "$T/served"
    mkdir "$T/served"
    { cat "$T/reload.py"; cat; } | PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 \
        timeout 240 /usr/bin/python3 - "$T/served"
}

cat >"$T/reload.py" <<'PYTHON'
import random, sys
from calls import *
folder = sys.argv[1]
HEAD = "mode = direct\ntimeout = 200s\nkill_grace = 200ms\n"


def reload(daemon, config, word="was read again"):
    """Returns when the daemon has said WORD once more."""
    before = daemon.text().count(word)
    daemon.configure(config)
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: daemon.text().count(word) > before, f"it never says '{word}'")


def sandboxes(daemon):
    return sorted(os.listdir(daemon.mount))


def finish(fifo):
    with open(fifo, "w") as file:
        file.write("x\n")
PYTHON

# A hundred times, while processes converse and use slots of the sandboxes that
# stay. No call fails, and no answer is another's.
test_100_reloads_under_load() {
    with_daemon <<'PYTHON'
seed = random.randrange(1 << 30)
print(f"seed {seed}")
chance = random.Random(seed)
stop = folder + "/stop"

def config(number):
    """The stable one as it always is, and some of the others, changed or not."""
    text = HEAD + "[stable]\n"
    for name in ("a", "b", "c", "d"):
        if chance.random() < 0.6:
            text += f"[{name}]\nmax_running = {chance.randrange(1, 5)}\npermissions = 0{chance.choice([700, 750, 755])}\n"
            text += f"timeout = {chance.randrange(5, 50)}s\nmax_slots = {chance.randrange(1, 30)}\n"
    # This sandbox is changed each time. Its callers must not notice it.
    text += f"[changing]\nmax_running = {chance.randrange(1, 30)}\nmax_output = {chance.randrange(16, 40)}M\nmax_queued = {chance.randrange(100, 200)}\n"
    return text

def calls(seed):
    chance = random.Random(seed)
    count = 0
    while not os.path.exists(stop):
        sandbox = f"{daemon.mount}/{('stable', 'changing')[count % 2]}"
        body = chance.randbytes(chance.randrange(1, 100000))
        code = chance.randrange(2)
        request = b"sh -c 'cat; exit %d'\n" % code + body
        if chance.random() < 0.6:
            assert converse(sandbox, request) == (body, "EIO" if code else "none"), (seed, count)
        else:
            slot = f"{sandbox}/{seed}-{count}"
            os.mkdir(slot)
            ask(slot, request)
            assert (get(slot + "/stdout"), status(slot)) == (body, f"{code} exited"), (seed, count)
            os.rmdir(slot)
        count += 1
    assert count > 5, count

def comings_and_goings(seed):
    """Calls of the sandboxes that come and go: they may fail, but not answer wrongly."""
    chance = random.Random(seed)
    while not os.path.exists(stop):
        sandbox = f"{daemon.mount}/{chance.choice('abcd')}"
        body = chance.randbytes(chance.randrange(1, 50000))
        try:
            slot = f"{sandbox}/{seed}-{chance.randrange(1 << 30)}"
            if chance.random() < 0.5:
                assert converse(sandbox, b"cat\n" + body) == (body, "none")
            else:
                os.mkdir(slot)
                fd = os.open(slot + "/request", os.O_WRONLY)
                out = os.open(slot + "/stdout", os.O_RDONLY)
                write_all(fd, b"cat\n" + body)
                os.close(fd)
                assert read_all(out) == (body, "none")
                os.close(out)
                os.rmdir(slot)
        except OSError as error:
            # The sandbox may be missing. No other error is permitted.
            assert error.errno in (errno.ENOENT, errno.ENOSPC, errno.ESTALE, errno.EPERM), error
            with contextlib.suppress(OSError, UnboundLocalError):
                os.close(fd)
            time.sleep(0.002)

with Daemon(folder, HEAD + "[stable]\n[changing]\n") as daemon:
    works(daemon.mount + "/stable")
    before, idle = used(daemon.pid), kib(daemon.pid, "VmRSS")
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(child(calls, number)) for number in range(8)]
        users += [stack.enter_context(child(comings_and_goings, number)) for number in range(20, 23)]
        for number in range(100):
            if number % 7 == 3:
                reload(daemon, chance.choice((
                    "mode = nonsense\n[stable]\n", HEAD + "[stable]\nmax_running = -3\n", HEAD + "no_such_key = 1\n[stable]\n",
                    "", HEAD + "[stable\n", HEAD + "[stable]\n[stable]\n")), "has errors")
            elif number % 7 == 5:
                # Several signals, some of which the kernel may merge.
                daemon.configure(config(number))
                for _ in range(5):
                    os.kill(daemon.pid, signal.SIGHUP)
                reload(daemon, config(number))
            else:
                reload(daemon, config(number))
            assert {"stable", "changing"} <= set(sandboxes(daemon))
            time.sleep(0.02)
        open(stop, "w").close()
        for pid in users:
            wait_for(pid)
    reload(daemon, HEAD + "[stable]\n[changing]\n")
    assert sandboxes(daemon) == ["changing", "stable"]
    left = [entry.name for entry in os.scandir(daemon.mount + "/stable") if entry.is_dir()]
    assert not left, f"slots are left: {left}"
    works(daemon.mount + "/stable")
    check_used(daemon.pid, before)
    grown = kib(daemon.pid, "VmRSS") - idle
    assert is_sanitized(daemon.pid) or grown < 8192, f"it grew by {grown} KiB"
PYTHON
}

# Also jobs that wait, in slots and conversations, and whose stdin is not complete.
test_jobs_of_a_removed_sandbox_run_to_their_end() {
    with_daemon <<'PYTHON'
go, go2 = folder + "/go", folder + "/go2"
os.mkfifo(go), os.mkfifo(go2)
with Daemon(folder, HEAD + "[stable]\n[doomed]\nmax_running = 5\n") as daemon:
    doomed = daemon.mount + "/doomed"
    works(daemon.mount + "/stable")
    before = used(daemon.pid)
    os.mkdir(doomed + "/slot"), os.mkdir(doomed + "/queued"), os.mkdir(doomed + "/idle")

    # 1: writes its answer after the removal; 2: reads its stdin after it;
    # 3: nobody has a file of it open; 4: the sandbox's own slot; 5: in a slot.
    one = start(doomed, f"sh -c 'echo before; read x <{go}; echo after'\n".encode())
    assert os.read(one, 100) == b"before\n"
    two = start(doomed, b"cat\nbefore ")
    ask(doomed + "/slot", f"sh -c 'read x <{go2}; echo done >{folder}/unwatched'".encode())
    ask(doomed, b"sh -c 'sleep 1; echo own; exit 3'")
    own = [os.open(f"{doomed}/{name}", os.O_RDONLY) for name in ("stdout", "status")]
    three = start(doomed, b"cat\nbefore ")
    # In the queue now, for all five run.
    waiting = start(doomed, b"sh -c 'cat; echo waited'\n", os.O_NONBLOCK)
    ask(doomed + "/queued", b"sh -c 'echo queued; exit 4'")
    queued = [os.open(f"{doomed}/queued/{name}", os.O_RDONLY) for name in ("stdout", "status")]
    os.chdir(doomed + "/idle")

    reload(daemon, HEAD + "[stable]\n")
    assert sandboxes(daemon) == ["stable"]
    # The kernel may keep the name for a second; nothing is behind it.
    assert error_of(open_call, doomed) == "ENOENT"
    eventually(lambda: error_of(os.stat, doomed) == error_of(os.listdir, doomed) == "ENOENT", "its name stays", 10)
    assert os.listdir(".") == [] and error_of(os.stat, "request") in ("ENOENT", "ESTALE")
    assert error_of(os.stat, "../request") in ("ENOENT", "ESTALE")
    assert error_of(os.mkdir, "new") in ("ENOENT", "EPERM", "ESTALE")
    works(daemon.mount + "/stable")
    os.chdir("/")

    # A new sandbox with the same name has nothing to do with the removed one.
    reload(daemon, HEAD + "[stable]\n[doomed]\n")
    assert not [entry.name for entry in os.scandir(doomed) if entry.is_dir()]
    assert get(doomed + "/stdout") == get(doomed + "/status") == b""
    ask(doomed, b"echo new")
    assert (get(doomed + "/stdout"), status(doomed)) == (b"new\n", "0 exited")
    works(doomed)

    for fd, text in ((two, b"after"), (three, b"after")):
        os.write(fd, text)
        assert read_all(fd) == (b"before after", "none")
        os.close(fd)
    finish(go)
    assert read_all(one) == (b"after\n", "none")
    os.close(one)
    finish(go2)
    eventually(lambda: os.path.exists(folder + "/unwatched"), "what nobody watches was ended")
    assert read_all(own[0]) == (b"own\n", "none") and read_all(own[1]) == (b"3 exited\n", "none")
    assert read_all(queued[0]) == (b"queued\n", "none") and read_all(queued[1]) == (b"4 exited\n", "none")
    os.set_blocking(waiting, True)
    assert read_all(waiting) == (b"waited\n", "none")
    for fd in own + queued + [waiting]:
        os.close(fd)
    check_used(daemon.pid, before)
PYTHON
}

# The results of a sandbox's slots are in the daemon's memory. The removal frees them.
test_a_removed_sandbox_gives_memory_back() {
    with_daemon <<'PYTHON'
size, count = 8_000_000, 8
with Daemon(folder, HEAD + "[stable]\n[doomed]\n") as daemon:
    works(daemon.mount + "/stable")
    before = kib(daemon.pid, "VmRSS")
    for number in range(count):
        slot = f"{daemon.mount}/doomed/{number}"
        os.mkdir(slot)
        ask(slot, f"head -c {size} /dev/urandom\n".encode())
        assert status(slot) == "0 exited"
    grown = lambda: kib(daemon.pid, "VmRSS") - before
    assert is_sanitized(daemon.pid) or grown() > size * count / 1024 * 0.9, "where is it?"
    reload(daemon, HEAD + "[stable]\n")
    eventually(lambda: is_sanitized(daemon.pid) or grown() < size * count / 1024 / 2, "it keeps its results", 10)
PYTHON
}

# Their callers can still cancel them, and the end of the daemon ends them.
test_jobs_of_a_removed_sandbox_can_be_ended() {
    with_daemon <<'PYTHON'
with Daemon(folder, HEAD + "[stable]\n[doomed]\n") as daemon:
    doomed = daemon.mount + "/doomed"
    request = f"{nap} 1000\n".encode()
    first, second = start(doomed, request), start(doomed, request)
    os.mkdir(doomed + "/slot")
    ask(doomed + "/slot", request)
    ask(doomed, request)
    ctl = os.open(doomed + "/slot/ctl", os.O_WRONLY)
    state = os.open(doomed + "/slot/status", os.O_RDONLY)
    there(nap, 4)
    reload(daemon, HEAD + "[stable]\n")
    time.sleep(0.3)
    assert len(processes(nap)) == 4
    os.close(first)
    eventually(lambda: len(processes(nap)) == 3, "a close does not cancel any more")
    os.write(ctl, b"cancel\n")
    assert os.read(state, 100) == b"130 cancelled\n"
    eventually(lambda: len(processes(nap)) == 2, "ctl does not cancel any more")
    limited = threading.Thread(target=daemon.end)
    limited.start()
    assert read_all(second)[1] != "none"
    for fd in (second, ctl, state):
        os.close(fd)
    limited.join()
    assert processes(nap) == [] and daemon.process.returncode == 0
PYTHON
}

test_a_changed_sandbox() {
    with_daemon <<'PYTHON'
def config(**keys):
    return HEAD + "[it]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())

with Daemon(folder, config(max_running=1, max_queued=10)) as daemon:
    it = daemon.mount + "/it"
    works(it)
    before = used(daemon.pid)
    # When more jobs may run, those that wait start.
    request = f"{nap} 1000\n".encode()
    fds = [start(it, request) for _ in range(5)]
    there(nap)
    reload(daemon, config(max_running=3, max_queued=10))
    there(nap, 3)
    time.sleep(0.2)
    assert len(processes(nap)) == 3
    # When fewer jobs may run, none is ended.
    reload(daemon, config(max_running=1, max_queued=10))
    time.sleep(0.3)
    assert len(processes(nap)) == 3
    late = start(it, b"echo late\n")
    for fd in fds:
        os.close(fd)
    assert read_all(late) == (b"late\n", "none")
    os.close(late)
    gone(nap)
    # A slot stays, with its results, and gets the new rules.
    os.mkdir(it + "/slot")
    ask(it + "/slot", b"sh -c 'echo kept; exit 6'")
    assert status(it + "/slot") == "6 exited"
    reload(daemon, config(permissions="0755", max_slots=1, allow="echo", max_timeout="1s"))
    assert (get(it + "/slot/stdout"), status(it + "/slot")) == (b"kept\n", "6 exited")
    assert os.stat(it).st_mode & 0o777 == 0o755
    assert os.stat(it + "/request").st_mode & 0o777 == 0o644
    assert error_of(os.mkdir, it + "/second") == "ENOSPC"
    assert write_error(it + "/slot/request", b"cat\n") == "EACCES"
    assert write_error(it + "/request", b"--timeout=2s echo\n") == "EINVAL"
    slot_works(it + "/slot")
    # A job keeps the rules that it was made with.
    reload(daemon, config(timeout="100s"))
    fd = start(it, b"sh -c 'sleep 1.5; echo unhurried'\n")
    reload(daemon, config(timeout="200ms"))
    assert read_all(fd) == (b"unhurried\n", "none")
    os.close(fd)
    assert converse(it, f"{nap} 1000".encode()) == (b"", "ETIMEDOUT")
    # A shorter slot_ttl also holds for existing slots.
    reload(daemon, config(slot_ttl="300ms"))
    eventually(lambda: "slot" not in os.listdir(it), "it lives as long as before")
    check_used(daemon.pid, before)

    # It becomes another mode, while a job of the old one runs.
    fd = start(it, b"--timeout=50s cat\nold ")
    reload(daemon, HEAD.replace("direct", "kubectl_exec") + f"[it]\npod = p\nkubectl_path = {folder}/missing\n")
    assert converse(it, b"true") == (b"", "EHOSTUNREACH")
    os.write(fd, b"one")
    assert read_all(fd) == (b"old one", "none")
    os.close(fd)
    check_used(daemon.pid, before)
PYTHON
}

# The user database may be a server that does not answer. Here somebody has a lease on
# /etc/passwd, so that opening it waits. Calls go on, a second SIGHUP replaces the first, an
# end does not wait, and the reload is done as soon as there is an answer.
test_a_user_database_that_hangs() {
    [[ $(id -u) == 0 ]] || skip "only root can mount over /etc/passwd"
    grep -q '^passwd:[[:space:]]*files' /etc/nsswitch.conf || skip "/etc/passwd is not asked first"
    with_daemon <<'PYTHON'
import fcntl
NAMES = HEAD + "[a]\nowner = daemon\npermissions = 0777\n[b]\nuser = root\n"
signal.alarm(100)  # without this a daemon that waits is found by the limit of the script only


def hang():
    subprocess.run(["mount", "--bind", f"{folder}/tmp/passwd", "/etc/passwd"], check=True)
    fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_WRLCK)


def answer():
    fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    subprocess.run(["umount", "-l", "/etc/passwd"], check=True)


def reload_begin(daemon, config):
    daemon.configure(config)
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: used(daemon.pid)[1] > 0, "no process asks")


assert libc.unshare(0x20000) == 0, "no mounts of its own"  # CLONE_NEWNS
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
os.mkdir(folder + "/tmp")
subprocess.run(["mount", "-t", "tmpfs", "none", folder + "/tmp"], check=True)
subprocess.run(["cp", "/etc/passwd", folder + "/tmp"], check=True)
lease = os.open(folder + "/tmp/passwd", os.O_RDWR)
signal.signal(signal.SIGIO, signal.SIG_IGN)  # somebody wants to open it
with Daemon(folder, NAMES) as daemon:
    before = settled(daemon.pid)
    hang()
    reload_begin(daemon, NAMES + "[c]\nowner = daemon\n")
    for sandbox in ("a", "b"):
        works(f"{daemon.mount}/{sandbox}")
        slot_works(f"{daemon.mount}/{sandbox}")
    assert sandboxes(daemon) == ["a", "b"]
    # A second SIGHUP while the first reload hangs: the newest file counts.
    reload_begin(daemon, NAMES + "[d]\nowner = daemon\n")
    eventually(lambda: used(daemon.pid)[1] == 1, "more than one process asks")
    answer()
    eventually(lambda: sandboxes(daemon) == ["a", "b", "d"], "it is not read")
    assert daemon.text().count("was read again") == 1
    assert os.stat(daemon.mount + "/d").st_uid == 1
    check_used(daemon.pid, before)
    # An unknown name is an error. A file without names needs no look-up.
    reload(daemon, NAMES + "[d]\nowner = no-such-user\n", "has errors")
    assert "there is no user 'no-such-user' on this machine" in daemon.text()
    assert sandboxes(daemon) == ["a", "b", "d"]
    hang()
    reload(daemon, HEAD + "[a]\n")
    assert sandboxes(daemon) == ["a"]
    reload_begin(daemon, NAMES)
    works(daemon.mount + "/a")
answer()
subprocess.run(["umount", folder + "/tmp"], check=False)
PYTHON
}

# The user is the same, but the database has got another group for it.
test_groups_of_a_user() {
    [[ $(id -u) == 0 ]] || skip "only root runs commands as somebody else"
    with_daemon <<'PYTHON'
config = HEAD + "[a]\nuser = daemon\n"
assert libc.unshare(0x20000) == 0, "no mounts of its own"  # CLONE_NEWNS
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
with open("/etc/group") as file, open(folder + "/group", "w") as copy:
    copy.write(file.read() + "hooksfs-more:x:54321:daemon\n")
with Daemon(folder, config) as daemon:
    assert b"54321" not in converse(daemon.mount + "/a", b"id -G")[0]
    subprocess.run(["mount", "--bind", folder + "/group", "/etc/group"], check=True)
    reload(daemon, config)
    assert b"54321" in converse(daemon.mount + "/a", b"id -G")[0], "it has the groups of before"
subprocess.run(["umount", "-l", "/etc/group"], check=True)
PYTHON
}

# An invalid configuration changes nothing, also the second time.
test_an_invalid_configuration() {
    with_daemon <<'PYTHON'
good = HEAD + "[a]\npermissions = 0750\n[b]\n"
with Daemon(folder, good) as daemon:
    fd = start(daemon.mount + "/a", b"cat\nhello ")
    os.mkdir(daemon.mount + "/b/slot")
    before = settled(daemon.pid)
    for text in ("", "[c]\n", "rubbish", good + "[c]\nmode = direct\nunknown = 1\n", good.replace("0750", "999"), "\0" * 100):
        reload(daemon, text, "has errors")
        assert sandboxes(daemon) == ["a", "b"]
        assert os.stat(daemon.mount + "/a").st_mode & 0o777 == 0o750
        works(daemon.mount + "/a")
        slot_works(daemon.mount + "/b/slot")
    os.unlink(folder + "/conf")
    count = daemon.text().count("has errors")
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: daemon.text().count("has errors") > count, "it does not say so")
    slot_works(daemon.mount + "/b/slot")
    check_used(daemon.pid, before)
    os.write(fd, b"again")
    assert read_all(fd) == (b"hello again", "none")
    os.close(fd)
    reload(daemon, good + "[c]\n")
    assert sandboxes(daemon) == ["a", "b", "c"]
    works(daemon.mount + "/c")
PYTHON
}

run_tests
