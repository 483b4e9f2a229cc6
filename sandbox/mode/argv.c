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
    if (words->items && words_append_all(argv->words, words->items) < 0)
        argv->has_failed = true;
}

int argv_end(const struct argv *argv, struct error *err)
{
    return argv->has_failed ? error_set(err, ENOMEM, "no memory") : 0;
}

// Returns the index of the variable NAME, or the number of variables if there is none.
static size_t find(const struct words *env, const char *name, size_t length)
{
    size_t i = 0;

    while (i < env->count &&
           (strncmp(env->items[i], name, length) != 0 || env->items[i][length] != '='))
        i++;
    return i;
}

int environment_merge(struct words *env, const struct words *changes)
{
    int result = 0;

    for (size_t i = 0; i < changes->count && result == 0; i++) {
        const char *pair = changes->items[i];
        size_t old = find(env, pair, strcspn(pair, "="));

        result = old < env->count ? words_replace(env, old, pair) : words_append(env, pair);
    }
    return result;
}

int environment_default(struct words *env, const char *pair)
{
    return find(env, pair, strcspn(pair, "=")) < env->count ? 0 : words_append(env, pair);
}

int environment_inherit(struct words *env)
{
    for (char **pair = environ; *pair; pair++)
        if (words_append(env, *pair) < 0)
            return -ENOMEM;
    return 0;
}
