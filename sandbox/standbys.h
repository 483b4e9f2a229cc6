// SPDX-License-Identifier: Apache-2.0
// The standbys of a sandbox. They are started at the beginning and each time a job has taken one,
// are replaced when they are old or have ended, and are counted for the log. A line is a `standby`
// line of the configuration: a command and its standbys.
#pragma once

#include "route.h"

struct standbys;

// Makes the standbys of CONFIG's lines, by the first of ROUTES that does not decline. The loop
// starts them. ROUTES outlives the result. Returns NULL when there is no memory.
struct standbys *standbys_create(struct loop *loop, struct sandbox_config *config,
                                 struct routes *routes);

// Hands a standby over, in the way in which route->open would open the channel. The standby must
// have been started by the route at ROUTE_INDEX, and by a launch equal to START's. Returns
// whether there was such a standby.
bool standbys_take(struct standbys *standbys, size_t route_index, struct channel *channel,
                   const struct route_start *start, const struct channel_events *events,
                   void *data);

// For a reload: kills all standbys and starts them again, with CONFIG. So they read their files
// again. Returns 0, or -ENOMEM: then there are no standbys.
int standbys_configure(struct standbys *standbys, struct sandbox_config *config);

// Kills the standbys that no job has taken, and starts no more.
void standbys_retire(struct standbys *standbys);

// Frees STANDBYS, which may be NULL. No job may have a standby any more.
void standbys_destroy(struct standbys *standbys);
