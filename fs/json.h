// SPDX-License-Identifier: Apache-2.0
// An answer as one JSON object, made piece by piece while it is read: the text can be six
// times as long as the bytes it stands for, and is never in memory as a whole. Pure, as
// frames.h.
#pragma once

#include "channel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_source {
    int code;
    const char *kind;
    const char *detail; // a string
    const char *bytes[JOB_STREAMS];
    size_t sizes[JOB_STREAMS];
    uint64_t ms;
};

// The position of a reader. All zero is the start.
struct json {
    unsigned part;  // the number of the current part of the object
    size_t at;      // bytes of the part that are in the text
    char rest[128]; // of the text: it did not fit before
    size_t rest_at;
    size_t rest_left;
    size_t checked[JOB_STREAMS]; // bytes of the stream that are UTF-8
    bool is_binary[JOB_STREAMS]; // there is one that is not
};

enum { JSON_CHECK = 512 * 1024 }; // bytes that json_prepare looks at

// Looks at a part of the streams, to see whether they are UTF-8: a large one takes longer than
// one turn of a loop should. Returns true when it has seen all; until then it has to be
// called again.
bool json_prepare(struct json *json, const struct json_source *source);

// Once that is known, writes the text that follows for a reader who has come as far as JSON into
// BYTES, SIZE of them, and moves JSON on. Returns how many; 0: the object is complete.
size_t json_fill(struct json *json, const struct json_source *source, char *bytes, size_t size);
