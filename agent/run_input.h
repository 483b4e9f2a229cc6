// SPDX-License-Identifier: Apache-2.0
// The stdin of a command: bytes from the daemon on the way into the pipe.
#pragma once

#include "uplink.h"

struct run_input {
    struct uplink *uplink;
    uint32_t job;
    int fd;      // owned; -1: takes nothing more
    int kept_fd; // owned; after run_input_keep
    struct watch watch;
    struct task credit;  // runs after this turn of the loop, which may bring the end too
    struct buffer bytes; // bytes for which the pipe had no room yet
    size_t taken;        // bytes of BYTES that the pipe has taken meanwhile
    uint32_t window;     // bytes that the daemon may send
    uint32_t owed;       // bytes that the pipe has taken and the daemon has no credit for yet
    bool has_begun;      // the command runs: credit may be given
    bool has_ended;      // the daemon has sent the end
    bool is_refused;     // the command has closed its stdin
};

// Sets up the other members, and takes over FD, which must not block.
void run_input_open(struct run_input *input, int fd);
void run_input_close(struct run_input *input);

// The command is about to be killed: it gets nothing more, and does not read an end before
// run_input_close. Otherwise it could take the end for that of a whole input.
void run_input_keep(struct run_input *input);

// Returns 0, -ENOMEM, or -EBADMSG if the bytes exceed the window or come after the end.
int run_input_write(struct run_input *input, const char *bytes, size_t size);

// The command will read the end after the bytes that are still here.
void run_input_end(struct run_input *input);

// Tells the input that the command runs.
void run_input_begin(struct run_input *input);
