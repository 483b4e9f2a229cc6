// SPDX-License-Identifier: Apache-2.0
// Where hooksfs is mounted, by the kernel's list of mounts: that can be read without a call into
// any of them.
#pragma once

// The one fuse.hooksfs mount that FILE, /proc/self/mountinfo, tells of. On success sets PATH,
// which the caller frees, and returns 0; -ENOENT: there is none; -EEXIST: there are several;
// or another negative errno.
int mounts_find(const char *file, char **path);
