// SPDX-License-Identifier: Apache-2.0
// Whose turn it is: the jobs of one sandbox that run, and those that wait, within the
// limits of both. Pure: the queue starts nothing, and knows neither jobs nor time.
#pragma once

#include "list.h"

#include <stdbool.h>

// Embedded in what stands for a job.
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

// Later limits may be lower than what is there: nobody is sent away.
void queue_set_limits(struct queue *queue, unsigned max_running, unsigned max_waiting);

// Do as many run, and as many wait, as the limits allow?
bool queue_is_full(const struct queue *queue);
bool queue_is_empty(const struct queue *queue);

// Adds ENTRY. Returns true when it may run now, which it then counts as doing; false: it
// waits.
bool queue_add(struct queue *queue, struct queue_entry *entry);

// The next entry that may run now, which it then counts as doing. NULL: there is none.
struct queue_entry *queue_next(struct queue *queue);

// Takes ENTRY out, whether it runs or waits.
void queue_remove(struct queue *queue, struct queue_entry *entry);

// The last of those that wait. NULL: there is none.
struct queue_entry *queue_last_waiting(const struct queue *queue);
