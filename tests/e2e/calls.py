# SPDX-License-Identifier: Apache-2.0
"""Common functions of the tests with many callers: conversations, slots, daemons, and
checks that nothing is left of them. The test scripts' programs for `python3 -` import them."""

import contextlib
import ctypes
import errno
import faulthandler
import os
import re
import signal
import subprocess
import sys
import threading
import time

# A program that hangs prints its stack shortly before the script's own limit.
faulthandler.dump_traceback_later(230, exit=True)

nap = os.environ.get("NAP")  # sleep(1) under a name that only one script's jobs have
libc = ctypes.CDLL(None, use_errno=True)


def eventually(predicate, what, seconds=30):
    """Waits until predicate() is true, and returns its result."""
    deadline = time.monotonic() + seconds
    while True:
        result = predicate()
        if result:
            return result
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# --- Conversations


def open_call(directory, flags=0):
    return os.open(f"{directory}/call", os.O_RDWR | os.O_CLOEXEC | flags)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view[: 1 << 20]) :]


def start(directory, request, flags=0):
    """Begins a conversation and writes its request. Returns the descriptor."""
    fd = open_call(directory, flags)
    try:
        write_all(fd, request)
    except OSError:
        os.close(fd)
        raise
    return fd


def read_all(fd, size=1 << 17):
    """The bytes up to the end, and the name of the error there, or "none"."""
    parts = []
    while True:
        try:
            part = os.read(fd, size)
        except OSError as error:
            return b"".join(parts), errno.errorcode[error.errno]
        if not part:
            return b"".join(parts), "none"
        parts.append(part)


def converse(directory, request):
    """One whole conversation; returns the same as read_all."""
    fd = start(directory, request)
    try:
        return read_all(fd)
    finally:
        os.close(fd)


def frames(fd, size=1 << 17):
    """Kind and bytes of each frame of an answer that comes in frames."""
    data = b""
    while part := os.read(fd, size):
        data += part
        while len(data) >= 8 and len(data) >= 8 + int.from_bytes(data[4:8], "big"):
            assert data[1:4] == bytes(3) and data[0] in (1, 2, 3), data[:8]
            length = int.from_bytes(data[4:8], "big")
            yield data[0], data[8 : 8 + length]
            data = data[8 + length :]
    assert data == b"", "the end within a frame"


def by_kind(pairs):
    """stdout, stderr and the status. Exactly one status has to be there, at the end."""
    pairs = list(pairs)
    assert [kind for kind, _ in pairs].count(3) == 1 and pairs[-1][0] == 3, pairs[-3:]
    return tuple(b"".join(body for kind, body in pairs if kind == wanted) for wanted in (1, 2, 3))


def works(directory, word="works"):
    """A new conversation gets its answer."""
    assert converse(directory, b"echo " + word.encode()) == (word.encode() + b"\n", "none")


# --- Slots


def slot_works(slot):
    ask(slot, b"echo works")
    assert (get(f"{slot}/stdout"), status(slot)) == (b"works\n", "0 exited")


def ask(directory, request):
    fd = os.open(f"{directory}/request", os.O_WRONLY)
    try:
        write_all(fd, request)
    finally:
        os.close(fd)


def start_slot(directory, request):
    """Begins a request of a slot and writes REQUEST; the caller can write on. Returns the
    descriptor."""
    fd = os.open(f"{directory}/request", os.O_WRONLY)
    write_all(fd, request)
    return fd


def get(path):
    with open(path, "rb", buffering=0) as file:
        return file.read()


def status(directory):
    return get(f"{directory}/status").decode().rstrip("\n")


def write_error(path, data):
    """The name of the error of one write to a file, or "none"."""
    fd = os.open(path, os.O_WRONLY)
    try:
        return error_of(os.write, fd, data)
    finally:
        os.close(fd)


def error_of(function, *args, **named):
    """The name of the error that a call fails with, or "none"."""
    try:
        function(*args, **named)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "none"


# --- Processes


def processes(mark):
    """The processes with MARK in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if mark.encode() in file.read() and int(pid) != os.getpid():
                    found.append(int(pid))
    return found


def gone(mark):
    eventually(lambda: not processes(mark), f"still there: {mark}")


def there(mark, count=1):
    eventually(lambda: len(processes(mark)) >= count, f"fewer than {count}: {mark}")


@contextlib.contextmanager
def child(function, *args):
    """A process that runs function; it is killed at the end of the block if it still runs."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            function(*args)
            code = 0
        except BaseException:  # no exception may get back into the parent's code
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def wait_for(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, f"process {pid} failed"


def side_by_side(*functions):
    """Runs each function in a thread of its own, and raises the first exception of them."""
    failures = []

    def run(function):
        try:
            function()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def kib(daemon, name):
    """VmRSS, VmHWM and the like of the daemon."""
    with open(f"/proc/{daemon}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))


def is_sanitized(daemon):
    """Does the daemon run with a sanitizer or valgrind? Then its memory use means nothing."""
    with open(f"/proc/{daemon}/maps") as maps:
        text = maps.read()
    return "libasan" in text or "vgpreload" in text


def forget_peak(daemon):
    with open(f"/proc/{daemon}/clear_refs", "w") as file:
        file.write("5")


def used(daemon):
    """The numbers of the daemon's descriptors and children."""
    with open(f"/proc/{daemon}/task/{daemon}/children") as children:
        return len(os.listdir(f"/proc/{daemon}/fd")), len(children.read().split())


def settled(daemon):
    """The same numbers, when they do not change any more."""
    last = None
    while last != used(daemon):
        last = used(daemon)
        time.sleep(0.2)
    return last


def check_used(daemon, before):
    """The daemon must get back to the numbers BEFORE; the last close and the last child's end
    take a moment."""
    deadline = time.monotonic() + 20
    while used(daemon) != before:
        assert time.monotonic() < deadline, (
            f"descriptors and children: {before} before, {used(daemon)} now: "
            + str([os.readlink(f"/proc/{daemon}/fd/{fd}") for fd in os.listdir(f"/proc/{daemon}/fd")])
        )
        time.sleep(0.02)


class Daemon:
    """One more daemon, in FOLDER. As a context manager, it ends the daemon and checks that
    the daemon ended well. With FAULTS the daemon can fail on purpose."""

    def __init__(self, folder, config, faults=None):
        self.folder, self.faults = folder, faults
        environment = {**os.environ, "HOOKSFS_FAULTS": faults.path} if faults else None
        self.mount = f"{folder}/mnt"
        with contextlib.suppress(FileExistsError):  # perhaps there is a dead mount
            os.mkdir(self.mount)
        self.configure(config)
        self.log = open(f"{folder}/log", "w+")
        self.process = subprocess.Popen(
            [os.environ["HOOKSFS"], "-f", f"{folder}/conf", self.mount], stderr=self.log, env=environment
        )
        self.pid = self.process.pid
        eventually(self.answered, "the daemon does not start")
        assert self.process.poll() is None, self.text()

    def text(self):
        with open(f"{self.folder}/log", errors="replace") as file:
            return file.read()

    def answered(self):
        return "serving, with process" in self.text() or self.process.poll() is not None

    def configure(self, config):
        with open(f"{self.folder}/conf.new", "w") as file:
            file.write(config)
        os.rename(f"{self.folder}/conf.new", f"{self.folder}/conf")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, (self.process.returncode, self.text()[-3000:])
        assert not os.path.ismount(self.mount), "it is still mounted"
        text = self.text()
        found = re.search("runtime error:|ERROR: [A-Za-z]+Sanitizer", text)
        assert not found, text[found.start() :]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if self.process.poll() is None and kind is None:
            self.end()
        elif self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                subprocess.run(["umount", "-l", self.mount], check=False)
        self.log.close()
