// SPDX-License-Identifier: Apache-2.0
// The common part of docker_exec and docker_run: the way of the environment into the
// container, and the meaning of the client's exit codes and messages.
#pragma once

#include "argv.h"
#include "judge.h"

// Adds the options to ARGV that give the container the variables of the command. The
// variables go through a file that only the client can read, or as -e KEY=value if such a file
// cannot hold the value. The client's own environment in LAUNCH is always the daemon's, and
// never has a variable of the command: the client, and each program that it starts, acts on
// names of variables that nobody can list.
void docker_add_environment(struct argv *argv, const struct command *command,
                            struct launch *launch);

// Adds the options to ARGV that give the command of a new container the limits of RLIMITS, except
// for rlimit_as.
void docker_add_rlimits(struct argv *argv, const struct rlimits *rlimits);

// Adds the options to ARGV that give a new container the LIMITS. OTHERS: the number of processes
// there that are not the command's.
void docker_add_group_limits(struct argv *argv, const struct cgroup_limits *limits,
                             unsigned others);

// The clients hand arguments on as JSON, which replaces bytes that are not UTF-8 by U+FFFD.
// Returns 0, or -EINVAL with ERR set if COMMAND has such bytes.
int docker_check_text(const struct command *command, struct error *err);

// The messages of docker's and podman's clients.
extern const struct judge_table docker_table;

// The judge of both modes.
size_t docker_judge(const struct ending *ending, struct outcome *outcome);
