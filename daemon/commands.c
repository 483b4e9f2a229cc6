// SPDX-License-Identifier: Apache-2.0
#include "commands.h"

#include "cleanup.h"
#include "log.h"
#include "sandbox.h"

#include <stdio.h>

void command_report(const struct buffer *problems, bool to_log)
{
    const char *line = problems->data;
    const char *end = line + problems->length;

    if (!to_log) {
        fwrite(problems->data, 1, problems->length, stderr);
        return;
    }
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        int length = (int)((newline ? newline : end) - line);
        log_error("%.*s", length, line);
        line += length + 1;
    }
}

struct config *command_load(const char *path)
{
    AUTO(buffer_finish) struct buffer problems = {0};
    struct config *config = sandbox_load_config(path, NULL, &problems);

    if (!config)
        command_report(&problems, false);
    return config;
}

int command_check(const char *path)
{
    struct config *config = command_load(path);

    if (!config)
        return EXIT_FAILURE;
    printf("%s: no errors, %zu sandbox%s\n", path, config->count, config->count == 1 ? "" : "es");
    config_destroy(config);
    return EXIT_SUCCESS;
}

// Prints WORD, quoted for a shell where that is necessary.
static void print_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./=:,+@%";

    if (*word && word[strspn(word, plain)] == '\0') {
        fputs(word, stdout);
        return;
    }
    putchar('\'');
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*word);
    putchar('\'');
}

int command_show_argv(const char *path, const char *name, char *const *words)
{
    struct config *config = command_load(path);
    struct sandbox_config *sandbox = config ? config_find(config, name) : NULL;
    AUTO(words_finish) struct words argv = {0};
    struct error err = {0};
    int result = EXIT_FAILURE;

    if (config && !sandbox)
        fprintf(stderr, "%s: there is no sandbox '%s'\n", path, name);
    if (sandbox && sandbox_show_argv(sandbox, words, &argv, &err) < 0)
        fprintf(stderr, "hooksfs: %s\n", error_message(&err));
    else if (sandbox) {
        for (size_t i = 0; i < argv.count; i++) {
            if (i > 0)
                putchar(' ');
            print_word(argv.items[i]);
        }
        putchar('\n');
        result = EXIT_SUCCESS;
    }
    error_finish(&err);
    config_destroy(config);
    return result;
}
