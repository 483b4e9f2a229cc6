// SPDX-License-Identifier: Apache-2.0
// A line of `standby` in the configuration: the command line of processes that are started
// before a request asks for them.
#pragma once

#include "config.h"
#include "request.h"

enum {
    STANDBY_MAX_LINES = 32, // of a sandbox
    STANDBY_MAX_COUNT = 64, // of each line
};

// The bytes that open the gate of a command that standby_line_gate has wrapped.
#define STANDBY_GATE_KEY "go\n"

// The first bytes on stdout, in front of the bytes of the command.
#define STANDBY_GATE_GREETING "hooksfs standby\n"

// Fills in REQUEST, which is all zero, for LINE. Returns 0, or -EINVAL, -E2BIG or -ENOMEM with
// ERR set.
int standby_line_parse(const char *line, struct request *request, struct error *err);

// Wraps the command of REQUEST in a shell that keeps the end of stdin from the command. Stdin
// must begin with STANDBY_GATE_KEY, which the command does not see. If stdin ends without the
// key, because the client or the connection is gone, the shell kills the command. Before the
// shell starts the command, it writes STANDBY_GATE_GREETING to stdout. Returns 0, or -ENOMEM
// with ERR set.
int standby_line_gate(struct request *request, struct error *err);

// For mode_keys.check_common: are the lines of CONFIG right?
int standby_line_check(const struct sandbox_config *config, const char **key, struct error *err);
