// SPDX-License-Identifier: Apache-2.0
#include "docker.h"

#include "cleanup.h"
#include "client.h"

#include <errno.h>

// Lines of an --env-file are read with a buffer of 64 KiB by docker and podman.
enum { LONGEST_LINE = 60 * 1000 };

// The length of the UTF-8 character that TEXT begins with, or 0.
static size_t utf8_length(const unsigned char *text)
{
    size_t length = *text < 0x80 ? 1 : *text < 0xC2 ? 0 : *text < 0xE0 ? 2 : *text < 0xF0 ? 3 : 4;

    if (*text > 0xF4 || (*text == 0xE0 && text[1] < 0xA0) || (*text == 0xED && text[1] > 0x9F) ||
        (*text == 0xF0 && text[1] < 0x90) || (*text == 0xF4 && text[1] > 0x8F))
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

// Does every docker and podman read the line PAIR of an --env-file as it is? docker
// refuses bytes that are not UTF-8, podman 4.7 takes a quote for the beginning of a value
// of several lines, and both drop a carriage return at the end.
static bool is_plain_line(const char *pair)
{
    size_t length = strlen(pair);
    const unsigned char *text = (const unsigned char *)pair;
    char first = pair[strcspn(pair, "=") + 1];

    if (length > LONGEST_LINE || strpbrk(pair, "\r\n") || first == '"' || first == '\'' ||
        first == '`' || first == ' ' || first == '\t' || pair[length - 1] == ' ' ||
        pair[length - 1] == '\t')
        return false;
    while (*text) {
        size_t step = utf8_length(text);
        if (step == 0)
            return false;
        text += step;
    }
    return true;
}

void docker_add_environment(struct argv *argv, const struct command *command, struct launch *launch)
{
    if (environment_inherit(&launch->env) < 0)
        argv->has_failed = true;
    for (size_t i = 0; i < command->env->count; i++) {
        const char *pair = command->env->items[i];
        if (!is_plain_line(pair))
            argv_add_option(argv, "-e", pair);
        else if (buffer_printf(&launch->file, "%s\n", pair) < 0)
            argv->has_failed = true;
    }
    if (launch->file.length > 0)
        argv_add(argv, "--env-file=" LAUNCH_FILE);
}

// --- Judgement

// The client's own exit codes: 125, 126, 127 (docker-run(1), podman-exec(1)),
// and 1 and 255 for some failures. Commands end with these too, so that the
// message has to be one of the client's as well.
static bool is_client_message(int code, const char *line, size_t length)
{
    // Said for any code, and by nothing but the client.
    static const char *const certain[] = {
        "Error response from daemon: ",
        "docker: ",
        "Cannot connect to the Docker daemon",
        "Cannot connect to Podman",
        "error during connect: ",
        "permission denied while trying to connect to the Docker daemon",
        "OCI runtime exec failed: ",
        "Error: No such container: ",
    };
    // Said with a code of its own.
    static const char *const likely[] = {
        "Error: ", "error: ", "unknown flag: ", "unknown shorthand flag: ", "time=\""};

    for (size_t i = 0; i < sizeof certain / sizeof certain[0]; i++)
        if (client_begins(line, length, certain[i]))
            return true;
    if (code < CODE_UNREACHABLE || (code > CODE_NOT_FOUND && code != 255))
        return false;
    for (size_t i = 0; i < sizeof likely / sizeof likely[0]; i++)
        if (client_begins(line, length, likely[i]))
            return true;
    return false;
}

// podman ends with 1, the code of so many commands, when it cannot read its own
// configuration. Then there is nothing on stderr but lines of its log, and the
// last one is an error.
static bool is_client_log(const char *err, size_t size)
{
    size_t length;
    const char *last = client_last_line(err, size, &length);

    for (const char *line = err; line < err + size;) {
        size_t left = size - (size_t)(line - err);
        const char *newline = memchr(line, '\n', left);
        if (!client_begins(line, left, "time=\""))
            return false;
        line = newline ? newline + 1 : err + size;
    }
    return client_contains(last, length, " level=error ") ||
           client_contains(last, length, " level=fatal ");
}

// The client's last line, without the hint that follows a usage error.
static const char *last_message(const struct ending *ending, size_t *length)
{
    const char *line = client_last_line(ending->err, ending->err_length, length);

    if (line > ending->err && (client_begins(line, *length, "See 'docker ") ||
                               client_begins(line, *length, "See 'podman ")))
        line = client_last_line(ending->err, (size_t)(line - ending->err), length);
    return line;
}

size_t docker_judge(const struct ending *ending, struct outcome *outcome)
{
    size_t length;
    const char *line = last_message(ending, &length);

    if (!ending->is_signaled && ending->number == 0) {
        outcome_set_unconfirmed(outcome);
        return 0;
    }
    // docker up to 27 passes this one on as if the command had written it to
    // stdout (docker/cli issue 2025).
    if (ending->number == CODE_NOT_EXECUTABLE || ending->number == CODE_NOT_FOUND) {
        size_t out_length;
        const char *out = client_last_line(ending->out, ending->out_length, &out_length);
        if (out == ending->out && client_begins(out, out_length, "OCI runtime exec failed: ")) {
            line = out;
            length = out_length;
        }
    }
    if (ending->is_signaled || is_client_message(ending->number, line, length) ||
        client_exec_report(ending->err, ending->err_length) ||
        (ending->number == 1 && is_client_log(ending->err, ending->err_length)))
        client_judge_failure("the docker client", ending, line, length, outcome);
    else
        outcome_set(outcome, OUTCOME_EXITED, ending->number, NULL);
    return 0;
}
