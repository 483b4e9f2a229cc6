// SPDX-License-Identifier: Apache-2.0
// Reading what clients of container platforms (docker, podman, kubectl) write when a
// command did not run, or when they failed themselves. Each family of clients has a table
// of rows; one engine reads them. A row never makes a success of anything.
#pragma once

#include "mode.h"

// Where the text of a row is looked for.
enum judge_where {
    JUDGE_MESSAGE, // the message: the last line of stderr that is neither blank nor ignored
    JUDGE_LINE,    // any line of stderr; the last such line is the message then
    JUDGE_ALONE,   // the message, when stderr has nothing else but ignored lines
    JUDGE_HINT,    // the last line of stderr, which says nothing itself: the message does
    JUDGE_STDOUT,  // the one line of stdout
};

// With which exit codes of the client a row counts.
enum {
    JUDGE_1 = 1,
    JUDGE_2 = 2,
    JUDGE_OWN = 4, // 125 to 127, which docker and podman keep for themselves
    JUDGE_255 = 8,
    JUDGE_OTHER = 16, // every other code but 0
    JUDGE_FAILURE = JUDGE_1 | JUDGE_2 | JUDGE_OWN | JUDGE_255 | JUDGE_OTHER,
};

enum judge_verdict {
    JUDGE_UNREACHABLE,    // the client failed, or lost the command
    JUDGE_NOT_EXECUTABLE, // unstarted, 126
    JUDGE_NOT_FOUND,      // unstarted, 127
    JUDGE_RUNTIME,        // as the words of the container runtime in it say, see
                          // judge_runtime; otherwise unreachable
    JUDGE_COMMAND,        // the command's own: exited
};

struct judge_row {
    enum judge_where where;
    unsigned codes;
    const char *text; // the beginning of the line; * stands for any bytes, and a newline at
                      // the end for the end of the line
    enum judge_verdict verdict;
};

// The messages of one family of clients.
struct judge_table {
    const char *client;         // for messages
    const char *const *ignored; // lines like a row's text, that are no message: hints and
                                // warnings; NULL at the end
    const struct judge_row *rows;
    size_t count;
    enum judge_verdict otherwise; // where no row counts
};

// Says in OUTCOME how ENDING, which is not an exit with 0, is to be understood by TABLE.
// Returns the row that counted, or NULL.
const struct judge_row *judge_by(const struct judge_table *table, const struct ending *ending,
                                 struct outcome *outcome);

// How a container runtime says in TEXT that it was in the container but could not execute
// the command: CODE_NOT_FOUND or CODE_NOT_EXECUTABLE. Otherwise 0.
int judge_runtime(const char *text, size_t size);

// Every client here is a program in Go, whose runtime ends with 2 when it cannot start.
// A program in the container may be one, too: in doubt it is unreachable.
// clang-format off
#define JUDGE_GO_ROWS                                                                              \
    {JUDGE_LINE, JUDGE_2, "runtime: failed to create new OS thread", JUDGE_UNREACHABLE},           \
    {JUDGE_LINE, JUDGE_2, "fatal error: newosproc", JUDGE_UNREACHABLE},                            \
    {JUDGE_LINE, JUDGE_2, "fatal error: runtime: ", JUDGE_UNREACHABLE},                            \
    {JUDGE_LINE, JUDGE_2, "fatal error: failed to reserve page summary memory", JUDGE_UNREACHABLE},\
    {JUDGE_LINE, JUDGE_2, "created by runtime.", JUDGE_UNREACHABLE}

// The one line that runc's init leaves on stderr (libcontainer/standard_init_linux.go) after
// it has become the command's process and its last step failed. It ends with 1 or 255 then.
#define JUDGE_INIT_ROWS                                                                            \
    {JUDGE_ALONE, JUDGE_FAILURE, "exec /*: no such file or directory", JUDGE_NOT_FOUND},           \
    {JUDGE_ALONE, JUDGE_FAILURE, "exec /*: exec format error", JUDGE_NOT_EXECUTABLE},              \
    {JUDGE_ALONE, JUDGE_FAILURE, "exec /*: permission denied", JUDGE_NOT_EXECUTABLE},              \
    {JUDGE_ALONE, JUDGE_FAILURE, "exec /*: argument list too long", JUDGE_NOT_EXECUTABLE}
// clang-format on

// The last line of TEXT that has more than blanks; its length in *LENGTH, 0 when there is
// none.
const char *judge_last_line(const char *text, size_t size, size_t *length);

// Does TEXT, SIZE bytes, contain WHAT, or match PATTERN as the text of a row does?
bool judge_contains(const char *text, size_t size, const char *what);
bool judge_matches(const char *text, size_t size, const char *pattern);

// A mode's held_back_out: an engine's message that the command cannot be executed may come
// on stdout, as if the command had written it.
size_t judge_held_back_out(const char *out, size_t length);
