// SPDX-License-Identifier: Apache-2.0
// Words of a hook's that a person, a model and a JSON parser can take.
#pragma once

#include "buffer.h"

#include <stdbool.h>

enum { REASON_MAX_BYTES = 16384 }; // of a reason; the rest of it is cut off

// Appends SIZE bytes of BYTES as UTF-8 without control characters but newline and tab, without
// blanks at either end, and cut to REASON_MAX_BYTES. Each wrong byte becomes a `?`. Returns 0
// or -ENOMEM.
int reason_append(struct buffer *text, const char *bytes, size_t size);

// Whether a parser of JSON that strips blanks, as JavaScript's does, could read the LENGTH bytes of
// TEXT.
// An agent that tries would take the reason of a no for an answer without a no.
bool reason_may_be_json(const char *text, size_t length);

// Appends TEMPLATE, in which @ stands for the LENGTH bytes of REASON, clean text, as a JSON
// string. Returns 0 or -ENOMEM.
int reason_append_json(struct buffer *text, const char *template, const char *reason,
                       size_t length);
