// SPDX-License-Identifier: Apache-2.0
// What a command writes to its stdout, or its stderr, on the way into frames.
#pragma once

#include "connection.h"

struct job_output {
    struct connection *connection;
    uint32_t job;
    enum frame_type type;
    int fd; // owned; -1: closed
    struct watch watch;
    struct turn turn;
    uint32_t window; // bytes that may be sent
    uint32_t due;    // bytes that were in the pipe when the command exited
    bool has_begun;
    bool has_ended;                   // the pipe has
    void (*before_first)(void *data); // before the first bytes are sent
    void (*on_change)(void *data);    // less is due, or it has ended; last of all, it may finish us
    void *data;
};

// Sets up the rest, and takes FD, which does not block. Returns 0, or -ENOMEM or
// -ENOSPC; either way job_output_close is needed.
int job_output_open(struct job_output *output, int fd);
void job_output_close(struct job_output *output);

// What is in the pipe now is due; reads of it what there is room for. Does not
// call on_change.
void job_output_mark(struct job_output *output);

// COUNT bytes more may be sent. Returns 0, or -EBADMSG when that is more than a window.
int job_output_credit(struct job_output *output, uint32_t count);
