// SPDX-License-Identifier: Apache-2.0
#include "route.h"

#include <stdlib.h>

#define ROUTE_KIND(name) &route_##name,
static const struct route_kind *const kinds[] = {ROUTES(ROUTE_KIND)};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct routes {
    unsigned references;
    size_t count;
    struct route *items[KINDS]; // owned
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
    for (size_t i = 0; i < routes->count; i++)
        routes->items[i]->ops->destroy(routes->items[i]);
    free(routes);
}

void routes_retire(struct routes *routes)
{
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

struct route *routes_at(const struct routes *routes, size_t place)
{
    return routes->items[place];
}
