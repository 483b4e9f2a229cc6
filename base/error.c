// SPDX-License-Identifier: Apache-2.0
#include "error.h"

#include "cleanup.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *err, int code, const char *format, ...)
{
    if (err && !err->code) {
        va_list args;
        va_start(args, format);
        if (vasprintf(&err->message, format, args) < 0)
            err->message = NULL;
        va_end(args);
        err->code = code;
    }
    return -code;
}

void error_prefix(struct error *err, const char *format, ...)
{
    AUTO_FREE char *prefix = NULL;
    char *message = NULL;
    va_list args;

    if (!err || !err->code)
        return;
    va_start(args, format);
    if (vasprintf(&prefix, format, args) < 0)
        prefix = NULL;
    va_end(args);
    if (!prefix || asprintf(&message, "%s: %s", prefix, error_message(err)) < 0)
        return;
    free(err->message);
    err->message = message;
}

const char *error_message(const struct error *err)
{
    return err->message ? err->message : strerror(err->code);
}

void error_finish(struct error *err)
{
    free(err->message);
    *err = (struct error){0};
}
