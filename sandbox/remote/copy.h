// SPDX-License-Identifier: Apache-2.0
// The daemon's own copy of the agent as a file, which an engine on this machine mounts into
// containers.
#pragma once

#include "error.h"

// Stores the path of the copy, which the caller frees, in *PATH. Writes the file if it is missing
// or has other bytes than the agent. Returns 0, or -errno with ERR set.
int copy_path(char **path, struct error *err);
