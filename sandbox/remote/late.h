// SPDX-License-Identifier: Apache-2.0
// Jobs of a connection that the daemon has let go of before the agent said that they are gone.
// Frames about such a job may have been on their way. Their number has a limit: otherwise an agent
// could keep the daemon busy with them.
#pragma once

#include "frame.h"
#include "list.h"

#include <stdbool.h>

enum {
    LATE_BUCKETS = 64,
    LATE_MOST_JOBS = 65536, // of one connection, about which GONE has not come
};

struct late {
    struct list buckets[LATE_BUCKETS];
    unsigned count;
    bool has_lost; // there was no memory for a job
    bool is_full;  // there are more than LATE_MOST_JOBS
};

void late_init(struct late *late);
void late_finish(struct late *late);

// From now on at most FRAMES frames about job ID may come, and the last one is GONE.
void late_add(struct late *late, uint32_t id, uint64_t frames);

// Takes a frame about a job that is no remote's. Returns 0; or -EBADMSG when there may be no such
// frame any more, or when the agent does not end its jobs.
int late_take(struct late *late, const struct frame *frame);
