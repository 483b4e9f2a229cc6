// SPDX-License-Identifier: Apache-2.0
// The meaning of kubectl's exit codes and messages.
#pragma once

#include "judge.h"

// The messages of kubectl when kubectl itself failed, and the text on the streams of a command
// for which kubectl reports an exit code.
extern const struct judge_table kubectl_table;
extern const struct judge_table kubectl_exit_table;

// The operations of the mode.
size_t kubectl_held_back(const char *err, size_t length);
size_t kubectl_judge(const struct ending *ending, struct outcome *outcome);
