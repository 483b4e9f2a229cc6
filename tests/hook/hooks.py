# SPDX-License-Identifier: Apache-2.0
"""For all tests of hook(1): calls of it, many at once, and the stand-in, a file
system that misbehaves on request (standin.c)."""

import concurrent.futures
import contextlib
import os
import signal
import struct
import subprocess
import sys
import time

HOOK = os.environ["HOOK"]
AGENTS = ["claude", "codex", "gemini", "cursor", "copilot", "kimi", "hermes", "promptkit", "git", "none"]


def frame(stream, data):
    return struct.pack(">BxxxI", stream, len(data)) + data


def answer(status, out=b"", err=b""):
    """An answer in frames. STATUS None: it ends without one."""
    frames = (frame(1, out) if out else b"") + (frame(2, err) if err else b"")
    return frames + (frame(3, status.encode() + b"\n") if status else b"")


class Result:
    """How a call of hook ended."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def __repr__(self):
        return f"code {self.code}, stdout {self.out[:200]!r}, stderr {self.err[:300]!r}, {self.seconds:.3f} s"


def run_hook(arguments, stdin=b"", environment=None, limit=60):
    """Calls hook. STDIN is bytes, or a file. A call that takes longer than LIMIT is a failure."""
    begin = time.monotonic()
    with subprocess.Popen(
        [HOOK, *arguments],
        stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    ) as process:
        try:
            out, err = process.communicate(stdin if isinstance(stdin, bytes) else None, timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"hook {arguments} hangs") from None
    return Result(process.returncode, out, err, time.monotonic() - begin)


class Cells:
    """Checks that run side by side. Each is a function that returns what is wrong, or None."""

    def __init__(self, at_once=8):
        self.pool = concurrent.futures.ThreadPoolExecutor(at_once)
        self.futures = []

    def add(self, function, *args):
        self.futures.append(self.pool.submit(function, *args))

    def finish(self, what):
        """Fails if one of them does, and says which."""
        wrong = [text for text in (future.result() for future in self.futures) if text]
        print(f"{what}: {len(self.futures)} cells, {len(wrong)} wrong")
        for text in wrong[:20]:
            print(text)
        assert self.futures, "there is no cell"
        if wrong:
            sys.exit(1)


class Standin:
    """The stand-in, mounted in FOLDER/NAME, with its answers in FOLDER/NAME.answers."""

    def __init__(self, folder, name="standin"):
        self.mount, self.answers = f"{folder}/{name}", f"{folder}/{name}.answers"
        os.makedirs(self.mount, exist_ok=True)
        os.makedirs(self.answers, exist_ok=True)
        self.process = subprocess.Popen(
            [os.environ["HOOK_STANDIN"], self.mount, self.answers], start_new_session=True
        )
        deadline = time.monotonic() + 20
        while not os.path.ismount(self.mount):
            assert self.process.poll() is None and time.monotonic() < deadline, "no stand-in"
            time.sleep(0.01)

    def put(self, name, data, suffix=""):
        with open(f"{self.answers}/{name}{suffix}", "wb") as file:
            file.write(data)
        return name

    def kill(self):
        """Leaves a dead mount."""
        self.process.kill()
        self.process.wait()

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGCONT)
        self.kill()
        subprocess.run(["umount", "-l", self.mount], check=False)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.end()
