# SPDX-License-Identifier: Apache-2.0
"""Real agents with hook(1) in front of a hook: allow runs the tool; deny, and every failure, does
not, and the reason reaches the model.

usage: run.py examples|git|codex|gemini FOLDER MOUNT [PACKAGE-FOLDER]

MOUNT has the sandboxes `local` and `gate`. FOLDER/bin has `hook`, and is the first of PATH."""

import concurrent.futures
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
folder, mount = sys.argv[2:4]
os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
os.environ["HOOKSFS_MOUNT"] = mount


def cases(agent, place=mount, dead=None, stopped=None):
    """(the hook's command line, whether the tool may run, words of the reason)"""
    hook = f"hook -m {place} -a {agent}"
    yield f"{hook} local true", True, ""
    yield f"{hook} local echo '{{\"allow\":true}}'", True, ""
    yield f"{hook} local sh -c 'echo not so >&2; exit 2'", False, "not so"
    yield f"{hook} local echo '{{\"decision\":\"deny\",\"reason\":\"not so\"}}'", False, "not so"
    yield f"{hook} local echo '{{\"hookSpecificOutput\":{{\"permissionDecision\":\"deny\",\"permissionDecisionReason\":\"not so\"}}}}'", False, "not so"
    yield f"{hook} local sh -c 'echo null >&2; exit 2'", False, "null"
    yield f"{hook} local sh -c 'exit 2'", False, "exited with 2"
    yield f"{hook} local sh -c 'exit 1'", False, "exited with 1"
    yield f"{hook} local sh -c 'exit 126'", False, "exited with 126"
    yield f"{hook} local /nonexistent", False, "unstarted"
    yield f"{hook} local sh -c 'kill -9 $$'", False, "signaled"
    yield f"{hook} -t 500ms local sleep 30", False, "timeout"
    yield f"{hook} local echo '{{\"allow\":tr'", False, "JSON"
    yield f"{hook} local echo 'text {{\"allow\":true}}'", False, "JSON"
    yield f"{hook} local sh -c 'sleep 30 & exit 1'", False, "exited with 1"
    yield f"{hook} nowhere true", False, "no such sandbox"
    yield f"{hook} --nonsense local true", False, "--nonsense"
    if dead:
        yield f"hook -m {dead} -a {agent} local true", False, "daemon is gone"
        yield f"hook -m {stopped} -t 500ms -a {agent} local true", False, "timeout"


def check(results):
    wrong = [f"{case}: {result}" for case, result in results if result is not None]
    assert not wrong, "\n".join(wrong)
    assert results
    print(f"{len(results)} cases")


def judge(case, ran, text):
    command, may_run, words = case
    if ran != may_run or (not may_run and words not in text):
        return f"ran {ran}, and the model was told {text!r}"
    return None


def run_gemini(packages):
    every = list(cases("gemini", dead=f"{folder}/dead", stopped=f"{folder}/stopped"))
    done = subprocess.run(
        ["node", os.path.join(os.path.dirname(os.path.abspath(__file__)), "gemini.mjs"), packages],
        input="".join(json.dumps({"command": command}) + "\n" for command, _, _ in every).encode(),
        capture_output=True, timeout=200,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith('{"ran"')]
    assert len(answers) == len(every), done
    check([(case, judge(case, answer["ran"], answer["text"])) for case, answer in zip(every, answers)])


def run_codex_cases(packages):
    from codex import run_codex

    program = glob.glob(f"{packages}/node_modules/@openai/codex-*/vendor/*/bin/codex") + glob.glob(
        f"{packages}/node_modules/@openai/codex/vendor/*/*/codex"
    )
    every = list(cases("codex", dead=f"{folder}/dead", stopped=f"{folder}/stopped"))
    if not os.environ.get("HOOK_FULL"):  # each takes seconds
        every = [case for i, case in enumerate(every) if i in (0, 2, 3, 6, 7, 10, 11, 12, 17, 18)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda case: (case, judge(case, *run_codex(program[0], case[0]))), every))
    check(results)


def run_git():
    work = f"{folder}/repository"
    git = ["git", "-C", work, "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", f"core.hooksPath={folder}/hooks"]
    subprocess.run(["git", "init", "-q", work], check=True)
    os.makedirs(f"{folder}/hooks", exist_ok=True)
    results = []
    every = list(cases("git", dead=f"{folder}/dead", stopped=f"{folder}/stopped"))
    for i, (command, may_run, words) in enumerate(every):
        with open(f"{folder}/hooks/pre-commit", "w") as file:
            file.write(f"#!/bin/sh\n{command}\n")
        os.chmod(f"{folder}/hooks/pre-commit", 0o755)
        done = subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", f"commit {i}"], capture_output=True, timeout=60)
        log = subprocess.run([*git, "log", "--format=%s"], capture_output=True).stdout.decode()
        results.append(((command, may_run, words), judge((command, may_run, words), f"commit {i}\n" in log, done.stderr.decode())))
    check(results)
    # The example: a commit with an error in its white space.
    with open(os.path.join(ROOT, "examples/agents/git-pre-commit")) as file, open(f"{folder}/hooks/pre-commit", "w") as copy:
        copy.write(file.read())
    for text, is_good in (("good\n", True), ("bad \n", False)):
        with open(f"{work}/file", "w") as file:
            file.write(text)
        subprocess.run([*git, "add", "file"], check=True)
        done = subprocess.run([*git, "commit", "-q", "-m", text], capture_output=True, timeout=60)
        assert (done.returncode == 0) == is_good, done


def commands(name, text):
    """The command lines in an example, each with the event it is for."""
    if name.endswith(".json"):
        for event, entries in json.loads(text)["hooks"].items():
            for entry in entries:
                for hook in entry.get("hooks", [entry]):
                    yield event, hook.get("command") or hook["bash"]
    elif name.endswith(".toml"):
        for hook in tomllib.loads(text)["hooks"]:
            yield hook["event"], hook["command"]
    elif "promptkit" in name:
        for arguments in re.findall(r"args: \[(.*)\]", text):
            if "deny-dangerous" in arguments:
                yield "", "hook " + arguments.replace(",", "")
    else:
        yield "pre_tool_call", re.search(r"command: (.*)", text).group(1)


def run_examples():
    """Each configuration names a command that denies what it should, in its agent's form."""
    count = 0
    for path in sorted(glob.glob(os.path.join(ROOT, "examples/agents/*"))):
        name = os.path.basename(path)
        if name in ("deny-dangerous.py", "hooksfs.conf", "git-pre-commit"):
            continue
        with open(path) as file:
            every = list(commands(name, file.read()))
        assert every, name
        for event, command in every:
            for words, is_allowed in (("ls -l", True), ("rm -rf /", False), ("curl http://x | sh", False), ("sudo dd if=x of=/dev/sda", False)):
                payload = {"hook_event_name": event, "tool_name": "shell", "tool_input": {"command": words}, "command": words}
                done = subprocess.run(["sh", "-c", command], input=json.dumps(payload).encode(), capture_output=True, timeout=30)
                text = (done.stdout + done.stderr).decode()
                denies = "denied by policy" in text and (done.returncode == 2 or '"allow":false' in text)
                assert denies != is_allowed and (done.returncode == 0 or not is_allowed), (name, words, done)
                count += 1
    print(f"{count} calls of {len(glob.glob(os.path.join(ROOT, 'examples/agents/*')))} files")


def main():
    what = sys.argv[1]
    if what == "examples":
        run_examples()
    elif what == "git":
        run_git()
    elif what == "codex":
        run_codex_cases(sys.argv[4])
    else:
        run_gemini(sys.argv[4])


if __name__ == "__main__":
    main()
