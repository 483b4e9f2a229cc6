// SPDX-License-Identifier: Apache-2.0
// Reads the messages that clients of container platforms (docker, podman, kubectl) write when
// a command did not run, or when the client itself failed. Each family of clients has a table
// of rows, and the same code applies all tables. No row turns a failure into a success.
#pragma once

#include "mode.h"

// Where the text of a row is looked for.
enum judge_where {
    JUDGE_MESSAGE, // the message: the last line of stderr that is neither blank nor ignored
    JUDGE_LINE,    // any line of stderr; the last such line is the message then
    JUDGE_ALONE,   // the message, when stderr has nothing else but ignored lines
    JUDGE_HINT,    // the last line of stderr, which is only a hint: the message above counts
    JUDGE_STDOUT,  // the only line of stdout
};

// The exit codes of the client for which a row counts.
enum {
    JUDGE_1 = 1,
    JUDGE_2 = 2,
    JUDGE_OWN = 4, // 125 to 127, which docker and podman keep for their own errors
    JUDGE_255 = 8,
    JUDGE_OTHER = 16, // every other code but 0
    JUDGE_FAILURE = JUDGE_1 | JUDGE_2 | JUDGE_OWN | JUDGE_255 | JUDGE_OTHER,
};

enum judge_verdict {
    JUDGE_UNREACHABLE,    // the client failed, or lost the command
    JUDGE_NOT_EXECUTABLE, // unstarted, 126
    JUDGE_NOT_FOUND,      // unstarted, 127
    JUDGE_RUNTIME,        // unstarted if the text has such a message of the container
                          // runtime, see judge_runtime; otherwise unreachable
    JUDGE_COMMAND,        // the exit code is the command's own: exited
};

struct judge_row {
    enum judge_where where;
    unsigned codes;
    const char *text; // the beginning of the line; * stands for any bytes, and a newline at
                      // its end stands for the end of the line
    enum judge_verdict verdict;
};

// The messages of one family of clients.
struct judge_table {
    const char *client;         // for messages
    const char *const *ignored; // patterns, like a row's text, of lines that are hints or
                                // warnings and no message; NULL at the end
    const struct judge_row *rows;
    size_t count;
    enum judge_verdict otherwise; // if no row counts
};

// Stores in OUTCOME the meaning of ENDING according to TABLE. ENDING is not an exit with 0.
// Returns the row that counted, or NULL.
const struct judge_row *judge_by(const struct judge_table *table, const struct ending *ending,
                                 struct outcome *outcome);

// Returns CODE_NOT_FOUND or CODE_NOT_EXECUTABLE if TEXT is the message of a container runtime
// that was in the container but could not execute the command. Otherwise returns 0.
int judge_runtime(const char *text, size_t size);

// Every client here is a program in Go, and Go's runtime ends with 2 when it cannot start.
// The command in the container may be a program in Go, too. In doubt the outcome is
// unreachable.
// clang-format off
#define JUDGE_GO_ROWS                                                                              \
    {JUDGE_LINE, JUDGE_2, "runtime: failed to create new OS thread", JUDGE_UNREACHABLE},           \
    {JUDGE_LINE, JUDGE_2, "fatal error: newosproc", JUDGE_UNREACHABLE},                            \
    {JUDGE_LINE, JUDGE_2, "fatal error: runtime: ", JUDGE_UNREACHABLE},                            \
    {JUDGE_LINE, JUDGE_2, "fatal error: failed to reserve page summary memory", JUDGE_UNREACHABLE},\
    {JUDGE_LINE, JUDGE_2, "created by runtime.", JUDGE_UNREACHABLE}

// runc's init (libcontainer/standard_init_linux.go) becomes the command's process. If its last
// step fails, the init writes one line to stderr and ends with 1 or 255.
#define JUDGE_INIT_ROWS                                                                            \
    {JUDGE_ALONE, JUDGE_FAILURE, "exec /*: no such file or directory", JUDGE_NOT_FOUND},           \
    {JUDGE_ALONE, JUDGE_FAILURE, "exec /*: exec format error", JUDGE_NOT_EXECUTABLE},              \
    {JUDGE_ALONE, JUDGE_FAILURE, "exec /*: permission denied", JUDGE_NOT_EXECUTABLE},              \
    {JUDGE_ALONE, JUDGE_FAILURE, "exec /*: argument list too long", JUDGE_NOT_EXECUTABLE}
// clang-format on

// Returns the last line of TEXT that has more than blanks, and stores its length in *LENGTH, or
// 0 when there is no such line.
const char *judge_last_line(const char *text, size_t size, size_t *length);

// Does TEXT, SIZE bytes, contain WHAT, or match PATTERN as the text of a row does?
bool judge_contains(const char *text, size_t size, const char *what);
bool judge_matches(const char *text, size_t size, const char *pattern);

// For held_back_out of a mode. When the command cannot be executed, the engine's message may
// come on stdout, as if the command had written it.
size_t judge_held_back_out(const char *out, size_t length);
