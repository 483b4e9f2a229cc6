// SPDX-License-Identifier: Apache-2.0
// The stdout or stderr of a command, on the way from the pipe into frames.
#pragma once

#include "uplink.h"

struct run_output {
    struct uplink *uplink;
    uint32_t job;
    enum frame_type type;
    int fd; // owned; -1: closed
    struct watch watch;
    struct uplink_turn turn;
    uint32_t window; // bytes that may be sent
    uint32_t due;    // bytes left of those in the pipe when the command exited
    bool has_begun;
    bool has_ended;                   // the pipe has ended
    void (*before_first)(void *data); // called before the first bytes are sent
    void (*on_change)(void *data);    // DUE is less, or the pipe has ended; called last, because
                                      // it may finish this output
    void *data;
};

// Sets up the other members, and takes over FD, which must not block. Returns 0, -ENOMEM
// or -ENOSPC; run_output_close is needed in each case.
int run_output_open(struct run_output *output, int fd);
void run_output_close(struct run_output *output);

// Makes the bytes that are in the pipe now due, and sends as many as there is room for.
// Does not call on_change.
void run_output_mark(struct run_output *output);

// Adds COUNT bytes to the window. Returns 0, or -EBADMSG if it becomes too large.
int run_output_credit(struct run_output *output, uint32_t count);
