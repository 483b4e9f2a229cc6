// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include "argv.h"
#include "cleanup.h"
#include "mode.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

int launch_name_container(char **name, struct error *err)
{
    unsigned char bytes[8];
    char text[] = "hooksfs-0123456789abcdef";

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return error_set(err, EIO, "cannot get random numbers");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + sizeof "hooksfs-" - 1 + 2 * i, 3, "%02x", bytes[i]);
    *name = strdup(text);
    return *name ? 0 : error_set(err, ENOMEM, "no memory");
}

int launch_prepare(struct launch *launch, const struct sandbox_config *config,
                   const struct request *request, const struct caller *caller, struct error *err)
{
    AUTO(words_finish) struct words env = {0};
    const struct mode *mode = mode_of(config->mode);
    struct command command = {.config = config,
                              .env = &env,
                              .argv = &request->argv,
                              .caller = caller,
                              .workdir = request->options.workdir,
                              .container = launch->container};

    if (environment_merge(&env, &config->env) < 0 || environment_merge(&env, &request->env) < 0)
        return error_set(err, ENOMEM, "no memory");
    launch->has_env = env.count > 0;
    launch->client = mode->client ? mode : NULL;
    if (!launch->client)
        launch->rlimits = config->rlimits;
    launch->has_group = mode_has_group(config);
    if (launch->has_group)
        launch->limits = config->limits;
    return mode->prepare(config->settings, &command, launch, err);
}

int launch_prepare_remote(struct launch *launch, const struct sandbox_config *config,
                          const struct request *request, struct error *err)
{
    const struct agent_settings *agent = mode_agent_settings(config);
    const char *workdir = request->options.workdir ? request->options.workdir : agent->workdir;
    struct argv argv = {.words = &launch->argv};

    launch->rlimits = config->rlimits;
    // A container of its own has the limits of the group.
    if (!mode_has_container_per_job(config))
        launch->limits = config->limits;
    argv_add_all(&argv, &request->argv);
    if (environment_merge(&launch->env, &config->env) < 0 ||
        environment_merge(&launch->env, &request->env) < 0 ||
        (workdir && !(launch->workdir = strdup(workdir))))
        argv.has_failed = true;
    return argv_end(&argv, err);
}

// kubectl, docker and podman are written in Go, and for a connection they only copy. With one
// thread there are fewer wake-ups, and a call takes a tenth less time. With more garbage, up to
// 20 MB, there is less work, and 1 GiB takes a tenth less time, too. Variables that the daemon
// has already stay as they are.
static int tune(struct words *env)
{
    static const char *const variables[] = {"GOMAXPROCS=1", "GOGC=400"};

    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (environment_default(env, variables[i]) < 0)
            return -ENOMEM;
    return 0;
}

int launch_prepare_client(struct launch *launch, const struct sandbox_config *config,
                          const struct words *argv, const struct container_entry *entry,
                          struct error *err)
{
    static const struct caller nobody;
    static const struct words nothing;
    struct command command = {.config = config,
                              .env = &nothing,
                              .argv = argv,
                              .caller = &nobody,
                              .entry = entry,
                              .container = launch->container};
    int result = mode_of(config->mode)->prepare(config->settings, &command, launch, err);

    if (result == 0 && tune(&launch->env) < 0)
        result = error_set(err, ENOMEM, "no memory");
    return result;
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

// Is WORD the option that names the container of LAUNCH?
static bool is_container_name(const struct launch *launch, const char *word)
{
    static const char option[] = "--name=";

    return launch->container && strncmp(word, option, sizeof option - 1) == 0 &&
           strcmp(word + sizeof option - 1, launch->container) == 0;
}

// Each container has a name of its own, which makes no difference to the command.
static bool is_same_argv(const struct launch *a, const struct launch *b)
{
    if (a->argv.count != b->argv.count)
        return false;
    for (size_t i = 0; i < a->argv.count; i++)
        if (strcmp(a->argv.items[i], b->argv.items[i]) != 0 &&
            !(is_container_name(a, a->argv.items[i]) && is_container_name(b, b->argv.items[i])))
            return false;
    return true;
}

static bool is_confined_alike(const struct confinement *a, const struct confinement *b)
{
    return a && b ? confinement_is_no_tighter(a, b) : a == b;
}

static bool is_limited_alike(const struct launch *a, const struct launch *b)
{
    return memcmp(&a->rlimits, &b->rlimits, sizeof a->rlimits) == 0 &&
           a->has_group == b->has_group && a->limits.memory_bytes == b->limits.memory_bytes &&
           a->limits.pids == b->limits.pids && a->limits.cpu_percent == b->limits.cpu_percent;
}

bool launch_equal(const struct launch *a, const struct launch *b)
{
    return is_same_argv(a, b) && words_equal(&a->env, &b->env) &&
           is_same_text(a->workdir, b->workdir) && a->client == b->client &&
           a->has_env == b->has_env && a->has_identity == b->has_identity &&
           identity_equal(&a->identity, &b->identity) &&
           is_confined_alike(a->identity.confinement, b->identity.confinement) &&
           is_limited_alike(a, b) && a->file.length == b->file.length &&
           (a->file.length == 0 || memcmp(a->file.data, b->file.data, a->file.length) == 0);
}

void launch_finish(struct launch *launch)
{
    words_finish(&launch->argv);
    words_finish(&launch->env);
    free(launch->workdir);
    free(launch->container);
    identity_finish(&launch->identity);
    buffer_finish(&launch->file);
    *launch = (struct launch){0};
}
