// SPDX-License-Identifier: Apache-2.0
// The agent's end of a connection: reads frames, and has done what they say.
#pragma once

#include <sys/resource.h>

struct server_spec {
    int in_fd;  // neither is owned; IN_FD may block
    int out_fd; // does not block
    char *const *env;
    struct rlimit descriptors; // what commands get
};

// Serves until the connection ends, and all jobs with it. Returns 0 when stdin has
// ended, or 1 with one line on stderr.
int server_run(const struct server_spec *spec);
