// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include "cleanup.h"
#include "line.h"
#include "mounts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_USAGE = 2, CODE_UNREACHABLE = 125 };

char *call_find_mount(const struct options *options, struct relay *relay)
{
    const char *given = options->mount ? options->mount : getenv("HOOKSFS_MOUNT");
    char *path = NULL;
    int result;

    if (given && *given) {
        path = strdup(given);
        result = path ? 0 : -ENOMEM;
    } else {
        result = mounts_find("/proc/self/mountinfo", &path);
    }
    if (result == -ENOENT)
        relay_fail(relay, CODE_UNREACHABLE, "unreachable: hooksfs is not mounted");
    else if (result == -EEXIST)
        relay_fail(relay, CODE_UNREACHABLE,
                   "unreachable: hooksfs is mounted several times, and neither --mount nor "
                   "HOOKSFS_MOUNT says which is meant");
    else if (result < 0)
        relay_fail(relay, CODE_UNREACHABLE, "the mount cannot be looked up: %s", strerror(-result));
    return path;
}

static int add_pair(struct buffer *line, const char *word)
{
    size_t length = line_name_length(word);

    return line_add_pair(line, word, length, word + length);
}

// A variable of --env: NAME=value, or NAME for what the caller has, if it has one.
static int add_variable(struct buffer *line, const char *text)
{
    AUTO_FREE char *prefix = NULL;
    const char *value;

    if (line_name_length(text) > 0)
        return add_pair(line, text);
    value = getenv(text);
    if (!value)
        return 0;
    if (asprintf(&prefix, "%s=", text) < 0) {
        prefix = NULL;
        return -ENOMEM;
    }
    return line_add_pair(line, prefix, strlen(prefix), value);
}

static int add_workdir(struct buffer *line, const char *workdir)
{
    static const char option[] = "--workdir=";
    AUTO_FREE char *here = NULL;

    if (strcmp(workdir, ".") == 0) {
        here = getcwd(NULL, 0);
        if (!here)
            return -errno;
        workdir = here;
    }
    return line_add_pair(line, option, strlen(option), workdir);
}

static int make_line(const struct options *options, struct buffer *line)
{
    char **word = options->words;
    int result = line_add_word(line, "--answer=frames");

    // hook's own deadline is the one that counts; this keeps the sandbox's from being shorter.
    if (result == 0 && options->timeout_ms)
        result = buffer_printf(line, " --timeout=%" PRIu64 "ms", options->timeout_ms);
    if (result == 0 && options->workdir)
        result = add_workdir(line, options->workdir);
    for (int i = 0; i < options->variable_count && result == 0; i++)
        result = add_variable(line, options->variables[i]);
    for (; *word && line_name_length(*word) > 0 && result == 0; word++)
        result = add_pair(line, *word);
    for (; *word && result == 0; word++)
        result = line_add_word(line, *word);
    return result < 0 ? result : buffer_append(line, "\n", 1);
}

void call_make(const struct options *options, struct relay *relay)
{
    struct buffer line __attribute__((cleanup(buffer_finish))) = {0};
    AUTO_FREE char *mount = NULL;
    AUTO_FREE char *path = NULL;
    int result;

    if (*options->error) {
        relay_fail(relay, CODE_USAGE, "%s", options->error);
    } else if ((result = make_line(options, &line)) < 0) {
        relay_fail(relay, CODE_UNREACHABLE, "the request cannot be made: %s", strerror(-result));
    } else {
        mount = call_find_mount(options, relay);
        if (mount && asprintf(&path, "%s/%s/call", mount, options->sandbox) < 0) {
            path = NULL;
            relay_fail(relay, CODE_UNREACHABLE, "no memory");
        }
    }
    relay_run(relay, path, &line);
}
