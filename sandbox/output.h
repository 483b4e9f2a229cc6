// SPDX-License-Identifier: Apache-2.0
// What a job wrote to one of its streams, kept so that it can be read at any
// offset, while it grows and afterwards. All zero is an empty, open stream.
#pragma once

#include "buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct output {
    struct buffer bytes;
    size_t start;   // bytes at the start that have been consumed
    size_t tail;    // of which so many, the last ones, stay
    size_t held;    // bytes at the end that readers do not see (yet)
    uint64_t total; // bytes that the job wrote, kept or not
    bool is_cut;    // there was no memory for what came: nothing after it is kept
    bool is_ended;
};

// Appends up to the point where LIMIT bytes are kept. Returns how many of SIZE
// were kept (fewer: the limit was passed), or -ENOMEM, also ever after.
ssize_t output_append(struct output *output, const char *bytes, size_t size, uint64_t limit);

// Marks the end of the stream; the last STRIPPED bytes were not the job's own
// and are removed. Everything else is visible from now on. Harmless when it has
// ended already.
void output_end(struct output *output, size_t stripped);

// The bytes that a reader can see, and their number.
const char *output_bytes(const struct output *output);
size_t output_visible(const struct output *output);

// Drops the first SIZE of them, whose place can then be used again, but for the tail.
void output_consume(struct output *output, size_t size);

void output_finish(struct output *output);
