# SPDX-License-Identifier: Apache-2.0
"""Places that are not there, hang or die, and every kind of stdin, with each agent and each
--on-failure. Whatever happens, hook answers within its deadline, and nothing of it stays."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from hooks import AGENTS, HOOK, Cells, Standin, answer, run_hook
from table import ALLOW, BLOCKS, DENY, FAILURE, NO, REASON, TABLE, YES, cell, differs, payload, wanted

FIRST = {agent: next(event for name, event in TABLE if name == agent and event != "Stop") for agent in AGENTS}
SLACK = 5  # seconds: generous, since the machine may be busy, and a sanitizer is slow
FEWER = bool(os.environ.get("HOOK_FEWER"))
late = []


def timed(place, agent, passes, command, reason, limit_ms, stdin=None, kind=FAILURE):
    """A cell that takes about as long as its deadline, and never much longer."""
    begin = time.monotonic()
    wrong = cell(place, agent, FIRST[agent], passes, command, kind, reason, stdin=stdin, more=("-t", f"{limit_ms}ms"))
    late.append(time.monotonic() - begin - limit_ms / 1000)
    if late[-1] > SLACK:
        return f"{agent} {place}: {late[-1]:.2f} s after its deadline"
    return wrong


def never_ending(data):
    """A pipe with DATA in it that nobody closes."""
    read, write = os.pipe()
    if data:
        os.write(write, data)
    return read, write


def endless(place, agent, passes, command):
    read, write = never_ending(payload(FIRST[agent]))
    try:
        return timed(place, agent, passes, command, b"stdin did not end in time", 300, stdin=read)
    finally:
        os.close(read)
        os.close(write)


def wrong_option(standin, agent, passes, options):
    arguments = ["-m", standin.mount, *options, "-a", agent, *(["--on-failure=pass"] if passes else []), "local", "empty"]
    result = run_hook(arguments, payload(FIRST[agent]))
    kind, code, out, err = wanted(agent, FIRST[agent], passes, FAILURE, b"--", b"")
    return f"{options} {agent}: {result}" if differs(result, kind, b"--", code, out, err) else None


def no_mount(agent, passes):
    environment = {"HOOKSFS_MOUNT": "/nonexistent/mount"}
    arguments = ["-a", agent, *(["--on-failure=pass"] if passes else []), "local", "x"]
    result = run_hook(arguments, payload(FIRST[agent]), environment)
    kind, code, out, err = wanted(agent, FIRST[agent], passes, FAILURE, b"unreachable", b"")
    return f"no mount {agent}: {result}" if differs(result, kind, b"unreachable", code, out, err) else None


def places(folder):
    with Standin(folder, "places") as standin, Standin(folder, "stopped") as stopped, Standin(folder, "dead") as dead:
        standin.put("empty", answer("0 exited", ALLOW))
        standin.put("never", answer(None, ALLOW))
        standin.put("never", b"", ".hang")
        standin.put("cut", answer(None, ALLOW))
        standin.put("cut", b"103", ".error")
        os.kill(stopped.process.pid, signal.SIGSTOP)
        dead.kill()
        cells = Cells(16)
        for agent in AGENTS:
            for passes in (False, True):
                for name in ("open", "write", "end", "read"):
                    # The end is a call of its own only when stdin is long.
                    stdin = payload(FIRST[agent]) + b" " * (100_000 if name == "end" else 0)
                    cells.add(timed, ("-m", standin.mount, f"hang-{name}"), agent, passes, "empty", b"timeout", 300, stdin)
                cells.add(timed, ("-m", standin.mount, "local"), agent, passes, "never", b"timeout", 300)
                cells.add(timed, ("-m", stopped.mount, "local"), agent, passes, "empty", b"timeout", 300)
                cells.add(endless, ("-m", standin.mount, "local"), agent, passes, "empty")
                for sandbox, reason in (
                    ("absent", b"no such sandbox"), ("open-13", b"no permission"), ("open-1", b"no permission"),
                    ("open-107", b"the daemon is gone"), ("open-11", b"unreachable"), ("open-108", b"unreachable"),
                ):  # fmt: skip
                    cells.add(cell, ("-m", standin.mount, sandbox), agent, FIRST[agent], passes, "empty", FAILURE, reason)
                cells.add(cell, ("-m", standin.mount, "local"), agent, FIRST[agent], passes, "cut", FAILURE, b"unreachable")
                cells.add(cell, ("-m", dead.mount, "local"), agent, FIRST[agent], passes, "empty", FAILURE, b"the daemon is gone")
                cells.add(no_mount, agent, passes)
                for options in (["--nonsense"], ["-t", "--"], ["--timeout=--"], ["--verdict=--"], ["-e", "--"], ["-C", "--"], ["-m"]):
                    cells.add(wrong_option, standin, agent, passes, options if options != ["-m"] else ["--check=--"])
        cells.finish("places and options")
        late.sort()
        print(f"after the deadline: median {late[len(late) // 2] * 1000:.0f} ms, worst {late[-1] * 1000:.0f} ms")
        assert FEWER or late[len(late) // 2] < 0.5, "hook answers late"


def dies_in_mid_answer(folder):
    """The daemon is killed when half of an allow has been read."""
    cells = Cells(4)

    def once(agent, passes):
        with Standin(folder, f"dies-{agent}-{passes}") as standin:
            standin.put("half", answer(None, ALLOW))
            standin.put("half", b"", ".die")
            return cell(("-m", standin.mount, "local"), agent, FIRST[agent], passes, "half", FAILURE, b"unreachable")

    for agent in AGENTS:
        for passes in (False, True):
            cells.add(once, agent, passes)
    cells.finish("killed in mid-answer")


def stdins(folder):
    with Standin(folder, "stdins") as standin, tempfile.TemporaryFile() as large:
        place = ("-m", standin.mount, "local")
        standin.put("yes", answer("0 exited", ALLOW))
        standin.put("no", answer("0 exited", DENY))
        standin.put("big", answer("0 exited", b'{"allow":true,"x":"' + b"x" * 10_000_000 + b'"}'))
        standin.put("big-cut", answer("0 exited", b'{"allow":true,"x":"' + b"x" * 10_000_000))
        standin.put("big-two", answer("0 exited", b'{"allow":true,"x":"' + b"x" * 10_000_000 + b'"}{"allow":false}'))
        standin.put("err", answer("2 exited", b"", b"not here" + b" " * 1_000_000))
        cells = Cells(4)
        for agent in AGENTS:
            event = FIRST[agent]
            for passes in (False,) if FEWER else (False, True):
                for what, kind, reason, out in (("yes", YES, b"", ALLOW), ("no", NO, REASON, DENY)):
                    # Without a name it is an event that is not known.
                    unknown = {"claude": "Unheard", "cursor": "preToolUse", "gemini": "BeforeTool"}.get(agent, event)
                    for stdin in (b"", b"no json", b'{"a":', b"\0\xff" * 9, b"[1]", json.dumps({"hook_event_name": "Unheard"}).encode()):
                        cells.add(cell, place, agent, unknown, passes, what, kind, reason, out, stdin)
                    cells.add(cell, place, agent, event, passes, what, kind, reason, out, payload(event) + b" " * 100_000)
                cells.add(cell, place, agent, event, passes, "err", NO, REASON, b"")
                cells.add(cell, place, agent, event, passes, "big-cut", FAILURE, b"not one whole JSON object")
                cells.add(cell, place, agent, event, passes, "big-two", FAILURE, b"not one whole JSON object")
            big = b'{"allow":true,"x":"' + b"x" * 10_000_000 + b'"}'
            cells.add(cell, place, agent, event, False, "big", YES, b"", big)
        # 64 MiB, and the event at its very end.
        for agent in AGENTS[:2] if FEWER else AGENTS:
            name = f"{folder}/large-{agent}"
            with open(name, "wb") as file:
                file.write(b'{"x":"' + b"y" * (64 << 20) + b'",' + payload(FIRST[agent])[1:])
            cells.add(large_stdin, place, agent, name)
        cells.finish("stdin")


def large_stdin(place, agent, name):
    try:
        with open(name, "rb") as file:
            return cell(place, agent, FIRST[agent], False, "no", NO, REASON, DENY, file, ("-t", "60s"))
    finally:
        os.unlink(name)


def early(folder):
    """A verdict that comes before the end of stdin waits for it, and a no that is not waited for
    is no yes."""
    with Standin(folder, "early") as standin:
        standin.put("yes", answer("0 exited", ALLOW))
        standin.put("yes", b"", ".early")
        result = run_hook(["-m", standin.mount, "-a", "claude", "-t", "30s", "local", "yes"], b"x" * (4 << 20))
        assert (result.code, result.out, result.err) == (0, ALLOW, b""), result
        read, write = never_ending(b"x" * 60_000)
        result = run_hook(["-m", standin.mount, "-a", "claude", "-t", "400ms", "local", "yes"], read)
        assert result.code == 2 and b"stdin did not end" in result.err and not result.out, result
        os.close(read)
        os.close(write)


def stop_again(folder):
    """A Stop hook that has spoken once does not speak for ever, but for as long as it is asked
    for the first time."""
    with Standin(folder, "stop") as standin:
        standin.put("no", answer("0 exited", DENY))
        for agent, event in (("claude", "Stop"), ("codex", "SubagentStop"), ("gemini", "AfterAgent"), ("kimi", "Stop")):
            for again, code, err in ((False, 2, REASON + b"\n"), (True, 0, b"")):
                stdin = json.dumps({"hook_event_name": event, "stop_hook_active": again}).encode()
                result = run_hook(["-m", standin.mount, "-a", agent, "local", "no"], stdin)
                assert (result.code, result.err, result.out) == (code, err, b""), (agent, again, result)
        # --event counts where stdin does not tell, and only there.
        result = run_hook(["-m", standin.mount, "-a", "copilot", "--event=agentStop", "local", "no"], b"{}")
        assert (result.code, result.out) == (0, b'{"decision":"block","reason":"not here"}\n'), result
        result = run_hook(["-m", standin.mount, "-a", "copilot", "--event=agentStop", "local", "no"], payload("preToolUse"))
        assert result.code == 2, result


def hears(pid, number):
    """Waits until the process handles the signal: it has to load first."""
    while True:
        with open(f"/proc/{pid}/status") as file:
            caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt:"))
        if caught & 1 << (number - 1):
            return
        time.sleep(0.005)


def signals(folder):
    """SIGTERM and its like end a gate at once with a no, and a command as they would end it. A
    reader who has gone ends both. Nothing of either stays."""
    with Standin(folder, "signals") as standin:
        standin.put("never", b"")
        standin.put("never", b"", ".hang")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            for agent in (*AGENTS, None):
                arguments = [HOOK, "-m", standin.mount, *(["-a", agent] if agent else []), "local", "never"]
                process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                hears(process.pid, number)
                process.send_signal(number)
                out, err = process.communicate(timeout=20)
                if agent is None:
                    assert (process.returncode, out, err) == (-number, b"", b""), (process.returncode, out, err)
                    continue
                _, _, block, _ = TABLE[agent, FIRST[agent]]
                code = block(b"")[0]
                assert process.returncode == code and b"ended by SIG" in out + err, (agent, process.returncode, out, err)
        for agent in (*AGENTS, None):
            read, write = os.pipe()
            arguments = [HOOK, "-m", standin.mount, *(["-a", agent] if agent else []), "local", "never"]
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.DEVNULL)
            os.close(write)
            time.sleep(0.05)
            assert process.poll() is None
            os.close(read)
            code = process.wait(20)
            assert code == (-signal.SIGPIPE if agent is None else code) and code != 0 or agent == "promptkit", (agent, code)


def left(folder):
    """The child that waits in the kernel has none of the caller's descriptors."""
    with Standin(folder, "left") as standin:
        read, write = os.pipe()
        begin = time.monotonic()
        process = subprocess.Popen(
            [HOOK, "-m", standin.mount, "-a", "codex", "-t", "300ms", "hang-open", "x"],
            stdin=subprocess.DEVNULL, stdout=write, stderr=write, pass_fds=[write],
        )  # fmt: skip
        os.close(write)
        with os.fdopen(read, "rb") as file:
            text = file.read()  # ends when every copy is closed
        assert process.wait(20) == 2 and b"timeout" in text, text
        assert time.monotonic() - begin < 10


def closed(folder):
    """Standard descriptors that are closed: empty stdin; output that nobody gets is no success."""
    with Standin(folder, "closed") as standin:
        standin.put("yes", answer("0 exited", ALLOW))
        for agent in (None, "claude", "git"):
            arguments = [HOOK, "-m", standin.mount, *(["-a", agent] if agent else []), "local", "yes"]
            for which in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
                done = subprocess.run(["sh", "-c", f'exec "$@" {which}', "sh", *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
                is_heard = ">&-" not in which.replace("2>&-", "") or agent == "git"
                assert (done.returncode == 0) == is_heard, (agent, which, done)


def main():
    folder = sys.argv[1]
    for test in (places, dies_in_mid_answer, stdins, early, stop_again, signals, left, closed):
        begin = time.monotonic()
        test(folder)
        print(f"{test.__name__}: {time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
