// SPDX-License-Identifier: Apache-2.0
#include "outcome.h"

#include "cleanup.h"
#include "text.h"

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

const char *outcome_kind_name(enum outcome_kind kind)
{
    static const char *const names[] = {
        [OUTCOME_NONE] = "unknown",
        [OUTCOME_EXITED] = "exited",
        [OUTCOME_SIGNALED] = "signaled",
        [OUTCOME_TIMEOUT] = "timeout",
        [OUTCOME_UNREACHABLE] = "unreachable",
        [OUTCOME_UNSTARTED] = "unstarted",
        [OUTCOME_CANCELLED] = "cancelled",
        [OUTCOME_OVERFLOW] = "overflow",
        [OUTCOME_REFUSED] = "refused",
    };
    return names[kind];
}

void outcome_set(struct outcome *outcome, enum outcome_kind kind, int code, const char *format, ...)
{
    va_list args;
    char *detail = NULL;

    if (format) {
        va_start(args, format);
        if (vasprintf(&detail, format, args) < 0)
            detail = NULL;
        va_end(args);
    }
    if (detail)
        text_make_line(detail, OUTCOME_MAX_DETAIL);
    free(outcome->detail);
    *outcome = (struct outcome){.kind = kind, .code = code, .detail = detail};
}

void outcome_set_unconfirmed(struct outcome *outcome)
{
    outcome_set(outcome, OUTCOME_EXITED, 0, NULL);
    outcome->is_unconfirmed = true;
}

const char *outcome_detail(const struct outcome *outcome)
{
    // No allocation, so that the word cannot be missing.
    if (outcome->is_unconfirmed)
        return "unconfirmed";
    return outcome->detail ? outcome->detail : "";
}

size_t outcome_format(const struct outcome *outcome, char line[OUTCOME_MAX_LINE])
{
    const char *detail = outcome_detail(outcome);
    int code = outcome->kind == OUTCOME_NONE ? CODE_UNREACHABLE : outcome->code;

    return (size_t)snprintf(line, OUTCOME_MAX_LINE, "%d %s%s%s\n", code,
                            outcome_kind_name(outcome->kind), *detail ? " " : "", detail);
}

void outcome_finish(struct outcome *outcome)
{
    free(outcome->detail);
    *outcome = (struct outcome){0};
}

void outcome_set_ending(struct outcome *outcome, bool is_signaled, int number)
{
    const char *name = is_signaled ? sigabbrev_np(number) : NULL;
    int code = CODE_SIGNALED + number;

    if (!is_signaled)
        outcome_set(outcome, OUTCOME_EXITED, number, NULL);
    else if (name)
        outcome_set(outcome, OUTCOME_SIGNALED, code, "%s", name);
    else
        outcome_set(outcome, OUTCOME_SIGNALED, code, "RTMIN+%d", number - SIGRTMIN);
}
