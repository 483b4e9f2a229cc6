// SPDX-License-Identifier: Apache-2.0
#include "docker.h"

#include "cleanup.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>

// Lines of an --env-file are read with a buffer of 64 KiB by docker and podman.
enum { LONGEST_LINE = 60 * 1000 };

// Does every version of docker and podman read the line PAIR of an --env-file unchanged? For
// podman 4.7 a quote begins a value of several lines. Both drop a carriage return at the end.
static bool is_plain_line(const char *pair)
{
    size_t length = strlen(pair);
    char first = pair[strcspn(pair, "=") + 1];

    return length <= LONGEST_LINE && !strpbrk(pair, "\r\n") && first != '"' && first != '\'' &&
           first != '`' && first != ' ' && first != '\t' && pair[length - 1] != ' ' &&
           pair[length - 1] != '\t';
}

void docker_add_environment(struct argv *argv, const struct command *command, struct launch *launch)
{
    if (environment_inherit(&launch->env) < 0)
        argv->has_failed = true;
    for (size_t i = 0; i < command->env->count; i++) {
        const char *pair = command->env->items[i];
        if (!is_plain_line(pair))
            argv_add_option(argv, "-e", pair);
        else if (buffer_printf(&launch->file, "%s\n", pair) < 0)
            argv->has_failed = true;
    }
    if (launch->file.length > 0)
        argv_add(argv, "--env-file=" LAUNCH_FILE);
}

static int check_words(const struct words *words, const char *what, struct error *err)
{
    for (size_t i = 0; i < words->count; i++)
        if (!text_is_utf8(words->items[i], strlen(words->items[i])))
            return error_set(err, EINVAL,
                             "%s is not UTF-8, and docker would change it; with an agent it can be "
                             "any bytes",
                             what);
    return 0;
}

void docker_add_rlimits(struct argv *argv, const struct rlimits *rlimits)
{
    // clang-format off
    static const char *const names[RLIM_NLIMITS] = {
        [RLIMIT_CORE] = "core",       [RLIMIT_CPU] = "cpu",       [RLIMIT_DATA] = "data",
        [RLIMIT_FSIZE] = "fsize",     [RLIMIT_MEMLOCK] = "memlock", [RLIMIT_NOFILE] = "nofile",
        [RLIMIT_NPROC] = "nproc",     [RLIMIT_STACK] = "stack",
    };
    // clang-format on

    for (int i = 0; i < RLIM_NLIMITS; i++) {
        char text[64];
        unsigned long long value = rlimits->of[i].value;

        if (!rlimits->of[i].is_set || !names[i])
            continue;
        snprintf(text, sizeof text, "%s=%llu:%llu", names[i], value, value);
        argv_add_joined(argv, "--ulimit=", text);
    }
}

static void add_number(struct argv *argv, const char *option, unsigned long long number)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", number);
    argv_add_joined(argv, option, text);
}

void docker_add_group_limits(struct argv *argv, const struct cgroup_limits *limits, unsigned others)
{
    char text[32];

    // The second limit is that of memory and swap together. Without it there is as much swap.
    if (limits->memory_bytes > 0) {
        add_number(argv, "--memory=", limits->memory_bytes);
        add_number(argv, "--memory-swap=", limits->memory_bytes);
    }
    if (limits->pids > 0)
        add_number(argv, "--pids-limit=", (unsigned long long)limits->pids + others);
    if (limits->cpu_percent > 0) {
        snprintf(text, sizeof text, "%u.%02u", limits->cpu_percent / 100,
                 limits->cpu_percent % 100);
        argv_add_joined(argv, "--cpus=", text);
    }
}

int docker_check_text(const struct command *command, struct error *err)
{
    int result = check_words(command->argv, "an argument", err);

    return result < 0 ? result : check_words(command->env, "a variable", err);
}

// --- Judgement

// docker/cli: cli/cobra.go and cli/required.go (the hints), cli/command/container/run.go and
// utils.go. podman: cmd/podman/main.go, root.go, registry/config.go.
static const char *const ignored[] = {
    "See 'docker ",                     // 20.10 to 26
    "Run 'docker ",                     // from 27 on
    "Usage:  docker ",                  // above it
    "See 'podman ",                     // 4
    "Run 'podman ",                     //
    "Try 'podman ",                     //
    "Usage:  podman ",                  //
    ".\n",                              // 20.10, after what ssh says
    "WARNING: ",                        // of docker, and of its engine
    "DEPRECATED: ",                     //
    "Emulate Docker CLI using podman.", // the package podman-docker
    "time=\"*\" level=debug ",          //
    "time=\"*\" level=info ",           //
    "time=\"*\" level=warning ",        // podman 5 of version 1 of the cgroups
    "time=\"*\" level=error msg=\"*rror waiting for container: context canceled", // 20.10, in
                                                                                  // a race with the
                                                                                  // message itself
    NULL,
};

// clang-format off
static const struct judge_row rows[] = {
    // When an exec cannot be started, the engine's message comes as if the command had
    // written it to stdout. The code is 126 even if the command was not found (docker/cli
    // issue 2025; moby's daemon/exec.go and api/server/router/container/exec.go). Seen with
    // 20.10, 24 and 28.
    {JUDGE_STDOUT, JUDGE_OWN, "OCI runtime exec failed: ", JUDGE_RUNTIME},
    {JUDGE_STDOUT, JUDGE_OWN, "unable to find user ", JUDGE_UNREACHABLE},
    {JUDGE_STDOUT, JUDGE_OWN, "unable to find group ", JUDGE_UNREACHABLE},
    JUDGE_INIT_ROWS,
    // The client alone writes these messages, with any exit code.
    {JUDGE_MESSAGE, JUDGE_FAILURE, "docker: ", JUDGE_RUNTIME},                     // run.go
    {JUDGE_MESSAGE, JUDGE_FAILURE, "Error response from daemon: ", JUDGE_RUNTIME}, // moby's client/errors.go
    {JUDGE_MESSAGE, JUDGE_FAILURE, "OCI runtime exec failed: ", JUDGE_RUNTIME},
    {JUDGE_MESSAGE, JUDGE_FAILURE, "Error: No such container: ", JUDGE_UNREACHABLE}, // 20.10
    {JUDGE_MESSAGE, JUDGE_FAILURE, "Cannot connect to the Docker daemon", JUDGE_UNREACHABLE}, // client/errors.go
    {JUDGE_MESSAGE, JUDGE_FAILURE, "Cannot connect to Podman", JUDGE_UNREACHABLE}, // podman's registry/registry.go
    {JUDGE_MESSAGE, JUDGE_FAILURE, "error during connect: ", JUDGE_UNREACHABLE},   // client/request.go; ssh hosts
    {JUDGE_MESSAGE, JUDGE_FAILURE, "permission denied while trying to connect to the ", JUDGE_UNREACHABLE},
    {JUDGE_MESSAGE, JUDGE_FAILURE, "unable to resolve docker endpoint: ", JUDGE_UNREACHABLE}, // cli/command/cli.go, to 24; contexts
    {JUDGE_MESSAGE, JUDGE_FAILURE, "Failed to initialize: ", JUDGE_UNREACHABLE},   // the same, from 25 on
    {JUDGE_MESSAGE, JUDGE_FAILURE, "Failed to obtain podman configuration: ", JUDGE_UNREACHABLE}, // podman 5, registry/config.go
    // Messages with exit code 1.
    {JUDGE_MESSAGE, JUDGE_1, "the input device is not a TTY", JUDGE_UNREACHABLE},  // cli/streams/in.go, to 28
    {JUDGE_MESSAGE, JUDGE_1, "cannot attach stdin to a TTY-enabled container ", JUDGE_UNREACHABLE}, // from 29 on
    {JUDGE_MESSAGE, JUDGE_1, "unable to upgrade to ", JUDGE_UNREACHABLE},          // client/hijack.go
    {JUDGE_MESSAGE, JUDGE_1, "unexpected EOF\n", JUDGE_UNREACHABLE},               // the same, of an answer cut
    {JUDGE_MESSAGE, JUDGE_1, "EOF\n", JUDGE_UNREACHABLE},
    {JUDGE_MESSAGE, JUDGE_1, "read unix ", JUDGE_UNREACHABLE},                     // Go's net.OpError
    {JUDGE_MESSAGE, JUDGE_1, "write unix ", JUDGE_UNREACHABLE},
    {JUDGE_MESSAGE, JUDGE_1, "read tcp ", JUDGE_UNREACHABLE},
    {JUDGE_MESSAGE, JUDGE_1, "write tcp ", JUDGE_UNREACHABLE},
    // If podman cannot read its own configuration, it writes nothing but its log.
    {JUDGE_ALONE, JUDGE_1, "time=\"*\" level=error ", JUDGE_UNREACHABLE},
    {JUDGE_ALONE, JUDGE_1, "time=\"*\" level=fatal ", JUDGE_UNREACHABLE},
    // Messages with an exit code that the client keeps for itself.
    {JUDGE_MESSAGE, JUDGE_OWN | JUDGE_255, "Error: ", JUDGE_RUNTIME},              // podman's main.go
    {JUDGE_MESSAGE, JUDGE_OWN | JUDGE_255, "error: ", JUDGE_RUNTIME},
    {JUDGE_MESSAGE, JUDGE_OWN | JUDGE_255, "time=\"*\" level=error ", JUDGE_RUNTIME},
    {JUDGE_MESSAGE, JUDGE_OWN | JUDGE_255, "time=\"*\" level=fatal ", JUDGE_RUNTIME},
    // Other errors in the client's options.
    {JUDGE_HINT, JUDGE_1 | JUDGE_OWN, "See 'docker ", JUDGE_UNREACHABLE},
    {JUDGE_HINT, JUDGE_1 | JUDGE_OWN, "Run 'docker ", JUDGE_UNREACHABLE},
    {JUDGE_HINT, JUDGE_1 | JUDGE_OWN, "See 'podman ", JUDGE_UNREACHABLE},
    {JUDGE_HINT, JUDGE_1 | JUDGE_OWN, "Try 'podman ", JUDGE_UNREACHABLE},
    // The connection over which the client learns the exit code was lost (run.go, utils.go).
    {JUDGE_LINE, JUDGE_OWN, "time=\"*\" level=error msg=\"*rror waiting for container: ", JUDGE_UNREACHABLE},
    JUDGE_GO_ROWS,
};
// clang-format on

const struct judge_table docker_table = {
    .client = "the docker client",
    .ignored = ignored,
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
    .otherwise = JUDGE_COMMAND,
};

size_t docker_judge(const struct ending *ending, struct outcome *outcome)
{
    if (!ending->is_signaled && ending->number == 0)
        outcome_set_unconfirmed(outcome);
    else
        judge_by(&docker_table, ending, outcome);
    return 0;
}
