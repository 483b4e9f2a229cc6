// SPDX-License-Identifier: Apache-2.0
// kubectl ends with the command's exit code, and with 1 when kubectl itself failed. Its last
// line on stderr tells the two apart: for every exit code but 0 of the command, kubectl prints
// "command terminated with exit code N" (kubectl's pkg/cmd/util/helpers.go, checkErr; the text
// is in the kubelet's and the runtime's remotecommand code). The message need not begin a
// line, because the last bytes of the command's stderr need not end with a newline.
#include "kubectl.h"

#include "cleanup.h"

#include <ctype.h>
#include <stdio.h>

static const char exit_message[] = "command terminated with exit code ";

enum {
    EXIT_MESSAGE_DIGITS = 10,
    BROKEN_STREAM_WINDOW = 4096, // bytes at the end of stderr
};

// Could the LENGTH bytes of TEXT be the beginning of the exit message, or all of it with its
// digits and its newline?
static bool may_become_message(const char *text, size_t length)
{
    size_t fixed = sizeof exit_message - 1;
    size_t digits;

    if (length <= fixed)
        return memcmp(text, exit_message, length) == 0;
    if (memcmp(text, exit_message, fixed) != 0)
        return false;
    digits = fixed;
    while (digits < length && isdigit((unsigned char)text[digits]))
        digits++;
    return digits == length || (digits == length - 1 && text[digits] == '\n' && digits > fixed);
}

size_t kubectl_held_back(const char *err, size_t length)
{
    size_t longest = sizeof exit_message - 1 + EXIT_MESSAGE_DIGITS + 1;
    size_t held = length < longest ? length : longest;

    while (held > 0 && !may_become_message(err + length - held, held))
        held--;
    return held;
}

// Returns the length of the message for exit code CODE at the end of ERR, 0 if it is not
// there.
static size_t find_exit_message(const char *err, size_t length, int code)
{
    char message[sizeof exit_message + EXIT_MESSAGE_DIGITS + 2];
    size_t size = (size_t)snprintf(message, sizeof message, "%s%d\n", exit_message, code);

    if (length < size || memcmp(err + length - size, message, size) != 0)
        return 0;
    return size;
}

// kubectl reports an exit code also for a command that could not be executed, if the engine
// behind the kubelet writes its message to stdout (docker).
static const struct judge_row exit_rows[] = {
    JUDGE_INIT_ROWS,
    {JUDGE_STDOUT, JUDGE_OWN, "OCI runtime exec failed: ", JUDGE_RUNTIME},
};

const struct judge_table kubectl_exit_table = {
    .client = "kubectl",
    .rows = exit_rows,
    .count = sizeof exit_rows / sizeof exit_rows[0],
    .otherwise = JUDGE_COMMAND,
};

// Without an exit code of the command, kubectl itself failed, or the cluster behind it.
static const char *const ignored[] = {
    "Defaulted container ", // pkg/cmd/util/podcmd/podcmd.go
    NULL,
};

// clang-format off
static const struct judge_row failure_rows[] = {
    // client-go's plugin/pkg/client/auth/exec/exec.go: a credential plugin is missing on this
    // machine, and not the command in the container. Lines of advice follow.
    {JUDGE_LINE, JUDGE_FAILURE, "*getting credentials: ", JUDGE_UNREACHABLE},
    // apimachinery's pkg/util/httpstream/spdy/roundtripper.go: a body of any kind follows,
    // such as the page of a proxy with the error 414.
    {JUDGE_LINE, JUDGE_FAILURE, "error: unable to upgrade connection: ", JUDGE_RUNTIME},
    JUDGE_GO_ROWS,
};
// clang-format on

const struct judge_table kubectl_table = {
    .client = "kubectl",
    .ignored = ignored,
    .rows = failure_rows,
    .count = sizeof failure_rows / sizeof failure_rows[0],
    .otherwise = JUDGE_RUNTIME,
};

// kubectl also ends with 0 when its connection breaks while the command runs. At best it logs
// the error (client-go's tools/remotecommand, v2.go to v5.go, with klog's header: "E1123
// 01:02:03.000004  56 v2.go:105] write tcp ..."). Finds such an error in the last lines of
// ERR; *LENGTH is 0 when there is none.
static const char *find_broken_stream(const char *err, size_t size, size_t *length)
{
    static const char *const signs[] = {"connection reset", "broken pipe", "EOF",    "closed",
                                        "timed out",        "timeout",     "aborted"};
    size_t window = size < BROKEN_STREAM_WINDOW ? size : BROKEN_STREAM_WINDOW;
    const char *line = err + size - window;

    for (const char *end; window > 0; window -= *length + 1, line += *length + 1) {
        end = memchr(line, '\n', window);
        *length = end ? (size_t)(end - line) : window;
        const char *text = memmem(line, *length, ".go:", 4);
        bool is_stream = text && text - line > 2 && text[-2] == 'v' && line[0] == 'E' &&
                         isdigit((unsigned char)line[1]) && isdigit((unsigned char)text[-1]);
        size_t left = is_stream ? *length - (size_t)(text - line) : 0;
        for (size_t i = 0; is_stream && i < sizeof signs / sizeof signs[0]; i++)
            if (judge_contains(text, left, signs[i])) {
                const char *message = memmem(text, left, "] ", 2);
                message = message ? message + 2 : text;
                *length -= (size_t)(message - line);
                return message;
            }
        if (!end)
            break;
    }
    *length = 0;
    return err;
}

static void judge_zero(const struct ending *ending, struct outcome *outcome)
{
    size_t length;
    const char *line = find_broken_stream(ending->err, ending->err_length, &length);

    if (length > 0)
        outcome_set(outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%.*s", (int)length, line);
    else
        outcome_set_unconfirmed(outcome);
}

// env(1) runs each command that is given an environment: its message tells that the command
// could not be executed.
static bool judge_env(const struct ending *ending, struct outcome *outcome)
{
    size_t length;
    const char *line = judge_last_line(ending->err, ending->err_length, &length);
    bool is_code = ending->number == CODE_NOT_EXECUTABLE || ending->number == CODE_NOT_FOUND;

    if (!ending->has_env || !is_code || line != ending->err ||
        !judge_matches(line, length, "env: "))
        return false;
    outcome_set(outcome, OUTCOME_UNSTARTED, ending->number, "%.*s", (int)length, line);
    return true;
}

size_t kubectl_judge(const struct ending *ending, struct outcome *outcome)
{
    struct ending command = *ending;
    size_t message = 0;

    if (!ending->is_signaled && ending->number == 0) {
        judge_zero(ending, outcome);
        return 0;
    }
    if (!ending->is_signaled)
        message = find_exit_message(ending->err, ending->err_length, ending->number);
    command.err_length -= message;
    if (message == 0)
        judge_by(&kubectl_table, ending, outcome);
    else if (!judge_env(&command, outcome))
        judge_by(&kubectl_exit_table, &command, outcome);
    return message;
}
