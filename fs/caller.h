// SPDX-License-Identifier: Apache-2.0
// Who makes a request of the kernel's, with the groups that the kernel does not
// tell.
#pragma once

#include "identity.h"

#include <fuse_lowlevel.h>
#include <stdbool.h>

// Answers REQ with ERRNUM. A shortage, which is not the caller's doing, is logged.
void caller_fail(fuse_req_t req, int errnum);

// Fills in CALLER, whose identity the caller of this finishes; also what confines the
// process if IS_CONFINED. Not for a release: that comes from nobody. 0, -ENOMEM, -EMFILE or
// -ENFILE.
int caller_learn(fuse_req_t req, bool is_confined, struct caller *caller);
