// SPDX-License-Identifier: Apache-2.0
// What holds a process back besides its user and groups. A command must not have more
// than the process that asks for it: otherwise a request is a way out of a container, a
// limit or a filter.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

// The kernel's struct sched_attr, in its first version: its headers do not go with libc's.
struct scheduling {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t deadlines[3];
};

struct confinement {
    bool is_known;         // false: nothing below says anything
    bool is_filtered;      // by a seccomp filter that we do not have
    bool is_elsewhere;     // in another user namespace than ours
    bool cannot_gain;      // no_new_privs
    uint64_t capabilities; // that the process has, one bit for each
    uint64_t bounding_set; // capabilities that its programs can get
    unsigned policy;       // of the scheduler
    int nice;
    int io_priority;
    int oom_score_adj;
    struct rlimit limits[RLIM_NLIMITS];
};

// Learns what confines the thread PID, whose /proc/PID/status is STATUS. The thread must
// not be able to go on meanwhile, as one whose system call waits for our answer. Returns
// 0, with is_known false when something could not be found out, or -errno for a shortage
// of ours that will pass: -EMFILE, -ENFILE, -ENOMEM.
int confinement_learn(struct confinement *confinement, pid_t pid, const char *status);

// The value of NAME in the text of a /proc/PID/status, a number of that BASE, or MISSING.
uint64_t confinement_field(const char *status, const char *name, int base, uint64_t missing);
