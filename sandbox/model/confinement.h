// SPDX-License-Identifier: Apache-2.0
// The confinement of a process: all that limits it besides its user and groups. A command must not
// have more rights than the process that asks for it. Otherwise a request would be a way out of a
// container, a limit or a filter.
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
    bool is_known;         // false: the other members have no meaning
    bool is_filtered;      // by a seccomp filter that the daemon does not have
    bool is_elsewhere;     // in another user namespace than the daemon
    bool cannot_gain;      // no_new_privs
    uint64_t capabilities; // of the process, one bit for each
    uint64_t bounding_set; // capabilities that its programs can get
    unsigned policy;       // of the scheduler
    int nice;
    int io_priority;
    int oom_score_adj;
    struct rlimit limits[RLIM_NLIMITS];
};

// Finds the confinement of the thread PID, whose /proc/PID/status is STATUS. The thread must not be
// able to go on meanwhile, for example because its system call waits for the daemon's answer.
// Returns 0, with is_known false when a part could not be found out, or -errno for a shortage of
// the daemon that will pass: -EMFILE, -ENFILE, -ENOMEM.
int confinement_learn(struct confinement *confinement, pid_t pid, const char *status);

// Finds the confinement of the daemon itself. Returns as confinement_learn.
int confinement_learn_own(struct confinement *confinement);

// Returns the capabilities that programs of the daemon can get, one bit for each; all bits if that
// could not be found out.
uint64_t confinement_own_bounding_set(void);

// Has a process of the daemon the same rights whether it is confined as FROM, which is the daemon's
// own confinement, or as TO? Then TO differs from FROM only in limits, and no limit of TO is lower.
bool confinement_is_no_tighter(const struct confinement *from, const struct confinement *to);

// Returns the value of NAME in the text of a /proc/PID/status, a number of that BASE, or MISSING.
uint64_t confinement_field(const char *status, const char *name, int base, uint64_t missing);
