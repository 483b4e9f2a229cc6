// SPDX-License-Identifier: Apache-2.0
// Help for tests that need files, a loop, or sandboxes made from the text of a configuration.
#pragma once

#include "unit.h"

#include "config.h"
#include "loop.h"
#include "sandbox.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// A new file with the LENGTH bytes of CONTENT. PATH has room for it.
#define WORLD_PATH "/tmp/hooksfs-unit-XXXXXX"

static inline void world_file(char path[sizeof WORLD_PATH], const void *content, size_t length)
{
    int fd;

    strcpy(path, WORLD_PATH);
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, length), (ssize_t)length);
    close(fd);
}

// Loads the configuration TEXT, which must be valid.
static inline struct config *world_config(const char *text)
{
    char path[sizeof WORLD_PATH];
    struct buffer problems = {0};
    struct config *config;

    world_file(path, text, strlen(text));
    config = sandbox_load_config(path, NULL, &problems);
    unlink(path);
    ck_assert_msg(config != NULL, "%.*s", (int)problems.length, problems.data);
    ck_assert_uint_eq(problems.length, 0);
    buffer_finish(&problems);
    return config;
}

// Returns the words in one string, each in brackets. The caller frees it.
static inline char *world_join(const struct words *words)
{
    struct buffer text = {0};

    for (size_t i = 0; i < words->count; i++)
        buffer_printf(&text, "[%s]", words->items[i]);
    return buffer_take_string(&text);
}

// The value of an environment's variable, which it has once, or NULL.
static inline const char *world_variable(const struct words *env, const char *name)
{
    size_t length = strlen(name);
    const char *found = NULL;

    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->items[i], name, length) != 0 || env->items[i][length] != '=')
            continue;
        ck_assert_msg(!found, "%s twice", name);
        found = env->items[i] + length + 1;
    }
    return found;
}

// The user who runs the tests.
static inline struct caller world_caller(void)
{
    struct caller caller = {0};

    caller.identity.uid = geteuid();
    caller.identity.gid = getegid();
    caller.pid = getpid();
    return caller;
}

// Parses the command line TEXT, which must be valid.
static inline struct request world_request(const char *text)
{
    struct request_parser parser = {0};
    struct error err = {0};
    bool is_complete;
    ssize_t used = request_parse(&parser, text, strlen(text), &is_complete, &err);

    if (used >= 0)
        used = request_parse_end(&parser, &err);
    ck_assert_msg(used >= 0, "%s", used < 0 ? error_message(&err) : "");
    struct request request = parser.request;
    parser.request = (struct request){0};
    request_parser_finish(&parser);
    return request;
}

static inline void world_on_pause(void *data)
{
    loop_stop(data);
}

// Destroys the loop when it has reaped every child: one whose end nobody waits
// for, such as that of a command that could not be executed, may take a while.
static inline void world_end(struct loop *loop)
{
    struct timer pause = {.on_time = world_on_pause, .data = loop};

    while (waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) == 0) {
        loop_arm(loop, &pause, 1);
        loop_run(loop);
        loop_disarm(loop, &pause);
    }
    loop_run_tasks(loop);
    loop_destroy(loop);
}
