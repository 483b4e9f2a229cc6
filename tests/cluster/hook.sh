#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hook(1) as a gate in front of a pod. Without an agent there, only an explicit yes counts. With an
# agent, no cut of its connection and no death of the daemon becomes an allow. HOOK_CALLS is the
# number of calls (600).
# shellcheck source=tests/cluster/agents.sh
. "$(dirname "$0")/agents.sh"

: "${HOOK:?set it to the hook that is to be tested}"
export HOOK

test_only_an_explicit_yes_without_an_agent() {
    PYTHONPATH=$TESTS/hook:${PYTHONPATH:-} inside <<'PYTHON'
def gate(sandbox, *words):
    return subprocess.run([os.environ["HOOK"], "-m", daemon.mount, "-a", "claude", sandbox, *words],
                          input=b'{"hook_event_name":"PreToolUse"}', capture_output=True, timeout=60)


config = HEAD + "[sidecar]\n[raw]\nagent = no\n"
with Daemon(folder, config) as daemon:
    connected(daemon, 2)
    for sandbox, words, code, text in (
        ("raw", ("true",), 2, b"only an explicit yes"),
        ("raw", ("echo", "{}"), 2, b"only an explicit yes"),
        ("raw", ("echo", '{"allow":true}'), 0, b""),
        ("raw", ("echo", '{"allow":false,"reason":"not so"}'), 2, b"not so"),
        ("raw", ("sh", "-c", "echo not so >&2; exit 2"), 2, b"not so"),
        ("sidecar", ("true",), 0, b""),
        ("sidecar", ("sh", "-c", "kill -9 $$"), 2, b"signaled"),
    ):
        done = gate(sandbox, *words)
        assert done.returncode == code and text in done.stderr, (sandbox, words, done)
PYTHON
}

test_cuts_and_kills_are_no_allow() {
    inside "${HOOK_CALLS:-600}" <<'PYTHON'
import collections, json, random
total, chance, lock = int(sys.argv[2]), random.Random(14), threading.Lock()
tickets, tally = iter(range(total)), collections.Counter()
SCRIPT = "read x; case $x in *good*) echo '{\"allow\":true}';; *) echo '{\"allow\":false,\"reason\":\"bad\"}';; esac"


def caller():
    while True:
        with lock:
            i = next(tickets, None)
        if i is None:
            return
        word = "good" if i % 2 else "bad"
        # Half of the calls ask for the exit code only: there a false 0 would be seen.
        script = SCRIPT if i % 4 < 2 else "read x; case $x in *good*) exit 0;; *) sleep 0.05; echo bad >&2; exit 2;; esac"
        began = time.monotonic()
        done = subprocess.run([os.environ["HOOK"], "-m", f"{folder}/mnt", "-a", "claude", "-t", "20s", "sidecar", "sh", "-c", script],
                              input=json.dumps({"hook_event_name": "PreToolUse", "x": word}).encode() + b"\n",
                              capture_output=True, timeout=60)
        assert time.monotonic() - began < 25, "late"
        if done.returncode == 0:
            assert word == "good", f"an allow that nobody gave: {done}"
            tally["yes"] += 1
        else:
            assert done.returncode == 2 and not done.stdout, done
            tally["no" if b"bad" in done.stderr else "failure"] += 1
            assert word == "bad" or b"hook: " in done.stderr, done


def cut():
    while sum(tally.values()) < total - 20:
        time.sleep(chance.random() * 0.3)
        fault("cut-now", chance.choice(("close", "fin", "rst")))
        tally_cuts.append(1)
    fault("cut-now")


def kill():
    while sum(tally.values()) < total - 100:
        time.sleep(0.5 + chance.random() * 2)
        daemons[-1].process.kill()
        daemons[-1].process.wait()
        daemons.append(Daemon(folder, CONFIG))


CONFIG = HEAD + "[sidecar]\n"
tally_cuts = []
daemons = [Daemon(folder, CONFIG)]
connected(daemons[0], 2)
side_by_side(cut, kill, *[caller] * 64)
with daemons[-1]:
    assert sum(tally.values()) == total and tally["yes"] and tally["no"] and tally["failure"], tally
    assert len(daemons) > 1, "the daemon was not killed"
    eventually(lambda: not jobs(), "a job is left")
    os.write(3, f"# {total} calls, {len(tally_cuts)} cuts, {len(daemons) - 1} kills: {dict(tally)}\n".encode())
PYTHON
}

run_tests
