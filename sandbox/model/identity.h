// SPDX-License-Identifier: Apache-2.0
// Who a process runs as, and who made a request.
#pragma once

#include "error.h"

#include <stddef.h>
#include <sys/types.h>

struct identity {
    uid_t uid;
    gid_t gid;
    gid_t *groups; // owned; supplementary groups
    size_t group_count;
};

struct caller {
    struct identity identity;
    pid_t pid; // 0: in a process namespace that we cannot see
};

// Looks up USER, a name or a number of this machine's user database, with the
// groups that it gives. 0, or -errno with ERR set. May block on the database:
// only for start and reload.
int identity_of_user(const char *user, struct identity *identity, struct error *err);

// A copy that owns its groups. 0 or -ENOMEM.
int identity_copy(struct identity *to, const struct identity *from);

void identity_finish(struct identity *identity);
