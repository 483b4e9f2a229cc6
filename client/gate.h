// SPDX-License-Identifier: Apache-2.0
// The gate: from how a hook ended to a verdict, and from the verdict to what the agent hears.
// Both are pure. A yes comes of a real verdict and of nothing else.
#pragma once

#include "answer.h"
#include "buffer.h"
#include "protocol.h"
#include "verdict.h"

enum gate_rule {
    RULE_DEFAULT, // allow where the outcome is unconfirmed or the agent needs words, else json
    RULE_EXIT,    // exit code 0 is a yes, whatever text there is
    RULE_JSON,    // likewise, but of stdout only JSON or nothing
    RULE_ALLOW,   // only an explicit yes is one
};

// How a run of the hook went.
struct gate_run {
    const char *failure; // why there is no OUTCOME; NULL: there is one
    struct answer_outcome outcome;
    const char *out; // stdout
    size_t out_length;
    const char *err; // stderr, or its beginning
    size_t err_length;
};

// The answer for the agent.
struct gate_reply {
    int code;
    struct buffer out;
    struct buffer err;
};

// Sets VERDICT, which is all zero.
void gate_judge(const struct protocol *protocol, enum gate_rule rule, const struct gate_run *run,
                struct verdict *verdict);

// Which form of the protocol says VERDICT. IS_AGAIN: a Stop hook has already said no.
enum form_index gate_choose(const struct protocol *protocol, enum event_class class, bool is_again,
                            bool passes, const struct verdict *verdict);

// Puts VERDICT into the words of the agent. OUT are the LENGTH bytes that the hook wrote, for JSON
// that is handed on. REPLY is all zero.
void gate_say(const struct form *form, const struct verdict *verdict, const char *out,
              size_t length, struct gate_reply *reply);

void gate_reply_finish(struct gate_reply *reply);
