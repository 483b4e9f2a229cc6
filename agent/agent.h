// SPDX-License-Identifier: Apache-2.0
// The agent as a whole: it reads frames from the daemon and carries them out.
#pragma once

#include <sys/resource.h>

struct agent_spec {
    int in_fd;  // from the daemon; not owned; may block
    int out_fd; // to the daemon; not owned; must not block
    char *const *env;
    struct rlimit descriptors; // the limit that commands get
};

// Serves until the connection and all runs have ended. Returns 0 after the end of IN_FD;
// after an error it returns 1, with one line on stderr.
int agent_serve(const struct agent_spec *spec);
