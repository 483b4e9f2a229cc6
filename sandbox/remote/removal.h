// SPDX-License-Identifier: Apache-2.0
// Removes a container whose client is gone. Nobody waits for the clients that do this.
#pragma once

#include "config.h"
#include "loop.h"

// Removes the container NAME, which was made for a job by CONFIG: at once, and twice more
// within ten seconds, because an engine may still be making it.
void removal_start(struct loop *loop, struct sandbox_config *config, const char *name);

// Leaves all removals that are under way to clients that outlive the daemon. For the end of the
// daemon, when the loop no longer runs.
void removal_finish_all(void);
