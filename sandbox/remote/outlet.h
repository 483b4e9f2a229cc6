// SPDX-License-Identifier: Apache-2.0
// What leaves for an agent: the bytes that wait for the client to take them, and the
// remotes that take turns at framing more of them.
#pragma once

#include "process.h"
#include "remote.h"

// Called from the loop.
struct outlet_events {
    // REMOTE, whose START is framed next, has a number now.
    void (*on_number)(void *data, struct remote *remote);
    // EPIPE: the client has closed its stdin. ENOMEM: something that must be sent is lost.
    // Last of all; the outlet may be finished by it.
    void (*on_failure)(void *data, int errnum);
};

struct outlet {
    struct loop *loop;
    struct process *process; // the client; not owned
    const struct outlet_events *events;
    void *data;
    struct buffer bytes; // to be sent
    size_t done;         // of them, that were
    uint64_t offset;     // where in all that was sent BYTES begins
    bool is_blocked;     // the client takes no more now
    bool has_lost;       // no memory for what must be sent
    uint32_t next_job;   // the number of the next START
    struct list framed;  // remotes, through turn: in the order of their STARTs
    struct list senders; // through turn
    struct timer later;  // of a flush that can wait
    struct task flush;
};

// Sets up an outlet that is all zero and stays where it is. Its process is set before
// anything is sent.
void outlet_init(struct outlet *outlet, struct loop *loop, const struct outlet_events *events,
                 void *data);
void outlet_finish(struct outlet *outlet);

// REMOTE has something to send, and is given turns until it has no more.
void outlet_add(struct outlet *outlet, struct remote *remote);

// Sends a frame without a payload, or with NUMBER if it is not 0, after what has been
// framed already.
void outlet_send(struct outlet *outlet, uint32_t job, enum frame_type type, uint32_t number);

// The same for a frame that can wait a little for others to go with.
void outlet_send_later(struct outlet *outlet, uint32_t job, enum frame_type type);

// Sends what was appended to its bytes.
void outlet_flush(struct outlet *outlet);

// From the loop: the client takes more.
void outlet_go_on(struct outlet *outlet);

// Sends what the client takes at once, if there is an agent to hear it. Nothing may be
// sent afterwards.
void outlet_close(struct outlet *outlet, bool has_agent);
