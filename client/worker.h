// SPDX-License-Identifier: Apache-2.0
// The child that makes every call into the mount. Such a call can wait for a daemon that has
// been stopped, in a state that not even SIGKILL ends; the parent must not, so it makes none.
// The child has none of the parent's descriptors but its ends of the pipes, and dies with the
// parent, whatever ends that: the conversation is closed with it, which cancels the job.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum worker_stage {
    WORKER_NOTHING,
    WORKER_OPEN,
    WORKER_WRITE,
    WORKER_END, // of stdin
    WORKER_READ,
};

// The first call that failed, in memory that both share. The child sets it before it closes its
// end of the answer.
struct worker_report {
    volatile int stage; // enum worker_stage
    volatile int error; // errno
};

struct worker {
    pid_t pid;
    int input;  // the pipe for more of the request, nonblocking; -1: there is none
    int answer; // the pipe with the answer
    struct worker_report *report;
};

// Starts the child for one conversation with the file PATH. It writes the LENGTH bytes of HEAD,
// of which LINE_LENGTH are the command line, and then, with HAS_MORE, all that comes through
// input, before it ends stdin; without, the command line says how long stdin is. Returns 0 or a
// negative errno.
int worker_start(struct worker *worker, const char *path, const char *head, size_t length,
                 size_t line_length, bool has_more);

// Starts the child for a list of the directory PATH instead: names, each with a NUL behind it,
// come as the answer.
int worker_start_list(struct worker *worker, const char *path);

// Kills the child, without waiting until it is gone. The conversation is closed by that.
void worker_stop(struct worker *worker);
