// SPDX-License-Identifier: Apache-2.0
// The bytes of one output stream of a job, kept so that a reader can read them at any
// offset, while the stream grows and afterwards. All zero is an empty, open stream.
#pragma once

#include "buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct output {
    struct buffer bytes;
    size_t start;   // bytes at the start that have been consumed
    size_t tail;    // so many of those, the last ones, stay
    size_t held;    // bytes at the end that readers do not see (yet)
    uint64_t total; // bytes that the job wrote, kept or not
    bool is_cut;    // there was no memory for some bytes: no later ones are kept
    bool is_ended;
};

// Appends bytes until LIMIT bytes are kept. Returns how many of SIZE were kept (fewer: the
// limit was passed), or -ENOMEM; after an -ENOMEM each later call returns -ENOMEM too.
ssize_t output_append(struct output *output, const char *bytes, size_t size, uint64_t limit);

// Marks the end of the stream. The last STRIPPED bytes were not the job's own and are
// removed. All other bytes are visible from now on. A second call does nothing.
void output_end(struct output *output, size_t stripped);

// The bytes that a reader can see, and their number.
const char *output_bytes(const struct output *output);
size_t output_visible(const struct output *output);

// Drops the first SIZE visible bytes, except the tail; their memory can be used again.
void output_consume(struct output *output, size_t size);

void output_finish(struct output *output);
