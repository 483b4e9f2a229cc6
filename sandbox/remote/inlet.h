// SPDX-License-Identifier: Apache-2.0
// Bytes that come from an agent, in whatever pieces, as the frames that they are. Output
// is handed on as it comes; other frames are short, and are waited for.
#pragma once

#include "frame.h"

// An embedded struct; all zero is ready.
struct inlet {
    struct buffer begun;  // a frame that is not whole yet
    struct frame passing; // output; LENGTH bytes of it have not come yet
};

// Takes SIZE bytes. Calls TAKE for each frame, and for each part of one with output as if
// it were one of its own, until it returns other than 0. Returns that, or 0, -EBADMSG for
// what can be no frame of an agent's, or -ENOMEM.
int inlet_receive(struct inlet *inlet, const char *bytes, size_t size,
                  int (*take)(void *data, const struct frame *frame), void *data);

void inlet_finish(struct inlet *inlet);
