// SPDX-License-Identifier: Apache-2.0
// The route over the connections of a sandbox to agents in its container.
#include "agents.h"
#include "mode.h"
#include "route.h"

#include <stdlib.h>

struct agents_route {
    struct route route;
    struct agents *agents; // owned
};

static struct agents *agents_of(struct route *route)
{
    return ((struct agents_route *)(void *)route)->agents;
}

static bool serves(const struct sandbox_config *config)
{
    return mode_agent_settings(config) && !mode_has_container_per_job(config);
}

static int prepare(struct route *route, struct launch *launch, const struct sandbox_config *config,
                   const struct request *request, const struct caller *caller, struct error *err)
{
    (void)route;
    (void)caller; // the agent runs everything as its own user
    return launch_prepare_remote(launch, config, request, err);
}

static int open_remote(struct route *route, struct channel *channel,
                       const struct route_start *start, const struct channel_events *events,
                       void *data, struct error *err)
{
    struct remote_spec spec = {.launch = start->launch,
                               .deadline_ns = start->deadline_ns,
                               .is_standby = start->is_standby};

    return agents_open(agents_of(route), channel, &spec, events, data, err);
}

static bool is_declined(struct route *route)
{
    struct agents *agents = agents_of(route);

    return agents_may_decline(agents) && agents_is_declined(agents);
}

static void retire(struct route *route)
{
    agents_retire(agents_of(route));
}

static void destroy(struct route *route)
{
    agents_destroy(agents_of(route));
    free(route);
}

static const struct route_ops ops = {
    .prepare = prepare,
    .open = open_remote,
    .is_declined = is_declined,
    .retire = retire,
    .destroy = destroy,
};

static struct route *create(struct loop *loop, struct sandbox_config *config)
{
    struct agents_route *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    *self = (struct agents_route){.route = {.ops = &ops}, .agents = agents_create(loop, config)};
    if (self->agents)
        return &self->route;
    free(self);
    return NULL;
}

const struct route_kind route_agents = {.serves = serves, .create = create};
