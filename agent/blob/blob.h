// SPDX-License-Identifier: Apache-2.0
// The delivered hooksfs-agent as bytes, one for each kind of machine that it was built for.
#pragma once

#include <stddef.h>

struct agent_blob {
    const char *machine; // as uname -m names it: x86_64, aarch64
    const char *bytes;
    size_t size;
};

// The first blob is for the kind of machine that the daemon was built for.
extern const struct agent_blob agent_blobs[];
extern const size_t agent_blobs_count;
