// SPDX-License-Identifier: Apache-2.0
// The supervisors of a connection, as the agent sees them. Each has one job at a time;
// one that has nothing left of its job takes another, which is quicker than a fork and
// the exit that follows.
#pragma once

#include "frame.h"
#include "list.h"
#include "loop.h"
#include "supervisor.h"

struct pool {
    struct loop *loop;
    char *const *own_env;
    struct rlimit descriptors;    // what commands get
    void (*forget)(void *data);   // in a new supervisor: gives the server's memory back
    void (*on_clear)(void *data); // nothing is left of what dead supervisors had
    void *data;
    struct list all;
    struct list idle; // the one that was busy last is the last
    size_t idle_count;
    size_t least_idle;    // since the last trim
    struct timer inherit; // the next look at what dead supervisors have left us
    unsigned inherit_pause_ms;
    bool is_ending;
};

// A supervisor. Whoever started a job has it until its last report.
struct worker;

// Hears what the supervisor reports of the job. NULL: it is dead, and on_clear follows.
// After that, or a report with GONE, the worker is not the job's any more. Not the place
// for worker_leave.
typedef void on_report_fn(void *data, const struct report *report);

// The members up to DATA are the caller's, and set before.
void pool_init(struct pool *pool);

// Has a supervisor run START. STREAMS, each at least 3, stay the caller's. Returns 0, with
// *STARTED, or -errno.
int pool_start(struct pool *pool, const struct frame *start, const struct streams *streams,
               on_report_fn *on_report, void *data, struct worker **started);

// After KILL and RELEASE one that does not listen is killed before long: its job has
// stopped it, or it executes the command from a file system that does not answer.
void worker_order(struct worker *worker, enum supervisor_order what);

// Ends the socket: the supervisor kills what is left of the job, and nothing is heard
// of it any more.
void worker_leave(struct worker *worker);

// Sends those away that have not been needed lately.
void pool_trim(struct pool *pool);

// Sends all away that are idle: there is a shortage of what they have.
void pool_shed(struct pool *pool);

// Sends those away that have no job, and from now on those that have done theirs.
void pool_end(struct pool *pool);

// Sends all away. They kill what is left of their jobs.
void pool_finish(struct pool *pool);
