// SPDX-License-Identifier: Apache-2.0
// The FUSE session: the mount, and its descriptor on the loop.
#pragma once

#include "ops.h"

struct session;

// Mounts at MOUNTPOINT, the result of mount_prepare. mount(8) shows SOURCE. OPTIONS are the
// user's, separated by commas, or NULL. on_end is called, with FS->data, when another process has
// taken the mount down. Sets FS->session. Returns NULL with ERR set.
struct session *session_create(struct fs *fs, const char *source, const char *mountpoint,
                               const char *options, bool is_debug, void (*on_end)(void *data),
                               struct error *err);

// Takes the mount down. Requests that are parked must have been answered. After
// that the kernel answers everybody with ENOTCONN.
void session_destroy(struct session *session);
