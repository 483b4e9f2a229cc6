// SPDX-License-Identifier: Apache-2.0
// One call, seen from outside: stdin goes to the child that makes it, and its answer comes back,
// within the deadline and as long as somebody wants it.
#pragma once

#include "answer.h"
#include "buffer.h"
#include "event.h"
#include "protocol.h"
#include "worker.h"

#include <stdbool.h>

enum {
    RELAY_MAX_FAILURE = 512,
    RELAY_MAX_OUT = 64 << 20, // bytes of stdout that a verdict can have
    RELAY_MAX_ERR = 64 << 10, // bytes of stderr that are kept for a reason
};

struct relay {
    // Set by the caller.
    const struct protocol *protocol; // of a gate, whose output is kept; NULL: it streams
    bool has_own_deadline;           // it does not depend on the event
    bool has_no_stdin;               // the command's is empty, and ours is left alone

    // How it went.
    struct event event;              // a gate's, from stdin
    struct answer answer;            // is_done: there is an outcome
    struct buffer out;               // a gate: stdout; else what waits to be written
    struct buffer err;               // likewise
    char failure[RELAY_MAX_FAILURE]; // why the call failed; empty: it did not
    int failure_code;                // the exit code for it
    int signal;                      // what the failure comes from; 0: no signal

    // While it runs.
    struct worker worker;
    struct buffer input;   // not passed on yet
    bool is_stdin_open;    // its end has not come
    bool is_input_refused; // nobody takes more of it
    bool is_answer_over;
};

// Makes RELAY, all zero but for what the caller sets, ready.
void relay_init(struct relay *relay);

// Makes the call of the file PATH with the command line LINE. PATH NULL: there is nothing to
// call, FAILURE says why, and a gate only reads stdin to its end.
void relay_run(struct relay *relay, const char *path, const struct buffer *line);

// Sets the failure, if there is none yet.
void relay_fail(struct relay *relay, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Writes all of BYTES to FD, one of our own, as long as there is time. Returns 0 or a negative
// errno.
int relay_write(int fd, const char *bytes, size_t size);
