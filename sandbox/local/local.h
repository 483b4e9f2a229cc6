// SPDX-License-Identifier: Apache-2.0
// A local child as the channel of a job.
#pragma once

#include "process.h"

// Calls process_start, and makes CHANNEL of its result. Returns 0, or -errno with ERR set.
int local_open(struct channel *channel, struct loop *loop, const struct process_spec *spec,
               const struct channel_events *events, void *data, struct error *err);
