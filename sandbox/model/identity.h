// SPDX-License-Identifier: Apache-2.0
// The identity that a process runs with, and the caller of a request.
#pragma once

#include "confinement.h"
#include "error.h"
#include "users.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct identity {
    uid_t uid;
    gid_t gid;
    gid_t *groups; // owned; supplementary groups
    size_t group_count;
    struct confinement *confinement; // owned; NULL: none that counts
};

struct caller {
    struct identity identity;
    pid_t pid;          // 0: in a process namespace that the daemon cannot see
    uint64_t opened_ns; // when the request was opened (loop_now_ns); 0: not known
};

// Looks up USER, a name or a number of this machine's user database, and the user's groups, in
// USERS (users.h). Returns 0, or -errno with ERR set.
int identity_of_user(const char *user, struct identity *identity, struct users *users,
                     struct error *err);

// Have A and B the same ids, and the same groups in the same order?
bool identity_equal(const struct identity *a, const struct identity *b);

// Makes a copy that owns its members. Returns 0 or -ENOMEM.
int identity_copy(struct identity *to, const struct identity *from);

void identity_finish(struct identity *identity);
