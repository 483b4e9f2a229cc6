// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include "cleanup.h"

#include <ctype.h>
#include <signal.h>

const char *client_last_line(const char *text, size_t size, size_t *length)
{
    const char *newline;

    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    newline = size > 0 ? memrchr(text, '\n', size) : NULL;
    if (newline) {
        size -= (size_t)(newline + 1 - text);
        text = newline + 1;
    }
    *length = size;
    return text;
}

bool client_contains(const char *text, size_t size, const char *what)
{
    return size > 0 && memmem(text, size, what, strlen(what));
}

bool client_begins(const char *text, size_t size, const char *what)
{
    size_t length = strlen(what);
    return size >= length && memcmp(text, what, length) == 0;
}

int client_exec_failure(const char *line, size_t length)
{
    // runc says `exec: "x": executable file not found in $PATH` or, when x has
    // a slash, `exec: "x": stat x: no such file or directory`; since 1.2, for a
    // lost interpreter, `exec /x: no such file or directory`. crun says
    // `executable file `x` not found`, or `open executable: ...`.
    static const char *const places[] = {"exec: ", "exec /", "executable file", "open executable"};
    static const char *const not_found[] = {"executable file not found", "not found in $PATH",
                                            "o such file or directory"};
    static const char *const not_executable[] = {"ermission denied",      "xec format error",
                                                 "s a directory",         "not a directory",
                                                 "rgument list too long", "not executable"};
    bool is_exec = false;

    // runc: the directory that the command was to start in is not there.
    if (client_contains(line, length, "chdir to cwd"))
        return CODE_NOT_EXECUTABLE;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        is_exec |= client_contains(line, length, places[i]);
    if (!is_exec)
        return 0;
    for (size_t i = 0; i < sizeof not_found / sizeof not_found[0]; i++)
        if (client_contains(line, length, not_found[i]))
            return CODE_NOT_FOUND;
    for (size_t i = 0; i < sizeof not_executable / sizeof not_executable[0]; i++)
        if (client_contains(line, length, not_executable[i]))
            return CODE_NOT_EXECUTABLE;
    return 0;
}

int client_exec_report(const char *err, size_t size)
{
    size_t length;
    const char *line = client_last_line(err, size, &length);

    if (line != err || !client_begins(line, length, "exec /"))
        return 0;
    return client_exec_failure(line, length);
}

void client_judge_failure(const char *client, const struct ending *ending, const char *line,
                          size_t length, struct outcome *outcome)
{
    int code = client_exec_failure(line, length);

    if (ending->is_signaled) {
        const char *name = sigabbrev_np(ending->number);
        outcome_set(outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s was ended by signal %s",
                    client, name ? name : "unknown");
    } else if (code)
        outcome_set(outcome, OUTCOME_UNSTARTED, code, "%.*s", (int)length, line);
    else if (length > 0)
        outcome_set(outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%.*s", (int)length, line);
    else
        outcome_set(outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE,
                    "%s ended with %d and said nothing", client, ending->number);
}
