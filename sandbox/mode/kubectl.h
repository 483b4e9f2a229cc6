// SPDX-License-Identifier: Apache-2.0
// What kubectl's exit codes and messages mean.
#pragma once

#include "judge.h"

// The messages of a kubectl that failed itself, and the text on the streams of a command
// for which kubectl reports an exit code.
extern const struct judge_table kubectl_table;
extern const struct judge_table kubectl_exit_table;

// The operations of the mode.
size_t kubectl_held_back(const char *err, size_t length);
size_t kubectl_judge(const struct ending *ending, struct outcome *outcome);
