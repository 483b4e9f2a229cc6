// SPDX-License-Identifier: Apache-2.0
// Mode docker_exec: the command in a running container, by `docker exec`, or
// podman's.
#include "cleanup.h"
#include "docker.h"

struct settings {
    char *container;
    char *workdir;
    char *user;
    char *docker_path;
    struct words extra_args;
    struct agent_settings agent; // its workdir is not used: docker has an option for it
};

#define SETTING(member) offsetof(struct settings, member)

static const struct key keys[] = {
    {"agent",       VALUE_CHOICE, SETTING(agent.use),         "no",     false, agent_use_choices    },
    {"agent_path",  VALUE_NAME,   SETTING(agent.path),        NULL,     false, NULL                 },
    {"connect",     VALUE_CHOICE, SETTING(agent.connect),     "start",  false, agent_connect_choices},
    {"connections", VALUE_COUNT,  SETTING(agent.connections), "2",      false, NULL                 },
    {"container",   VALUE_NAME,   SETTING(container),         NULL,     true,  NULL                 },
    {"docker_path", VALUE_NAME,   SETTING(docker_path),       "docker", false, NULL                 },
    {"extra_args",  VALUE_TEXTS,  SETTING(extra_args),        NULL,     false, NULL                 },
    {"user",        VALUE_NAME,   SETTING(user),              NULL,     false, NULL                 },
    {"workdir",     VALUE_NAME,   SETTING(workdir),           NULL,     false, NULL                 },
};

static const struct agent_settings *agent(const void *data)
{
    const struct settings *settings = data;
    return &settings->agent;
}

static int check(void *data, const struct key *key, struct error *err)
{
    const struct settings *settings = data;
    return mode_check_agent(&settings->agent, key, err);
}

static int prepare(const void *data, const struct command *command, struct launch *launch,
                   struct error *err)
{
    const struct settings *settings = data;
    struct argv argv = {.words = &launch->argv};

    argv_add(&argv, settings->docker_path);
    argv_add(&argv, "exec");
    argv_add(&argv, "-i");
    argv_add_joined(&argv, "--workdir=", settings->workdir);
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
             .check = check},
    .agent = agent,
    .prepare = prepare,
    .client = "docker",
    .judge = docker_judge,
};
