// SPDX-License-Identifier: Apache-2.0
// The sending end of a connection: bytes that wait until the client takes them, and the
// remotes that take turns to frame more.
#pragma once

#include "process.h"
#include "remote.h"

// Called from the loop.
struct outlet_events {
    // REMOTE has just got a number: its START is framed next.
    void (*on_number)(void *data, struct remote *remote);
    // EPIPE: the client has closed its stdin. ENOMEM: a frame that must be sent was lost.
    // Called last, because it may finish the outlet.
    void (*on_failure)(void *data, int errnum);
};

struct outlet {
    struct loop *loop;
    struct process *process; // the client; not owned
    const struct outlet_events *events;
    void *data;
    struct buffer bytes; // to be sent
    size_t done;         // bytes of BYTES that were sent
    uint64_t offset;     // of the first byte of BYTES, in all bytes of the connection
    bool is_blocked;     // the client takes no more now
    bool has_lost;       // there was no memory for a frame that must be sent
    uint32_t next_job;   // the number of the next START
    struct list framed;  // remotes whose START is framed, in its order (member turn)
    struct list senders; // remotes with something to send (member turn)
    struct timer later;  // of a flush that can wait
    struct task flush;
};

// Sets up an OUTLET that is all zero, and that stays where it is in memory. The caller sets
// its process before anything is sent.
void outlet_init(struct outlet *outlet, struct loop *loop, const struct outlet_events *events,
                 void *data);
void outlet_finish(struct outlet *outlet);

// REMOTE has something to send. It gets turns until nothing is left.
void outlet_add(struct outlet *outlet, struct remote *remote);

// Sends a frame behind the frames that already wait. Its payload is NUMBER, or empty if
// NUMBER is 0.
void outlet_send(struct outlet *outlet, uint32_t job, enum frame_type type, uint32_t number);

// Sends a frame without a payload, which may wait a little and leave with others.
void outlet_send_later(struct outlet *outlet, uint32_t job, enum frame_type type);

// Sends the bytes that the caller has appended to its bytes.
void outlet_flush(struct outlet *outlet);

// The client takes bytes again. To be called from the loop.
void outlet_go_on(struct outlet *outlet);

// Sends as many bytes as the client takes at once, if there is an agent to hear them.
// Nothing may be sent afterwards.
void outlet_close(struct outlet *outlet, bool has_agent);
