// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include "cleanup.h"

#include <errno.h>
#include <limits.h>

// True if one of the COUNT variables in STRINGS has the same name as VARIABLE.
static bool is_replaced(const char *variable, char *const *strings, size_t count)
{
    size_t length = strcspn(variable, "=");

    for (size_t i = 0; i < count; i++)
        if (strings[i][0] == variable[0] && strncmp(strings[i], variable, length) == 0 &&
            strings[i][length] == '=')
            return true;
    return false;
}

_Static_assert((int)RLIM_NLIMITS == (int)FRAME_RLIMITS,
               "the kinds of a START are Linux's resources");

static void program_add_limit(struct program *program, struct frame_limit limit)
{
    unsigned number = limit.value < UINT_MAX ? (unsigned)limit.value : UINT_MAX;

    if (limit.kind == FRAME_LIMIT_MEMORY)
        program->group.memory_bytes = limit.value;
    else if (limit.kind == FRAME_LIMIT_PIDS)
        program->group.pids = number;
    else if (limit.kind == FRAME_LIMIT_CPU)
        program->group.cpu_percent = number;
    else
        program->rlimits.of[limit.kind] = (struct rlimit_value){1, limit.value};
}

int program_init(struct program *program, const struct frame *frame, char *const *own)
{
    struct frame_start start;
    size_t own_count = 0;
    const char *string;
    char **next;

    frame_parse_start(frame, &start);
    while (own[own_count])
        own_count++;
    // Each string has at least its NUL in the frame, so the sum cannot overflow.
    next = calloc((size_t)start.argument_count + start.environment_count + own_count + 2,
                  sizeof(char *));
    if (!next)
        return -ENOMEM;
    program->workdir = start.workdir;
    for (uint32_t i = 0; i < start.limit_count; i++)
        program_add_limit(program, frame_parse_limit(&start, i));
    program->argv = next;
    string = start.strings;
    for (uint32_t i = 0; i < start.argument_count; i++, string += strlen(string) + 1)
        *next++ = (char *)string;
    next++;
    program->env = next;
    for (uint32_t i = 0; i < start.environment_count; i++, string += strlen(string) + 1)
        *next++ = (char *)string;
    for (; *own; own++)
        if (!is_replaced(*own, program->env, start.environment_count))
            *next++ = *own;
    return 0;
}

void program_finish(struct program *program)
{
    free(program->argv);
    *program = (struct program){0};
}

static const char *variable(char *const *env, const char *name)
{
    size_t length = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return *env + length + 1;
    return NULL;
}

// Writes DIRECTORY (LENGTH bytes; 0: the current directory), a slash and NAME to FILE.
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

// Like execvpe, but it takes PATH from the new environment, and does not give a file of
// an unknown format to a shell. Returns only after a failure, with errno.
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
        // A later directory may have the right file. If none has, EACCES says more
        // than ENOENT.
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

static int take_limit(const struct rlimits *rlimits, int resource)
{
    struct rlimit limit;

    if (!rlimits->of[resource].is_set)
        return 0;
    if (getrlimit(resource, &limit) < 0)
        return -1;
    return rlimits_lower(rlimits, resource, &limit) ? setrlimit(resource, &limit) : 0;
}

enum frame_stage program_exec(const struct program *program)
{
    for (int resource = 0; resource < RLIM_NLIMITS; resource++)
        if (take_limit(&program->rlimits, resource) < 0)
            return FRAME_AT_LIMITS;
    if (program->workdir[0] && chdir(program->workdir) < 0)
        return FRAME_AT_WORKDIR;
    exec_in_path(program->argv, program->env);
    return FRAME_AT_EXEC;
}
