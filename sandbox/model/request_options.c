// SPDX-License-Identifier: Apache-2.0
#include "request_options.h"

#include "cleanup.h"
#include "units.h"

#include <errno.h>

static int parse_timeout(struct request_options *options, const char *value, struct error *err)
{
    options->timeout_ms = 0;
    return strcmp(value, "none") == 0 ? 0 : duration_parse(value, &options->timeout_ms, err);
}

static int parse_answer(struct request_options *options, const char *value, struct error *err)
{
    static const char *const names[] = {
        [ANSWER_PLAIN] = "plain", [ANSWER_FRAMES] = "frames", [ANSWER_JSON] = "json"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(value, names[i]) == 0) {
            options->answer = (enum request_answer)i;
            return 0;
        }
    return error_set(err, EINVAL, "'%s' is none of plain, frames and json", value);
}

static int parse_stdin(struct request_options *options, const char *value, struct error *err)
{
    int result = number_parse(value, strlen(value), &options->stdin_bytes);

    if (result == -EINVAL)
        return error_set(err, EINVAL, "'%s' is not a number of bytes", value);
    if (result < 0 || options->stdin_bytes > INT64_MAX)
        return error_set(err, EINVAL, "'%s' is too large", value);
    return 0;
}

static int parse_workdir(struct request_options *options, const char *value, struct error *err)
{
    if (*value != '/')
        return error_set(err, EINVAL, "'%s' does not begin with /: write the whole path", value);
    options->workdir = strdup(value);
    return options->workdir ? 0 : error_set(err, ENOMEM, "no memory");
}

static int parse_deadline(struct request_options *options, const char *value, struct error *err)
{
    return duration_parse(value, &options->deadline_ms, err);
}

// clang-format off
static const struct {
    const char *name;
    int (*parse)(struct request_options *options, const char *value, struct error *err);
} table[REQUEST_OPTIONS] = {
    [REQUEST_TIMEOUT]  = {"--timeout",  parse_timeout},
    [REQUEST_ANSWER]   = {"--answer",   parse_answer},
    [REQUEST_STDIN]    = {"--stdin",    parse_stdin},
    [REQUEST_WORKDIR]  = {"--workdir",  parse_workdir},
    [REQUEST_DEADLINE] = {"--deadline", parse_deadline},
};
// clang-format on

int request_options_take(struct request_options *options, const char *word, struct error *err)
{
    size_t length = strcspn(word, "=");
    struct error cause = {0};
    int result;
    int i = 0;

    while (i < REQUEST_OPTIONS &&
           (strlen(table[i].name) != length || memcmp(table[i].name, word, length) != 0))
        i++;
    if (i == REQUEST_OPTIONS)
        return error_set(err, EINVAL,
                         "unknown option '%s'; there are --timeout=, --answer=, --stdin=, "
                         "--workdir= and --deadline=",
                         word);
    if (!word[length])
        return error_set(err, EINVAL, "%s needs a value: %s=...", word, word);
    if (options->has[i])
        return error_set(err, EINVAL, "%s is given twice", table[i].name);
    options->has[i] = true;
    result = table[i].parse(options, word + length + 1, &cause);
    if (result < 0)
        error_set(err, result == -ENOMEM ? ENOMEM : EINVAL, "%s: %s", table[i].name,
                  error_message(&cause));
    error_finish(&cause);
    return result < 0 ? (result == -ENOMEM ? -ENOMEM : -EINVAL) : 0;
}

void request_options_finish(struct request_options *options)
{
    free(options->workdir);
    *options = (struct request_options){0};
}
