// SPDX-License-Identifier: Apache-2.0
// The receiving end of a connection: bytes from the agent, in pieces of any size, become
// frames. Output is handed on piece by piece; any other frame is short, and is handed on
// when it is complete.
#pragma once

#include "frame.h"

// An embedded struct; all zero is ready.
struct inlet {
    struct buffer begun;  // the bytes of a frame that is not complete yet
    struct frame passing; // a frame of output; LENGTH bytes of it have not come yet
};

// Takes SIZE bytes. Calls TAKE for each frame, and for each piece of output as if the piece
// were a frame. Stops when TAKE returns something else than 0, and returns that. Otherwise
// returns 0, -EBADMSG if an agent cannot send such a frame, or -ENOMEM.
int inlet_receive(struct inlet *inlet, const char *bytes, size_t size,
                  int (*take)(void *data, const struct frame *frame), void *data);

void inlet_finish(struct inlet *inlet);
