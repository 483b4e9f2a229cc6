// SPDX-License-Identifier: Apache-2.0
#include "job_log.h"

#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// A line on the stack, without an allocation: the log matters most when there is no memory.
struct line {
    char text[2048];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void append(struct line *line, const char *format, ...)
{
    size_t room = sizeof line->text - line->length;
    va_list args;
    int length;

    va_start(args, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    length = vsnprintf(line->text + line->length, room, format, args);
    va_end(args);
    if (length > 0)
        line->length += (size_t)length < room ? (size_t)length : room - 1;
}

// A command's word as a log field: quoted when it is not plain.
static void append_quoted(struct line *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./+:,@%";

    if (*word && word[strspn(word, plain)] == '\0') {
        append(line, "%.256s", word);
        return;
    }
    append(line, "\"");
    for (size_t i = 0; word[i] && i < 256; i++)
        append(line, word[i] == '"' || word[i] == '\\' ? "\\%c" : "%c", word[i]);
    append(line, "\"");
}

void job_log_end(const struct job_log *log, const struct job *job)
{
    struct line line = {0};
    char outcome[OUTCOME_MAX_LINE];
    size_t length = outcome_format(job_outcome(job), outcome);

    append(&line, "job sandbox=");
    append_quoted(&line, log->sandbox);
    append(&line, " slot=");
    append_quoted(&line, log->slot);
    append(&line, " uid=%u pid=%d command=", (unsigned)log->uid, (int)log->pid);
    append_quoted(&line, job_command(job));
    append(&line, " ms=%" PRIu64 " in=%" PRIu64 " out=%" PRIu64 " err=%" PRIu64 " outcome=%.*s",
           job_duration_ms(job), job_input_bytes(job), job_output(job, JOB_STDOUT)->total,
           job_output(job, JOB_STDERR)->total, (int)length - 1, outcome);
    log_info("%s", line.text);
}

void job_log_refusal(const struct job_log *log, const struct error *err)
{
    static struct log_budget budget = {.what = "refused requests"};
    struct line line = {0};

    if (!log_take(&budget))
        return;
    // Without the message of ERR, which may quote the command line.
    append(&line, "refused sandbox=");
    append_quoted(&line, log->sandbox);
    append(&line, " slot=");
    append_quoted(&line, log->slot);
    log_info("%s uid=%u pid=%d error=%s", line.text, (unsigned)log->uid, (int)log->pid,
             strerrorname_np(err->code));
}
