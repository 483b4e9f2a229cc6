// SPDX-License-Identifier: Apache-2.0
// Mode docker_exec: the command in a running container, by `docker exec`, or
// podman's.
#include "cleanup.h"
#include "docker.h"

#include <errno.h>

struct settings {
    char *container;
    char *workdir;
    char *user;
    char *docker_path;
    struct words extra_args;
    struct agent_settings agent; // its workdir is not used: docker has an option for it
};

#define SETTING(member) offsetof(struct settings, member)

// clang-format off
static const struct key keys[] = {
    AGENT_KEYS(struct settings, agent),
    {"container",   VALUE_NAME,  SETTING(container),   NULL,     true},
    {"docker_path", VALUE_PROGRAM, SETTING(docker_path), "docker", false},
    {"extra_args",  VALUE_TEXTS, SETTING(extra_args),  NULL,     false},
    {"user",        VALUE_NAME,  SETTING(user),        NULL,     false},
    {"workdir",     VALUE_PATH,  SETTING(workdir),     NULL,     false},
};
// clang-format on

static const struct agent_settings *agent(const void *data)
{
    const struct settings *settings = data;
    return &settings->agent;
}

static const char *why_unused(const void *data, const struct key *key)
{
    const struct settings *settings = data;
    return mode_agent_why_unused(&settings->agent, key);
}

static int check(void *data, struct users *users, const char **key, struct error *err)
{
    const struct settings *settings = data;

    (void)users;
    return mode_check_agent(&settings->agent, key, err);
}

static int prepare(const void *data, const struct command *command, struct launch *launch,
                   struct error *err)
{
    const struct settings *settings = data;
    struct argv argv = {.words = &launch->argv};

    if (docker_check_text(command, err) < 0)
        return -EINVAL;
    argv_add(&argv, settings->docker_path);
    argv_add(&argv, "exec");
    argv_add(&argv, "-i");
    argv_add_joined(&argv, "--workdir=", command->workdir ? command->workdir : settings->workdir);
    argv_add_joined(&argv, "--user=", settings->user);
    docker_add_environment(&argv, command, launch);
    // Otherwise podman looks for Ctrl-P Ctrl-Q in stdin, and leaves the command there.
    argv_add(&argv, "--detach-keys=");
    argv_add_all(&argv, &settings->extra_args);
    argv_add(&argv, settings->container);
    argv_add_all(&argv, command->argv);
    return argv_end(&argv, err);
}

const struct mode docker_exec_mode = {
    .keys = {.name = "docker_exec",
             .keys = keys,
             .count = sizeof keys / sizeof keys[0],
             .size = sizeof(struct settings),
             .check_common = mode_check_common,
             .why_unused = why_unused,
             .check = check},
    .agent = agent,
    .prepare = prepare,
    .client = "docker",
    .held_back_out = judge_held_back_out,
    .judge = docker_judge,
};
