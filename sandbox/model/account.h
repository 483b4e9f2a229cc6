// SPDX-License-Identifier: Apache-2.0
// What each user holds of the daemon: bytes, from the first of a request to the last of an
// answer that nobody has read, calls, and slots. Pure: it knows only numbers.
#pragma once

#include "list.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum account_item {
    ACCOUNT_BYTES,
    ACCOUNT_CALLS,
    ACCOUNT_SLOTS,
    ACCOUNT_ITEMS,
};

// All users who hold something. An embedded struct.
struct accounts {
    struct list all;
    uid_t privileged; // besides root: counted, and never refused
};

// Of one user, counted by references: each holder has one.
struct account;

void accounts_init(struct accounts *accounts, uid_t privileged);

// The account of UID. The caller gets a reference. NULL when there is no memory.
struct account *account_open(struct accounts *accounts, uid_t uid);
struct account *account_ref(struct account *account); // both may be NULL
void account_unref(struct account *account);

// Is ACCOUNT root's, or that of the daemon's own user?
bool account_is_privileged(const struct account *account);

// Counts COUNT more. Returns whether all that the account holds is within LIMIT then;
// otherwise the caller gives it back, at once or when it can.
bool account_take(struct account *account, enum account_item item, uint64_t count, uint64_t limit);
void account_give_back(struct account *account, enum account_item item, uint64_t count);

// How much it holds.
uint64_t account_held(const struct account *account, enum account_item item);
