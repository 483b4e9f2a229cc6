// SPDX-License-Identifier: Apache-2.0
// The code that a new process runs before its command. The process is made without a copy of
// the daemon's memory, because a copy costs more than everything else. Until its exec the child
// runs in the daemon's memory: it uses only system calls (raw.h), and a stack and data of its
// own, which were prepared for it and stay unchanged until the child has left this memory.
//
// The daemon does not wait for the exec, as vfork does: the exec may need an answer from the
// daemon. When the child leaves the daemon's memory, the kernel clears a number in the prepared
// data.
//
// A child with the identity of another user is as safe from that user as the daemon is. With the
// first change of uid the kernel lets only root look into the memory (prctl(2), PR_SET_DUMPABLE),
// and a signal ends the child alone. Where the system is set up otherwise, such a child has a
// copy of the memory.
#pragma once

#include "process.h"

#include <sys/resource.h>

struct child;

// Input of the child besides its process_spec. Both are needed only during the call, but the
// child's ends of the pipes must stay open until child_start.
struct child_gift {
    int in;
    int out;
    int err;
    int file;                         // -1: none
    const struct cgroup *group;       // in which the child begins; NULL: the daemon's
    const struct rlimit *descriptors; // NULL: the daemon's limit
};

// Prepares a child. Returns NULL when there is no memory.
struct child *child_create(const struct process_spec *spec, const struct child_gift *gift);

// Makes the process. Returns its id, with a descriptor of it in *PID_FD, or -errno.
pid_t child_start(struct child *child, int *pid_fd);

// Has the child left the daemon's memory, for its command or because it is dead? A child with a
// copy of the memory never leaves it.
bool child_has_left(const struct child *child);

// For a process that has ended. Returns the errno with which the command could not be executed,
// with the point of the failure in *STAGE. Returns 0 if the command was executed, or if the
// process was killed before.
int child_failure(const struct child *child, enum channel_stage *stage);

// Frees the data of a child that was not started, has left the daemon's memory, or has ended.
// CHILD may be NULL.
void child_destroy(struct child *child);
