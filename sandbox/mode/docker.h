// SPDX-License-Identifier: Apache-2.0
// What docker_exec and docker_run share: how the environment reaches the
// container, and what the client's exit codes and messages mean.
#pragma once

#include "argv.h"
#include "judge.h"

// Adds to ARGV what gives the container the variables of the command. The client's own
// environment in LAUNCH becomes ours and nothing else, whatever the variables are called:
// the client, and each program that it starts, acts on names that nobody can list. They
// go through a file that only the client can read, and as -e KEY=value if such a file
// cannot say their value.
void docker_add_environment(struct argv *argv, const struct command *command,
                            struct launch *launch);

// The clients hand arguments on as JSON, which puts U+FFFD in the place of bytes that are not
// UTF-8. Returns 0, or -EINVAL with ERR set if COMMAND has such bytes.
int docker_check_text(const struct command *command, struct error *err);

// The messages of docker's and podman's clients.
extern const struct judge_table docker_table;

// The judge of both modes.
size_t docker_judge(const struct ending *ending, struct outcome *outcome);
