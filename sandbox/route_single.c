// SPDX-License-Identifier: Apache-2.0
// The route to an agent that is the first process of a new container for each job.
#include "mode.h"
#include "route.h"
#include "single.h"

#include <stdlib.h>

struct single_route {
    struct route route;
    struct loop *loop;
    struct sandbox_config *config; // a reference
};

static bool serves(const struct sandbox_config *config)
{
    return mode_agent_settings(config) && mode_has_container_per_job(config);
}

static int prepare(struct route *route, struct launch *launch, const struct sandbox_config *config,
                   const struct request *request, const struct caller *caller, struct error *err)
{
    (void)route;
    (void)caller; // the container runs everything as its own user
    return launch_prepare_remote(launch, config, request, err);
}

static int open_single(struct route *route, struct channel *channel,
                       const struct route_start *start, const struct channel_events *events,
                       void *data, struct error *err)
{
    struct single_route *self = (struct single_route *)(void *)route;
    struct remote_spec spec = {.launch = start->launch,
                               .deadline_ns = start->deadline_ns,
                               .is_standby = start->is_standby};

    return single_open(self->loop, self->config, channel, &spec, events, data, err);
}

static void destroy(struct route *route)
{
    struct single_route *self = (struct single_route *)(void *)route;

    sandbox_config_unref(self->config);
    free(self);
}

static const struct route_ops ops = {
    .prepare = prepare,
    .open = open_single,
    .destroy = destroy,
};

static struct route *create(struct loop *loop, struct sandbox_config *config)
{
    struct single_route *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    *self = (struct single_route){
        .route = {.ops = &ops}, .loop = loop, .config = sandbox_config_ref(config)};
    return &self->route;
}

const struct route_kind route_single = {.serves = serves, .create = create};
