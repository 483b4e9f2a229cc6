# SPDX-License-Identifier: Apache-2.0
"""hook(1) with the real daemon: the sandboxes `local` and `only-echo` of the mount argv[1], and
more daemons below the folder argv[2]. HOOK_CALLS: how many calls the last test makes (1000)."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from calls import Daemon, eventually, gone, processes, there  # noqa: E402
from hooks import AGENTS, HOOK, Cells, run_hook  # noqa: E402
from table import ALLOW, DENY, FAILURE, NO, REASON, TABLE, YES, differs, payload, wanted  # noqa: E402

CONFIG = "timeout = 20s\nmax_running = 100\nmax_queued = 2000\n[local]\nmode = direct\n"
FIRST = {agent: next(event for name, event in TABLE if name == agent and event != "Stop") for agent in AGENTS}


def expect(result, code, out=b"", err=b""):
    assert (result.code, result.out, result.err) == (code, out, err), result


def transparent(mount, folder):
    """Bytes, codes and words come through as they are."""
    at = ["-m", mount]
    everything = bytes(range(256)) * 5000
    expect(run_hook([*at, "local", "cat"], everything), 0, everything)
    expect(run_hook([*at, "local", "cat"]), 0)
    expect(run_hook([*at, "local", "sh", "-c", "echo out; echo err >&2; exit 7"]), 7, b"out\n", b"err\n")
    for code in (0, 1, 2, 124, 125, 126, 127, 128, 255):
        expect(run_hook([*at, "local", "sh", "-c", f"exit {code}"]), code)
    for number in (1, 6, 9, 15):
        result = run_hook([*at, "local", "sh", "-c", f"kill -{number} $$"])
        assert result.code == 128 + number and b"signaled" in result.err, result
    words = ["", " ", "it's", '"', "$HOME", "`x`", "\\", "a\nb", "*", "-x", "a=b", "é", "\x01", "--timeout=1s"]
    expect(run_hook([*at, "local", "printf", "%s|", *words]), 0, "".join(word + "|" for word in words).encode())
    expect(run_hook([*at, "-e", "A=1 2", "-e", "B", "-e", "UNSET_ONE", "local", "C=it's", "sh", "-c", 'echo "$A,$B,$C,${UNSET_ONE-none}"'], environment={"B": "b\nb"}), 0, b"1 2,b\nb,it's,none\n")
    expect(run_hook([*at, "-C", "/usr", "local", "pwd"]), 0, b"/usr\n")
    expect(run_hook([*at, "-C", ".", "local", "pwd"]), 0, os.getcwd().encode() + b"\n")
    expect(run_hook(["local", "cat"], b"by the environment", {"HOOKSFS_MOUNT": mount}), 0, b"by the environment")
    for arguments, code, word in (
        (["local", "/nonexistent"], 127, b"unstarted"),
        (["local", "/etc/passwd"], 126, b"unstarted"),
        (["only-echo", "cat"], 2, b"refused"),
        (["nowhere", "cat"], 125, b"no such sandbox"),
        (["-t", "300ms", "local", "sleep", "20"], 124, b"timeout"),
        (["local", "--x"], 2, b"before SANDBOX"),
        ([], 2, b"no SANDBOX"),
    ):
        result = run_hook([*at, *arguments])
        assert result.code == code and word in result.err and result.err.startswith(b"hook: ") and not result.out, (arguments, result)
    # -t is asked of the sandbox, too, whose own time would be shorter.
    result = run_hook([*at, "-t", "10s", "short", "sh", "-c", "sleep 1; echo done"])
    expect(result, 0, b"done\n")


def streams(mount, folder):
    """Output comes before the end; stdin is passed on while it comes; both at once, with a reader
    who is slow; and a reader who goes ends the job."""
    process = subprocess.Popen([HOOK, "-m", mount, "local", "sh", "-c", "echo ready; read x; echo got $x; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.stdin.write(b"one\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"got one\n"
    block = os.urandom(1 << 20)
    size = 16
    received = []

    def read():
        while part := process.stdout.read(1 << 16):
            received.append(part)
            if len(received) < 20:
                time.sleep(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(size):
        process.stdin.write(block)
    process.stdin.close()
    reader.join(60)
    assert process.wait(30) == 0 and b"".join(received) == block * size
    done = subprocess.run(["bash", "-c", '"$0" -m "$1" local yes | head -n 1; echo ${PIPESTATUS[0]}', HOOK, mount], capture_output=True, timeout=30)
    assert done.stdout == b"y\n141\n", done
    # Both streams, 8 MiB each, none before the other.
    script = "head -c 8388608 /dev/zero & head -c 8388608 /dev/zero >&2; wait"
    result = run_hook(["-m", mount, "local", "sh", "-c", script])
    assert result.code == 0 and len(result.out) == len(result.err) == 8 << 20, result


def gates(mount, folder):
    """The outcomes that a real daemon and real commands give."""
    cells = Cells(4)
    scripts = [
        ("true", YES, b"", b""),
        ("cat >/dev/null; echo '{\"allow\":true}'", YES, b"", ALLOW),
        (f"printf %s '{DENY.decode()}'", NO, REASON, DENY),
        ("echo not here >&2; exit 2", NO, REASON, b""),
        ("echo broken >&2; exit 1", "code", b"broken", b""),
        ("kill -9 $$", FAILURE, b"signaled", b""),
        ("kill -11 $$", FAILURE, b"signaled", b""),
        ("printf %s '{\"allow\":tr'", FAILURE, b"not one whole JSON object", b""),
        ("echo x; echo '{\"allow\":true}'", FAILURE, b"not one whole JSON object", b""),
    ]

    def one(agent, passes, sandbox, words, kind, reason, out):
        arguments = ["-m", mount, "-a", agent, *(["--on-failure=pass"] if passes else []), sandbox, *words]
        result = run_hook(arguments, payload(FIRST[agent]))
        if words[0] == "true" and agent == "promptkit":
            kind, reason = FAILURE, b"only an explicit yes"
        kind, *want = wanted(agent, FIRST[agent], passes, kind, reason, out)
        return f"{arguments}: {result}, wanted {want}" if differs(result, kind, reason, *want) else None

    for agent in AGENTS:
        for passes in (False, True):
            for script, kind, reason, out in scripts:
                words = ["true"] if script == "true" else ["sh", "-c", script]
                cells.add(one, agent, passes, "local", words, kind, reason, out)
            cells.add(one, agent, passes, "local", ["/nonexistent"], FAILURE, b"unstarted", b"")
            cells.add(one, agent, passes, "local", ["/etc/passwd"], FAILURE, b"unstarted", b"")
            cells.add(one, agent, passes, "only-echo", ["true-1"], FAILURE, b"refused", b"")
            cells.add(one, agent, passes, "short", ["sleep", "9"], FAILURE, b"timeout", b"")
    cells.finish("gates")


def queue_is_full(mount, folder):
    """A job that waits, and one that may not even wait, both fail closed in time."""
    os.makedirs(f"{folder}/full", exist_ok=True)
    with Daemon(f"{folder}/full", "[local]\nmode = direct\nmax_running = 1\nmax_queued = 1\n") as daemon:
        arguments = [HOOK, "-m", daemon.mount, "local", "sleep", "61.5"]
        first = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        there("sleep\x0061.5", 2)
        second = run_hook(["-m", daemon.mount, "-a", "codex", "-t", "400ms", "local", "true"], b"{}")
        assert second.code == 2 and b"timeout" in second.err, second
        others = [subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
        eventually(lambda: sum(other.poll() is None for other in others) == 1, "one waits, and two are refused")
        fourth = run_hook(["-m", daemon.mount, "-a", "codex", "local", "true"], b"{}")
        assert fourth.code == 2 and b"refused" in fourth.err, fourth
        for process in (first, *others):
            process.kill()
            process.wait()
        gone("sleep\x0061.5")


def killed(mount, folder):
    """SIGKILL at random moments: the job is cancelled each time, and no process stays."""
    count = int(os.environ.get("HOOK_KILLS", "60"))
    random.seed(14)
    for i in range(count):
        payload_bytes = subprocess.DEVNULL if i % 3 else subprocess.PIPE
        # The time limit is longer than the test waits, so that only a cancel ends the job.
        process = subprocess.Popen([HOOK, "-m", mount, "-t", "300s", *(["-a", "codex"] if i % 2 else []), "local", "sleep", "62.5"], stdin=payload_bytes, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.random() * (0.004 if i % 4 else 0.03))
        process.kill()
        process.wait()
        if process.stdin:
            process.stdin.close()
    eventually(lambda: not processes("sleep\x0062.5"), "a job is left")
    gone(f"-m\x00{mount}\x00")
    print(f"{count} times killed, nothing left")


def checks(mount, folder):
    """--check says what is there, and ends with 1 when something is not."""
    result = run_hook(["-m", mount, "--check"])
    assert result.code == 0 and b"local: ok" in result.out and b"only-echo: ok" in result.out, result
    result = run_hook(["-m", mount, "--check", "local"])
    assert result.code == 0 and b"only-echo" not in result.out, result
    for arguments in (["-m", mount, "--check", "nowhere"], ["-m", "/nonexistent", "--check"], ["-m", folder, "--check", "x"]):
        result = run_hook(arguments)
        assert result.code == 1 and b"NOT USABLE" in result.out, result
    os.makedirs(f"{folder}/checked", exist_ok=True)
    with Daemon(f"{folder}/checked", CONFIG) as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        for arguments in (["--check"], ["--check", "local"]):
            result = run_hook(["-m", daemon.mount, "-t", "300ms", *arguments])
            assert result.code == 1 and b"NOT USABLE" in result.out and result.seconds < 5, result
        daemon.process.send_signal(signal.SIGCONT)
    for agent in AGENTS:
        result = run_hook(["-a", agent, "--self-test"])
        assert result.code == 0 and result.out.count(b"125 unreachable") >= 2 and not result.err, result
    # The table says what a call then does.
    stop = run_hook(["-a", "claude", "--event=Stop", "--self-test"]).out.decode()
    assert all(" 0 " in line for line in stop.splitlines() if "125 unreachable" in line), stop


def chaos(mount, folder):
    """64 callers while the daemon is killed and started again: a hook that says yes or no by its
    payload is believed only when it has said so."""
    os.makedirs(f"{folder}/chaos", exist_ok=True)
    total, limit_ms = int(os.environ.get("HOOK_CALLS", "1000")), 8000
    counts = {"yes": 0, "no": 0, "failure": 0}
    wrong, lock, tickets, late = [], threading.Lock(), iter(range(total)), []
    # Only the word in the payload makes it a yes.
    hook = "read x; case $x in *good*) echo '{\"allow\":true}';; *) echo '{\"allow\":false,\"reason\":\"bad\"}';; esac"

    def caller():
        while True:
            with lock:
                i = next(tickets, None)
            if i is None:
                return
            word = "good" if i % 2 else "bad"
            stdin = json.dumps({"hook_event_name": "PreToolUse", "x": word, "i": i}).encode() + b"\n"
            # HOOK_MARK has them found in the list of processes.
            result = run_hook(["-m", f"{folder}/chaos/mnt", "-a", "promptkit", "-t", f"{limit_ms}ms", "local", "HOOK_MARK=chaos", "sh", "-c", hook], stdin)
            with lock:
                late.append(result.seconds - limit_ms / 1000)
                try:
                    allow = json.loads(result.out)
                except ValueError:
                    wrong.append(("no JSON", result))
                    continue
                if allow.get("allow"):
                    counts["yes"] += 1
                    if word != "good" or result.out != ALLOW:
                        wrong.append(("an allow that nobody gave", result))
                else:
                    counts["no" if allow["reason"] == "bad" else "failure"] += 1

    daemon = Daemon(f"{folder}/chaos", CONFIG)
    callers = [threading.Thread(target=caller) for _ in range(64)]
    for thread in callers:
        thread.start()
    kills = 0
    random.seed(14)
    while any(thread.is_alive() for thread in callers):
        time.sleep(random.uniform(0.2, 1.0))
        daemon.process.kill()
        daemon.process.wait()
        kills += 1
        subprocess.run(["umount", "-l", daemon.mount], check=False)
        daemon = Daemon(f"{folder}/chaos", CONFIG)
    daemon.end()
    print(f"{total} calls, {kills} kills of the daemon: {counts}; worst {max(late) * 1000:.0f} ms after the deadline")
    assert not wrong, wrong[:3]
    assert sum(counts.values()) == total and counts["yes"] and counts["no"], counts
    assert kills >= 1 and max(late) < 2
    gone(f"-m\x00{folder}/chaos/mnt\x00")
    eventually(lambda: not [pid for pid in processes("case $x in *good*") if pid != os.getpid()], "a job is left")


def main():
    mount, folder = sys.argv[1:3]
    names = sys.argv[3:]
    for test in (transparent, streams, gates, queue_is_full, killed, checks, chaos):
        if names and test.__name__ not in names:
            continue
        begin = time.monotonic()
        test(mount, folder)
        print(f"{test.__name__}: {time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
