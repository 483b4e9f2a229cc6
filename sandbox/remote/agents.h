// SPDX-License-Identifier: Apache-2.0
// The connections of one sandbox to agents in its container, over which its jobs
// run: opened, spread over, and opened again when they break.
#pragma once

#include "channel.h"
#include "launch.h"
#include "loop.h"

struct agents;

// What is to run. The launch is needed until the channel is destroyed.
struct remote_spec {
    const struct launch *launch; // by launch_prepare_remote
    uint64_t deadline_ns;        // then the agent kills it by itself; 0: never
};

// For a CONFIG whose commands go to an agent; opens the connections when it says
// so. The caller gets a reference. NULL when there is no memory.
struct agents *agents_create(struct loop *loop, struct sandbox_config *config);

struct agents *agents_ref(struct agents *agents);
// May be NULL. After the last one the connections are closed, from the loop.
void agents_unref(struct agents *agents);

// There will be no new jobs: what breaks is opened again only for those that wait.
void agents_retire(struct agents *agents);

// May a job be declined?
bool agents_may_decline(const struct agents *agents);

// The container cannot take an agent, and one of these jobs would be declined now.
// After a while this is forgotten, so that it is tried again.
bool agents_is_declined(struct agents *agents);

// Makes a channel to a command that runs by an agent. The command waits for a
// connection if there is none. EVENTS outlive the channel. Returns 0, or -ENOMEM
// with ERR set.
int agents_open(struct agents *agents, struct channel *channel, const struct remote_spec *spec,
                const struct channel_events *events, void *data, struct error *err);

// What stands in the way of a connection, in words.
const char *agents_reason(const struct agents *agents);

// Ends what connections are still being closed; for the end, when the loop runs no
// more.
void agents_finish_all(void);
