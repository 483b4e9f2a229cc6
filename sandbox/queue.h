// SPDX-License-Identifier: Apache-2.0
// The queue of one sandbox: which jobs run, which jobs wait, and the limits of both. The
// queue is pure: it starts nothing, and knows neither jobs nor time.
#pragma once

#include "list.h"

#include <stdbool.h>

// Embedded in the struct that stands for a job.
struct queue_entry {
    struct list link; // in running or in waiting
    bool is_running;
};

struct queue {
    unsigned max_running;
    unsigned max_waiting;
    unsigned running_count;
    unsigned waiting_count;
    struct list running;
    struct list waiting; // in order of arrival
};

void queue_init(struct queue *queue);

// New limits may be lower than the present counts. Then no entry is removed, and no other
// one starts until the counts are below the limits.
void queue_set_limits(struct queue *queue, unsigned max_running, unsigned max_waiting);

// Do as many run, and as many wait, as the limits allow?
bool queue_is_full(const struct queue *queue);
bool queue_is_empty(const struct queue *queue);

// Adds ENTRY. Returns true when ENTRY may run now; it counts as running then. False: ENTRY
// waits.
bool queue_add(struct queue *queue, struct queue_entry *entry);

// The next entry that may run now; it counts as running then. NULL: there is none.
struct queue_entry *queue_next(struct queue *queue);

// Takes ENTRY out, whether it runs or waits.
void queue_remove(struct queue *queue, struct queue_entry *entry);

// The entry that waits and arrived last. NULL: there is none.
struct queue_entry *queue_last_waiting(const struct queue *queue);
