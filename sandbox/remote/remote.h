// SPDX-License-Identifier: Apache-2.0
// One job on a connection to an agent, or waiting for one. This is what agents.c,
// connection.c, outlet.c and remote.c share; a job sees a channel.
#pragma once

#include "agents.h"
#include "buffer.h"
#include "frame.h"

struct connection;

// How far the START has come.
enum remote_phase {
    REMOTE_WAITS,  // for a connection
    REMOTE_CHOSEN, // it has one, which has not taken up the START
    REMOTE_FRAMED, // not a byte of it has been written
    REMOTE_SENT,
};

struct remote_stream {
    struct buffer bytes;  // that the job has not read
    uint32_t window;      // bytes that the agent may send now
    uint32_t owed;        // bytes read since it was last given credit
    bool is_ended;        // the agent said so
    bool is_end_reported; // the job knows
    bool is_cut;          // there was no memory for some bytes: the rest is dropped
    bool is_paused;
};

struct remote {
    struct list link; // in agents' waiting, or in the connection's bucket
    struct list turn; // in the outlet's list of those that have something to send, or
                      // whose START is on its way
    struct loop *loop;
    struct agents *agents; // not a reference: its job has one
    struct connection *connection;
    struct remote_spec spec;
    const struct channel_events *events;
    void *data;
    enum remote_phase phase;
    uint32_t id;           // 0: none yet
    uint64_t start_offset; // of the START in what the connection sends
    struct buffer in;      // bytes for stdin that have not been sent
    uint32_t credit;       // bytes for stdin that the agent takes
    bool is_stdin_full;    // a write was cut short
    bool is_stdin_ended;   // by the job
    bool is_end_sent;
    bool is_stdin_closed; // by the command
    struct remote_stream streams[JOB_STREAMS];
    bool is_signaled; // TERM or KILL was framed
    bool is_started;
    bool is_over; // ENDED, FAILED or LOST came
    bool has_ended;
    bool is_gone;
    struct task task; // has something to tell the job
    struct {
        bool is_lost;
        bool is_declined;
        bool is_too_long;     // the START would be
        bool has_room;        // for stdin again
        struct buffer reason; // NUL at its end
    } news;
};

// Makes a remote that waits. NULL when there is no memory.
struct remote *remote_create(struct loop *loop, struct agents *agents,
                             const struct remote_spec *spec, const struct channel_events *events,
                             void *data);

extern const struct channel_ops remote_ops;

// Appends to OUT what is to be sent of REMOTE now, which is a START and all that
// belongs to it, or one frame. Returns 1 when there is more, 0, or -ENOMEM.
int remote_fill(struct remote *remote, struct buffer *out);

// A connection has been found for it.
void remote_on_chosen(struct remote *remote);

// The first byte of its START has been written.
void remote_on_sent(struct remote *remote);

// Its connection is gone. Makes it as good as new; only before it was sent.
void remote_reset(struct remote *remote);

// Takes a frame of this job. May end in the job's destroying the remote. Returns 0, or
// -EBADMSG when the agent must not send it.
int remote_receive(struct remote *remote, const struct frame *frame);

// Tell the job, from the loop, what became of it.
void remote_lose(struct remote *remote, const char *reason);
void remote_decline(struct remote *remote);
