# SPDX-License-Identifier: Apache-2.0
"""Commands that are hard to kill, or that look where they must not. Usage: evil.py KIND.
Each command prints a line when it is ready."""

import ctypes
import os
import signal
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)


def ready():
    os.write(1, b"ready\n")


def daemons():
    """Twenty daemons by the book (two forks and setsid), which ignore each signal that can be
    ignored."""
    for _ in range(20):
        if os.fork() == 0:
            os.setsid()
            if os.fork() > 0:
                os._exit(0)
            for number in range(1, 32):
                if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
                    signal.signal(number, signal.SIG_IGN)
            time.sleep(100)
        os.wait()
    ready()


def threads():
    """Children that threads have made."""
    def one():
        if os.fork() == 0:
            os.setsid()
            time.sleep(100)

    for _ in range(3):
        threading.Thread(target=one).start()
    time.sleep(0.2)
    ready()
    time.sleep(100)


def subreaper():
    """A command that is a subreaper itself."""
    libc.prctl(36, 1, 0, 0, 0)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            time.sleep(100)
        os._exit(0)
    if os.fork() == 0:
        os.setsid()
        time.sleep(100)
    ready()
    time.sleep(100)


def namespace():
    """A command in a PID namespace of its own."""
    if libc.unshare(0x20000000) < 0:  # CLONE_NEWPID
        raise OSError(ctypes.get_errno(), "unshare")
    if os.fork() == 0:
        os.setsid()
        time.sleep(100)
    ready()
    time.sleep(100)


def chain():
    """Each process forks the next process and exits."""
    ready()
    while True:
        if os.fork() > 0:
            os._exit(0)
        os.setsid()


def bomb():
    """Each process forks two that do the same, in sessions of their own, up to a few hundred."""
    ready()
    import resource

    while True:
        try:
            if len(os.listdir("/proc")) < 800 and os.fork() == 0:
                os.setsid()
        except OSError:
            pass
        time.sleep(0.001)


def attempts(target):
    """Attempts to get access to a process: a name, and a call that fails or returns."""
    for fd in range(9):
        yield f"fd {fd}", lambda fd=fd: os.open(f"/proc/{target}/fd/{fd}", os.O_RDWR | os.O_NONBLOCK)
    for name in ["mem", "environ", "maps"]:
        yield name, lambda name=name: os.open(f"/proc/{target}/{name}", os.O_RDONLY)
    yield "ptrace", lambda: check(libc.ptrace(16, target, 0, 0))  # PTRACE_ATTACH
    yield "pidfd_getfd", lambda: check(libc.syscall(438, os.pidfd_open(target), 1, 0))


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "it failed")


def spy(agent):
    """Tries to reach the connection of the agent, and the supervisor."""
    found = [f"descriptor {fd}" for fd in os.listdir("/proc/self/fd") if int(fd) > 3]
    for target in [int(agent), os.getppid()]:
        for name, attempt in attempts(target):
            try:
                attempt()
                found.append(f"{name} of {target}")
            except OSError:
                pass
    print(*found or ["nothing"])


globals()[sys.argv[1]](*sys.argv[2:])
