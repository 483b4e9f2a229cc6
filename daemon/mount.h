// SPDX-License-Identifier: Apache-2.0
// Checks before the mount is made. Each error is for a person. All functions may block: they
// are called before the loop runs.
#pragma once

#include "error.h"

// Checks that MOUNTPOINT is a directory and that no other hooksfs serves it. A
// mount that a dead daemon left behind is taken down. Returns its canonical
// path, which the caller frees, or NULL with ERR set.
char *mount_prepare(const char *mountpoint, struct error *err);

// Is the topmost mount on MOUNTPOINT a hooksfs? Returns 0, or -errno with ERR set.
int mount_check_hooksfs(const char *mountpoint, struct error *err);

// Checks that /dev/fuse can be used. Returns 0, or -errno with ERR set.
int mount_check_device(struct error *err);
