// SPDX-License-Identifier: Apache-2.0
#include "route.h"

#include "cleanup.h"
#include "log.h"
#include "standbys.h"

#include <stdlib.h>

#define ROUTE_KIND(name) &route_##name,
static const struct route_kind *const kinds[] = {ROUTES(ROUTE_KIND)};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct routes {
    unsigned references;
    size_t count;
    struct route *items[KINDS]; // owned
    struct loop *loop;
    struct standbys *standbys; // NULL: none
};

struct routes *routes_create(struct loop *loop, struct sandbox_config *config)
{
    struct routes *routes = calloc(1, sizeof *routes);

    if (!routes)
        return NULL;
    routes->references = 1;
    for (size_t i = 0; i < KINDS; i++) {
        if (!kinds[i]->serves(config))
            continue;
        routes->items[routes->count] = kinds[i]->create(loop, config);
        if (!routes->items[routes->count]) {
            routes_unref(routes);
            return NULL;
        }
        routes->count++;
    }
    routes->loop = loop;
    routes_configure(routes, config);
    return routes;
}

struct routes *routes_ref(struct routes *routes)
{
    routes->references++;
    return routes;
}

void routes_unref(struct routes *routes)
{
    if (!routes || --routes->references > 0)
        return;
    standbys_destroy(routes->standbys);
    for (size_t i = 0; i < routes->count; i++)
        routes->items[i]->ops->destroy(routes->items[i]);
    free(routes);
}

void routes_configure(struct routes *routes, struct sandbox_config *config)
{
    int result = 0;

    if (routes->standbys)
        result = standbys_configure(routes->standbys, config);
    else if (config->standby.count > 0) {
        routes->standbys = standbys_create(routes->loop, config, routes);
        result = routes->standbys ? 0 : -1;
    }
    // Each job does without, which takes longer.
    if (result < 0)
        log_error("sandbox %s: no memory for its standbys; reload the configuration again",
                  config->name);
}

int routes_open(struct routes *routes, size_t route_index, struct channel *channel,
                const struct route_start *start, const struct channel_events *events, void *data,
                struct error *err)
{
    struct route *route = routes->items[route_index];

    if (routes->standbys &&
        standbys_take(routes->standbys, route_index, channel, start, events, data))
        return 0;
    return route->ops->open(route, channel, start, events, data, err);
}

void routes_retire(struct routes *routes)
{
    if (routes->standbys)
        standbys_retire(routes->standbys);
    for (size_t i = 0; i < routes->count; i++)
        if (routes->items[i]->ops->retire)
            routes->items[i]->ops->retire(routes->items[i]);
}

size_t routes_find(const struct routes *routes, size_t from)
{
    while (from + 1 < routes->count && routes->items[from]->ops->is_declined &&
           routes->items[from]->ops->is_declined(routes->items[from]))
        from++;
    return from;
}

size_t routes_count(const struct routes *routes)
{
    return routes->count;
}

struct route *routes_at(const struct routes *routes, size_t route_index)
{
    return routes->items[route_index];
}
