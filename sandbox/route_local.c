// SPDX-License-Identifier: Apache-2.0
// The route of a job that has a child process of its own: its command, or a client such
// as kubectl that runs the command elsewhere.
#include "local.h"
#include "mode.h"
#include "route.h"

#include <errno.h>
#include <stdlib.h>

struct local_route {
    struct route route;
    struct loop *loop;
};

// A sandbox that requires an agent never goes without.
static bool serves(const struct sandbox_config *config)
{
    const struct agent_settings *agent = mode_agent_settings(config);

    return !agent || agent->use != AGENT_REQUIRE;
}

static int prepare(struct route *route, struct launch *launch, const struct sandbox_config *config,
                   const struct request *request, const struct caller *caller, struct error *err)
{
    (void)route;
    // So that the container can be removed when its client is gone.
    if (mode_has_container_per_job(config) && launch_name_container(&launch->container, err) < 0)
        return -ENOMEM;
    return launch_prepare(launch, config, request, caller, err);
}

static int open_local(struct route *route, struct channel *channel, const struct route_start *start,
                      const struct channel_events *events, void *data, struct error *err)
{
    const struct local_route *self = (const struct local_route *)(const void *)route;
    struct launch *launch = start->launch;
    struct process_spec spec = {
        .argv = launch->argv.items,
        .env = launch->env.items,
        .workdir = launch->workdir,
        .identity = launch->has_identity ? &launch->identity : NULL,
        .is_command = !launch->client,
        .confinement = launch->identity.confinement,
        .rlimits = launch->client ? NULL : &launch->rlimits,
        .file = launch->file.data,
        .file_size = launch->file.length,
        .limits = launch->has_group ? &launch->limits : NULL,
        .is_standby = start->is_standby,
    };
    int result = local_open(channel, self->loop, &spec, events, data, err);

    if (result == 0) { // the child has copies, and a job may last
        words_finish(&launch->env);
        buffer_finish(&launch->file);
    }
    return result;
}

static void destroy(struct route *route)
{
    free(route);
}

static const struct route_ops ops = {
    .prepare = prepare,
    .open = open_local,
    .destroy = destroy,
};

static struct route *create(struct loop *loop, struct sandbox_config *config)
{
    struct local_route *self = calloc(1, sizeof *self);

    (void)config;
    if (!self)
        return NULL;
    *self = (struct local_route){.route = {.ops = &ops}, .loop = loop};
    return &self->route;
}

const struct route_kind route_local = {.serves = serves, .create = create};
