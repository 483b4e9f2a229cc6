// SPDX-License-Identifier: Apache-2.0
// The agent's way to the daemon: frames that wait for stdout to take them.
//
// What a command writes is read only while there is room for it here, by turns of
// one frame. A job's own windows are none of its concern.
#pragma once

#include "frame.h"
#include "loop.h"

// Somebody who waits for room.
struct turn {
    struct list link;
    void (*take)(void *data);
    void *data;
};

struct connection {
    struct loop *loop;
    int fd;       // not owned, nonblocking
    bool is_wide; // nothing more can be done about its width
    struct buffer out;
    size_t written; // of out
    struct watch watch;
    struct task flush;
    struct timer later;
    struct list turns;
    int errnum; // not 0: it is broken, and nothing is written any more
    struct task broken;
    void (*on_broken)(void *data, int errnum); // once, from the loop
    void *data;
};

// Sets up what all zero is not. CONNECTION stays where it is.
void connection_init(struct connection *connection, struct loop *loop, int fd,
                     void (*on_break)(void *data, int errnum), void *data);
void connection_finish(struct connection *connection);

// It is of no use any more; on_broken follows.
void connection_break(struct connection *connection, int errnum);

// Frames leave together: those of connection_send within a millisecond or two, with
// whatever leaves before, those of connection_send_now at the end of the loop's turn.
void connection_send(struct connection *connection, uint32_t job, enum frame_type type,
                     const void *payload, size_t length);
void connection_send_number(struct connection *connection, uint32_t job, enum frame_type type,
                            uint32_t number);
void connection_send_now(struct connection *connection, uint32_t job, enum frame_type type,
                         const void *payload, size_t length);

void connection_send_hello(struct connection *connection, const char *version);

// Reads up to SIZE bytes, at most WIRE_MAX_PAYLOAD, from FD into a frame, and sends it;
// now, unless it is short. Returns as read does, with -errno; only more than 0 sent
// something.
ssize_t connection_send_from(struct connection *connection, uint32_t job, enum frame_type type,
                             int fd, size_t size);

// Whether commands' output may be sent, or has to wait its turn.
bool connection_is_free(const struct connection *connection);

// TURN is taken once there is room, after those that have waited longer.
// list_remove takes it off.
void turn_init(struct turn *turn, void (*take)(void *data), void *data);
void connection_wait(struct connection *connection, struct turn *turn);

// Gives back memory that nothing is in.
void connection_trim(struct connection *connection);
