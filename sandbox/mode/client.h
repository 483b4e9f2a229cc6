// SPDX-License-Identifier: Apache-2.0
// Reading what clients of container platforms say on stderr when a command did
// not run, or they themselves failed.
#pragma once

#include "mode.h"

// The last line of TEXT that has more than blanks; its length in *LENGTH, 0
// when there is none.
const char *client_last_line(const char *text, size_t size, size_t *length);

// Does TEXT, SIZE bytes, contain, or begin with, WHAT?
bool client_contains(const char *text, size_t size, const char *what);
bool client_begins(const char *text, size_t size, const char *what);

// When LINE is how a container runtime (runc, crun, and what wraps them) says
// that it was in the container but could not execute the command:
// CODE_NOT_FOUND or CODE_NOT_EXECUTABLE. Otherwise 0.
int client_exec_failure(const char *line, size_t length);

// The same for ERR, all that was written to stderr, when it is the one line that
// runc's init leaves there after it has become the command's process and its
// last step failed (exec format error, say). It ends with 1 or 255 then.
int client_exec_report(const char *err, size_t size);

// Sets OUTCOME for a client that failed by itself: unstarted when its message
// LINE is such a failure, otherwise unreachable. CLIENT is its name.
void client_judge_failure(const char *client, const struct ending *ending, const char *line,
                          size_t length, struct outcome *outcome);
