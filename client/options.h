// SPDX-License-Identifier: Apache-2.0
// The command line of hook(1).
#pragma once

#include "gate.h"

#include <stdbool.h>
#include <stdint.h>

enum options_action { ACTION_RUN, ACTION_CHECK, ACTION_SELF_TEST, ACTION_HELP, ACTION_VERSION };

enum { OPTIONS_MAX_ERROR = 256 };

struct options {
    enum options_action action;
    const char *mount;               // NULL: not given
    uint64_t timeout_ms;             // 0: not given
    const char *workdir;             // NULL: not given
    const struct protocol *protocol; // NULL: transparent
    const char *event;               // NULL: not given
    enum gate_rule rule;
    bool passes;
    const char **variables; // owned array: NAME=value or NAME of -e, in order
    int variable_count;
    const char *sandbox;           // NULL: not given
    char **words;                  // NAME=value, command and arguments, ends with NULL
    char error[OPTIONS_MAX_ERROR]; // what is wrong; empty: nothing
};

// Reads the ARGC words of ARGV. All that can be read is read in spite of an error, so that also
// that can be said in the agent's form: the protocol is set if any -a names one. OPTIONS keeps
// pointers into ARGV.
void options_read(struct options *options, int argc, char **argv);

void options_finish(struct options *options);

// "500ms", "2s", "1m", "1h" or "1d" to milliseconds. Returns 0 or -EINVAL.
int options_parse_time(const char *text, uint64_t *ms);
