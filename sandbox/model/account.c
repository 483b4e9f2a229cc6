// SPDX-License-Identifier: Apache-2.0
#include "account.h"

#include <stdlib.h>

struct account {
    struct list link; // in accounts->all
    unsigned references;
    uid_t uid;
    bool is_privileged;
    uint64_t held[ACCOUNT_ITEMS];
};

void accounts_init(struct accounts *accounts, uid_t privileged)
{
    *accounts = (struct accounts){.privileged = privileged};
    list_init(&accounts->all);
}

void accounts_finish(struct accounts *accounts)
{
    while (!list_is_empty(&accounts->all))
        list_remove(accounts->all.next);
}

struct account *account_open(struct accounts *accounts, uid_t uid)
{
    struct account *account;

    for (struct list *link = accounts->all.next; link != &accounts->all; link = link->next) {
        account = LIST_ENTRY(link, struct account, link);
        if (account->uid == uid)
            return account_ref(account);
    }
    account = calloc(1, sizeof *account);
    if (!account)
        return NULL;
    account->references = 1;
    account->uid = uid;
    account->is_privileged = uid == 0 || uid == accounts->privileged;
    list_append(&accounts->all, &account->link);
    return account;
}

struct account *account_ref(struct account *account)
{
    if (account)
        account->references++;
    return account;
}

void account_unref(struct account *account)
{
    if (!account || --account->references > 0)
        return;
    list_remove(&account->link);
    free(account);
}

bool account_is_privileged(const struct account *account)
{
    return account->is_privileged;
}

bool account_take(struct account *account, enum account_item item, uint64_t count, uint64_t limit)
{
    account->held[item] += count;
    return account->is_privileged || account->held[item] <= limit;
}

void account_give_back(struct account *account, enum account_item item, uint64_t count)
{
    account->held[item] -= count;
}

uint64_t account_held(const struct account *account, enum account_item item)
{
    return account->held[item];
}
