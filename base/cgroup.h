// SPDX-License-Identifier: Apache-2.0
// A control group of version 2 for one job: limits for all processes of the job together, and a
// way to kill all of them, whatever session and parents they have. delegation_take or
// delegation_share must have been called before. No call here waits.
#pragma once

#include "delegation.h"
#include "loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// 0: no limit.
struct cgroup_limits {
    uint64_t memory_bytes;
    unsigned pids;        // processes and threads
    unsigned cpu_percent; // of one processor
};

struct cgroup;

// The controllers that LIMITS need, as bits of delegation.h.
unsigned cgroup_controllers(const struct cgroup_limits *limits);

// Makes a group with LIMITS. LOOP: see cgroup_destroy. With memory_bytes nothing is swapped, and a
// job without memory is killed as a whole. Returns NULL with ERR set: no group is better than one
// without its limits.
struct cgroup *cgroup_create(struct loop *loop, const struct cgroup_limits *limits,
                             struct error *err);

// As fork, but the child is in GROUP from the beginning, and a descriptor of it is in *PID_FD.
// Returns -errno on failure; -ENOSYS where the kernel cannot do this (before Linux 5.7).
pid_t cgroup_fork(const struct cgroup *group, int *pid_fd);

// Opens the file into which a process writes "0" to move itself to GROUP. For -ENOSYS above.
// Returns a descriptor that the caller closes, or -errno.
int cgroup_open_procs(const struct cgroup *group);

// Kills all processes in GROUP.
void cgroup_kill(struct cgroup *group);

// Has the kernel killed a process of GROUP because there was no memory?
bool cgroup_ran_out_of_memory(const struct cgroup *group);

// Gives GROUP up; it may be NULL. Nothing is killed. With a loop it is removed when it has no
// process any more, even if that is later. Without a loop it is removed if it has no process now.
void cgroup_destroy(struct cgroup *group);

// Removes the groups that were given up and are empty by now, and forgets the others. For the end,
// when the loop runs no more.
void cgroup_finish_all(void);
