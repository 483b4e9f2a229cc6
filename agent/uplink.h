// SPDX-License-Identifier: Apache-2.0
// The agent's way to the daemon: frames that wait until stdout takes them.
//
// The output of the commands is read only while the uplink has room. Then each stream
// that waits has a turn, which is one frame. The uplink knows nothing of the windows of a
// run.
#pragma once

#include "frame.h"
#include "loop.h"

// The turn of a stream that waits for room.
struct uplink_turn {
    struct list link;
    void (*take)(void *data);
    void *data;
};

struct uplink {
    struct loop *loop;
    int fd;       // not owned, nonblocking
    bool is_wide; // the pipe was made wider, or could not be
    struct buffer out;
    size_t written; // bytes of OUT that have been written
    struct watch watch;
    struct task flush;
    struct timer later;
    struct list turns;
    int errnum; // not 0: the uplink is broken, and writes nothing any more
    struct task broken;
    void (*on_broken)(void *data, int errnum); // called once, from the loop
    void *data;
};

// Sets up an UPLINK that is all zero, and that stays where it is in memory.
void uplink_init(struct uplink *uplink, struct loop *loop, int fd,
                 void (*on_break)(void *data, int errnum), void *data);
void uplink_finish(struct uplink *uplink);

// Marks UPLINK as broken; on_broken follows.
void uplink_break(struct uplink *uplink, int errnum);

// Frames leave together. The frames of uplink_send leave within one or two milliseconds,
// or earlier with other frames; a frame of uplink_send_now leaves at the end of this turn
// of the loop.
void uplink_send(struct uplink *uplink, uint32_t job, enum frame_type type, const void *payload,
                 size_t length);
void uplink_send_number(struct uplink *uplink, uint32_t job, enum frame_type type, uint32_t number);
void uplink_send_now(struct uplink *uplink, uint32_t job, enum frame_type type, const void *payload,
                     size_t length);

void uplink_send_hello(struct uplink *uplink, const char *version);

// Reads up to SIZE bytes (at most WIRE_MAX_PAYLOAD) from FD into a frame, and sends it. A
// short frame leaves like one of uplink_send, a longer frame now. Returns the result of
// read, or -errno; a frame was sent only if that is more than 0.
ssize_t uplink_send_from(struct uplink *uplink, uint32_t job, enum frame_type type, int fd,
                         size_t size);

// True if a stream may send output now; false if it has to take a turn.
bool uplink_is_free(const struct uplink *uplink);

void uplink_turn_init(struct uplink_turn *turn, void (*take)(void *data), void *data);

// Calls TURN's take once there is room, after the turns that have waited longer.
// list_remove takes TURN out of the list again.
void uplink_wait(struct uplink *uplink, struct uplink_turn *turn);

// Frees the buffer if it is empty.
void uplink_trim(struct uplink *uplink);
