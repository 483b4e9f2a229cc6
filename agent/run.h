// SPDX-License-Identifier: Apache-2.0
// The runs of a connection. A run is the agent's part of a job of the daemon: the pipes of
// the command, the windows of its streams, and its supervisor (pool.h). Its number is the
// job's number in each frame.
#pragma once

#include "pool.h"
#include "uplink.h"

struct run;

struct runs {
    struct loop *loop;
    struct uplink *uplink;
    char *const *own_env;
    struct rlimit descriptors;   // the limit that commands get
    void (*forget)(void *data);  // called in a new supervisor: frees the agent's memory
    void (*on_none)(void *data); // called after runs_end, when no run is left
    void *data;
    struct pool pool;
    struct list all;
    struct list buckets[256];
    bool is_ending;
};

// The caller sets the members up to DATA before.
void runs_init(struct runs *runs);

// Begins the run that FRAME, a START, asks for. The daemon is told of any failure.
void run_start(struct runs *runs, const struct frame *frame);

// Returns NULL if there is no such run any more.
struct run *run_find(const struct runs *runs, uint32_t number);

// Takes any frame about RUN but a START. Returns 0, -ENOMEM, or -EBADMSG if the daemon
// must not send that frame. RUN may be freed afterwards.
int run_receive(struct run *run, const struct frame *frame);

// Frees memory and supervisors that were not needed lately.
void runs_trim(struct runs *runs);

// Kills every run, but leaves alone the processes of a run that was released after its
// end. Nothing is sent any more. on_none follows, perhaps during this call.
void runs_end(struct runs *runs);

// Frees the runs whose supervisors are still killing; the supervisors go on without the agent.
void runs_finish(struct runs *runs);
