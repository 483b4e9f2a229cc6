// SPDX-License-Identifier: Apache-2.0
#include "inlet.h"

#include <errno.h>

// Finds the next frame, or the part of a frame of output that has come. SIZE is more than 0.
// Returns the number of bytes that it takes, 0 if more bytes are needed, or -EBADMSG. FRAME
// gets the type FRAME_NONE if there is nothing to hand on yet.
static ssize_t find_next(struct inlet *inlet, const char *bytes, size_t size, struct frame *frame)
{
    struct frame *passing = &inlet->passing;
    ssize_t length;

    if (passing->length > 0) {
        *frame = *passing;
        frame->payload = bytes;
        frame->length = size < passing->length ? size : passing->length;
        passing->length -= frame->length;
        return (ssize_t)frame->length;
    }
    length = frame_parse(bytes, size, FROM_AGENT, frame);
    if (length == 0 && (frame->type == FRAME_STDOUT || frame->type == FRAME_STDERR)) {
        *passing = *frame;
        length = WIRE_HEADER;
        frame->type = FRAME_NONE;
    }
    return length;
}

// Adds the number of bytes that were used to *DONE. Returns as inlet_receive.
static int take_all(struct inlet *inlet, const char *bytes, size_t size, size_t *done,
                    int (*take)(void *data, const struct frame *frame), void *data)
{
    struct frame frame;
    ssize_t length = 1;
    int result = 0;

    while (result == 0 && *done < size && length > 0) {
        length = find_next(inlet, bytes + *done, size - *done, &frame);
        if (length < 0)
            return (int)length;
        *done += (size_t)length;
        if (length > 0 && frame.type != FRAME_NONE)
            result = take(data, &frame);
    }
    return result;
}

int inlet_receive(struct inlet *inlet, const char *bytes, size_t size,
                  int (*take)(void *data, const struct frame *frame), void *data)
{
    struct buffer *begun = &inlet->begun;
    size_t done = 0;
    int result;

    // Without a frame from before, no byte needs to be copied.
    if (begun->length == 0) {
        result = take_all(inlet, bytes, size, &done, take, data);
        return result == 0 && done < size ? buffer_append(begun, bytes + done, size - done)
                                          : result;
    }
    if (buffer_append(begun, bytes, size) < 0)
        return -ENOMEM;
    result = take_all(inlet, begun->data, begun->length, &done, take, data);
    buffer_drop(begun, done);
    if (begun->length == 0)
        buffer_finish(begun);
    return result;
}

void inlet_finish(struct inlet *inlet)
{
    buffer_finish(&inlet->begun);
}
