// SPDX-License-Identifier: Apache-2.0
// The two commands that do not serve a mount: --check and --show-argv. Each prints its result
// for a person and returns the exit code.
#pragma once

#include "config.h"

int command_check(const char *path);
int command_show_argv(const char *path, const char *name, char *const *words);

// Loads the configuration at PATH, and asks the user database, which may block. Returns NULL when
// there are errors, which are printed on stderr.
struct config *command_load(const char *path);

// Reports PROBLEMS, as config_load leaves them, on stderr, or in the log when TO_LOG.
void command_report(const struct buffer *problems, bool to_log);
