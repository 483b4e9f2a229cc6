// SPDX-License-Identifier: Apache-2.0
// Takes rights from a new process, so that it has no more than the caller of its request. In
// the process this uses system calls only, as all code of a child does (child.h).
#pragma once

#include "process.h"

struct bounds {
    bool is_command;                // of a caller; false: a client, with the daemon's rights
    bool is_root;                   // after its change of identity
    bool has_own_keyring;           // false: it has the keyring of its user
    bool is_confined;               // as its caller is
    struct confinement confinement; // of the caller, if is_confined
    uint64_t dropped;               // of its bounding set, one bit for each capability
    uint32_t lowered;               // the limits that the process sets; bit 0 is resource 0
    struct rlimit limits[RLIM_NLIMITS];
    bool is_freer; // the daemon is safer from the OOM killer than the caller
};

// Notes the daemon's limit of descriptors, and opens the file that says how soon the OOM killer
// takes the daemon. Called once, at the start of the daemon, before it raises this limit, so that
// no call needs a descriptor for the file. Without this call the daemon's value counts as 0.
void bounds_set_up(void);

// Finds the confinement that a command has which nobody but the daemon has asked for. Returns as
// confinement_learn.
int bounds_learn_own(struct confinement *confinement);

// Prepares BOUNDS for SPEC. DESCRIPTORS is the limit of descriptors that the process has before
// bounds_begin; NULL: the daemon's. Both are needed only during the call.
void bounds_prepare(struct bounds *bounds, const struct process_spec *spec,
                    const struct rlimit *descriptors);

// Must the process have memory of its own?
bool bounds_need_memory(const struct bounds *bounds);

// In the process, before and after its change of identity. Negative: -errno.
long bounds_begin(const struct bounds *bounds);
long bounds_end(const struct bounds *bounds);
