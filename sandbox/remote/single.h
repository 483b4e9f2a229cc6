// SPDX-License-Identifier: Apache-2.0
// A connection for one job: a container of its own, in which the agent is the first process
// and the command its only job. The end of the connection ends the container.
#pragma once

#include "config.h"
#include "remote.h"

// Makes a channel to a command that an agent runs in a new container by CONFIG. EVENTS
// outlive the channel. Returns 0, or -ENOMEM with ERR set.
int single_open(struct loop *loop, struct sandbox_config *config, struct channel *channel,
                const struct remote_spec *spec, const struct channel_events *events, void *data,
                struct error *err);
