// SPDX-License-Identifier: Apache-2.0
// The jobs of a connection: each has the pipes of its command, its windows, and a
// supervisor (pool.h).
#pragma once

#include "connection.h"
#include "pool.h"

struct job;

struct jobs {
    struct loop *loop;
    struct connection *connection;
    char *const *own_env;
    struct rlimit descriptors;   // what commands get
    void (*forget)(void *data);  // in a new supervisor: gives the server's memory back
    void (*on_none)(void *data); // after jobs_end: no job is left
    void *data;
    struct pool pool;
    struct list all;
    struct list buckets[256];
    bool is_ending;
};

// The members up to DATA are the caller's, and set before.
void jobs_init(struct jobs *jobs);

// Runs what FRAME, a START, says. What goes wrong is told to the daemon.
void job_start(struct jobs *jobs, const struct frame *frame);

// NULL when it is gone.
struct job *job_find(const struct jobs *jobs, uint32_t number);

// What the daemon sends about a job, but START. Returns 0, -EBADMSG when it may not
// say so, or -ENOMEM. JOB may be gone afterwards.
int job_receive(struct job *job, const struct frame *frame);

// Gives back what has not been needed lately.
void jobs_trim(struct jobs *jobs);

// Has every job killed, and lets go of what was released. Nothing is sent any
// more. on_none follows, maybe at once.
void jobs_end(struct jobs *jobs);

// Frees those whose supervisors have not come to an end yet, which go on without us.
void jobs_finish(struct jobs *jobs);
