// SPDX-License-Identifier: Apache-2.0
// One standby: a command that was started before a request asked for it, and waits for its
// stdin. After the hand-over it is the channel of a job. standbys.h has all standbys of a sandbox.
#pragma once

#include "reserve.h"
#include "route.h"

struct standby;

// Called from the loop, never from within a call to the standby.
struct standby_owner {
    // A standby that no job has taken is of no use any more, for the reason WHY. The owner must
    // drop it.
    void (*on_failed)(void *data, struct standby *standby, const char *why);
    // The route of a standby that no job has taken declines. The owner must drop the standby, and
    // can start another one, by the next route.
    void (*on_declined)(void *data, struct standby *standby);
    // The job that took the standby destroys its channel.
    void (*on_job_end)(void *data);
    void *data;
};

struct standby {
    struct reserve_entry reserved;
    struct list link;           // after the hand-over: in a list of the owner
    struct standby_owner owner; // on_job_end NULL: the owner is gone
    struct loop *loop;
    struct launch launch; // of the process that runs
    struct channel inner; // to the process that runs
    bool is_gated;        // stdin begins with the key of standby_line_gate
    size_t greeted;       // then: bytes of the greeting that have come

    // After the hand-over:
    const struct channel_events *events; // of the job; NULL: no job yet
    void *data;
    struct route *route;      // for a fresh start
    struct route_start start; // of the job
    bool has_given;           // the process was given bytes of stdin, or its end
    bool has_output;          // bytes of output have gone to the job
    bool is_stopped;          // by the job
    bool is_refused;          // the first bytes were refused; the reason is not known yet
    bool is_end_asked;        // the job has ended stdin meanwhile
    struct timer refusal;
    bool passes_stderr; // also before has_given
    struct timer stderr_hold;
};

// Starts a standby by ROUTE, with LAUNCH, which is taken over and empty afterwards, whatever
// happens. Returns NULL with ERR set.
struct standby *standby_start(struct loop *loop, struct route *route, struct launch *launch,
                              bool is_gated, const struct standby_owner *owner, struct error *err);

// Can the standby be handed over now? It must not have ended, must not be lost, and must not wait
// for anything.
bool standby_is_ready(const struct standby *standby);
bool standby_is_over(const struct standby *standby);

// Hands the standby over to the job of START as CHANNEL. ROUTE must be the route that started the
// standby. Everything else is as in the route's open; START's launch outlives the channel. If the
// standby was already dead before it was given anything, the command is started afresh. Returns 0,
// or -ENOMEM: then the caller must drop the standby.
int standby_hand_over(struct standby *standby, struct route *route, struct channel *channel,
                      const struct route_start *start, const struct channel_events *events,
                      void *data);

// Kills a standby that no job has taken, and frees it. The process never reads the end of stdin.
void standby_drop(struct standby *standby);

// --- Shared by standby.c and standby_channel.c

extern const struct channel_ops standby_ops;

// Called if the first bytes were refused and the process lives on. DATA is the standby.
void standby_on_refusal_over(void *data);

// Frees the standby and its channel. The process is not killed.
void standby_free(struct standby *standby);
