// SPDX-License-Identifier: Apache-2.0
// The command line of hooksfs(8).
#pragma once

#include <stdbool.h>

enum options_action { ACTION_SERVE, ACTION_CHECK, ACTION_SHOW_ARGV, ACTION_EXIT };

enum { EXIT_USAGE = 2 };

struct options {
    enum options_action action;
    int exit_code; // for ACTION_EXIT
    const char *config;
    const char *mountpoint;
    bool stays_in_foreground;
    unsigned debug_modules; // bits of enum debug_module
    char *mount_options;    // owned; separated by commas; NULL: none
    bool is_remount;        // an existing mount gets these options
    const char *sandbox;    // for ACTION_SHOW_ARGV
    char *const *words;     // likewise: the command, NULL-terminated
};

// Reads the command line. For a wrong command line, and for --help and --version, it prints the
// message and sets ACTION_EXIT.
void options_parse(int argc, char **argv, struct options *options);
