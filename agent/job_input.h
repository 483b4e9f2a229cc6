// SPDX-License-Identifier: Apache-2.0
// What the daemon sends for a command's stdin, on the way into its pipe.
#pragma once

#include "connection.h"

struct job_input {
    struct connection *connection;
    uint32_t job;
    int fd; // owned; -1: closed
    struct watch watch;
    struct task credit;  // after the turn, in which the end may come as well
    struct buffer bytes; // that the pipe has not taken yet
    size_t taken;        // of bytes
    uint32_t window;     // bytes that the daemon may send
    uint32_t owed;       // bytes that the pipe has taken and no credit was given for
    bool has_begun;      // the command runs: credit may be given
    bool has_ended;      // the daemon has said so
    bool is_refused;     // the command has closed it
};

// Sets up the rest, and takes FD, which does not block.
void job_input_open(struct job_input *input, int fd);
void job_input_close(struct job_input *input);

// Returns 0, -EBADMSG when that is more than the window or comes after the end, or
// -ENOMEM.
int job_input_write(struct job_input *input, const char *bytes, size_t size);

// The command reads the end once it has read the rest.
void job_input_end(struct job_input *input);

// The command runs.
void job_input_begin(struct job_input *input);
