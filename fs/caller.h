// SPDX-License-Identifier: Apache-2.0
// The caller of a FUSE operation, with the groups that the kernel does not tell.
#pragma once

#include "identity.h"

#include <fuse_lowlevel.h>
#include <stdbool.h>

// Answers REQ with ERRNUM. A shortage, which the caller did not cause, is logged.
void caller_fail(fuse_req_t req, int errnum);

// Fills in CALLER, and, if IS_CONFINED, the confinement of the process. The caller of this function
// finishes the identity. Not for a release, which has no caller. Returns 0, -ENOMEM, -EMFILE or
// -ENFILE.
int caller_learn(fuse_req_t req, bool is_confined, struct caller *caller);
