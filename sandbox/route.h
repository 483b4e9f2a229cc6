// SPDX-License-Identifier: Apache-2.0
// A route: one way for the jobs of a sandbox to the machine or container where their commands run.
// A sandbox has one route or several, in a fixed order (ROUTES). A job
// takes the first route that is not declined; when a route declines later, before
// anything was started, the job takes the next one.
#pragma once

#include "channel.h"
#include "launch.h"
#include "loop.h"

struct route;

// A job that is about to be started.
struct route_start {
    struct launch *launch; // filled in by the same route; open may free from it what the
                           // channel does not need
    uint64_t deadline_ns;  // the far end kills the command by itself then; 0: never
    bool is_standby;       // there is no job yet
};

struct route_ops {
    // Fills in LAUNCH, which is all zero, for REQUEST of CALLER. CONFIG is the job's, which
    // can be newer than the route. Returns 0, or -errno with ERR set as launch_prepare does.
    int (*prepare)(struct route *route, struct launch *launch, const struct sandbox_config *config,
                   const struct request *request, const struct caller *caller, struct error *err);
    // Opens CHANNEL to the command of START. EVENTS outlive the channel. The launch of START
    // must last until the channel is destroyed. Returns 0, or -errno with ERR set.
    int (*open)(struct route *route, struct channel *channel, const struct route_start *start,
                const struct channel_events *events, void *data, struct error *err);
    // Would the route decline a job now, so that the next route has to take it? NULL: never.
    bool (*is_declined)(struct route *route);
    // There will be no new jobs: the route keeps only what its open channels need. NULL:
    // nothing to do.
    void (*retire)(struct route *route);
    // Frees the route. It has no channel then.
    void (*destroy)(struct route *route);
};

// Embedded at the start of each route's own struct.
struct route {
    const struct route_ops *ops;
};

// A kind of route, one file for each.
struct route_kind {
    // Does a sandbox with CONFIG have such a route?
    bool (*serves)(const struct sandbox_config *config);
    // Makes it. NULL when there is no memory.
    struct route *(*create)(struct loop *loop, struct sandbox_config *config);
};

// Every kind, in the order in which a job tries them. The struct route_kind of X(NAME) is
// route_NAME, in route_NAME.c.
#define ROUTES(X)                                                                                  \
    X(agents) /* over a connection to an agent */                                                  \
    X(single) /* an agent that is the first process of a new container for each job */             \
    X(local)  /* a child process of the daemon */

#define ROUTE_DECLARE(name) extern const struct route_kind route_##name;
ROUTES(ROUTE_DECLARE)
#undef ROUTE_DECLARE

// The routes of one sandbox in their order, counted by references: the sandbox has one,
// and each job that can still need a route.
struct routes;

// The caller gets a reference. NULL when there is no memory.
struct routes *routes_create(struct loop *loop, struct sandbox_config *config);
struct routes *routes_ref(struct routes *routes);
void routes_unref(struct routes *routes); // may be NULL

// There will be no new jobs, and no standbys.
void routes_retire(struct routes *routes);

// A reload that changes neither the mode nor its keys: CONFIG's standbys are started, and those
// from before are killed.
void routes_configure(struct routes *routes, struct sandbox_config *config);

// Hands over a standby of the route at ROUTE_INDEX if it is right for the job of START, or else
// opens the route. Everything else is as in route_ops.open.
int routes_open(struct routes *routes, size_t route_index, struct channel *channel,
                const struct route_start *start, const struct channel_events *events, void *data,
                struct error *err);

// Returns the index of the first route at or after FROM that is not declined. The last route
// never declines. FROM is below routes_count.
size_t routes_find(const struct routes *routes, size_t from);
size_t routes_count(const struct routes *routes);
struct route *routes_at(const struct routes *routes, size_t route_index);
