// SPDX-License-Identifier: Apache-2.0
// An answer as frames: stdout, stderr and the status side by side on one descriptor. Each
// frame is a header of eight bytes (the kind, three zeros, the length as a big-endian
// number) and as many bytes; it is the format of the Docker engine's attach. Pure: it sees
// bytes that are there, and knows neither jobs nor files.
#pragma once

#include "channel.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

enum { FRAMES_HEADER = 8, FRAMES_AT_ONCE = 8 };

// The position of a reader. All zero is the start.
struct frames {
    unsigned char header[FRAMES_HEADER]; // of the latest frame
    size_t header_left;
    size_t body_left;
    unsigned kind;        // enum job_stream, or JOB_STREAMS for the status
    size_t status_taken;  // bytes of the status line
    enum job_stream next; // the stream of the next turn
    bool has_status;      // the last frame has been begun
};

// Bytes that the reader may get now.
struct frames_source {
    const char *bytes[JOB_STREAMS];
    size_t sizes[JOB_STREAMS];
    const char *status; // the line; NULL while it is not known or more output can come
    size_t status_size;
};

// Pieces of an answer, in order.
struct frames_pieces {
    struct iovec parts[2 * FRAMES_AT_ONCE];
    int count;
    size_t size;
    size_t used[JOB_STREAMS]; // bytes of the source that are in the pieces
    unsigned char headers[FRAMES_AT_ONCE][FRAMES_HEADER];
};

// Fills PIECES with up to SIZE bytes for a reader at the position FRAMES, and moves FRAMES behind
// them. PIECES points into SOURCE and into itself. If PIECES has no bytes, there are none now, or,
// after the status, none any more.
void frames_fill(struct frames *frames, const struct frames_source *source, size_t size,
                 struct frames_pieces *pieces);

// Would frames_fill find something, or the end?
bool frames_is_ready(const struct frames *frames, const struct frames_source *source);
