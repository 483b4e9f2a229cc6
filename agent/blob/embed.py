#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the agents as bytes into blob.c. Usage: embed.py OUTPUT {MACHINE FILE}..."""

import sys

output, words = sys.argv[1], sys.argv[2:]
agents = list(zip(words[0::2], words[1::2]))

lines = ["// Written by agent/embed.py.", '#include "blob.h"', ""]
for number, (_, path) in enumerate(agents):
    with open(path, "rb") as file:
        content = file.read()
    lines.append(f"static const unsigned char bytes_{number}[] = {{")
    lines += [",".join(map(str, content[at : at + 32])) + "," for at in range(0, len(content), 32)]
    lines += ["};", ""]
lines.append("const struct agent_blob agent_blobs[] = {")
for number, (machine, _) in enumerate(agents):
    lines.append(f'    {{"{machine}", (const char *)bytes_{number}, sizeof bytes_{number}}},')
lines += ["};", "", "const size_t agent_blobs_count = sizeof agent_blobs / sizeof agent_blobs[0];", ""]

with open(output, "w") as file:
    file.write("\n".join(lines))
