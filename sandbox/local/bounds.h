// SPDX-License-Identifier: Apache-2.0
// What a new process gives up so that it has no more than the process that asks for it: by
// system calls alone, as all that a child does (child.h).
#pragma once

#include "process.h"

struct bounds {
    bool is_command;                // of a caller's, and not a client, which is as we are
    bool is_root;                   // after its change of identity
    bool has_own_keyring;           // or else that of its user
    bool is_confined;               // as its caller is, by:
    struct confinement confinement; //
    bool is_freer;                  // from the OOM killer than the caller, as we are
};

// Opens the file that says how soon the OOM killer takes the daemon: once, at the start of
// the daemon, so that no call needs a descriptor for it. Without it the daemon counts as 0.
void bounds_set_up(void);

// Prepares BOUNDS for SPEC, which is needed only during the call.
void bounds_prepare(struct bounds *bounds, const struct process_spec *spec);

// Must the process have memory of its own?
bool bounds_need_memory(const struct bounds *bounds);

// In the process, before and after its change of identity. Negative: -errno.
long bounds_begin(const struct bounds *bounds);
long bounds_end(const struct bounds *bounds);
