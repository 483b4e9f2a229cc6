// SPDX-License-Identifier: Apache-2.0
// One call with a payload, in one of three ways, and its answer compared.
#pragma once

#include "bench.h"

#include <stdbool.h>

struct call {
    void (*make)(struct call *call);
    const char *sandbox;
    const char *file; // of a conversation
    char *slot;       // NULL if there is none
    char *const *argv;
    struct bytes payload;
    struct bytes expected; // the answer; payload, if there is no other
    struct child child;    // of the next call, when is_ready
    bool is_ready;
    bool gets_ready;
    struct bytes request; // the command line and the payload
    struct bytes answer;  // size is how much of it there is
    size_t room;
};

// From `conversation|request|slot DIRECTORY PAYLOAD-FILE COMMAND...` or `spawn|ready PAYLOAD-FILE
// COMMAND...`. False if it is neither. For `slot`, makes one of this process.
bool call_init(struct call *call, int argc, char **argv);

// Ends the program if the call fails or its answer is not the payload.
void call_make(struct call *call);

// Between calls: starts the process of the next one, if that is the way.
void call_get_ready(struct call *call);

// Removes the slot.
void call_finish(struct call *call);
