// SPDX-License-Identifier: Apache-2.0
// Mode docker_run: each job in a new container, by `docker run --rm`, or
// podman's.
#include "cleanup.h"
#include "docker.h"

#include <errno.h>

enum { AGENT_PROCESSES = 2 }; // the agent and its supervisor

struct settings {
    char *image;
    char *network;
    char *docker_path;
    struct words mounts;
    struct words extra_args;
    struct agent_settings agent; // connections, connect and connect_timeout have no key
};

#define SETTING(member) offsetof(struct settings, member)

// clang-format off
static const struct key keys[] = {
    {"agent",       VALUE_CHOICE, SETTING(agent.use),  "no",     false, agent_use_choices},
    {"agent_path",  VALUE_PATH,   SETTING(agent.path), NULL,     false},
    {"agent_way",   VALUE_CHOICE, SETTING(agent.way),  "mount",  false, agent_way_choices},
    {"docker_path", VALUE_PROGRAM, SETTING(docker_path), "docker", false},
    {"extra_args",  VALUE_TEXTS, SETTING(extra_args),  NULL,     false},
    {"image",       VALUE_NAME,  SETTING(image),       NULL,     true},
    {"mounts",      VALUE_NAMES, SETTING(mounts),      NULL,     false},
    {"network",     VALUE_NAME,  SETTING(network),     NULL,     false},
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

    if (strcmp(key->name, "agent") == 0 && settings->agent.use == AGENT_AUTO)
        return "auto is not possible in mode docker_run: use require";
    if (strcmp(key->name, "agent_way") == 0 && settings->agent.use == AGENT_NO)
        return "is of no use without agent = require";
    if (strcmp(key->name, "agent_way") == 0 && settings->agent.path)
        return "is of no use with agent_path";
    return mode_agent_why_unused(&settings->agent, key);
}

static bool client_limits(const char *name)
{
    return strcmp(name, "rlimit_as") != 0;
}

// Without a log driver the engine does not keep the frames, which have the job's input and
// output.
static void add_entry(struct argv *argv, const struct container_entry *entry, const char *program)
{
    argv_add(argv, "--log-driver=none");
    if (entry->copy)
        argv_add_mount(argv, entry->copy, ENTRY_AGENT);
    argv_add_joined(argv, "--entrypoint=", program);
}

static int prepare(const void *data, const struct command *command, struct launch *launch,
                   struct error *err)
{
    const struct settings *settings = data;
    struct argv argv = {.words = &launch->argv};

    if (docker_check_text(command, err) < 0)
        return -EINVAL;
    argv_add(&argv, settings->docker_path);
    argv_add(&argv, "run");
    argv_add(&argv, "--rm");
    argv_add(&argv, "-i");
    argv_add_joined(&argv, "--network=", settings->network);
    argv_add_joined(&argv, "--workdir=", command->workdir);
    for (size_t i = 0; i < settings->mounts.count; i++)
        argv_add_option(&argv, "-v", settings->mounts.items[i]);
    docker_add_environment(&argv, command, launch);
    // An agent limits the command itself. Otherwise its own processes would count.
    if (!command->entry)
        docker_add_rlimits(&argv, &command->config->rlimits);
    docker_add_group_limits(&argv, &command->config->limits, command->entry ? AGENT_PROCESSES : 0);
    argv_add_joined(&argv, "--name=", command->container);
    if (command->entry)
        add_entry(&argv, command->entry, command->argv->items[0]);
    // Otherwise podman looks for Ctrl-P Ctrl-Q in stdin, and leaves the command there.
    argv_add(&argv, "--detach-keys=");
    argv_add_all(&argv, &settings->extra_args);
    argv_add(&argv, settings->image);
    for (size_t i = command->entry ? 1 : 0; i < command->argv->count; i++)
        argv_add(&argv, command->argv->items[i]);
    return argv_end(&argv, err);
}

// The first attempt is a kill, because podman does not wait for it, and --rm then removes the
// container. The later attempts remove a container that was made and never started.
static int prepare_removal(const void *data, const char *name, bool is_first, struct launch *launch,
                           struct error *err)
{
    const struct settings *settings = data;
    struct argv argv = {.words = &launch->argv};

    argv_add(&argv, settings->docker_path);
    argv_add(&argv, is_first ? "kill" : "rm");
    if (!is_first)
        argv_add(&argv, "-f");
    argv_add(&argv, name);
    if (environment_inherit(&launch->env) < 0)
        argv.has_failed = true;
    return argv_end(&argv, err);
}

const struct mode docker_run_mode = {
    .keys = {.name = "docker_run",
             .keys = keys,
             .count = sizeof keys / sizeof keys[0],
             .size = sizeof(struct settings),
             .why_unused = why_unused,
             .check_common = mode_check_common},
    .agent = agent,
    .client_limits = client_limits,
    .prepare = prepare,
    .prepare_removal = prepare_removal,
    .client = "docker",
    .held_back_out = judge_held_back_out,
    .judge = docker_judge,
};
