// SPDX-License-Identifier: Apache-2.0
// The queue of one sandbox: which jobs run, which jobs wait, and the limits of both, for
// all together and for each user. The queue is pure: it starts nothing, and knows neither
// jobs nor time.
//
// A user takes at most three times as much as is left for all others. So one user alone has
// three quarters, two have three sevenths each, and a new user always finds a place, if
// there are at least three. Users have their turns in a circle.
#pragma once

#include "list.h"

#include <stdbool.h>
#include <sys/types.h>

struct queue_user;

// Embedded in the struct that stands for a job.
struct queue_entry {
    struct list link; // in running or in waiting
    struct list turn; // in the waiting of its user
    struct queue_user *user;
    bool is_running;
};

struct queue_limits {
    unsigned running; // of all users together
    unsigned waiting;
    unsigned user_running; // of each user
    unsigned user_waiting;
};

struct queue {
    struct queue_limits limits;
    uid_t privileged; // besides root: has no share, may take everything
    unsigned running_count;
    unsigned waiting_count;
    struct list running;
    struct list waiting; // in order of arrival
    struct list users;   // of struct queue_user, those with an entry, the next one first
};

void queue_init(struct queue *queue, uid_t privileged);

// New limits may be lower than the present counts. Then no entry is removed, and no other
// one starts until the counts are below the limits.
void queue_set_limits(struct queue *queue, const struct queue_limits *limits);

// Would an entry of UID neither run nor be allowed to wait?
bool queue_is_full(const struct queue *queue, uid_t uid);
bool queue_is_empty(const struct queue *queue);

// Adds ENTRY of UID. Returns 1 when ENTRY may run now; it counts as running then. 0: ENTRY
// waits. -ENOMEM: it was not added.
int queue_add(struct queue *queue, struct queue_entry *entry, uid_t uid);

// The next entry that may run now; it counts as running then. NULL: there is none.
struct queue_entry *queue_next(struct queue *queue);

// Takes ENTRY out, whether it runs or waits.
void queue_remove(struct queue *queue, struct queue_entry *entry);

// The entry that waits and arrived last. NULL: there is none.
struct queue_entry *queue_last_waiting(const struct queue *queue);
