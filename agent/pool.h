// SPDX-License-Identifier: Apache-2.0
// The supervisors of a connection, as the agent sees them. A supervisor has one job at a
// time. When nothing is left of its job it takes another: that is quicker than a fork and
// the exit of a process.
#pragma once

#include "frame.h"
#include "list.h"
#include "loop.h"
#include "supervisor.h"

struct pool {
    struct loop *loop;
    char *const *own_env;
    struct rlimit descriptors;    // the limit that commands get
    void (*forget)(void *data);   // called in a new supervisor: frees the agent's memory
    void (*on_clear)(void *data); // nothing is left of the jobs of dead supervisors
    void *data;
    struct list all;
    struct list idle; // the supervisor that was busy last is at the end
    size_t idle_count;
    size_t least_idle;    // since the last pool_trim
    struct timer inherit; // the next look for processes of dead supervisors
    unsigned inherit_pause_ms;
    bool is_ending;
};

// A supervisor of the pool. The caller of pool_start has it until the last report.
struct pool_worker;

// Takes a report of the supervisor about the job. REPORT is NULL if the supervisor is dead;
// then on_clear follows. After NULL, or after a report with GONE, the worker no longer
// belongs to the job. The callback must not call pool_leave.
typedef void on_report_fn(void *data, const struct supervisor_report *report);

// The caller sets the members up to DATA before.
void pool_init(struct pool *pool);

// Has a supervisor run START. The descriptors in STREAMS, each at least 3, stay the
// caller's. Returns 0 with *STARTED set, or -errno.
int pool_start(struct pool *pool, const struct frame *start, const struct streams *streams,
               on_report_fn *on_report, void *data, struct pool_worker **started);

// Gives the supervisor an order. If it does not obey ORDER_KILL or ORDER_RELEASE it is
// killed after a while: its job has stopped it, or it is still executing the command from a
// file system that does not answer.
void pool_order(struct pool_worker *worker, enum supervisor_order what);

// Closes the socket: the supervisor kills the rest of the job, and reports nothing more.
void pool_leave(struct pool_worker *worker);

// Ends the supervisors that were not needed lately.
void pool_trim(struct pool *pool);

// Ends all idle supervisors, because processes or descriptors are short.
void pool_shed(struct pool *pool);

// Ends the supervisors without a job; the others end after their job.
void pool_end(struct pool *pool);

// Ends all supervisors. They kill the rest of their jobs.
void pool_finish(struct pool *pool);
