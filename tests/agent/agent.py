#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests hooksfs-agent against wire/PROTOCOL.md, over pipes. Prints TAP. $AGENT is the
program, $MAX_SIZE the largest size of its file (0: any), $ONLY the tests to run. Needs
root, for other users and capabilities."""

import ctypes
import errno
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid

from wire import *

# Other users run these too, and may be unable to enter the folder of the checkout.
OPEN_FOLDER = tempfile.TemporaryDirectory()
os.chmod(OPEN_FOLDER.name, 0o755)
AGENT = os.environ["AGENT"] = shutil.copy(os.environ["AGENT"], OPEN_FOLDER.name)
EVIL = shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "evil.py"), OPEN_FOLDER.name)
PYTHON = "/usr/bin/python3"
BUSYBOX = "/bin/busybox"

WHILE_IT_RUNS = OUTPUT_WINDOW - 64 * 1024  # the rest is for the bytes in the pipe at the end


def is_sanitized():
    with open(AGENT, "rb") as file:
        return b"__asan_init" in file.read()


libc = ctypes.CDLL(None, use_errno=True)


PF_KTHREAD = 0x00200000  # linux/sched.h


def environment(pid):
    """While a process is about to become another program, its environment cannot be read: the file
    is empty, and proc(5)'s env_start is 0."""
    while True:
        with open(f"/proc/{pid}/environ", "rb") as file:
            text = file.read()
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        state, flags, env_start = fields[0], int(fields[6]), int(fields[47])
        if text or env_start or state in "ZX" or flags & PF_KTHREAD:
            return text


class Mark:
    """A variable by which all processes of a job are found."""

    def __init__(self):
        self.variable = f"HOOKSFS_TEST={uuid.uuid4().hex}"

    def pids(self):
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    if self.variable.encode() in environment(entry) and is_alive(entry):
                        found.append(int(entry))
                except OSError:
                    pass
        return found

    def is_gone(self):
        return not self.pids()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def below(pid):
    return [found for child in children(pid) for found in [child, *below(child)]]


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# --- Options


def test_options():
    def call(*options):
        done = subprocess.run([AGENT, *options], capture_output=True, stdin=subprocess.DEVNULL,
                              check=False, timeout=10)
        return done.returncode, done.stdout.decode(), bool(done.stderr)

    assert call("--probe") == (0, "", False)
    code, text, has_error = call("--version")
    assert (code, has_error) == (0, False) and text.startswith("hooksfs-agent ")
    for wrong in [(), ("--nonsense",), ("--serve", "--nonsense"), ("--serve", "--unlinked"),
                  ("--probe", "x"), ("--serve", "--unlink", "x"), ("--unlink",)]:
        assert call(*wrong) == (2, "", True), wrong
    assert call("--serve", "--unlink=/nonexistent/file") == (1, "", True)


def test_unlinks_itself():
    for option in ["--unlink", "--unlink={}"]:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/agent"
            subprocess.run(["cp", AGENT, path], check=True)
            with Agent(path, ("--serve", option.format(path))) as agent:
                agent.wait(lambda: agent.hello, "no HELLO")
                assert not os.path.exists(path)
                assert agent.run("echo", "here").stdout == b"here\n"


def test_is_small():
    size = os.path.getsize(AGENT)
    limit = int(os.environ.get("MAX_SIZE", "0"))
    assert not limit or size <= limit, f"{size} bytes"


# --- Bytes


def test_says_hello():
    with Agent() as agent:
        agent.wait(lambda: agent.hello, "no HELLO")
        version, text = agent.hello
        assert version == 2
        assert text == subprocess.check_output([AGENT, "--version"]).decode().split()[1]
        agent.send(frame(0, PING) * 3)
        agent.wait(lambda: agent.pongs == 3, "no PONG")


def test_passes_bytes():
    with Agent() as agent:
        for size in [0, 1, 1023, 4096, 65535, 65536, 65537, 200_000, 262_144]:
            data = random.randbytes(size)
            job = agent.run("cat", data=data)
            assert job.stdout == data and job.stderr == b"" and job.ended == (0, 0), size
        for size in [262_145, 1_000_000, 5_000_000]:
            data = random.randbytes(size)
            job = agent.start("cat", end=False)
            assert job.feed(data) == size
            assert job.until_gone().stdout == data, size


def test_keeps_streams_apart():
    with Agent() as agent:
        job = agent.shell("for i in $(seq 2000); do echo out $i; echo err $i >&2; done").until_gone()
        assert job.stdout == b"".join(b"out %d\n" % i for i in range(1, 2001))
        assert job.stderr == b"".join(b"err %d\n" % i for i in range(1, 2001))


def test_crowd():
    """64 jobs at a time, with payloads of every size, compared byte for byte."""
    failures = []

    def one(agent, seed):
        mine = random.Random(seed)
        try:
            for _ in range(10):
                data = mine.randbytes(int(2 ** mine.uniform(0, 20)))
                job = agent.start("cat", end=False, env=[f"N={seed}"])
                job.feed(data)
                job.until_gone(60)
                assert job.stdout == data and job.ended == (0, 0), (seed, len(data), job.order)
        except BaseException as error:
            failures.append(error)

    with Agent() as agent:
        threads = [threading.Thread(target=one, args=(agent, n)) for n in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


def test_many_at_once():
    count = 300 if is_sanitized() else 1000
    with Agent() as agent:
        jobs = [agent.start(BUSYBOX, "cat", end=False) for _ in range(count)]
        for job in jobs:
            job.feed(b"<%d>" % job.number, end=False)
        for job in jobs:
            job.wait(lambda job=job: job.stdout == b"<%d>" % job.number, "no echo", 60)
        print(f"# {count} idle jobs: agent {memory([agent.pid])}, supervisors "
              f"{memory(children(agent.pid))}")
        assert len(children(agent.pid)) == count
        each_kb = (pss([agent.pid]) + pss(children(agent.pid))) / count
        assert is_sanitized() or each_kb < 100, f"{each_kb} KB a job"
        for job in jobs:
            job.say(STDIN_END)
        for job in jobs:
            job.until_gone(60)
            assert job.ended == (0, 0)
        check_clean(agent)


def pss(pids):
    return sum(rollup(pid)["Pss:"] for pid in pids)


def rollup(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        next(file)  # the addresses
        return {line.split()[0]: int(line.split()[1]) for line in file}


def memory(pids):
    rollups = [rollup(pid) for pid in pids]
    return " ".join(f"{name} {sum(each[name] for each in rollups) / len(pids):.1f}"
                    for name in ("Rss:", "Pss:", "Private_Dirty:")) + " KB each"


def check_clean(agent, seconds=20):
    """The agent has only the descriptors that it has without a job."""
    eventually(lambda: not children(agent.pid), f"children: {children(agent.pid)}", seconds)
    # The fourth descriptor is epoll's. A descriptor of a job that has just ended is closed a
    # moment later.
    eventually(lambda: descriptors(agent.pid) == 4, "descriptors", 5)


def run_many(agent, count):
    """Jobs that end in every way, a few at a time."""
    running = []
    for number in range(count):
        argv = [("true",), ("nonesuch",), (BUSYBOX, "cat"), ("sh", "-c", "kill -9 $$")][number % 4]
        running.append(agent.start(*argv, data=b"x"))
        if len(running) == 16:
            agent.forget(running.pop(0).until_gone())
    for job in running:
        job.until_gone()
    check_clean(agent)


def test_ten_thousand_leave_nothing():
    few, count = (200, 1000) if is_sanitized() else (2000, 10_000)
    # Meson has the C library fill allocated and freed memory, so that it counts as used.
    variables = {name: value for name, value in os.environ.items() if name != "MALLOC_PERTURB_"}
    with Agent(env=variables) as agent:
        # The heap keeps its largest extent; that does not grow with the number of jobs.
        run_many(agent, few)
        # Not PSS: pages of a library count more as soon as other processes leave them.
        before = rollup(agent.pid)["Anonymous:"]
        run_many(agent, count - few)
        after = rollup(agent.pid)["Anonymous:"]
        print(f"# the agent's memory: {before} KB after {few}, {after} KB after {count} jobs")
        assert is_sanitized() or after < before + 100, memory([agent.pid])


# --- Windows


def test_stdout_window():
    """Without credit the agent sends one window, less the reserve. The end of the job waits;
    other jobs do not."""
    with Agent() as agent:
        job = agent.start("head", "-c", "3000000", "/dev/zero", reads=False)
        job.wait(lambda: len(job.stdout) == WHILE_IT_RUNS)
        assert agent.run("echo", "x").stdout == b"x\n"
        time.sleep(0.3)
        assert len(job.stdout) == WHILE_IT_RUNS and not job.ended
        job.credit(STDOUT, 1)
        job.wait(lambda: len(job.stdout) == WHILE_IT_RUNS + 1)
        job.reads = True
        job.credit(STDOUT)
        job.until_gone()
        assert job.stdout == bytes(3_000_000) and job.ended == (0, 0)


def test_stderr_window():
    with Agent() as agent:
        job = agent.shell("head -c 1500000 /dev/zero >&2; echo done", reads=False)
        job.wait(lambda: len(job.stderr) == WHILE_IT_RUNS)
        time.sleep(0.1)
        assert not job.stdout
        job.credit(STDERR)
        job.until_gone()
        assert len(job.stderr) == 1_500_000 and job.stdout == b"done\n"


def test_end_does_not_wait_for_a_reader():
    """The bytes that the command leaves in its pipe fit into the reserve of the window."""
    with Agent() as agent:
        size = OUTPUT_WINDOW - 100
        job = agent.start("head", "-c", str(size), "/dev/zero", reads=False)
        job.until_ended()
        assert len(job.stdout) == size and job.ended == (0, 0) and STDOUT_END not in job.ends
        job.credit(STDOUT)
        job.until_gone()
        assert len(job.stdout) == size


def test_end_comes_after_what_was_written():
    """They come before the bytes that other processes write later."""
    with Agent() as agent:
        job = agent.shell("(sleep 0.4; echo late) & head -c 40000 /dev/zero; exit 3")
        job.until_ended()
        assert len(job.stdout) == 40000 and job.ended == (0, 3) and not job.gone
        job.until_gone()
        assert job.stdout[40000:] == b"late\n"


def test_stdin_window():
    """A command that does not read takes one window, and the bytes that a pipe holds."""
    with Agent() as agent:
        job = agent.start("sleep", "100", end=False)
        job.wait(lambda: job.started)
        sent = 0
        for _ in range(20):
            with agent.lock:
                size = min(job.stdin_window, MAX_PAYLOAD)
                job.stdin_window -= size
            if size:
                agent.send(frame(job.number, STDIN, b"x" * size))
                sent += size
            time.sleep(0.02)
        assert job.stdin_window == 0 and sent in (STDIN_WINDOW, STDIN_WINDOW + 65536), sent
        assert agent.run("cat", data=b"others").stdout == b"others"
        job.say(KILL)
        job.until_gone()


def test_stdin_closed():
    with Agent() as agent:
        job = agent.shell("exec <&-; echo closed; sleep 0.5; echo end", end=False)
        job.line()
        assert job.feed(b"x" * 1_000_000) < 1_000_000 and job.stdin_closed
        agent.send(frame(job.number, STDIN, b"dropped") * 100)
        job.say(STDIN_END)
        job.until_gone()
        assert job.stdout == b"closed\nend\n" and job.ended == (0, 0)
        job = agent.start("head", "-c", "10", end=False)
        job.feed(b"0123456789" * 100_000)
        job.until_gone()
        assert job.stdout == b"0123456789"


def test_credit_while_it_is_read_slowly():
    with Agent() as agent:
        data = random.randbytes(3_000_000)
        job = agent.shell("while dd bs=300000 count=1 iflag=fullblock 2>/dev/null | "
                          "tee /dev/fd/2 2>&1 | grep -q -m 1 '' ; do :; done; cat >/dev/null; echo read",
                          end=False)
        job.feed(data)
        job.until_gone()
        assert job.stdout.endswith(b"read\n")


def test_stalled_reader_holds_up_no_other():
    with Agent() as agent:
        stalled = [agent.start("cat", "/dev/zero", reads=False) for _ in range(4)]
        for job in stalled:
            job.wait(lambda job=job: len(job.stdout) == WHILE_IT_RUNS)
        begin = time.monotonic()
        for _ in range(50):
            agent.run(BUSYBOX, "cat", data=b"x" * 1024)
        print(f"# 50 calls beside 4 stalled jobs: {(time.monotonic() - begin) * 20:.1f} ms each")
        for job in stalled:
            job.say(RELEASE)
            job.until_gone()


def test_busy_jobs_are_fair():
    def count():
        with agent.lock:
            return [len(job.stdout) for job in jobs]

    with Agent() as agent:
        jobs = [agent.start("cat", "/dev/zero") for _ in range(8)]
        for job in jobs:
            job.wait(lambda job=job: len(job.stdout) > 0)
        # On a busy machine one of the commands may not get a processor for a while.
        for _ in range(5):
            before = count()
            time.sleep(1)
            got = [after - start for start, after in zip(before, count())]
            if min(got) > max(got) / 4:
                break
        begin = time.monotonic()
        agent.run("echo", "x")
        took = time.monotonic() - begin
        for job in jobs:
            job.say(RELEASE)
            job.until_gone()
        print(f"# 8 busy jobs: {min(got)} to {max(got)} bytes, and a call took {took * 1000:.0f} ms")
        assert min(got) > max(got) / 4, got
        assert took < 3


def test_daemon_that_does_not_read():
    """The agent still reads, its memory is bounded, and all bytes come in the end."""
    with Agent() as agent:
        agent.run("true")
        agent.stalled.clear()
        jobs = [agent.start("head", "-c", "900000", "/dev/zero") for _ in range(20)]
        time.sleep(1)
        # The commands end, and their output is still in the pipes.
        short = [agent.start("head", "-c", "60000", "/dev/zero") for _ in range(5)]
        time.sleep(0.5)
        assert is_sanitized() or pss([agent.pid]) < 4000, memory([agent.pid])
        mark = Mark()
        victim = agent.start("sleep", "100", env=[mark.variable])
        eventually(mark.pids, "it was not started")
        victim.say(KILL)
        eventually(mark.is_gone, "it was not killed")
        agent.stalled.set()
        for job in jobs:
            job.until_gone()
            assert len(job.stdout) == 900_000
        for job in short:
            job.until_gone()
            assert len(job.stdout) == 60_000 and job.order.count(STDOUT) == 1, job.order
            assert job.order.index(ENDED) > job.order.index(STDOUT), job.order
        assert victim.until_gone().ended == (1, 9)


# --- How a command starts and ends


def test_exit_codes_and_signals():
    with Agent() as agent:
        for code in [0, 1, 2, 126, 127, 128, 137, 255]:
            assert agent.run("sh", "-c", f"exit {code}").ended == (0, code)
        for number in [1, 2, 6, 9, 11, 13, 15, 64]:
            assert agent.run("sh", "-c", f"kill -{number} $$").ended == (1, number), number


def test_what_cannot_be_executed():
    with Agent() as agent, tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/a")
        os.mkdir(f"{folder}/b")
        with open(f"{folder}/a/tool", "w") as file:
            file.write("#!/bin/sh\n")
        with open(f"{folder}/broken", "w") as file:
            file.write("no program\n")
        os.chmod(f"{folder}/broken", 0o755)
        for argv, options, failed in [
            (["nonesuch"], {}, (AT_EXEC, errno.ENOENT)),
            (["/nonexistent/x"], {}, (AT_EXEC, errno.ENOENT)),
            ([f"{folder}/a/tool"], {}, (AT_EXEC, errno.EACCES)),
            (["tool"], {"env": [f"PATH={folder}/a:{folder}/b"]}, (AT_EXEC, errno.EACCES)),
            ([f"{folder}/a"], {}, (AT_EXEC, errno.EACCES)),
            ([f"{folder}/broken"], {}, (AT_EXEC, errno.ENOEXEC)),
            (["x" * 5000], {}, (AT_EXEC, errno.ENOENT)),
            (["true", "x" * 200_000], {}, (AT_EXEC, errno.E2BIG)),
            (["true"], {"workdir": f"{folder}/none"}, (AT_WORKDIR, errno.ENOENT)),
            (["true"], {"workdir": f"{folder}/broken"}, (AT_WORKDIR, errno.ENOTDIR)),
        ]:
            job = agent.run(*argv, data=b"for nobody", **options)
            assert job.failed == failed and job.order == [FAILED, GONE], (argv, job.failed)
        check_clean(agent)


def test_path_of_the_command():
    with Agent() as agent, tempfile.TemporaryDirectory() as folder:
        for name, text in [("a", "from a"), ("b", "from b")]:
            os.mkdir(f"{folder}/{name}")
            with open(f"{folder}/{name}/tool", "w") as file:
                file.write(f"#!/bin/sh\necho {text}\n")
        os.chmod(f"{folder}/b/tool", 0o755)
        path = f"PATH=/nonexistent:{folder}/a:{folder}/b:/bin"
        assert agent.run("tool", env=[path]).stdout == b"from b\n"
        assert agent.run("tool", env=["PATH="], workdir=f"{folder}/b").stdout == b"from b\n"
        assert agent.run("./tool", workdir=f"{folder}/b").stdout == b"from b\n"


def test_environment_and_place():
    with tempfile.TemporaryDirectory() as folder:
        own = {"PATH": "/usr/bin:/bin", "KEPT": "as it was", "REPLACED": "old", "PRE": "x"}
        with Agent(env=own, cwd=folder) as agent:
            job = agent.run("env", env=["REPLACED=new", "ADDED=a=b", "EMPTY=", "PREFIX=y"])
            got = sorted(job.stdout.decode().splitlines())
            assert got == sorted(["PATH=/usr/bin:/bin", "KEPT=as it was", "REPLACED=new",
                                  "ADDED=a=b", "EMPTY=", "PRE=x", "PREFIX=y"]), got
            assert agent.run("pwd").stdout.decode() == os.path.realpath(folder) + "\n"
            assert agent.run("pwd", workdir="/usr").stdout == b"/usr\n"
            arguments = ["", "a b", "*", "'\"\\", "\n", "ü"]
            job = agent.run("printf", "[%s]", *arguments)
            assert job.stdout.decode() == "".join(f"[{a}]" for a in arguments)


def test_what_a_command_is_given():
    """A command has three descriptors, no signal that is blocked or ignored, a session of its
    own, and the right limits."""
    def prepare():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])

    with Agent("prlimit", ("--nofile=512:4096", AGENT, "--serve"), preexec_fn=prepare) as agent:
        # Not through a shell: it would unblock signals.
        job = agent.run("cat", "/proc/self/status")
        values = dict(line.split(":\t", 1) for line in job.stdout.decode().splitlines())
        assert int(values["SigBlk"], 16) == 0 and int(values["SigIgn"], 16) == 0, values
        job = agent.shell("ls /proc/self/fd; ulimit -n; ulimit -Hn; "
                          "cut -d' ' -f1,5,6 /proc/$$/stat").until_gone()
        lines = job.stdout.decode().splitlines()
        assert lines[:6] == ["0", "1", "2", "3", "512", "4096"], lines[:6]  # ls itself opens 3
        pid, group, session = lines[-1].split()
        assert pid == group == session
        with open(f"/proc/{agent.pid}/limits") as limits:
            assert next(line for line in limits if "open files" in line).split()[3] == "4096"


def test_limits_of_a_command():
    """A limit lowers, never raises, and is for this command only, although the supervisor is used again."""
    ask = ("sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -Sf; ulimit -Hf; ulimit -n 300 2>/dev/null && echo raised")
    with Agent("prlimit", ("--nofile=512:4096", AGENT, "--serve")) as agent, \
            tempfile.TemporaryDirectory() as folder:
        own = agent.run(*ask).stdout.split()
        assert own[:2] == [b"512", b"4096"], own
        for value, soft, hard in [(100, b"100", b"100"), (1000, b"512", b"1000"), (9000, b"512", b"4096")]:
            got = agent.run(*ask, limits=[(resource.RLIMIT_FSIZE, 1024), (resource.RLIMIT_NOFILE, value)]).stdout.split()
            assert got[:2] == [soft, hard], (value, got)
            assert got[2:4] == [b"2", b"2"] or got[2:4] == [b"1", b"1"], got  # dash and bash have two units
            assert (b"raised" in got) == (value > 300), (value, got)
        assert agent.run(*ask).stdout.split() == own
        job = agent.run("dd", "if=/dev/zero", f"of={folder}/big", "bs=512", "count=4",
                        limits=[(resource.RLIMIT_FSIZE, 1024)])
        assert job.ended == (1, signal.SIGXFSZ), (job.ended, job.stderr)
        job = agent.run("sh", "-c", "while :; do :; done", limits=[(resource.RLIMIT_CPU, 1)])
        assert job.ended == (1, signal.SIGKILL) or job.ended == (1, signal.SIGXCPU), job.ended
        job = agent.run("true", limits=[(resource.RLIMIT_AS, 4096)])
        assert job.failed == (AT_EXEC, errno.ENOMEM) or (job.ended and job.ended[0] == 1) or job.ended[1] == 127, job
        assert agent.run("true", limits=[(kind, (1 << 64) - 1) for kind in range(16)]).ended == (0, 0)
        check_clean(agent)


def test_started_is_told_in_time():
    with Agent() as agent:
        begin = time.monotonic()
        job = agent.start("sleep", "100")
        job.wait(lambda: job.started)
        assert time.monotonic() - begin < 1
        job.say(KILL)
        assert job.until_gone().ended == (1, 9)


def test_large_start():
    with Agent() as agent:
        word = "x" * 100_000
        job = agent.run("sh", "-c", "for a; do printf '%s\\n' \"${#a}\"; done", "sh", *[word] * 15)
        assert job.stdout == b"100000\n" * 15
        # Too long to be executed, but as long as a START may be.
        job = agent.run("true", *["y" * 99] * 20_900)
        assert job.ended == (0, 0) or job.failed == (AT_EXEC, errno.E2BIG)
        job = agent.run("true", env=["A="] * 690_000)
        assert job.ended == (0, 0) or job.failed == (AT_EXEC, errno.E2BIG)


# --- Killing


def test_term():
    with Agent() as agent:
        job = agent.shell("trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
        job.line()
        job.say(TERM)
        assert job.until_ended().ended == (0, 5) and b"caught" in job.stdout
        job = agent.shell("trap '' TERM; sleep 100 & echo ready; wait")
        job.line()
        job.say(TERM)
        time.sleep(0.3)
        assert not job.ended
        job.say(KILL)
        assert job.until_gone().ended == (1, 9)
        job = agent.start("sleep", "100")
        job.wait(lambda: job.started)
        job.say(TERM)
        assert job.until_gone().ended == (1, 15)


def test_term_after_the_end():
    """The other processes of the group still get the signal, and processes elsewhere do not."""
    with Agent() as agent:
        mark = Mark()
        job = agent.shell("sleep 101 & setsid sleep 102 & sleep 0.2; exit 0", env=[mark.variable])
        job.until_ended()
        assert len(mark.pids()) == 2
        job.say(TERM)
        eventually(lambda: len(mark.pids()) == 1, "TERM did not reach the group")
        job.say(KILL)
        job.until_gone()
        assert mark.is_gone()


def kill_and_check(agent, mark, job, count, seconds=5):
    eventually(lambda: len(mark.pids()) >= count, f"only {len(mark.pids())} of {count} are there")
    job.say(KILL)
    job.until_gone(seconds)
    assert mark.is_gone(), [open(f"/proc/{p}/cmdline").read() for p in mark.pids()]


def test_kill_reaches_everything():
    scripts = {
        "ignores SIGTERM": ("trap '' TERM HUP INT; sleep 100", 1),
        "setsid": ("setsid sleep 100 & setsid setsid sleep 100 & sleep 100", 3),
        "double fork": ("(setsid sh -c 'sleep 100 & exit' &) ; exit 0", 1),
        "deep": ("f() { if [ $1 -gt 0 ]; then (f $(($1 - 1)); :); else sleep 100; fi; }; f 30", 31),
        "nohup": ("nohup sleep 100 >/dev/null 2>&1 & nohup setsid sleep 100 & wait", 3),
        "stopped": ("sleep 100 & kill -STOP $!; setsid sh -c 'kill -STOP $$; :' & wait", 3),
        "wide": ("for i in $(seq 200); do setsid sleep 100 & done; wait", 201),
    }
    with Agent() as agent:
        for name, (script, count) in scripts.items():
            mark = Mark()
            job = agent.shell(script, env=[mark.variable])
            kill_and_check(agent, mark, job, count)
        check_clean(agent)


def test_kill_reaches_evil():
    with Agent() as agent:
        for kind, count in [("daemons", 20), ("threads", 4), ("subreaper", 3), ("namespace", 2)]:
            mark = Mark()
            job = agent.start(PYTHON, EVIL, kind, env=[mark.variable])
            job.line()
            kill_and_check(agent, mark, job, count)


def test_kill_though_the_supervisor_is_stopped():
    with Agent() as agent:
        mark = Mark()
        job = agent.shell("kill -STOP $PPID; echo; setsid sleep 100 & sleep 100", env=[mark.variable])
        job.line()
        job.say(KILL)
        job.until_gone(20)
        assert mark.is_gone()


def test_kill_beats_fork_loops():
    """Programs that fork for ever, in groups and sessions of their own, and let their parents
    die."""
    with Agent() as agent:
        for kind in ["chain", "bomb"]:
            mark = Mark()
            job = agent.start(PYTHON, EVIL, kind, env=[mark.variable])
            job.line()
            time.sleep(0.3)
            begin = time.monotonic()
            job.say(KILL)
            job.until_gone(20)
            print(f"# {kind}: dead after {time.monotonic() - begin:.2f} s")
            assert mark.is_gone(), len(mark.pids())


def test_a_thousand_killed_at_once():
    count = 200 if is_sanitized() else 1000
    with Agent() as agent:
        mark = Mark()
        jobs = [agent.start(BUSYBOX, "sleep", "100", env=[mark.variable]) for _ in range(count)]
        for job in jobs:
            job.wait(lambda job=job: job.started, "not started", 60)
        begin = time.monotonic()
        for job in jobs:
            job.say(KILL)
        for job in jobs:
            assert job.until_gone(60).ended == (1, 9)
        print(f"# {count} jobs: dead after {time.monotonic() - begin:.2f} s")
        assert mark.is_gone()


def test_time_limit():
    with Agent() as agent:
        mark = Mark()
        begin = time.monotonic()
        job = agent.shell("trap '' TERM; setsid sleep 100 & sleep 100; sleep 100", limit_ms=500,
                          env=[mark.variable]).until_gone()
        took = time.monotonic() - begin
        assert 0.5 <= took < 3 and job.ended == (1, 9), took
        assert mark.is_gone()
        # The time limit ends the processes that the command has left too.
        job = agent.shell("setsid sleep 100 & exit 4", limit_ms=500, env=[mark.variable]).until_gone()
        assert job.ended == (0, 4) and mark.is_gone()
        assert agent.run("true", limit_ms=60_000).ended == (0, 0)


def test_release():
    with Agent() as agent:
        # RELEASE ends a job that runs.
        mark = Mark()
        job = agent.shell("setsid sleep 100 & echo x; sleep 100", env=[mark.variable])
        job.line()
        job.say(RELEASE)
        job.until_gone()
        assert mark.is_gone()
        # It ends a job that was sent TERM, before the end of the command or after it.
        job = agent.shell("setsid sh -c 'echo x; sleep 100' & sleep 100", env=[mark.variable])
        job.line()
        job.say(TERM)
        job.until_ended()
        job.say(RELEASE)
        job.until_gone()
        assert mark.is_gone()
        job = agent.shell("setsid sh -c 'echo x; sleep 100' & exit 0", env=[mark.variable])
        job.line()
        job.until_ended()
        job.say(TERM)
        job.say(RELEASE)
        job.until_gone()
        assert mark.is_gone()
        # A second RELEASE of a job that is over does nothing.
        job = agent.run("true")
        for kind in [RELEASE, KILL, TERM, STDIN_END]:
            job.say(kind)
        agent.send(frame(job.number, STDIN, b"x"))
        agent.run("true")
        check_clean(agent)


def test_release_lets_live():
    mark = Mark()
    try:
        with Agent() as agent:
            job = agent.shell("setsid sleep 100 >/dev/null 2>&1 & sleep 0.2", env=[mark.variable])
            job.until_ended()
            job.say(RELEASE)
            job.until_gone()
            time.sleep(0.2)
            assert len(mark.pids()) == 1
            # It is not taken for a process that a dead supervisor has left.
            other = agent.start("sleep", "100")
            eventually(lambda: len(children(agent.pid)) == 2, "the supervisors")
            os.kill(children(agent.pid)[1], signal.SIGKILL)
            assert other.until_gone().lost
            assert len(mark.pids()) == 1
        time.sleep(0.2)
        assert len(mark.pids()) == 1, "the end of the connection killed what was released"
    finally:
        for pid in mark.pids():
            os.kill(pid, signal.SIGKILL)


def test_what_was_released_is_reaped():
    with Agent() as agent:
        for _ in range(20):
            job = agent.shell("(setsid sleep 0.5 >/dev/null 2>&1 &) & sleep 0.1").until_ended()
            job.say(RELEASE)
            job.until_gone()
        check_clean(agent)


class Hung:
    """A file system that never answers."""

    def __enter__(self):
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        self.folder = tempfile.mkdtemp()
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"hung", self.folder.encode(), b"fuse", 0, options) < 0:
            raise OSError(ctypes.get_errno(), "mount")
        return self.folder

    def __exit__(self, *_):
        libc.umount2(self.folder.encode(), 2)  # MNT_DETACH
        os.close(self.fd)
        os.rmdir(self.folder)


def test_kill_while_it_is_being_executed():
    """While it waits for the file system the supervisor cannot listen."""
    with Hung() as folder, Agent() as agent:
        for kind in [KILL, RELEASE]:
            agent.run("true")  # the next job has the same supervisor
            job = agent.start("sleep", "100", workdir=folder)
            eventually(lambda: len(children(agent.pid)) == 1, "no supervisor")
            time.sleep(0.2)
            assert not job.started and not job.failed
            job.say(kind)
            job.until_gone(5)
            assert job.lost == (kind == KILL) and not job.ended
        agent.run("true")
        job = agent.start("sleep", "100", workdir=folder, limit_ms=300)
        job.until_gone(5)
        assert job.lost
        agent.start("sleep", "100", workdir=folder)
        time.sleep(0.2)
        assert agent.run("echo", "x").stdout == b"x\n"
        agent.start("sleep", "100", workdir=folder).say(TERM)
        eventually(lambda: len(below(agent.pid)) == 4, "two supervisors with a child each")
        last = below(agent.pid)
    eventually(lambda: not any(map(is_alive, last)), "a supervisor is left")


def test_agent_killed_while_it_executes():
    """The supervisor learns of the agent's death as soon as the file system answers."""
    with Hung() as folder:
        agent = Agent()
        agent.start("sleep", "100", workdir=folder)
        supervisor = eventually(lambda: children(agent.pid), "no supervisor")[0]
        command = eventually(lambda: children(supervisor), "no command")[0]
        agent.process.kill()
        agent.await_end(-9)
    eventually(lambda: not is_alive(supervisor) and not is_alive(command), "they live on")


def test_old_kernels():
    """A kernel without close_range and without the files `children`. $OLD_KERNEL is a library
    that makes a program see such a kernel, if the program can load one."""
    variables = {**os.environ, "LD_PRELOAD": os.environ["OLD_KERNEL"]}
    variables["ASAN_OPTIONS"] = "verify_asan_link_order=0"
    with Agent(env=variables) as agent:
        job = agent.shell("ls /proc/self/fd", env=["LD_PRELOAD="]).until_gone()
        assert job.stdout == b"0\n1\n2\n3\n", job.stdout
        for script, count in [("setsid sleep 100 & (setsid sleep 100 &) & sleep 100", 4),
                              ("f() { if [ $1 -gt 0 ]; then (f $(($1 - 1)); :); else sleep 100; fi; }; f 9", 10)]:
            mark = Mark()
            job = agent.shell(script, env=["LD_PRELOAD=", mark.variable])
            kill_and_check(agent, mark, job, count)
        mark = Mark()
        job = agent.shell("setsid sleep 100 & sleep 100 & sleep 0.3; exit 0",
                          env=["LD_PRELOAD=", mark.variable])
        job.until_ended()
        job.say(TERM)
        eventually(lambda: len(mark.pids()) == 1, "TERM did not reach the group")
        shell = mark.pids()[0]
        os.kill(parent(shell), signal.SIGKILL)
        job.until_gone()
        assert mark.is_gone()


# --- Supervisors that take one job after another


LARGE = [f"V{n}=" + "x" * 8192 for n in range(5)]  # too large for a supervisor that waits: needs a new one


def supervisor_of(agent, **options):
    return int(agent.run("/bin/sh", "-c", "echo $PPID", **options).stdout)


def test_supervisors_are_used_again():
    with Agent() as agent:
        first = supervisor_of(agent)
        assert all(supervisor_of(agent) == first for _ in range(20))
        # It is used again also after a command that could not be executed, was killed, or was
        # released.
        assert agent.run("no-such-command").failed
        for kind in [KILL, RELEASE]:
            job = agent.shell("echo x; sleep 100")
            job.line()
            job.say(kind)
            job.until_gone()
        assert supervisor_of(agent) == first
        assert supervisor_of(agent, env=LARGE) != first
        jobs = [agent.start("/bin/sh", "-c", "echo $PPID; read line", end=False) for _ in range(40)]
        assert len({job.line() for job in jobs}) == 40
        for job in jobs:
            job.say(STDIN_END)
        for job in jobs:
            job.until_gone()
        eventually(lambda: len(children(agent.pid)) <= 32, "idle supervisors")
        check_clean(agent)


def test_supervisors_do_not_last_for_ever():
    with Agent() as agent:
        used = [supervisor_of(agent) for _ in range(520)]
        assert used.count(used[0]) == 256 and used[0] == used[255], used.count(used[0])
        assert len(set(used)) == 3


def test_idle_supervisors_give_way():
    """Supervisors that wait end when the processes or descriptors that they hold are needed."""
    with Agent() as agent:
        jobs = [agent.start(BUSYBOX, "cat", end=False) for _ in range(6)]
        for job in jobs:
            job.wait(lambda job=job: job.started)
        for job in jobs:
            job.say(STDIN_END)
        for job in jobs:
            job.until_gone()
        assert len(children(agent.pid)) == 6
        resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (30, 30))
        running = []
        while True:
            job = agent.start("sleep", "100", env=LARGE)
            job.wait(lambda job=job: job.started or job.failed)
            if job.failed:
                break
            running.append(job)
        assert running and job.failed == (AT_RESOURCES, errno.EMFILE), (len(running), job.failed)
        eventually(lambda: len(children(agent.pid)) == len(running), "idle supervisors")
        running.append(agent.start("sleep", "100", env=LARGE))
        running[-1].wait(lambda: running[-1].started)
        for job in running:
            job.say(KILL)
            job.until_gone()
        check_clean(agent)


def test_one_with_something_left_takes_no_other():
    with Agent() as agent:
        job = agent.shell("(sleep 100 >/dev/null 2>&1 &); echo $PPID").until_ended()
        first = int(job.line())
        assert supervisor_of(agent) != first
        job.say(RELEASE)
        job.until_gone()
        assert is_alive(first)
        assert all(supervisor_of(agent) != first for _ in range(5))


def test_nothing_of_a_job_is_left_for_the_next():
    look = ["/bin/sh", "-c", "echo $PPID; env | sort; pwd; umask; ulimit -a; ls /proc/self/fd | wc -l; "
            "grep -E '^(Sig|Shd)(Pnd|Blk|Ign|Cgt)|^Groups|^NoNewPrivs' /proc/self/status; cat"]
    with Agent() as agent:
        first = agent.run(*look, data=b"")
        agent.run("/bin/sh", "-c", "trap '' TERM INT; ulimit -n 10; umask 0; cat; echo more",
                  env=["SECRET=1", "PATH=/bin:/usr/bin"], workdir="/tmp", limit_ms=300, data=b"hidden")
        begin = time.monotonic()
        second = agent.start(*look, end=False)
        time.sleep(0.5)  # the time limit of the other job has passed
        second.say(STDIN_END)
        second.until_gone()
        seen = set(first.stdout.splitlines()) ^ set(second.stdout.splitlines())
        assert not seen and second.ended == (0, 0), (seen, second.ended)
        assert first.stderr == second.stderr == b""
        assert time.monotonic() - begin > 0.4


def test_late_orders_are_for_nobody_else():
    """Orders that are still on their way when their job ends."""
    with Agent() as agent:
        for n in range(300):
            job = agent.start("true")
            if n % 3:
                time.sleep(random.uniform(0, 0.003))
            for kind in random.sample([TERM, KILL, RELEASE], random.randint(1, 3)):
                job.say(kind)
            other = agent.run("/bin/sh", "-c", "echo x; echo y")
            assert other.stdout == b"x\ny\n" and other.ended == (0, 0), (n, other.order, other.ended)
            job.until_gone()
        check_clean(agent)


def test_idle_supervisor_killed():
    with Agent() as agent:
        for _ in range(20):
            os.kill(supervisor_of(agent), signal.SIGKILL)
            time.sleep(random.choice([0, 0, 0.01]))
            job = agent.run("echo", "x")
            assert job.lost or (job.stdout, job.ended) == (b"x\n", (0, 0)), job.order
        # A supervisor whose death is known gets no more orders.
        os.kill(supervisor_of(agent), signal.SIGKILL)
        eventually(lambda: not children(agent.pid), "it is still there")
        assert agent.run("echo", "x").ended == (0, 0)
        check_clean(agent)


def test_idle_supervisors_end_with_the_agent():
    agent = Agent()
    jobs = [agent.start("sleep", "0.1") for _ in range(10)]
    for job in jobs:
        job.until_gone()
    idle = children(agent.pid)
    assert len(idle) == 10
    agent.process.kill()
    agent.await_end(-9)
    eventually(lambda: not any(map(is_alive, idle)), "a supervisor is left")


# --- The end of everything


def busy(agent, mark):
    """Starts jobs of every kind."""
    agent.shell("trap '' TERM; setsid sleep 100 & (setsid sleep 100 &) & sleep 100",
                env=[mark.variable])
    agent.start("cat", "/dev/zero", env=[mark.variable], reads=False)
    agent.start("sleep", "100", end=False, env=[mark.variable])
    left = agent.shell("setsid sleep 100 & exit 0", env=[mark.variable])
    left.until_ended()
    eventually(lambda: len(mark.pids()) >= 5, "they do not start")


def test_end_of_stdin():
    agent, mark = Agent(), Mark()
    busy(agent, mark)
    assert agent.end() == ""
    assert mark.is_gone()


def test_killed_agent():
    for number in [signal.SIGKILL, signal.SIGTERM]:
        agent, mark = Agent(), Mark()
        busy(agent, mark)
        agent.stop.set()  # its last frame may be cut
        agent.process.send_signal(number)
        eventually(mark.is_gone, "they live on")
        agent.await_end(-number)


def test_killed_agent_as_jobs_start():
    """The processes that the command has started by then have a supervisor that is still
    there."""
    mark = Mark()
    for number in range(30):
        agent = Agent()
        agent.stop.set()  # its last frame may be cut
        for _ in range(20):
            agent.shell("setsid sleep 100 & setsid sleep 100 & sleep 100", env=[mark.variable])
        time.sleep(number / 1000)
        agent.process.kill()
        agent.await_end(-9)
    eventually(mark.is_gone, "they live on")


# --- Standbys


NOTES = "cat; echo >>$0"  # a job that notes that it has read the end


def test_standby_reads_the_end():
    """Also where the supervisor has done another job before."""
    with Agent() as agent:
        for number in range(20):
            argv = ["cat"] if number % 2 else ["sh", "-c", "cat; echo end"]
            env = LARGE if number % 4 == 3 else ()
            job = agent.start(*argv, end=False, limit_ms=STANDBY, env=env)
            if number % 3:
                job.wait(lambda job=job: job.started)
            job.feed(b"bytes " if number % 5 else b"")
            expected = (b"bytes " if number % 5 else b"") + (b"" if number % 2 else b"end\n")
            assert job.until_gone().stdout == expected and job.ended == (0, 0), (number, job.order)
            assert agent.run("cat", data=b"x").stdout == b"x"
        # Processes that such a job has left are as those of other jobs.
        mark = Mark()
        job = agent.shell("read -r line; setsid cat & exit 0", end=False, limit_ms=STANDBY, env=[mark.variable])
        job.feed(b"line\n", end=False)
        job.until_ended()
        job.say(RELEASE)
        eventually(mark.is_gone, "a process does not read the end of its input")
        check_clean(agent)


def test_killed_agent_runs_no_standby():
    """Also when its supervisor was killed before."""
    with tempfile.TemporaryDirectory() as folder:
        notes = f"{folder}/notes"
        for number in range(60):
            agent, mark = Agent(), Mark()
            agent.stop.set()  # its last frame may be cut
            if number % 4 == 1:
                agent.run("true")  # its supervisor takes the standby
            script = f"exec 3<&0; setsid -w sh -c '{NOTES}' $0 <&3 & wait" if number % 2 else NOTES
            agent.start("sh", "-c", script, notes, end=False, limit_ms=STANDBY, env=[mark.variable])
            eventually(lambda: len(mark.pids()) >= 2, "it does not start")
            time.sleep(0.02)
            if number % 3 == 2:
                os.kill(children(agent.pid)[0], signal.SIGKILL)
                time.sleep(0.02)
            agent.process.kill()
            eventually(mark.is_gone, "it lives on")
            agent.await_end(-9)
            assert not os.path.exists(notes), number


def test_stdout_breaks():
    agent, mark = Agent(), Mark()
    busy(agent, mark)
    agent.stop.set()
    os.dup2(os.open("/dev/null", os.O_RDONLY), agent.process.stdout.fileno())

    def has_noticed():
        try:
            agent.send(frame(0, PING))
        except BrokenPipeError:
            pass
        return agent.process.poll() is not None

    # The first answers still go to a read that had begun before.
    eventually(has_noticed, "it does not notice")
    assert "cannot write" in agent.await_end(1)
    eventually(mark.is_gone, "they live on")


def test_silence():
    agent, mark = Agent(pings=False), Mark()
    job = agent.start("sleep", "100", env=[mark.variable])
    job.wait(lambda: job.started)
    begin = time.monotonic()
    said = agent.await_end(1)
    took = time.monotonic() - begin
    assert "silent" in said and 14.9 < took < 17, (took, said)
    assert mark.is_gone()


def test_lost_supervisor():
    with Agent() as agent:
        mark, other = Mark(), Mark()
        spared = agent.start("sleep", "100", env=[other.variable])
        job = agent.shell("setsid sleep 100 & (setsid sleep 100 &) & echo x; sleep 100",
                          env=[mark.variable])
        job.line()
        shell = next(pid for pid in mark.pids() if parent(parent(pid)) == agent.pid)
        os.kill(parent(shell), signal.SIGKILL)
        job.until_gone()
        assert job.lost and not job.ended
        assert mark.is_gone()
        assert len(other.pids()) == 1
        spared.say(KILL)
        assert spared.until_gone().ended == (1, 9)
        # After the end of a job its supervisor has nothing to lose.
        job = agent.shell("setsid sleep 100 & echo x", env=[mark.variable]).until_ended()
        eventually(lambda: len(mark.pids()) == 1, "the sleep")
        os.kill(parent(mark.pids()[0]), signal.SIGKILL)
        job.until_gone()
        assert job.ended == (0, 0) and not job.lost and mark.is_gone()
        check_clean(agent)


WRONG = {
    "too long": struct.pack("<IIB", 1 << 31, 1, STDIN),
    "a type that is not known": frame(0, 99),
    "a type of the agent's": frame(1, STDOUT, b"x"),
    "type 0": frame(0, 0),
    "PING about a job": frame(1, PING),
    "PING with a payload": frame(0, PING, b"x"),
    "STDIN about no job": frame(0, STDIN, b"x"),
    "STDIN without bytes": frame(1, STDIN),
    "a job that never was": frame(9, KILL),
    "START out of order": start_frame(9, ["true"]),
    "START again": start_frame(1, ["true"]),
    "START without argument": start_frame(2, []),
    "START with an empty command": start_frame(2, [""]),
    "START that lies": frame(2, START, struct.pack("<IIII", 0, 1000, 0, 0) + b"\0a\0"),
    "START without NUL": frame(2, START, struct.pack("<IIII", 0, 1, 0, 0) + b"\0true"),
    "START with an unknown limit": start_frame(2, ["true"], limits=[(16, 1)]),
    "START with a limit twice": start_frame(2, ["true"], limits=[(7, 1), (7, 1)]),
    "START that lies about its limits": frame(2, START, struct.pack("<IIII", 0, 1, 0, 1) + b"\0true\0"),
    "START that is too long": frame(2, START, b"x" * ((2 << 20) + 1)),
    "credit that was not used": frame(1, STDOUT_CREDIT, struct.pack("<I", 1)),
    "credit that overflows": frame(1, STDERR_CREDIT, b"\xff" * 4),
    "credit of a wrong size": frame(1, STDOUT_CREDIT, b"\1"),
    "more than the window": frame(1, STDIN, b"x" * 65536) * 6,
    "stdin after its end": frame(1, STDIN_END) + frame(1, STDIN, b"x"),
    "noise": b"GET / HTTP/1.0\r\n\r\n",
}


def test_wrong_frames():
    for name, data in WRONG.items():
        agent, mark = Agent(), Mark()
        job = agent.start("sleep", "100", end=False, env=[mark.variable])
        job.wait(lambda: job.started)
        job.stdin_window = 0  # the agent never gives so much credit
        try:
            agent.send(data)
        except BrokenPipeError:
            pass
        said = agent.await_end(1)
        assert said.count("\n") == 1 and said.startswith("hooksfs-agent: "), (name, said)
        assert "silent" not in said, f"{name}: nothing was found wrong with it"
        assert mark.is_gone(), name


def test_random_frames():
    """Random bytes behind a header that may be right: the agent ends by itself in any case."""
    mine = random.Random(4711)
    for _ in range(60):
        agent = Agent(pings=False)
        try:
            for _ in range(20):
                kind = mine.choice([STDIN, STDIN_END, STDOUT_CREDIT, TERM, KILL, RELEASE, PING, 77])
                agent.send(frame(mine.randrange(3), kind, mine.randbytes(mine.choice([0, 0, 4, 9]))))
            agent.process.stdin.close()
        except BrokenPipeError:
            pass
        code = agent.process.wait(20)
        assert code in (0, 1), code


def test_cut_frames():
    """The connection may end after any byte."""
    whole = start_frame(1, ["sleep", "100"]) + frame(1, STDIN, b"hello")
    for length in range(0, len(whole), 3):
        agent = Agent()
        agent.send(whole[:length])
        agent.jobs[1] = Job(agent, 1, True)
        agent.jobs[1].stdin_window -= 5
        agent.end()


def test_pieces():
    """Frames arrive in pieces of any size."""
    with Agent() as agent:
        agent.jobs[1] = job = Job(agent, 1, True)
        agent.last = 1
        job.stdin_window -= 5
        data = start_frame(1, ["cat"]) + frame(1, STDIN, b"hello") + frame(1, STDIN_END)
        for at in range(len(data)):
            agent.send(data[at : at + 1])
            time.sleep(0.0005)
        assert job.until_gone().stdout == b"hello"


# --- Scarcity


def test_no_descriptors():
    """Jobs for which there are not enough descriptors fail; the other jobs and later ones do
    not."""
    with Agent("prlimit", ("--nofile=64:64", AGENT, "--serve")) as agent:
        jobs = [agent.start("cat", end=False) for _ in range(40)]
        for job in jobs:
            job.wait(lambda job=job: job.started or job.failed)
        failed = [job for job in jobs if job.failed]
        working = [job for job in jobs if job.started]
        assert len(working) >= 10 and len(failed) >= 10, (len(working), len(failed))
        assert all(job.failed == (AT_RESOURCES, errno.EMFILE) and job.gone for job in failed)
        for job in working:
            job.feed(b"hello")
            assert job.until_gone().stdout == b"hello"
        check_clean(agent)
        assert agent.run("echo", "again").stdout == b"again\n"


def test_no_processes():
    """As a user whose processes are limited."""
    user = 54321
    with Agent("setpriv", (f"--reuid={user}", f"--regid={user}", "--clear-groups", "prlimit",
                           "--nproc=21:21", AGENT, "--serve")) as agent:
        jobs = [agent.start("sleep", "100") for _ in range(30)]
        for job in jobs:
            job.wait(lambda job=job: job.started or job.failed)
        failed = [job for job in jobs if job.failed]
        assert len(failed) >= 15, len(failed)
        assert all(job.failed == (AT_RESOURCES, errno.EAGAIN) for job in failed), {j.failed for j in failed}
        for job in jobs:
            job.say(KILL)
            job.until_gone()
        check_clean(agent)
        assert agent.run("echo", "again").stdout == b"again\n"


# --- Walls


def check_walls(agent):
    job = agent.start(PYTHON, EVIL, "spy", str(agent.pid))
    job.until_gone()
    assert job.stdout == b"nothing\n" and job.ended == (0, 0), (job.stdout, job.stderr)


def test_jobs_cannot_reach_the_connection_as_root():
    """Runs as a user without the capabilities that a container's root lacks."""
    dropped = "-sys_ptrace,-sys_admin,-perfmon"
    with Agent("setpriv", (f"--bounding-set={dropped}", f"--inh-caps={dropped}", AGENT,
                           "--serve")) as agent:
        check_walls(agent)


def test_jobs_cannot_reach_the_connection_as_a_user():
    with Agent("setpriv", ("--reuid=54321", "--regid=54321", "--clear-groups", AGENT,
                           "--serve")) as agent:
        check_walls(agent)


def test_works_as_a_user():
    """An agent whose stdout belongs to another process: it must not make that stdout
    nonblocking for both."""
    with Agent("setpriv", ("--reuid=54321", "--regid=54321", "--clear-groups", AGENT,
                           "--serve")) as agent:
        data = random.randbytes(2_000_000)
        job = agent.start("cat", end=False)
        job.feed(data)
        assert job.until_gone().stdout == data
        mark = Mark()
        job = agent.shell("setsid sleep 100 & sleep 100", env=[mark.variable])
        kill_and_check(agent, mark, job, 3)


def test_stdout_stays_as_it_is():
    """Another writer to the same open file still blocks; if that is a socket, it does so again
    after the agent's end."""
    receiving, sending = os.pipe()
    process = subprocess.Popen([AGENT, "--serve"], stdin=subprocess.PIPE, stdout=sending)
    assert os.read(receiving, 9)
    assert os.get_blocking(sending)
    process.communicate()
    assert process.returncode == 0
    os.close(receiving)
    os.close(sending)
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([AGENT, "--serve"], stdin=theirs, stdout=theirs)
    assert ours.recv(9)
    ours.shutdown(socket.SHUT_WR)
    assert process.wait(20) == 0
    assert os.get_blocking(theirs.fileno())


# --- Running


def main():
    names = [name for name in globals() if name.startswith("test_")]
    if "OLD_KERNEL" not in os.environ:
        names.remove("test_old_kernels")
    names = os.environ.get("ONLY", "").split() or names
    sys.stdout.reconfigure(line_buffering=True)
    print(f"1..{len(names)}")
    failed = 0
    for number, name in enumerate(names, 1):
        begin = time.monotonic()
        try:
            globals()[name]()
            verdict = "ok"
        except BaseException:
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
            verdict = "not ok"
            failed += 1
        print(f"{verdict} {number} - {name}")
        if os.environ.get("TIMES"):
            print(f"# {time.monotonic() - begin:.2f} s")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
