// SPDX-License-Identifier: Apache-2.0
// Users and groups by name, as this machine's user database has them.
//
// The database may be a server, so that a look-up may block. A daemon that serves must
// not wait for it. So it loads a configuration with a `struct users`, which has answers
// but asks nobody: a name without an answer is noted. A process of its own then asks for
// all of these (users_ask), the daemon takes the answers when they arrive (users_take), and
// loads the configuration again.
//
// Where a function takes a `struct users`, NULL means: ask the database now.
#pragma once

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct users;

struct user {
    uid_t uid;
    gid_t gid;
    gid_t *groups; // owned by the caller, who frees it
    size_t group_count;
};

struct users *users_create(void);        // NULL: no memory
void users_destroy(struct users *users); // may be NULL

// Each of these finds NAME, which may also be a number, and returns 0, or -EINVAL, -EAGAIN or
// -ENOMEM with ERR set. A name without an answer is noted, and has the id 0 until then: the
// result is not to be used while users_is_complete is false.
int users_find_uid(struct users *users, const char *name, uid_t *uid, struct error *err);
int users_find_gid(struct users *users, const char *name, gid_t *gid, struct error *err);
// The user must be in the database, also when NAME is a number. The groups are those that the
// database has for the user.
int users_find_user(struct users *users, const char *name, struct user *user, struct error *err);

// Is there an answer for every name that was looked for?
bool users_is_complete(const struct users *users);

// Asks the database for each name without an answer, and writes the answers to FD. Blocks.
// Returns 0 or -errno.
int users_ask(const struct users *users, int fd);

// Takes the SIZE bytes that users_ask has written for the same names. Returns 0, -EPROTO (they
// are not complete) or -ENOMEM.
int users_take(struct users *users, const char *bytes, size_t size);
