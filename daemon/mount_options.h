// SPDX-License-Identifier: Apache-2.0
// Mount options that mount(8) knows and libfuse does not.
#pragma once

#include "error.h"

#include <stdbool.h>

// Takes out of OPTIONS, a list with commas, those that only say how times of access are
// kept, of which a hooksfs has none, and `remount`. Returns whether that was there.
bool mount_options_filter(char *options);

// Changes the mount of a hooksfs at MOUNTPOINT to OPTIONS, filtered: ro, rw, sync, async
// and the like. 0, or -errno with ERR set.
int mount_options_remount(const char *mountpoint, const char *options, struct error *err);
