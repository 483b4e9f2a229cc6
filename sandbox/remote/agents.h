// SPDX-License-Identifier: Apache-2.0
// All connections of one sandbox to agents in its container. Jobs run over them: the
// connections are opened, share the jobs, and are opened again when they break.
#pragma once

#include "config.h"
#include "remote.h"

struct agents;

// Makes the connections for CONFIG, whose commands go to an agent, and opens them unless
// CONFIG says later. Returns NULL when there is no memory.
struct agents *agents_create(struct loop *loop, struct sandbox_config *config);

// Closes the connections, and frees AGENTS, from the loop. There must be no channel any more.
void agents_destroy(struct agents *agents);

// Says that no new jobs come: a connection that breaks is opened again only while a job
// waits.
void agents_retire(struct agents *agents);

// May a job be declined?
bool agents_may_decline(const struct agents *agents);

// True if the container cannot take an agent, so that a job would be declined now. After a
// while this is forgotten, and the container is tried again.
bool agents_is_declined(struct agents *agents);

// Makes a channel to a command that an agent runs. The command waits while there is no
// connection. EVENTS outlive the channel. Returns 0, or -ENOMEM with ERR set.
int agents_open(struct agents *agents, struct channel *channel, const struct remote_spec *spec,
                const struct channel_events *events, void *data, struct error *err);

// Says in words why there is no connection.
const char *agents_reason(const struct agents *agents);

// Ends the connections that are still closing. For the end of the daemon, when the loop no
// longer runs.
void agents_finish_all(void);
