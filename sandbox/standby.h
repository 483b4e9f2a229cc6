// SPDX-License-Identifier: Apache-2.0
// One standby: a command that was started before a request asked for it, and waits for its
// stdin. After the hand-over it is the channel of a job. standbys.h has all of a sandbox.
#pragma once

#include "reserve.h"
#include "route.h"

struct standby;

// Called from the loop, never from within a call to the standby.
struct standby_owner {
    // The standby, which no job has taken, is of no use any more, because of WHY. It is to be
    // dropped.
    void (*on_failed)(void *data, struct standby *standby, const char *why);
    // Called as the job that took the standby destroys its channel.
    void (*on_job_end)(void *data);
    void *data;
};

struct standby {
    struct reserve_entry reserved;
    struct list link;           // after the hand-over: in a list of the owner's
    struct standby_owner owner; // on_job_end NULL: nobody
    struct loop *loop;
    struct launch launch; // of what runs
    struct channel inner; // to what runs
    bool is_gated;        // stdin begins with the key of standby_line_gate
    size_t greeted;       // bytes of the greeting that have come then

    // After the hand-over:
    const struct channel_events *events; // of the job; NULL: no job yet
    void *data;
    struct route *route;      // for a fresh start
    struct route_start start; // of the job
    bool has_given;           // bytes of stdin, or its end
    bool has_output;          // bytes of output have gone to the job
    bool is_stopped;          // by the job
    bool is_refused;          // the first bytes were, and why is not known yet
    bool is_end_asked;        // ... meanwhile
    struct timer refusal;
    bool passes_stderr; // also before has_given
    struct timer stderr_hold;
};

// Starts a standby by ROUTE, with LAUNCH, which is taken over and empty afterwards, whatever
// happens. NULL with ERR set.
struct standby *standby_start(struct loop *loop, struct route *route, struct launch *launch,
                              bool is_gated, const struct standby_owner *owner, struct error *err);

// Can it be handed over now: has it not ended, is it not lost, and is there nothing that it
// waits for?
bool standby_is_ready(const struct standby *standby);
bool standby_is_over(const struct standby *standby);

// Hands the standby over to the job of START, whose ROUTE is the one that started it, as
// CHANNEL. The rest is as with the route's open; START's launch outlives the channel. When the
// standby turns out to have been dead before it was given anything, the command is started
// afresh. Returns 0 or -ENOMEM; then it is to be dropped.
int standby_hand_over(struct standby *standby, struct route *route, struct channel *channel,
                      const struct route_start *start, const struct channel_events *events,
                      void *data);

// Kills a standby that no job has taken, which never reads the end of its stdin, and frees it.
void standby_drop(struct standby *standby);

// --- Shared by standby.c and standby_channel.c

extern const struct channel_ops standby_ops;

// The first bytes were refused, and the process lives on; DATA is the standby.
void standby_on_refusal_over(void *data);

// Frees the standby and its channel. What runs is not killed.
void standby_free(struct standby *standby);
