// SPDX-License-Identifier: Apache-2.0
// The two commands that serve nothing: --check and --show-argv. Each prints for
// a person and returns the exit code.
#pragma once

#include "config.h"

int command_check(const char *path);
int command_show_argv(const char *path, const char *name, char *const *words);

// Loads the configuration at PATH; NULL when there are errors, which are printed
// on stderr, or in the log when TO_LOG.
struct config *command_load(const char *path, bool to_log);
