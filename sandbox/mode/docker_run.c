// SPDX-License-Identifier: Apache-2.0
// Mode docker_run: each job in a new container, by `docker run --rm`, or
// podman's.
#include "cleanup.h"
#include "docker.h"
#include "standby_line.h"

struct settings {
    char *image;
    char *network;
    char *docker_path;
    struct words mounts;
    struct words extra_args;
};

#define SETTING(member) offsetof(struct settings, member)

// clang-format off
static const struct key keys[] = {
    {"docker_path", VALUE_NAME,  SETTING(docker_path), "docker", false},
    {"extra_args",  VALUE_TEXTS, SETTING(extra_args),  NULL,     false},
    {"image",       VALUE_NAME,  SETTING(image),       NULL,     true},
    {"mounts",      VALUE_NAMES, SETTING(mounts),      NULL,     false},
    {"network",     VALUE_NAME,  SETTING(network),     NULL,     false},
};
// clang-format on

static int prepare(const void *data, const struct command *command, struct launch *launch,
                   struct error *err)
{
    const struct settings *settings = data;
    struct argv argv = {.words = &launch->argv};

    argv_add(&argv, settings->docker_path);
    argv_add(&argv, "run");
    argv_add(&argv, "--rm");
    argv_add(&argv, "-i");
    argv_add_joined(&argv, "--network=", settings->network);
    argv_add_joined(&argv, "--workdir=", command->workdir);
    for (size_t i = 0; i < settings->mounts.count; i++)
        argv_add_option(&argv, "-v", settings->mounts.items[i]);
    docker_add_environment(&argv, command, launch);
    // Otherwise podman looks for Ctrl-P Ctrl-Q in stdin, and leaves the command there.
    argv_add(&argv, "--detach-keys=");
    argv_add_all(&argv, &settings->extra_args);
    argv_add(&argv, settings->image);
    argv_add_all(&argv, command->argv);
    return argv_end(&argv, err);
}

const struct mode docker_run_mode = {
    .keys = {.name = "docker_run",
             .keys = keys,
             .count = sizeof keys / sizeof keys[0],
             .size = sizeof(struct settings),
             .check_common = standby_line_check},
    .prepare = prepare,
    .client = "docker",
    .held_back_out = judge_held_back_out,
    .judge = docker_judge,
};
