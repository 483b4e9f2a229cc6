// SPDX-License-Identifier: Apache-2.0
// sandbox/model/account.c: what each user holds.
#include "unit.h"

#include "account.h"

START_TEST(counts_what_a_user_holds)
{
    struct accounts accounts;
    struct account *account;

    accounts_init(&accounts, 500);
    account = account_open(&accounts, 1001);
    ck_assert(account_take(account, ACCOUNT_BYTES, 100, 100));
    ck_assert(account_take(account, ACCOUNT_CALLS, 1, 1));
    ck_assert(!account_take(account, ACCOUNT_BYTES, 1, 100));
    account_give_back(account, ACCOUNT_BYTES, 1);
    ck_assert_uint_eq(account_held(account, ACCOUNT_BYTES), 100);
    ck_assert_uint_eq(account_held(account, ACCOUNT_CALLS), 1);
    ck_assert_uint_eq(account_held(account, ACCOUNT_SLOTS), 0);
    account_give_back(account, ACCOUNT_BYTES, 100);
    account_give_back(account, ACCOUNT_CALLS, 1);
    account_unref(account);
    ck_assert(list_is_empty(&accounts.all));
}
END_TEST

START_TEST(keeps_users_apart)
{
    struct accounts accounts;
    struct account *one;
    struct account *other;
    struct account *same;

    accounts_init(&accounts, 500);
    one = account_open(&accounts, 1001);
    other = account_open(&accounts, 1002);
    same = account_open(&accounts, 1001);
    ck_assert_ptr_eq(one, same);
    ck_assert_ptr_ne(one, other);
    account_take(one, ACCOUNT_SLOTS, 5, 5);
    ck_assert_uint_eq(account_held(other, ACCOUNT_SLOTS), 0);
    account_unref(one);
    ck_assert_uint_eq(account_held(same, ACCOUNT_SLOTS), 5);
    account_unref(same);
    account_unref(other);
    account_unref(NULL);
    ck_assert(list_is_empty(&accounts.all));
}
END_TEST

START_TEST(refuses_root_and_its_own_user_nothing)
{
    static const uid_t users[] = {0, 500};
    struct accounts accounts;

    accounts_init(&accounts, 500);
    for (size_t i = 0; i < COUNT(users); i++) {
        struct account *account = account_open(&accounts, users[i]);
        ck_assert(account_is_privileged(account));
        ck_assert(account_take(account, ACCOUNT_BYTES, 1000, 1));
        ck_assert_uint_eq(account_held(account, ACCOUNT_BYTES), 1000);
        account_unref(account);
    }
}
END_TEST

int main(void)
{
    UNIT_RUN("account", ONCE(counts_what_a_user_holds), ONCE(keeps_users_apart),
             ONCE(refuses_root_and_its_own_user_nothing));
}
