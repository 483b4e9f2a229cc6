# SPDX-License-Identifier: Apache-2.0
"""Each outcome of a hook, with each agent and each --on-failure: exit code, stdout and stderr are
compared with the table below. It is written from the agents' documentation as hook(1) tells it,
not from client/protocol.c, so that a slip in one of the two shows."""

import json
import os
import sys

from hooks import AGENTS, Cells, Standin, answer, frame, run_hook

# --- The forms in which agents are told: a function from the reason to (code, stdout, stderr)


def quiet(reason):
    return 0, b"", b""


def says(code):
    return lambda reason: (code, b"", reason + b"\n")


def json_out(code, text, err=False):
    """TEXT on stdout, with the reason in place of "@"."""

    def form(reason):
        out = text.replace("@", json.dumps(reason.decode(), ensure_ascii=False)).encode() + b"\n"
        return code, out, reason + b"\n" if err else b""

    return form


CLAUDE_DENY = (
    '{"hookSpecificOutput":{"hookEventName":"PermissionRequest",'
    '"decision":{"behavior":"deny","message":@}}}'
)
CURSOR_DENY = json_out(2, '{"permission":"deny","user_message":@,"agent_message":@}', err=True)
CURSOR_ALLOW = json_out(0, '{"permission":"allow"}')
CURSOR_STOP = json_out(0, '{"continue":false,"user_message":@}')
CURSOR_GO_ON = json_out(0, '{"continue":true}')
COPILOT_DENY = json_out(2, '{"permissionDecision":"deny","permissionDecisionReason":@}', err=True)
KIT_ALLOW = json_out(0, '{"allow":true}')
KIT_DENY = json_out(0, '{"allow":false,"reason":@}')
STOP = (quiet, says(2), quiet, quiet)

# (agent, event): yes, no, a failure that blocks, a failure that passes
TABLE = {
    ("claude", "PreToolUse"): (quiet, says(2), says(2), says(1)),
    ("claude", "UserPromptSubmit"): (quiet, says(2), says(2), says(1)),
    ("claude", "PermissionRequest"): (quiet, json_out(0, CLAUDE_DENY), json_out(0, CLAUDE_DENY), quiet),
    ("claude", "Stop"): STOP,
    ("claude", "SubagentStop"): STOP,
    ("claude", "SessionStart"): STOP,
    ("claude", "Unheard"): (quiet, says(2), says(2), says(1)),
    ("codex", "PreToolUse"): (quiet, says(2), says(2), says(1)),
    ("codex", "PermissionRequest"): (quiet, says(2), says(2), says(1)),
    ("codex", "UserPromptSubmit"): (quiet, says(2), says(2), says(1)),
    ("codex", "Stop"): STOP,
    ("codex", "PostToolUse"): STOP,
    ("gemini", "BeforeTool"): (quiet, says(2), says(2), says(1)),
    ("gemini", "BeforeModel"): (quiet, says(2), says(2), says(1)),
    ("gemini", "AfterAgent"): STOP,
    ("gemini", "SessionEnd"): STOP,
    ("gemini", "AfterTool"): STOP,
    ("kimi", "PreToolUse"): (quiet, says(2), says(2), says(1)),
    ("kimi", "Stop"): STOP,
    ("cursor", "beforeShellExecution"): (CURSOR_ALLOW, CURSOR_DENY, CURSOR_DENY, CURSOR_ALLOW),
    ("cursor", "preToolUse"): (CURSOR_ALLOW, CURSOR_DENY, CURSOR_DENY, CURSOR_ALLOW),
    ("cursor", "beforeSubmitPrompt"): (CURSOR_GO_ON, CURSOR_STOP, CURSOR_STOP, CURSOR_GO_ON),
    ("cursor", "stop"): (
        json_out(0, "{}"),
        json_out(0, '{"followup_message":@}'),
        json_out(0, "{}"),
        json_out(0, "{}"),
    ),
    ("copilot", "preToolUse"): (quiet, COPILOT_DENY, COPILOT_DENY, quiet),
    ("copilot", "agentStop"): (quiet, json_out(0, '{"decision":"block","reason":@}'), quiet, quiet),
    ("copilot", "sessionStart"): STOP,
    ("hermes", "pre_tool_call"): (quiet, says(2), says(2), quiet),
    ("hermes", "on_session_start"): STOP,
    ("promptkit", ""): (KIT_ALLOW, KIT_DENY, KIT_DENY, KIT_ALLOW),
    ("git", ""): (quiet, says(1), says(1), says(0)),
    ("none", "PreToolUse"): (quiet, says(2), says(2), says(0)),
}
# Of these a hook's own JSON with a yes comes through, byte for byte.
HANDS_ON = {
    **{(agent, event): True for agent, event in TABLE if agent in ("claude", "gemini", "none")},
    ("kimi", "Stop"): True,
    ("cursor", "stop"): True,
    ("copilot", "sessionStart"): True,
    ("hermes", "on_session_start"): True,
}

# --- The outcomes of hooks: status, stdout, stderr, and how they are to be taken

YES, NO, FAILURE, BLOCKS = "yes", "no", "failure", "a failure that blocks always"
REASON = b"not here"
SPELLINGS = [
    {"decision": "deny", "reason": "not here"},
    {"decision": "block", "reason": "not here"},
    {"permissionDecision": "deny", "permissionDecisionReason": "not here"},
    {"permission": "deny", "agent_message": "not here"},
    {"allow": False, "reason": "not here"},
    {"action": "block", "message": "not here"},
    {"behavior": "deny", "message": "not here"},
    {"continue": False, "stopReason": "not here"},
    {"hookSpecificOutput": {"permissionDecision": "deny", "permissionDecisionReason": "not here"}},
    {"hookSpecificOutput": {"decision": {"behavior": "deny", "message": "not here"}}},
    {"allow": True, "decision": "deny", "reason": "not here", "more": [1, {"x": None}]},
]
ALLOW = b'{"allow":true}\n'
DENY = b'{"decision":"deny","reason":"not here"}'


def outcomes():
    """(name, status, stdout, stderr, what it is, words of the reason)"""
    yield "allow", "0 exited", ALLOW, b"", YES, b""
    yield "allow-and-stderr", "0 exited", ALLOW, b"a warning\n", YES, b""
    for i, spelling in enumerate(SPELLINGS):
        yield f"no-{i}", "0 exited", json.dumps(spelling).encode(), b"", NO, REASON
        yield f"no-{i}-with-1", "1 exited", json.dumps(spelling).encode(), b"", NO, REASON
    yield "no-on-stderr", "0 exited", b'{"decision":"deny"}', b"not here\n", NO, REASON
    yield "no-without-words", "0 exited", b'{"decision":"deny"}', b"", NO, b"denied by the hook, which gave no reason"
    yield "empty", "0 exited", b"", b"", "empty", b"it printed nothing"
    yield "blank", "0 exited", b" \r\n\t\n", b"", "empty", b"it printed nothing"
    yield "text", "0 exited", b"all is well\n", b"", "text", b"not one whole JSON object"
    yield "text-and-yes", "0 exited", b"well: " + ALLOW, b"", FAILURE, b"not one whole JSON object"
    yield "text-and-no", "0 exited", b"well: " + DENY, b"", FAILURE, b"not one whole JSON object"
    yield "two", "0 exited", ALLOW + ALLOW, b"", FAILURE, b"not one whole JSON object"
    yield "yes-and-no", "0 exited", ALLOW + DENY, b"", FAILURE, b"not one whole JSON object"
    yield "array", "0 exited", b'[{"allow":true}]', b"", FAILURE, b"no object"
    yield "utf8", "0 exited", b'{"allow":true,"x":"\xff\xfe"}', b"", FAILURE, b"not one whole JSON object"
    yield "nul", "0 exited", b'{"allow":true}\0', b"", FAILURE, b"not one whole JSON object"
    yield "twice", "0 exited", b'{"allow":true,"allow":false}', b"", FAILURE, b"not one whole JSON object"
    yield "unknown", "0 exited", b'{"decision":"perhaps"}', b"", FAILURE, b"neither yes nor no"
    yield "string", "0 exited", b'{"allow":"true"}', b"", FAILURE, b"neither yes nor no"
    yield "unconfirmed", "0 exited unconfirmed", b"", b"", FAILURE, b"only an explicit yes"
    yield "unconfirmed-object", "0 exited unconfirmed", b"{}", b"", FAILURE, b"only an explicit yes"
    yield "unconfirmed-cut", "0 exited unconfirmed", ALLOW[:-3], b"", FAILURE, b"not one whole JSON object"
    yield "unconfirmed-yes", "0 exited unconfirmed", ALLOW, b"", YES, b""
    yield "unconfirmed-no", "0 exited unconfirmed", DENY, b"", NO, REASON
    for code in (1, 3, 126, 127, 137, 255):
        yield f"{code}", f"{code} exited", b"", b"broken\n", "code", b"broken"
        yield f"{code}-quiet", f"{code} exited", b"", b"", "quiet code", f"it exited with {code}".encode()
        yield f"{code}-yes", f"{code} exited", ALLOW, b"broken\n", "code", b"broken"
    yield "2", "2 exited", b"", b" not here\n\n", NO, REASON
    # Gemini parses stderr as JSON when stdout is empty: such a reason would be an answer.
    for i, text in enumerate(('{"decision":"allow"}', "[]", '"x"', "null", "true", "7", "-1e999", "\ufeff{}", "\u00a0 {} \u2003")):
        kept = text.strip(" ").encode()
        yield f"2-json-{i}", "2 exited", b"", text.encode(), NO, b"denied: " + kept
        yield f"no-json-{i}", "0 exited", json.dumps({"allow": False, "reason": text}).encode(), b"", NO, b"denied: " + kept
    yield "2-yes", "2 exited", ALLOW, b"not here\n", NO, REASON
    yield "2-quiet", "2 exited", b"", b"", BLOCKS, b"it exited with 2"
    yield "2-quiet-yes", "2 exited", ALLOW, b" \n", BLOCKS, b"it exited with 2"
    for status in (
        "137 signaled KILL", "143 signaled TERM", "139 signaled SEGV", "124 timeout after 10s",
        "125 unreachable the pod is gone", "126 unstarted Permission denied",
        "127 unstarted No such file or directory", "130 cancelled", "141 overflow stdout exceeded 16M",
        "2 refused the sandbox does not allow it",
    ):  # fmt: skip
        name = status.replace(" ", "-").lower()
        detail = b": ".join(part.encode() for part in status.split(" ", 2)[1:])
        yield name, status, b"", b"", FAILURE, detail
        yield name + "-yes", status, ALLOW, b"words\n", FAILURE, detail


def raw_answers():
    """(name, bytes) of answers that are malformed: each is a failure."""
    good = answer("0 exited", ALLOW)
    yield "nothing", b""
    yield "no-status", answer(None, ALLOW)
    yield "trailing", good + b"x"
    yield "two-statuses", good + frame(3, b"0 exited\n")
    yield "plain", ALLOW
    yield "stream-4", frame(4, b"x") + good
    yield "stream-0", frame(0, b"x") + good
    yield "padding", b"\1\1\0\0\0\0\0\0" + good
    for status in (b"0 exited", b"0 exited\n\n", b"exited 0\n", b"0 timeout\n", b"256 exited\n", b" 0 exited\n", b"\n", b"0 exited\0\n"):
        yield "status-" + status.hex(), frame(1, ALLOW) + frame(3, status)


def wanted(agent, event, passes, kind, reason, out):
    """The cell of the table."""
    yes, no, block, passing = TABLE[agent, event]
    if agent == "git" and kind in ("code", "quiet code", BLOCKS):
        kind = NO
        reason = b"broken" if b"broken" in reason else b"denied: " + ALLOW.strip() if out else reason
    kind = {"code": FAILURE, "quiet code": FAILURE}.get(kind, kind)
    if kind == "empty":
        kind = FAILURE if agent == "promptkit" else YES
    if kind == "text":
        kind = YES if agent == "git" else FAILURE
    form = {YES: yes, NO: no, FAILURE: passing if passes else block, BLOCKS: block}[kind]
    code, stdout, stderr = form(reason)
    if kind == YES and out.strip().startswith(b"{"):
        if HANDS_ON.get((agent, event)):
            stdout = out
        elif agent == "promptkit" and b'"allow":true' in out:
            stdout = out
    return kind, code, stdout, stderr


def differs(result, kind, reason, code, stdout, stderr):
    """Compared exactly, but for a failure's reason: its beginning is ours, and REASON is in it."""
    if result.code != code:
        return True
    if kind == YES or kind == NO:
        return (result.out, result.err) != (stdout, stderr)
    for got, want in ((result.out, stdout), (result.err, stderr)):
        if reason not in want:
            if got != want:
                return True
            continue
        head, tail = want.split(reason, 1)[0], want.rsplit(reason, 1)[1]
        if not (got.startswith(head) and got.endswith(tail) and b"hook: " in got and reason in got):
            return True
    return False


def payload(event):
    return json.dumps({"session_id": "1", "hook_event_name": event, "tool_name": "Bash"} if event else {"hook": "x"}).encode()


def cell(place, agent, event, passes, command, kind, reason, out=b"", stdin=None, more=()):
    """Runs one, and says what is wrong."""
    arguments = [*place[:2], "-a", agent, *(["--on-failure=pass"] if passes else []), *more]
    result = run_hook([*arguments, place[2], command], payload(event) if stdin is None else stdin)
    kind, code, stdout, stderr = wanted(agent, event, passes, kind, reason, out)
    if differs(result, kind, reason, code, stdout, stderr):
        return f"{agent} {event} {'pass' if passes else 'block'} {command} {place}: {result}; wanted {kind}: {code} {stdout} {stderr}"
    return None


def main():
    folder = sys.argv[1]
    # With a sanitizer each call takes ten times as long: fewer events then.
    rows = sorted(TABLE) if not os.environ.get("HOOK_FEWER") else [row for row in sorted(TABLE) if row[1] in ("", "PreToolUse", "BeforeTool", "Stop", "preToolUse", "pre_tool_call", "PermissionRequest")]
    assert {agent for agent, event in rows} == set(AGENTS)
    cells = Cells()
    with Standin(folder) as standin:
        place = ("-m", standin.mount, "local")
        for name, status, out, err, kind, reason in outcomes():
            standin.put(name, answer(status, out, err))
            for agent, event in rows:
                for passes in (False, True):
                    cells.add(cell, place, agent, event, passes, name, kind, reason, out)
        for name, data in raw_answers():
            standin.put(name, data)
            for agent, event in rows:
                for passes in (False, True):
                    cells.add(cell, place, agent, event, passes, name, FAILURE, b"unreachable")
        for length in range(1, len(ALLOW) - 1):
            name = standin.put(f"cut-{length}", answer("0 exited", ALLOW[:length]))
            for agent, event in rows:
                cells.add(cell, place, agent, event, False, name, FAILURE, b"not one whole JSON object")
        for length in range(len(answer("0 exited", ALLOW))):
            name = standin.put(f"cut-frames-{length}", answer("0 exited", ALLOW)[:length])
            for agent in AGENTS:
                event = next(event for name_, event in rows if name_ == agent)
                cells.add(cell, place, agent, event, False, name, FAILURE, b"unreachable")
        cells.finish("the table of outcomes")


if __name__ == "__main__":
    main()
