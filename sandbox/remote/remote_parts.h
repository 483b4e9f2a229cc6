// SPDX-License-Identifier: Apache-2.0
// Functions that remote.c, remote_send.c and remote_receive.c have in common.
#pragma once

#include "remote.h"

// If REMOTE is on a line, has the line send REMOTE's frames.
void remote_send(struct remote *remote);

// Takes REMOTE off its line and out of all lists.
void remote_leave(struct remote *remote);

// Lets the job write again, if a write was cut short and there is room now.
void remote_make_room(struct remote *remote);

// Tells the job of output, or of an end, on another turn of the loop, if there is any.
void remote_tell_later(struct remote *remote, enum job_stream which);

// Counts SIZE bytes of a stream as read, and gives the agent credit for them when they are
// enough.
void remote_count_read(struct remote *remote, enum job_stream which, size_t size);

// Does the job want to hear of this stream now?
static inline bool remote_is_readable(const struct remote_stream *stream)
{
    return !stream->is_paused &&
           (stream->bytes.length > 0 || (stream->is_ended && !stream->is_end_reported));
}
