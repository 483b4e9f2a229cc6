#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A policy hook for agents: denies shell commands that destroy or leak.

usage: deny-dangerous.py < EVENT

The event is the JSON of any agent that hook(1) knows. The hook looks at every string of the
tool's input. The answer is {"allow":true} or {"allow":false,"reason":...}, and hook(1) gives it to
the agent in the agent's own form. For an event that is no JSON there is no verdict: exit code 1.

This is an example of a policy, made of patterns: a hostile author of commands gets around it.
"""

import json
import re
import sys

DENIED = [
    (r"\brm\s+(-\S+\s+)*-\S*[rR]\S*\s+(\S+\s+)*(/|~|\$HOME|\.\.)(\s|/?\*|/?$)", "removes a whole tree"),
    (r"\bmkfs(\.\w+)?\b|\bwipefs\b", "formats a device"),
    (r"\bdd\b.*\bof=/dev/(?!null\b)", "writes to a device"),
    (r">\s*/dev/(sd|nvme|vd|mmcblk)", "writes to a device"),
    (r"\b(curl|wget)\b[^|;&]*\|\s*(sudo\s+)?(ba|z|da)?sh\b", "runs what it downloads"),
    (r":\s*\(\s*\)\s*\{.*:\s*\|\s*:", "is a fork bomb"),
    (r"\bchmod\s+(-\S+\s+)*-?R?\s*0?777\s+/(\s|$)", "opens the whole system"),
    (r"\bgit\s+push\b.*(\s--force\b|\s-f\b)", "rewrites what others have"),
    (r"\b(cat|less|cp|scp|curl)\b.*(/\.ssh/id_|/\.aws/credentials|/etc/shadow)", "reads secrets"),
    (r"\b(shutdown|reboot|halt|poweroff)\b", "stops the machine"),
]

# The members in which agents put the input of a tool.
INPUTS = ("tool_input", "toolInput", "toolArgs", "tool_args", "args", "input", "command")


def strings(value):
    if isinstance(value, str):
        yield value
        if value.lstrip().startswith("{"):  # Copilot CLI: JSON in a string
            try:
                yield from strings(json.loads(value))
            except ValueError:
                pass
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def main():
    try:
        event = json.load(sys.stdin)
        if not isinstance(event, dict):
            raise ValueError("no object")
    except ValueError as error:
        print(f"deny-dangerous: the event is no JSON: {error}", file=sys.stderr)
        return 1
    for text in strings([event.get(name) for name in INPUTS]):
        for pattern, reason in DENIED:
            if re.search(pattern, text, re.DOTALL):
                print(json.dumps({"allow": False, "reason": f"denied by policy: the command {reason}"}))
                return 0
    print('{"allow":true}')
    return 0


if __name__ == "__main__":
    sys.exit(main())
