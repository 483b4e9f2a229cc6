// SPDX-License-Identifier: Apache-2.0
// Fuzzes the configuration file. Each problem is a line that names the file and a line of the file,
// there is a problem if and only if there is no configuration, and loading the same file again
// gives the same result.
#include "fuzz.h"

#include "cleanup.h"
#include "config.h"
#include "sandbox.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

static char path[64];
static int fd = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    fchmod(fd, 0600);
    FUZZ_CHECK(fd >= 0, "memfd");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    // Variables for ${NAME}.
    setenv("EMPTY", "", 1);
    setenv("LINES", "a\nb", 1);
    setenv("DASH", "-n", 1);
    setenv("TEN", "10", 1);
    return 0;
}

static void write_file(const uint8_t *bytes, size_t size)
{
    FUZZ_CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size,
               "cannot write the file");
}

// "FILE:LINE: ..." in each of their lines.
static void check_problems(const struct buffer *problems, unsigned lines)
{
    size_t length = strlen(path);
    AUTO_FREE char *text = strndup(problems->data, problems->length);

    FUZZ_CHECK(strlen(text) == problems->length, "a NUL byte in the problems");
    FUZZ_CHECK(text[problems->length - 1] == '\n', "an unfinished line: %s", text);
    for (char *line = text, *end; *line; line = end + 1) {
        char *after;
        unsigned long number;

        end = strchr(line, '\n');
        *end = '\0';
        FUZZ_CHECK(strncmp(line, path, length) == 0 && line[length] == ':',
                   "no name of the file: %s", line);
        number = strtoul(line + length + 1, &after, 10);
        FUZZ_CHECK(after > line + length + 1 && after[0] == ':' && after[1] == ' ' && after[2],
                   "no number, or nothing after it: %s", line);
        FUZZ_CHECK(number >= 1 && number <= lines, "there are %u lines: %s", lines, line);
    }
}

static void check_sandbox(struct sandbox_config *config)
{
    char *words[] = {(char[]){"command"}, (char[]){"word"}, NULL};
    AUTO(words_finish) struct words argv = {0};
    struct error err = {0};
    int result;

    FUZZ_CHECK(config->name && *config->name && !strchr(config->name, '/'), "the name of [%s]",
               config->name);
    FUZZ_CHECK(config->mode && config->settings, "[%s] has no mode", config->name);
    FUZZ_CHECK(config->max_running >= 1 && config->max_output_bytes >= 1, "limits of [%s]",
               config->name);
    FUZZ_CHECK(config->kill_grace_ms >= 1 && config->slot_ttl_ms >= 1, "times of [%s]",
               config->name);
    FUZZ_CHECK(config->permissions <= 0777, "permissions of [%s]", config->name);
    FUZZ_CHECK(sandbox_config_equal(config, config), "[%s] is not equal to itself", config->name);
    result = sandbox_show_argv(config, words, &argv, &err);
    FUZZ_CHECK(result == 0, "[%s]: %s", config->name, error_message(&err));
    FUZZ_CHECK(argv.count >= 2 && strcmp(argv.items[argv.count - 1], "word") == 0 &&
                   strcmp(argv.items[argv.count - 2], "command") == 0,
               "[%s] does not start the command", config->name);
}

static void check_same(const struct config *a, const struct config *b)
{
    FUZZ_CHECK(a->count == b->count, "%zu and %zu sandboxes", a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        FUZZ_CHECK(sandbox_config_equal(a->sandboxes[i], b->sandboxes[i]),
                   "[%s] is not the same twice", a->sandboxes[i]->name);
        FUZZ_CHECK(config_find(a, a->sandboxes[i]->name) == a->sandboxes[i], "[%s] is there twice",
                   a->sandboxes[i]->name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    AUTO(buffer_finish) struct buffer problems = {0};
    AUTO(buffer_finish) struct buffer again = {0};
    struct config *config;
    struct config *second;
    unsigned lines = 1;

    for (size_t i = 0; i < size; i++)
        lines += bytes[i] == '\n';
    write_file(bytes, size);
    config = sandbox_load_config(path, NULL, &problems);
    second = sandbox_load_config(path, NULL, &again);
    FUZZ_CHECK(!config == (problems.length > 0), "a configuration with problems, or none of both");
    FUZZ_CHECK(!config == !second, "not the same twice");
    FUZZ_CHECK(problems.length == again.length &&
                   (!problems.length || memcmp(problems.data, again.data, problems.length) == 0),
               "other problems the second time");
    if (config) {
        FUZZ_CHECK(config->count > 0, "no sandbox");
        for (size_t i = 0; i < config->count; i++)
            check_sandbox(config->sandboxes[i]);
        check_same(config, second);
    } else
        check_problems(&problems, lines);
    config_destroy(config);
    config_destroy(second);
    return 0;
}
