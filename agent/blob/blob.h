// SPDX-License-Identifier: Apache-2.0
// hooksfs-agent as it is delivered, for each kind of machine that it was built for.
#pragma once

#include <stddef.h>

struct agent_blob {
    const char *machine; // what uname -m says there: x86_64, aarch64
    const char *bytes;
    size_t size;
};

// The first is for the machine that this program was built for.
extern const struct agent_blob agent_blobs[];
extern const size_t agent_blobs_count;
