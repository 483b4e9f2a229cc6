// SPDX-License-Identifier: Apache-2.0
// Accounts count the resources of the daemon that each user holds: calls, slots, and bytes, from
// the first byte of a request to the last byte of an answer that nobody has read. Pure: an account
// knows only numbers.
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

// The accounts of all users who hold something. An embedded struct.
struct accounts {
    struct list all;
    uid_t privileged; // a user who, like root, is counted and never refused
};

// The account of one user, counted by references: each holder has a reference.
struct account;

void accounts_init(struct accounts *accounts, uid_t privileged);

// Lets go of the accounts that still have references; each of them is freed with its last one.
void accounts_finish(struct accounts *accounts);

// Returns the account of UID. The caller gets a reference. NULL when there is no memory.
struct account *account_open(struct accounts *accounts, uid_t uid);
struct account *account_ref(struct account *account); // both may be NULL
void account_unref(struct account *account);

// Does ACCOUNT belong to root, or to the daemon's own user?
bool account_is_privileged(const struct account *account);

// Counts COUNT more. Returns whether the account is then within LIMIT; otherwise the caller gives
// COUNT back, at once or as soon as it can.
bool account_take(struct account *account, enum account_item item, uint64_t count, uint64_t limit);
void account_give_back(struct account *account, enum account_item item, uint64_t count);

// Returns how much the account holds.
uint64_t account_held(const struct account *account, enum account_item item);
