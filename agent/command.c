// SPDX-License-Identifier: Apache-2.0
#include "command.h"

#include "cleanup.h"

#include <errno.h>
#include <limits.h>

// Whether one of the COUNT variables at STRINGS has the name of VARIABLE.
static bool is_replaced(const char *variable, char *const *strings, size_t count)
{
    size_t length = strcspn(variable, "=");

    for (size_t i = 0; i < count; i++)
        if (strings[i][0] == variable[0] && strncmp(strings[i], variable, length) == 0 &&
            strings[i][length] == '=')
            return true;
    return false;
}

int command_init(struct command *command, const struct frame *frame, char *const *own)
{
    struct frame_start start;
    size_t own_count = 0;
    const char *string;
    char **place;

    frame_parse_start(frame, &start);
    while (own[own_count])
        own_count++;
    // Each string has at least its NUL in the frame, so the sum is small.
    place = calloc((size_t)start.argument_count + start.environment_count + own_count + 2,
                   sizeof(char *));
    if (!place)
        return -ENOMEM;
    command->workdir = start.workdir;
    command->argv = place;
    string = start.strings;
    for (uint32_t i = 0; i < start.argument_count; i++, string += strlen(string) + 1)
        *place++ = (char *)string;
    place++;
    command->env = place;
    for (uint32_t i = 0; i < start.environment_count; i++, string += strlen(string) + 1)
        *place++ = (char *)string;
    for (; *own; own++)
        if (!is_replaced(*own, command->env, start.environment_count))
            *place++ = *own;
    return 0;
}

void command_finish(struct command *command)
{
    free(command->argv);
    *command = (struct command){0};
}

static const char *variable(char *const *env, const char *name)
{
    size_t length = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return *env + length + 1;
    return NULL;
}

// DIRECTORY (LENGTH bytes; none: the current one), a slash and NAME into FILE.
static bool join(char file[PATH_MAX], const char *directory, size_t length, const char *name)
{
    size_t name_length = strlen(name);

    if (length == 0) {
        directory = ".";
        length = 1;
    }
    if (length + 1 + name_length >= PATH_MAX)
        return false;
    memcpy(file, directory, length);
    file[length] = '/';
    memcpy(file + length + 1, name, name_length + 1);
    return true;
}

// As execvpe, but with the PATH of the new environment, and without handing a
// file that has no known format to a shell. Returns only on failure, with errno.
static void exec_in_path(char *const *argv, char *const *env)
{
    const char *path = variable(env, "PATH");
    char file[PATH_MAX];
    int failure = ENOENT;

    if (strchr(argv[0], '/')) {
        execve(argv[0], argv, env);
        return;
    }
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    while (path) {
        size_t length = strcspn(path, ":");
        if (join(file, path, length, argv[0]))
            execve(file, argv, env);
        else
            errno = ENAMETOOLONG;
        // A file that is there and cannot be executed says more than one that
        // is not there, but a later directory may have the right one.
        if (errno == EACCES)
            failure = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG) {
            failure = errno;
            break;
        }
        path = path[length] ? path + length + 1 : NULL;
    }
    errno = failure;
}

enum frame_stage command_exec(const struct command *command)
{
    if (command->workdir[0] && chdir(command->workdir) < 0)
        return FRAME_AT_WORKDIR;
    exec_in_path(command->argv, command->env);
    return FRAME_AT_EXEC;
}
