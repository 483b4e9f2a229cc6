// SPDX-License-Identifier: Apache-2.0
#include "frames.h"

#include <string.h>

enum {
    KIND_STDOUT = 1,
    KIND_STDERR = 2,
    KIND_STATUS = 3,
    LONGEST_BODY = 1 << 24, // may be any number that fits into four bytes
};

static const unsigned char kinds[JOB_STREAMS + 1] = {
    [JOB_STDOUT] = KIND_STDOUT, [JOB_STDERR] = KIND_STDERR, [JOB_STREAMS] = KIND_STATUS};

static void begin_frame(struct frames *frames, unsigned kind, size_t size)
{
    frames->kind = kind;
    frames->header_left = FRAMES_HEADER;
    frames->body_left = size;
    memset(frames->header, 0, sizeof frames->header);
    frames->header[0] = kinds[kind];
    for (int i = 0; i < 4; i++)
        frames->header[4 + i] = (unsigned char)(size >> (24 - 8 * i));
}

// Begins the next frame, so long that a reader with ROOM bytes can take the whole frame if
// possible. Returns false when there are no bytes for a frame.
static bool begin_next(struct frames *frames, const struct frames_source *source,
                       const size_t used[JOB_STREAMS], size_t room)
{
    enum job_stream stream = frames->next;
    size_t left = source->sizes[stream] - used[stream];
    size_t most = room > FRAMES_HEADER ? room - FRAMES_HEADER : LONGEST_BODY;

    if (left == 0) {
        stream = stream == JOB_STDOUT ? JOB_STDERR : JOB_STDOUT;
        left = source->sizes[stream] - used[stream];
    }
    if (left > 0) {
        // Otherwise a command that fills one stream would keep the other stream from its reader.
        frames->next = stream == JOB_STDOUT ? JOB_STDERR : JOB_STDOUT;
        begin_frame(frames, stream, left < most ? left : most);
        return true;
    }
    if (!source->status || frames->has_status)
        return false;
    frames->has_status = true;
    begin_frame(frames, JOB_STREAMS, source->status_size);
    return true;
}

static void add_piece(struct frames_pieces *pieces, const void *bytes, size_t size)
{
    pieces->parts[pieces->count++] = (struct iovec){.iov_base = (void *)bytes, .iov_len = size};
    pieces->size += size;
}

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void add_header(struct frames *frames, struct frames_pieces *pieces, int number, size_t room)
{
    size_t size = at_most(frames->header_left, room);
    unsigned char *header = pieces->headers[number];

    memcpy(header, frames->header, FRAMES_HEADER);
    if (size > 0)
        add_piece(pieces, header + FRAMES_HEADER - frames->header_left, size);
    frames->header_left -= size;
}

static void add_body(struct frames *frames, const struct frames_source *source,
                     struct frames_pieces *pieces, size_t room)
{
    size_t size = at_most(frames->body_left, room);

    if (size == 0)
        return;
    frames->body_left -= size;
    if (frames->kind == JOB_STREAMS) {
        add_piece(pieces, source->status + frames->status_taken, size);
        frames->status_taken += size;
        return;
    }
    // A frame begins only with bytes that are there, and these bytes stay until they are taken.
    add_piece(pieces, source->bytes[frames->kind] + pieces->used[frames->kind], size);
    pieces->used[frames->kind] += size;
}

void frames_fill(struct frames *frames, const struct frames_source *source, size_t size,
                 struct frames_pieces *pieces)
{
    pieces->count = 0;
    pieces->size = 0;
    memset(pieces->used, 0, sizeof pieces->used);
    for (int number = 0; number < FRAMES_AT_ONCE && pieces->size < size; number++) {
        if (frames->header_left + frames->body_left == 0 &&
            !begin_next(frames, source, pieces->used, size - pieces->size))
            return;
        add_header(frames, pieces, number, size - pieces->size);
        add_body(frames, source, pieces, size - pieces->size);
    }
}

bool frames_is_ready(const struct frames *frames, const struct frames_source *source)
{
    return frames->header_left + frames->body_left > 0 || frames->has_status || source->status ||
           source->sizes[JOB_STDOUT] > 0 || source->sizes[JOB_STDERR] > 0;
}
