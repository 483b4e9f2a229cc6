# SPDX-License-Identifier: Apache-2.0
"""The daemon's side of wire/PROTOCOL.md, for tests: an agent as a child process with pipes
for stdin and stdout, and its jobs. Each frame from the agent is checked against the
protocol: the order of frames, their sizes, the windows."""

import os
import signal
import struct
import subprocess
import threading
import time

HELLO, STARTED, FAILED, STDOUT, STDERR, STDOUT_END, STDERR_END = range(1, 8)
STDIN_CREDIT, STDIN_CLOSED, ENDED, LOST, GONE, PONG = range(8, 14)
START, STDIN, STDIN_END, STDOUT_CREDIT, STDERR_CREDIT, TERM, KILL, RELEASE, PING = range(32, 41)
STANDBY = (1 << 32) - 1  # the time limit of a standby
AT_RESOURCES, AT_WORKDIR, AT_EXEC, AT_LIMITS = 1, 2, 3, 4

MAX_PAYLOAD = 64 * 1024
STDIN_WINDOW = 256 * 1024
OUTPUT_WINDOW = 1 << 20

SIZES = {STARTED: 0, FAILED: 5, STDOUT_END: 0, STDERR_END: 0, STDIN_CREDIT: 4, STDIN_CLOSED: 0,
         ENDED: 2, LOST: 0, GONE: 0, PONG: 0}


def frame(job, kind, payload=b""):
    return struct.pack("<IIB", len(payload), job, kind) + payload


def start_frame(job, argv, env=(), workdir="", limit_ms=0, limits=()):
    """LIMITS are pairs: a kind and a value."""
    numbers = struct.pack("<IIII", limit_ms, len(argv), len(env), len(limits))
    numbers += b"".join(struct.pack("<IQ", *limit) for limit in limits)
    strings = [os.fsencode(s) + b"\0" for s in [workdir, *argv, *env]]
    return frame(job, START, numbers + b"".join(strings))


def eventually(predicate, what, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        result = predicate()
        if result:
            return result
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def is_alive(pid):
    """A zombie is not alive: it only waits for its parent."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Job:
    """The agent's frames about a job so far. Members are read under agent.lock."""

    def __init__(self, agent, number, reads):
        self.agent = agent
        self.number = number
        self.reads = reads  # gives credit for the bytes that come
        self.out = {STDOUT: bytearray(), STDERR: bytearray()}
        self.window = {STDOUT: OUTPUT_WINDOW, STDERR: OUTPUT_WINDOW}
        self.ends = set()
        self.stdin_window = STDIN_WINDOW
        self.stdin_closed = False
        self.started = False
        self.failed = None  # (stage, errno)
        self.ended = None  # (is signaled, number)
        self.lost = False
        self.gone = False
        self.released = False
        self.order = []  # types of frames; a type that is repeated is there once

    # Frames from the agent

    def hear(self, kind, payload):
        assert not self.gone, f"job {self.number}: frame {kind} after GONE"
        assert not self.released or kind == GONE or self.crossing, f"frame {kind} after RELEASE"
        assert not (self.failed or self.lost) or kind == GONE, f"frame {kind} after the last"
        assert self.started or kind in (STARTED, FAILED, LOST, GONE), f"frame {kind} before STARTED"
        if not self.order or self.order[-1] != kind:
            self.order.append(kind)
        if kind == STARTED:
            assert not self.started
            self.started = True
        elif kind == FAILED:
            assert not self.started
            self.failed = struct.unpack("<BI", payload)
        elif kind in (STDOUT, STDERR):
            self.hear_output(kind, payload)
        elif kind in (STDOUT_END, STDERR_END):
            assert kind not in self.ends
            self.ends.add(kind)
        elif kind == STDIN_CREDIT:
            self.stdin_window += struct.unpack("<I", payload)[0]
            assert self.stdin_window <= STDIN_WINDOW, "more credit than was used"
        elif kind == STDIN_CLOSED:
            assert not self.stdin_closed
            self.stdin_closed = True
        elif kind == ENDED:
            assert self.ended is None
            self.ended = struct.unpack("<BB", payload)
        elif kind == LOST:
            assert self.ended is None
            self.lost = True
        elif kind == GONE:
            assert self.failed or self.lost or self.released or (
                self.ended and len(self.ends) == 2), f"GONE after {self.order}"
            self.gone = True

    @property
    def crossing(self):
        return time.monotonic() < self.released + 5

    def hear_output(self, kind, payload):
        assert 0 < len(payload) <= MAX_PAYLOAD
        assert {STDOUT: STDOUT_END, STDERR: STDERR_END}[kind] not in self.ends
        self.window[kind] -= len(payload)
        assert self.window[kind] >= 0, f"job {self.number}: beyond its window"
        self.out[kind] += payload
        if self.reads and OUTPUT_WINDOW - self.window[kind] >= OUTPUT_WINDOW // 2:
            self.credit(kind)

    # Frames from the daemon

    def credit(self, kind, count=None):
        count = OUTPUT_WINDOW - self.window[kind] if count is None else count
        self.window[kind] += count
        self.agent.send(frame(self.number, {STDOUT: STDOUT_CREDIT, STDERR: STDERR_CREDIT}[kind],
                              struct.pack("<I", count)))

    def feed(self, data, end=True):
        """Sends DATA as the window permits. Returns the number of bytes that were sent before
        stdin was closed."""
        sent = 0
        while sent < len(data):
            self.wait(lambda: self.stdin_window > 0 or self.stdin_closed or self.gone)
            if self.stdin_closed or self.gone:
                return sent
            with self.agent.lock:
                size = min(self.stdin_window, MAX_PAYLOAD, len(data) - sent)
                self.stdin_window -= size
            self.agent.send(frame(self.number, STDIN, data[sent : sent + size]))
            sent += size
        if end:
            self.say(STDIN_END)
        return sent

    def say(self, kind):
        if kind == RELEASE:
            self.released = time.monotonic()
        self.agent.send(frame(self.number, kind))

    # Waiting

    def wait(self, predicate, what="it does not happen", seconds=30):
        self.agent.wait(predicate, lambda: f"job {self.number}: {what}; {self.order}", seconds)

    def until_gone(self, seconds=30):
        self.wait(lambda: self.gone, "it is not gone", seconds)
        return self

    def until_ended(self, seconds=30):
        self.wait(lambda: self.ended or self.failed or self.lost, "it has not ended", seconds)
        return self

    def line(self, number=0):
        """Waits for a line of stdout, and returns it."""
        self.wait(lambda: self.out[STDOUT].count(b"\n") > number, f"no line {number}")
        return bytes(self.out[STDOUT]).split(b"\n")[number].decode()

    @property
    def stdout(self):
        return bytes(self.out[STDOUT])

    @property
    def stderr(self):
        return bytes(self.out[STDERR])


class Agent:
    def __init__(self, binary=None, options=("--serve",), pings=True, **popen):
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.sending = threading.Lock()
        self.jobs = {}
        self.last = 0
        self.hello = None
        self.pongs = 0
        self.failure = None
        self.is_at_end = False
        self.frames = 0
        self.stalled = threading.Event()
        self.stalled.set()
        popen.setdefault("stderr", subprocess.PIPE)
        self.process = subprocess.Popen([binary or os.environ["AGENT"], *options],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                        **popen)
        self.pid = self.process.pid
        self.stop = threading.Event()
        self.reader = threading.Thread(target=self.read_all, daemon=True)
        self.reader.start()
        if pings:
            self.pinger = threading.Thread(target=self.ping_all, daemon=True)
            self.pinger.start()

    # Threads

    def read_all(self):
        data = bytearray()
        try:
            while True:
                self.stalled.wait()
                part = os.read(self.process.stdout.fileno(), 1 << 18)
                if not part:
                    break
                data += part
                data = data[self.hear_all(data) :]
            assert not data or self.stop.is_set(), f"{len(data)} bytes of a frame at the end"
        except BaseException as error:
            self.failure = error
        with self.lock:
            self.is_at_end = True
            self.changed.notify_all()

    def hear_all(self, data):
        at = 0
        with self.lock:
            while len(data) - at >= 9:
                length, job, kind = struct.unpack_from("<IIB", data, at)
                assert length <= MAX_PAYLOAD, f"{length} bytes"
                if len(data) - at < 9 + length:
                    break
                self.hear(job, kind, bytes(data[at + 9 : at + 9 + length]))
                at += 9 + length
            self.changed.notify_all()
        return at

    def hear(self, job, kind, payload):
        self.frames += 1
        assert kind not in SIZES or len(payload) == SIZES[kind], f"frame {kind}: {len(payload)}"
        assert self.hello or kind == HELLO, "the first is not HELLO"
        if kind == HELLO:
            assert job == 0 and not self.hello
            assert payload[:8] == b"hooksfs\n"
            self.hello = (struct.unpack("<I", payload[8:12])[0], payload[12:].decode())
        elif kind == PONG:
            assert job == 0
            self.pongs += 1
        else:
            assert job in self.jobs, f"job {job}, which never was"
            self.jobs[job].hear(kind, payload)

    def ping_all(self):
        while not self.stop.wait(5):
            try:
                self.send(frame(0, PING))
            except OSError:
                return

    # The daemon's side

    def send(self, data):
        with self.sending:
            view = memoryview(data)
            while view:
                view = view[os.write(self.process.stdin.fileno(), view) :]

    def start(self, *argv, data=None, end=True, env=(), workdir="", limit_ms=0, reads=True, limits=()):
        """Starts a job. DATA, which must fit into the window, and the end of stdin leave together
        with START."""
        with self.lock:
            self.last += 1
            job = self.jobs[self.last] = Job(self, self.last, reads)
            parts = [start_frame(job.number, argv, env, workdir, limit_ms, limits)]
            if data is not None:
                assert len(data) <= STDIN_WINDOW
                job.stdin_window -= len(data)
                parts += [frame(job.number, STDIN, data[at : at + MAX_PAYLOAD])
                          for at in range(0, len(data), MAX_PAYLOAD)]
            if end:
                parts.append(frame(job.number, STDIN_END))
            self.send(b"".join(parts))
        return job

    def run(self, *argv, **options):
        """Starts a job and waits for its end."""
        return self.start(*argv, **options).until_gone()

    def shell(self, script, *args, **options):
        return self.start("/bin/sh", "-c", script, "sh", *args, **options)

    def wait(self, predicate, what, seconds=30):
        with self.lock:
            self.changed.wait_for(lambda: predicate() or self.is_at_end, seconds)
            if self.failure:
                raise self.failure
            assert predicate(), what() if callable(what) else what

    def forget(self, *jobs):
        with self.lock:
            for job in jobs:
                del self.jobs[job.number]

    def end(self, code=0):
        """Ends the connection in the regular way. Returns the agent's stderr."""
        self.stop.set()
        self.process.stdin.close()
        return self.await_end(code)

    def await_end(self, code):
        self.stop.set()
        got = self.process.wait(20)
        said = self.process.stderr.read().decode() if self.process.stderr else ""
        self.reader.join(20)
        self.process.stdout.close()
        assert got == code, f"it ended with {got}, not {code}: {said}"
        if self.failure:
            raise self.failure
        return said

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if self.process.poll() is not None:
            return
        if kind is None:
            said = self.end()
            assert not said, said
        else:
            self.stop.set()
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            print(self.process.stderr.read().decode())
