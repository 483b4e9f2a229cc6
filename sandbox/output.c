// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include "cleanup.h"

#include <errno.h>

ssize_t output_append(struct output *output, const char *bytes, size_t size, uint64_t limit)
{
    struct buffer *buffer = &output->bytes;
    uint64_t room = limit > buffer->length ? limit - buffer->length : 0;
    int result;

    output->total += size;
    if (output->is_cut)
        return -ENOMEM;
    if (size > room)
        size = (size_t)room;
    // Consumed bytes are dropped only when they are half of the buffer or more.
    if (output->start > output->tail && output->start - output->tail >= buffer->length / 2) {
        buffer_drop(buffer, output->start - output->tail);
        output->start = output->tail;
    }
    result = buffer_append(buffer, bytes, size);
    output->is_cut = result < 0;
    return result < 0 ? result : (ssize_t)size;
}

void output_end(struct output *output, size_t stripped)
{
    struct buffer *bytes = &output->bytes;
    char *exact;

    if (output->is_ended)
        return;
    bytes->length -= stripped;
    output->total -= stripped;
    output->held = 0;
    output->is_ended = true;
    // Results stay until the next request: give back the memory that growth left unused.
    exact = bytes->length > 0 ? realloc(bytes->data, bytes->length) : NULL;
    if (exact) {
        bytes->data = exact;
        bytes->capacity = bytes->length;
    }
}

const char *output_bytes(const struct output *output)
{
    return output->bytes.data ? output->bytes.data + output->start : "";
}

size_t output_visible(const struct output *output)
{
    return output->bytes.length - output->start - output->held;
}

void output_consume(struct output *output, size_t size)
{
    output->start += size;
    if (output->start == output->bytes.length && output->tail == 0) {
        output->start = 0;
        output->bytes.length = 0;
    }
}

void output_finish(struct output *output)
{
    buffer_finish(&output->bytes);
    *output = (struct output){0};
}
