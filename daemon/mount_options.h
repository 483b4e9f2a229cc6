// SPDX-License-Identifier: Apache-2.0
// Mount options that mount(8) knows and libfuse does not.
#pragma once

#include "error.h"

#include <stdbool.h>

// Removes `remount` from OPTIONS, a list with commas, and the options about times of access, which
// a hooksfs does not have. Returns whether `remount` was there.
bool mount_options_filter(char *options);

// Changes the mount of a hooksfs at MOUNTPOINT to OPTIONS, from which the function above has
// removed some: ro, rw, sync, async and the like. Returns 0, or -errno with ERR set.
int mount_options_remount(const char *mountpoint, const char *options, struct error *err);
