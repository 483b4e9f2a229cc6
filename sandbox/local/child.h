// SPDX-License-Identifier: Apache-2.0
// What a new process does between its making and its command. It is made without
// a copy of our memory, which costs more than everything else, but runs in ours
// until the exec: only with system calls (raw.h), on a stack and on data of its
// own, which were prepared for it and stay as they are until it has left.
//
// We do not wait for that, as vfork does: the exec may need an answer from us. When
// the child leaves our memory the kernel clears a number in what was prepared.
//
// A child with the identity of another user is as safe from that user as we are:
// with the first change of uid the kernel makes the memory one that only root may
// look into (prctl(2), PR_SET_DUMPABLE), and a signal ends the child alone. Where the system
// is set up otherwise, such a child has a copy.
#pragma once

#include "process.h"

#include <sys/resource.h>

struct child;

// Given to the child besides its process_spec; both are needed only during the
// call. Its ends of the pipes have to stay open until child_start.
struct child_gift {
    int in;
    int out;
    int err;
    int file;                         // -1: none
    const struct rlimit *descriptors; // NULL: as many as we may have
};

// Prepares one. NULL when there is no memory.
struct child *child_create(const struct process_spec *spec, const struct child_gift *gift);

// Makes the process. Returns its id, with a descriptor of it in *PID_FD, or -errno.
pid_t child_start(struct child *child, int *pid_fd);

// Has it left our memory, for its command or dead? One that has a copy of it never
// does.
bool child_has_left(const struct child *child);

// Why the command was not executed, and in *STAGE at what point, once the process
// has ended; 0: it was, or the process was killed before.
int child_failure(const struct child *child, enum channel_stage *stage);

// Frees what was prepared, of a child that was not started, has left, or has
// ended. May be NULL.
void child_destroy(struct child *child);
