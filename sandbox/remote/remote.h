// SPDX-License-Identifier: Apache-2.0
// A remote is the channel of one job whose command an agent runs. It waits until there is a
// line (line.h), and then runs over that line. A job sees only the channel; agents.c,
// connection.c and outlet.c see all of struct remote.
#pragma once

#include "buffer.h"
#include "channel.h"
#include "launch.h"
#include "line.h"
#include "loop.h"

// A command for an agent.
struct remote_spec {
    const struct launch *launch; // by launch_prepare_remote; outlives the channel
    uint64_t deadline_ns;        // the agent kills the command by itself then; 0: never
    bool is_standby;             // there is no job yet
};

// The way of the START.
enum remote_phase {
    REMOTE_WAITS,  // there is no line
    REMOTE_CHOSEN, // there is a line; the START is not framed yet
    REMOTE_FRAMED, // the START is framed, and not a byte of it is written
    REMOTE_SENT,   // at least one byte of it is written: the command may have been started
};

struct remote_stream {
    struct buffer bytes;  // the job has not read them yet
    uint32_t window;      // bytes that the agent may send now
    uint32_t owed;        // bytes that were read, but for which the agent has no credit yet
    bool is_ended;        // the agent has sent the end
    bool is_end_reported; // the job knows of the end
    bool is_cut;          // there was no memory for some bytes: the rest is dropped
    bool is_paused;
};

struct remote {
    struct list link; // in the list of remotes that wait for a line, or in a connection's bucket
    struct list turn; // in a list of the outlet: of remotes with something to send, or of
                      // remotes whose START is framed
    struct loop *loop;
    struct lines *lines; // not a reference: the job keeps its route
    struct line *line;   // NULL: none
    struct remote_spec spec;
    const struct channel_events *events;
    void *data;
    enum remote_phase phase;
    uint32_t id;           // the job's number on its line; 0: none yet
    uint64_t start_offset; // of the START, in all bytes that the line sends
    struct buffer in;      // bytes for stdin that are not sent yet
    uint32_t credit;       // bytes for stdin that the agent takes now
    bool is_stdin_full;    // the last write was cut short
    bool is_stdin_ended;   // the job has ended it
    bool is_end_sent;
    bool is_stdin_closed; // the command has closed it
    struct remote_stream streams[JOB_STREAMS];
    bool is_signaled; // TERM or KILL was framed
    bool is_started;
    bool is_over; // ENDED, FAILED or LOST came
    bool has_ended;
    bool is_out_of_memory;
    bool is_gone;
    struct task task; // tells the job its news
    struct {
        bool is_lost;
        bool is_declined;
        bool is_too_long;     // the START would be
        bool has_room;        // for stdin again
        struct buffer reason; // of a loss; with a NUL at its end
    } news;
};

// Makes a remote that waits. Returns NULL when there is no memory.
struct remote *remote_create(struct loop *loop, struct lines *lines, const struct remote_spec *spec,
                             const struct channel_events *events, void *data);

extern const struct channel_ops remote_ops;

// How many more frames about REMOTE's job can the agent send, before it hears of a release?
uint64_t remote_late_frames(const struct remote *remote);

// Gives REMOTE the LINE that it has waited for.
void remote_on_chosen(struct remote *remote, struct line *line);

// Appends to OUT the frames that are to be sent for REMOTE now: a START with the first bytes
// of stdin, or one other frame. Returns 1 if there is more to send, 0, or -ENOMEM.
int remote_fill(struct remote *remote, struct buffer *out);

// The first byte of its START has been written.
void remote_on_sent(struct remote *remote);

// Takes REMOTE off its line, before it was sent, and makes it as if it had just been made.
void remote_reset(struct remote *remote);

// Takes a frame about the job of REMOTE. The job may destroy REMOTE meanwhile. Returns 0, or
// -EBADMSG if the agent must not send that frame.
int remote_receive(struct remote *remote, const struct frame *frame);

// Take REMOTE off its line. The job is told from the loop: that nothing more can be known of
// the command, or that it was not started and needs another route.
void remote_lose(struct remote *remote, const char *reason);
void remote_decline(struct remote *remote);
