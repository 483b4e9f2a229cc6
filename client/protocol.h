// SPDX-License-Identifier: Apache-2.0
// How each agent wants to hear yes and no, event by event. protocol.c is the table, and hook(1)
// says the same in words.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Kinds of events, by what a no does there.
enum event_class {
    EVENT_ACTION,     // something is about to be done: also every event that is not known
    EVENT_TOOL,       // an action that the agent can ask its user about
    EVENT_PERMISSION, // the agent is about to ask its user
    EVENT_PROMPT,     // the user has said something
    EVENT_STOP,       // a no means: go on working. So a failure must not say it
    EVENT_NOTICE,     // it has happened already, or cannot be prevented
    EVENT_CLASSES,
};

// In how far JSON of the hook's own is handed on.
enum form_json {
    JSON_NEVER,
    JSON_WHOLE,     // as it is, in place of OUT
    JSON_WITH_KEY,  // likewise, when it has the member KEY
    JSON_DISTILLED, // only the members that Codex is known to take
};

// One way to end: exit code, stdout, stderr.
struct form {
    int code;
    const char *out; // NULL: nothing; @ stands for the reason as a JSON string
    bool err;        // the reason goes to stderr
    enum form_json json;
    const char *key;
};

enum form_index {
    FORM_YES,
    FORM_NO,
    FORM_BLOCK, // a failure, with --on-failure=block
    FORM_PASS,  // a failure, with --on-failure=pass
    FORM_ASK,   // code -1: the agent has no such thing, and it is a no
    FORMS,
};

struct protocol {
    const char *name;
    uint64_t deadline_ms;        // 0: none
    uint64_t prompt_deadline_ms; // 0: as the others
    uint64_t end_deadline_ms;    // of SessionEnd; 0: as the others
    bool needs_words;            // only an explicit yes is one
    bool ignores_text;           // stdout without a { means nothing
    bool is_by_code;             // every exit code but 0 is a no
    const char *default_event;   // for an agent whose JSON does not name the event; or NULL
    struct form forms[EVENT_CLASSES][FORMS];
};

// The protocol of that name, or NULL.
const struct protocol *protocol_find(const char *name);

// The I-th of them, or NULL.
const struct protocol *protocol_at(unsigned i);

// The class of the event NAME, in any agent's spelling.
enum event_class protocol_classify(const char *name);

// The deadline for the event NAME; 0: none.
uint64_t protocol_deadline_ms(const struct protocol *protocol, const char *name);
