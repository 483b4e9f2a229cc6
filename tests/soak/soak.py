# SPDX-License-Identifier: Apache-2.0
"""A soak: callers of every kind at once, some of whom are killed, others who cancel
and remove what is not theirs, reloads, and, with hooksfs-faulty, calls that fail. Each
answer is compared byte for byte. Ends with 1 if one was wrong, lost or mixed with
another's, or if the daemon has kept something.

usage: soak.py FOLDER; HOOKSFS is the daemon, SOAK_SECONDS how long, SOAK_SEED makes
it the same again, as far as the machine does"""

import collections
import hashlib
import json
import random
import select
from calls import *
from faults import Faults

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
SEED = os.environ["SOAK_SEED"]
CALLERS, VICTIMS = 6, 12
BASE = """mode = direct
timeout = 30s
kill_grace = 50ms
[stable]
max_running = 200
max_output = 1M
"""
# The errors that a caller may get in place of its answer when calls fail on purpose.
SHORT = {"ENOMEM", "EMFILE", "ENFILE", "EAGAIN", "EIO", "EACCES", "ECANCELED", "EINVAL", "EBUSY"}
SHORT_STATUS = re.compile(r"(126 unstarted|130 cancelled no memory|141 overflow \w+ exceeded the memory|2 refused).*")
# Each with an errno, and how often: not so often that nothing goes right any more.
FAULTS = (("memory", "ENOMEM", 0.003), ("fork", "EAGAIN", 0.05), ("pidfd_open", "EMFILE", 0.05), ("waitid", "0", 0.3),
          ("pipe2", "EMFILE", 0.03), ("epoll_ctl", "ENOMEM", 0.03),
          ("fcntl", "EMFILE", 0.05), ("open", "EMFILE", 0.03), ("device", "ENOMEM", 0.01), ("device", "EINTR", 0.1),
          ("device_read", "ENOMEM", 0.005), ("device_write", "ENOMEM", 0.005), ("log", "ENOSPC", 0.1), ("write", "ENOMEM", 0.02))


class Wrong(Exception):
    """Kind is wrong, lost or mixed."""

    def __init__(self, kind, what):
        super().__init__(kind, what)


class Told(Exception):
    """An error on purpose."""


# --- Payloads that say whose they are

TAG = re.compile(rb"<<[0-9]+\.[0-9]+>>")


def payload(chance, tag):
    """Every 4 KiB say it, so that a piece of another's answer is known for one."""
    size = int(2 ** chance.uniform(0, 18.5))
    return b"".join(tag + chance.randbytes(4096) for _ in range(size // 4096)) + tag + chance.randbytes(size % 4096)


def compare(got, wanted, tag):
    if got == wanted:
        return
    others = {other for other in TAG.findall(got)} - {tag}
    what = f"{tag}: {len(got)} bytes instead of {len(wanted)}"
    if others:
        raise Wrong("mixed", f"{what}, with {sorted(others)[:3]}")
    raise Wrong("lost" if wanted.startswith(got) else "wrong", what)


# --- Callers each of whose calls must be right


class Caller:
    def __init__(self, number, mount, stop, has_faults):
        self.number, self.sandbox, self.stop, self.has_faults = number, mount + "/stable", stop, has_faults
        self.chance = random.Random(f"{SEED} caller {number}")
        self.counts = collections.Counter()
        self.problems = []

    def told(self, name):
        if self.has_faults and name in SHORT:
            raise Told(name)
        raise Wrong("wrong", f"error {name}")

    def is_line(self, line, wanted):
        if line == wanted:
            return
        if self.has_faults and (SHORT_STATUS.fullmatch(line) or wanted.startswith(line + " ")):
            raise Told(line)
        raise Wrong("wrong", f"status {line!r} instead of {wanted!r}")

    def ends(self, end, wanted):
        if end != wanted:
            self.told(end)

    def conversation(self, tag):
        body, code = payload(self.chance, tag), self.chance.randrange(2)
        answer, end = converse(self.sandbox, b"sh -c 'cat; exit %d'\n" % code + body)
        if code and end == "EIO" and self.has_faults and body.startswith(answer):
            return
        self.ends(end, "EIO" if code else "none")
        compare(answer, body, tag)

    def in_pieces(self, tag):
        """Writes and reads that do not wait."""
        body, answer, sent = payload(self.chance, tag), b"", 0
        data = b"cat\n" + body
        fd = open_call(self.sandbox, os.O_NONBLOCK)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLOUT | select.POLLIN)
            while sent < len(data):
                with contextlib.suppress(BlockingIOError):
                    sent += os.write(fd, data[sent : sent + self.chance.randrange(1, 100000)])
                    continue
                poll.poll(100)
            poll.modify(fd, select.POLLIN)
            while True:
                try:
                    part = os.read(fd, self.chance.randrange(1, 100000))
                except BlockingIOError:
                    poll.poll(100)  # of a notification there is no promise when calls fail
                    continue
                if not part:
                    break
                answer += part
        finally:
            os.close(fd)
        compare(answer, body, tag)

    def slot(self, tag):
        body, code = payload(self.chance, tag), self.chance.choice((0, 0, 1, 7))
        own = f"{self.sandbox}/caller{self.number}-{self.counts['calls']}"
        os.mkdir(own)
        try:
            ask(own, b"sh -c 'tee /dev/fd/2; exit %d' 2\n" % code + body)
            answer, errors, line = get(own + "/stdout"), get(own + "/stderr"), status(own)
            self.is_line(line, f"{code} exited")
            compare(answer, body, tag)
            compare(errors, body, tag)
            at = self.chance.randrange(len(body))
            with open(own + "/stdout", "rb", buffering=0) as out:
                compare(os.pread(out.fileno(), 1000, at), body[at : at + 1000], tag)
        finally:
            self.remove(own)

    def remove(self, own):
        """Removed it must be, or it would be counted as left over."""
        for _ in range(200):
            with contextlib.suppress(OSError):
                os.rmdir(own)
            if error_of(os.stat, own) == "ENOENT":
                return
            time.sleep(0.02)
        raise Wrong("wrong", f"{own} cannot be removed")

    def sum(self, tag):
        body = payload(self.chance, tag) * 4
        answer, end = converse(self.sandbox, b"sha256sum\n" + body)
        self.ends(end, "none")
        compare(answer, hashlib.sha256(body).hexdigest().encode() + b"  -\n", tag)

    def in_own(self, request, wanted, cancel=False):
        own = f"{self.sandbox}/caller{self.number}-{self.counts['calls']}"
        os.mkdir(own)
        try:
            ask(own, request)
            if cancel:
                with open(own + "/ctl", "w") as ctl:
                    ctl.write("cancel\n")
            self.is_line(status(own), wanted)
        finally:
            self.remove(own)

    def cancel(self, tag):
        self.in_own(f"sh -c '{nap} 600; true'".encode(), "130 cancelled", True)

    def timeout(self, tag):
        ms = self.chance.randrange(1, 200)
        self.in_own(f"--timeout={ms}ms {nap} 600".encode(), f"124 timeout after {ms}ms")

    def overflow(self, tag):
        self.in_own(b"head -c 1100000 /dev/zero", "141 overflow stdout exceeded 1M")

    def unknown(self, tag):
        self.in_own(b"no-such-command", "127 unstarted cannot execute no-such-command: No such file or directory")

    def refused(self, tag):
        name = error_of(converse, self.sandbox, b"a | b\n")
        if name != "EINVAL":
            self.told(name)

    def early_close(self, tag):
        body = payload(self.chance, tag)
        fd = start(self.sandbox, b"cat\n" + body)
        try:
            part = os.read(fd, self.chance.randrange(1, 5000))
        finally:
            os.close(fd)
        compare(part, body[: len(part)], tag)

    def run(self):
        kinds = [self.conversation] * 6 + [self.slot] * 6 + [self.in_pieces] * 3 + [
            self.sum, self.cancel, self.timeout, self.overflow, self.unknown, self.refused, self.early_close]
        while not os.path.exists(self.stop) and len(self.problems) < 10:
            kind = self.chance.choice(kinds)
            self.counts["calls"] += 1
            signal.alarm(60)  # what takes that long is lost: no command has more than 30 s
            try:
                kind(b"<<%d.%d>>" % (self.number, self.counts["calls"]))
                self.counts[kind.__name__] += 1
            except Told:
                self.counts["told"] += 1
            except Wrong as wrong:
                self.problems.append([wrong.args[0], f"{kind.__name__}: {wrong.args[1]}"])
            except TimeoutError:
                self.problems.append(["lost", f"{kind.__name__}: no answer"])
            except OSError as error:
                try:
                    self.told(errno.errorcode[error.errno])
                except Told:
                    self.counts["told"] += 1
                except Wrong as wrong:
                    self.problems.append([wrong.args[0], f"{kind.__name__}: {wrong.args[1]}"])


def caller(number, mount, folder, has_faults):
    def give_up(*_):
        raise TimeoutError
    signal.signal(signal.SIGALRM, give_up)
    one = Caller(number, mount, folder + "/stop", has_faults)
    one.run()
    with open(f"{folder}/caller{number}", "w") as file:
        json.dump([one.counts, one.problems], file)


# --- Callers who are killed at any moment; still, what cat gives back is their own


def line(chance):
    """A command: quick ones and slow ones, silent ones and loud ones."""
    number = chance.random()
    return chance.choice((
        "cat", "cat", "true", "false", "no-such-command", "a | b", "/etc", "cat /dev/zero",
        f"{nap} {number * 0.1}", f"{nap} {number * 30}", f"--timeout={chance.randrange(1, 200)}ms {nap} 30",
        f"sh -c 'trap \"\" TERM; {nap} {number * 20} & {nap} {number * 20}'",
        f"sh -c '{nap} 0.1; cat; {nap} {number * 3} & exit 0'",
        f"head -c {chance.randrange(1, 4000000)} /dev/urandom", f"sh -c 'cat; exec <&- >&- 2>&-; {nap} {number}'",
        "sh -c 'kill -KILL $$'", f"sh -c 'exec 1>&-; {nap} {number}'", "sh -c 'seq 100000; seq 100000 >&2'",
    )).encode() + chance.choice((b"\n", b"\n", b"\n", b""))


def victim(number, mount, folder):
    chance = random.Random(f"{SEED} victim {number}")
    while not os.path.exists(folder + "/stop"):
        sandbox = f"{mount}/{chance.choice(('stable', 'tight', 'other', 'brief'))}"
        fds, slot = [], None
        try:
            tag = b"<<%d.%d>>" % (number + 1000, chance.randrange(1 << 30))
            body, command = payload(chance, tag), line(chance)
            flags = chance.choice((0, 0, os.O_NONBLOCK))
            if chance.random() < 0.5:
                fds.append(open_call(sandbox, flags))
                for piece in (command[:5], command[5:], body):
                    write_all(fds[0], piece)
                    time.sleep(chance.choice((0, 0, 0.01)))
            else:
                slot = f"{sandbox}/{number}-{chance.randrange(1 << 30)}" if chance.random() < 0.8 else sandbox
                if slot != sandbox:
                    os.mkdir(slot)
                fds.append(os.open(slot + "/request", os.O_WRONLY | flags))
                fds.append(os.open(slot + "/stdout", os.O_RDONLY | flags))
                write_all(fds[0], command)
                if chance.random() < 0.3:
                    with open(slot + "/ctl", "w") as ctl:
                        ctl.write("cancel\n")
                if chance.random() < 0.2 and slot != sandbox:
                    os.rmdir(slot)
                write_all(fds[0], body)
                os.close(fds.pop(0))
            time.sleep(chance.choice((0, 0, 0, 0.1)))
            total = 0
            while chance.random() < 0.99 and total < 5_000_000 and (part := os.read(fds[0], chance.randrange(1, 1 << 17))):
                if command == b"cat\n" and slot != sandbox:
                    compare(part, body[total : total + len(part)], tag)
                total += len(part)
            if slot and slot != sandbox and chance.random() < 0.9:
                os.rmdir(slot)
        except OSError as error:
            allowed = SHORT | {"ENOENT", "ENOSPC", "ESTALE", "EPERM", "ETIMEDOUT", "EPIPE"}
            if errno.errorcode[error.errno] not in allowed:
                raise Wrong("wrong", f"victim {number}: {error}") from error
        finally:
            for fd in fds:
                os.close(fd)


def meddler(mount, folder):
    """Cancels and removes what others have made."""
    chance = random.Random(f"{SEED} meddler")
    while not os.path.exists(folder + "/stop"):
        time.sleep(chance.random() * 0.02)
        with contextlib.suppress(OSError):
            sandbox = f"{mount}/{chance.choice(('tight', 'other', 'brief', 'stable'))}"
            slots = [entry.path for entry in os.scandir(sandbox) if entry.is_dir() and "caller" not in entry.name]
            if slots and chance.random() < 0.5:
                os.rmdir(chance.choice(slots))
            elif slots:
                with open(chance.choice(slots + [sandbox]) + "/ctl", "w") as ctl:
                    ctl.write("cancel\n")


def config(chance):
    text = BASE
    for name in ("tight", "other", "brief"):
        if name == "tight" or chance.random() < 0.7:
            text += f"[{name}]\nmax_running = {chance.randrange(1, 8)}\nmax_queued = {chance.randrange(0, 8)}\n"
            text += f"max_slots = {chance.randrange(3, 50)}\nmax_output = {chance.randrange(100, 3000)}K\n"
            text += f"timeout = {chance.randrange(50, 3000)}ms\n"
            if name == "brief":
                text += "slot_ttl = 200ms\n"
    if chance.random() < 0.2:
        text += "[broken]\nmax_running = many\n"
    return text


# --- The soak


def spawn(folder, function, *args):
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        function(*args)
        code = 0
    except Wrong as wrong:
        with open(f"{folder}/wrong{os.getpid()}", "w") as file:
            json.dump(wrong.args, file)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


class Soak:
    def __init__(self, folder, daemon):
        self.folder, self.daemon = folder, daemon
        self.chance = random.Random(f"{SEED} soak")
        self.counts = collections.Counter()
        self.problems = []
        mount, has_faults = daemon.mount, daemon.faults is not None
        self.callers = [spawn(folder, caller, number, mount, folder, has_faults) for number in range(CALLERS)]
        self.callers.append(spawn(folder, meddler, mount, folder))
        self.victims = {number: spawn(folder, victim, number, mount, folder) for number in range(VICTIMS)}

    def disturb(self):
        chance, faults = self.chance, self.daemon.faults
        number = chance.choice(list(self.victims))
        pid = self.victims.pop(number)
        os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != -signal.SIGKILL:
            self.problems.append(("wrong", f"victim {number} ended with {code}"))
        self.counts["killed callers"] += 1
        self.victims[number + VICTIMS] = spawn(self.folder, victim, number + VICTIMS, self.daemon.mount, self.folder)
        if chance.random() < 0.05:
            self.daemon.configure(config(chance))
            os.kill(self.daemon.pid, signal.SIGHUP)
            self.counts["reloads"] += 1
        if faults and chance.random() < 0.5:
            faults.clear()
            together = chance.sample(FAULTS, chance.randrange(0, 4))
            for call, error, how_often in together:
                # A child that has exited and is not to be reaped is what no kernel
                # does; that it cannot be watched for either would be too much.
                if call == "waitid" and any(other[0] == "epoll_ctl" for other in together):
                    continue
                faults.set(call, error, times=chance.randrange(1, 20), chance=how_often)
        if self.daemon.process.poll() is not None:
            self.problems.append(("lost", f"the daemon ended with {self.daemon.process.returncode}"))

    def end(self):
        open(self.folder + "/stop", "w").close()
        if self.daemon.faults:
            self.daemon.faults.clear()
        # A pid is reaped once; so which are left is looked at from here.
        left, deadline = set(self.callers), time.monotonic() + 100
        while left and time.monotonic() < deadline:
            for pid in list(left):
                done, how = os.waitpid(pid, os.WNOHANG)
                if done:
                    left.remove(pid)
                    if how:
                        self.problems.append(("wrong", f"a caller ended with {os.waitstatus_to_exitcode(how)}"))
            time.sleep(0.05)
        for pid in [*left, *self.victims.values()]:  # these wait for long jobs, perhaps
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.problems += [("lost", "a caller hangs") for _ in left]
        for name in os.listdir(self.folder):
            if re.fullmatch("caller[0-9]+", name):
                with open(f"{self.folder}/{name}") as file:
                    counts, problems = json.load(file)
                self.counts.update(counts)
                self.problems += problems
            elif name.startswith("wrong"):
                with open(f"{self.folder}/{name}") as file:
                    self.problems.append(json.load(file))


def leaks(daemon, before, blocks, idle):
    """The sky clears, and the daemon is as it was."""
    stable = daemon.mount + "/stable"
    daemon.configure(BASE)
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: os.listdir(daemon.mount) == ["stable"], "the other sandboxes stay")
    for entry in list(os.scandir(stable)):
        if entry.is_dir():
            assert "caller" not in entry.name, f"{entry.name} is left"
            os.rmdir(entry.path)
    with open(stable + "/ctl", "w") as ctl:
        ctl.write("cancel\n")
    status(stable)
    ask(stable, b"true")  # instead of results that may be long
    assert status(stable) == "0 exited"
    check_used(daemon.pid, before)
    # Commands may leave processes behind on purpose, but only these.
    eventually(lambda: not processes(nap), f"processes are left: {processes(nap)}", 40)
    works(stable)
    assert sorted(os.listdir(stable)) == ["call", "ctl", "request", "status", "stderr", "stdout"]
    grown = kib(daemon.pid, "VmRSS") - idle
    assert is_sanitized(daemon.pid) or grown < 32 * 1024, f"it grew by {grown} KiB"
    if daemon.faults:
        # The daemon keeps a name as long as the kernel remembers it.
        with open("/proc/sys/vm/drop_caches", "w") as caches:
            caches.write("2")
        eventually(lambda: daemon.faults.blocks() < blocks + 60,
                   f"pieces of memory: {blocks} before, {daemon.faults.blocks()} now", 10)


def main(folder, has_faults):
    faults = Faults(f"{folder}/faults", create=True, seed=random.Random(SEED).randrange(1, 1 << 60)) if has_faults else None
    with Daemon(folder, BASE + "[tight]\n[other]\n[brief]\n", faults) as daemon:
        works(daemon.mount + "/stable")
        before, idle, blocks = settled(daemon.pid), kib(daemon.pid, "VmRSS"), faults.blocks() if faults else 0
        soak = Soak(folder, daemon)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not soak.problems:
            time.sleep(soak.chance.random() * 0.06)
            soak.disturb()
        soak.end()
        leak = None
        try:
            leaks(daemon, before, blocks, idle)
        except (AssertionError, OSError) as failure:
            leak = str(failure)
        soak.counts.update(kind for kind in re.findall(r"outcome=\d+ (\w+)", daemon.text()))
        for problem in soak.problems:
            print(*problem)
        if leak:
            print("leak:", leak)
        counts = soak.counts
        kinds = collections.Counter(kind for kind, _ in soak.problems)
        print({key: counts[key] for key in sorted(counts) if key not in ("calls", "told")})
        injected = faults.injected() if faults else 0
        print(f"{counts['calls']} calls, {injected} faults injected, {counts['told']} callers told; "
              f"{kinds['wrong']} wrong, {kinds['lost']} lost, {kinds['mixed']} mixed", flush=True)
        if soak.problems or leak:
            sys.exit(1)
        wanted = {"exited", "cancelled", "timeout", "signaled", "unstarted", "overflow", "killed callers", "reloads",
                  "conversation", "slot", "in_pieces", "sum", "early_close"}
        missing = wanted - set(counts)
        assert SECONDS < 15 or not missing, f"there was none of {missing}"
        assert not faults or injected > SECONDS, "hardly anything failed"


faulthandler.dump_traceback_later(SECONDS + 220, exit=True)
main(sys.argv[1], "faulty" in os.path.basename(os.environ["HOOKSFS"]))
