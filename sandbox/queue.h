// SPDX-License-Identifier: Apache-2.0
// The queue of one sandbox: which jobs run, which jobs wait, and the limits of both, for
// all together and for each user. The queue is pure: it starts nothing, and knows neither
// jobs nor time.
//
// A user takes at most three times as much as is left for all others. So one user alone takes
// three quarters of a limit, two users take three sevenths each, and a new user can always take
// one, if the limit is at least three. Users have their turns in a circle.
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
    uid_t privileged; // a user who, like root, may take everything
    unsigned running_count;
    unsigned waiting_count;
    struct list running;
    struct list waiting; // in order of arrival
    struct list users;   // of struct queue_user: users with an entry; the next turn is first
};

void queue_init(struct queue *queue, uid_t privileged);

// New limits may be lower than the present counts. Then no entry is removed, and no other
// one starts until the counts are below the limits.
void queue_set_limits(struct queue *queue, const struct queue_limits *limits);

// Would an entry of UID neither run nor be allowed to wait?
bool queue_is_full(const struct queue *queue, uid_t uid);
bool queue_is_empty(const struct queue *queue);

// Adds ENTRY of UID. Returns 1 when ENTRY may run now; then it counts as running. Returns 0 when
// ENTRY waits, or -ENOMEM when it was not added.
int queue_add(struct queue *queue, struct queue_entry *entry, uid_t uid);

// Returns the next entry that may run now, which then counts as running. NULL: there is none.
struct queue_entry *queue_next(struct queue *queue);

// Takes ENTRY out, whether it runs or waits.
void queue_remove(struct queue *queue, struct queue_entry *entry);

// Returns the waiting entry that arrived last. NULL: there is none.
struct queue_entry *queue_last_waiting(const struct queue *queue);
