// SPDX-License-Identifier: Apache-2.0
// What docker_exec and docker_run share: how the environment reaches the
// container, and what the client's exit codes and messages mean.
#pragma once

#include "argv.h"
#include "mode.h"

// Adds -e KEY for each variable of the command to ARGV, and its value to the
// client's environment in LAUNCH, which becomes ours and those. A variable that
// the client itself would act on is passed as -e KEY=value instead.
void docker_add_environment(struct argv *argv, const struct command *command,
                            struct launch *launch);

// The judge of both modes.
size_t docker_judge(const struct ending *ending, struct outcome *outcome);
