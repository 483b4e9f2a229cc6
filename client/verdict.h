// SPDX-License-Identifier: Apache-2.0
// The verdict in a hook's own words: its stdout as JSON, in any agent's spelling.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum verdict_kind {
    VERDICT_FAILURE, // no verdict: REASON tells why
    VERDICT_YES,
    VERDICT_ASK, // neither yes nor no: the agent is to ask its user
    VERDICT_NO,
};

struct verdict {
    enum verdict_kind kind;
    bool is_explicit; // a yes in words, and not just the absence of a no
    bool is_certain;  // a failure that blocks also where failures may pass
    char *reason;     // owned; why not; NULL: none was given
    json_t *json;     // owned; what the hook wrote, NULL: nothing
};

// Reads SIZE bytes of JSON, which must be one whole object and nothing else. Any spelling of no in
// it makes it a no. A decision in a word that is not known makes it a failure. VERDICT is
// all zero at first.
void verdict_read(struct verdict *verdict, const char *bytes, size_t size);

// Makes VERDICT a failure, of which FORMAT is the reason. What it held is freed.
void verdict_fail(struct verdict *verdict, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Whether the SIZE bytes are blanks only, or none.
bool verdict_is_blank(const char *bytes, size_t size);

void verdict_finish(struct verdict *verdict);
