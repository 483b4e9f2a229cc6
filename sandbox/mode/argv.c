// SPDX-License-Identifier: Apache-2.0
#include "argv.h"

#include "cleanup.h"

#include <errno.h>
#include <stdio.h>

void argv_add(struct argv *argv, const char *word)
{
    if (words_append(argv->words, word) < 0)
        argv->has_failed = true;
}

void argv_add_option(struct argv *argv, const char *option, const char *value)
{
    if (!value)
        return;
    argv_add(argv, option);
    argv_add(argv, value);
}

void argv_add_joined(struct argv *argv, const char *option, const char *value)
{
    char *word;

    if (!value)
        return;
    if (asprintf(&word, "%s%s", option, value) < 0)
        word = NULL;
    if (words_append_owned(argv->words, word) < 0)
        argv->has_failed = true;
}

void argv_add_mount(struct argv *argv, const char *source, const char *target)
{
    char *word;

    if (asprintf(&word, "--mount=type=bind,source=%s,target=%s,readonly", source, target) < 0)
        word = NULL;
    if (words_append_owned(argv->words, word) < 0)
        argv->has_failed = true;
}

void argv_add_all(struct argv *argv, const struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        argv_add(argv, words->items[i]);
}

int argv_end(const struct argv *argv, struct error *err)
{
    return argv->has_failed ? error_set(err, ENOMEM, "no memory") : 0;
}

static char **find(const struct words *env, const char *name, size_t length)
{
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], name, length) == 0 && env->items[i][length] == '=')
            return &env->items[i];
    return NULL;
}

int environment_merge(struct words *env, const struct words *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        const char *pair = changes->items[i];
        char **old = find(env, pair, strcspn(pair, "="));
        char *copy = strdup(pair);

        if (!copy)
            return -ENOMEM;
        if (!old) {
            if (words_append_owned(env, copy) < 0)
                return -ENOMEM;
            continue;
        }
        free(*old);
        *old = copy;
    }
    return 0;
}

int environment_default(struct words *env, const char *pair)
{
    return find(env, pair, strcspn(pair, "=")) ? 0 : words_append(env, pair);
}

int environment_inherit(struct words *env)
{
    for (char **pair = environ; *pair; pair++)
        if (words_append(env, *pair) < 0)
            return -ENOMEM;
    return 0;
}
