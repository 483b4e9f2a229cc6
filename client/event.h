// SPDX-License-Identifier: Apache-2.0
// A look at an agent's JSON while it passes through: which event it is for. Nothing is kept of
// it but that, whatever its size.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { EVENT_MAX_NAME = 64 }; // longer names are those of no event that is known

struct event {
    char name[EVENT_MAX_NAME]; // of the member "hook_event_name"; empty: not seen
    bool is_again;             // "stop_hook_active" is true: a Stop hook has spoken already

    // The rest is the state between two pieces.
    int depth;
    bool is_string, is_escaped, is_value, is_confused;
    char key[EVENT_MAX_NAME];
    char token[EVENT_MAX_NAME];
    size_t token_length;
};

// Looks at SIZE more bytes. EVENT is all zero at first. Only members of the outermost object
// count, because what is further inside may be anybody's words. A name that is given twice with
// different values is none.
void event_feed(struct event *event, const char *bytes, size_t size);
