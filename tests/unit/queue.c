// SPDX-License-Identifier: Apache-2.0
// sandbox/queue.c: who runs, who waits, and who is next, without a process.
#include "unit.h"

#include "queue.h"

#include <limits.h>

enum { ENTRIES = 6 };

static struct queue queue;
static struct queue_entry entries[ENTRIES];

static void limit(unsigned max_running, unsigned max_waiting)
{
    queue_set_limits(&queue, &(struct queue_limits){max_running, max_waiting, UINT_MAX, UINT_MAX});
}

static void setup(unsigned max_running, unsigned max_waiting)
{
    queue_init(&queue, 0);
    limit(max_running, max_waiting);
}

static void ck_counts(unsigned running, unsigned waiting)
{
    ck_assert_uint_eq(queue.running_count, running);
    ck_assert_uint_eq(queue.waiting_count, waiting);
    ck_assert_int_eq(queue_is_empty(&queue), running + waiting == 0);
}

START_TEST(lets_as_many_run_as_the_limit_says)
{
    setup(2, 2);
    ck_counts(0, 0);
    ck_assert(queue_add(&queue, &entries[0], 0));
    ck_assert(queue_add(&queue, &entries[1], 0));
    ck_assert(!queue_is_full(&queue, 0)); // two more may wait
    ck_assert(!queue_add(&queue, &entries[2], 0));
    ck_assert(!queue_is_full(&queue, 0));
    ck_assert(!queue_add(&queue, &entries[3], 0));
    ck_assert(queue_is_full(&queue, 0));
    ck_counts(2, 2);
    ck_assert_ptr_null(queue_next(&queue));
}
END_TEST

START_TEST(keeps_the_order_of_arrival)
{
    setup(1, 9);
    for (int i = 0; i < ENTRIES; i++)
        ck_assert_int_eq(queue_add(&queue, &entries[i], 0), i == 0);
    for (int i = 1; i < ENTRIES; i++) {
        ck_assert_ptr_null(queue_next(&queue));
        queue_remove(&queue, &entries[i - 1]);
        ck_assert_ptr_eq(queue_next(&queue), &entries[i]);
        ck_assert(entries[i].is_running);
        ck_counts(1, (unsigned)(ENTRIES - 1 - i));
    }
    queue_remove(&queue, &entries[ENTRIES - 1]);
    ck_counts(0, 0);
    ck_assert_ptr_null(queue_next(&queue));
}
END_TEST

START_TEST(lets_those_that_wait_go)
{
    setup(1, 9);
    for (int i = 0; i < 4; i++)
        queue_add(&queue, &entries[i], 0);
    ck_assert_ptr_eq(queue_last_waiting(&queue), &entries[3]);
    queue_remove(&queue, &entries[2]);
    queue_remove(&queue, &entries[3]);
    ck_assert_ptr_eq(queue_last_waiting(&queue), &entries[1]);
    ck_counts(1, 1);
    queue_remove(&queue, &entries[0]);
    ck_assert_ptr_eq(queue_next(&queue), &entries[1]);
    ck_assert_ptr_null(queue_last_waiting(&queue));
    ck_counts(1, 0);
}
END_TEST

START_TEST(takes_new_limits)
{
    setup(3, 0);
    for (int i = 0; i < 3; i++)
        ck_assert(queue_add(&queue, &entries[i], 0));
    ck_assert(queue_is_full(&queue, 0));
    limit(1, 1); // nobody is sent away
    ck_counts(3, 0);
    ck_assert(!queue_add(&queue, &entries[3], 0));
    ck_assert(queue_is_full(&queue, 0));
    queue_remove(&queue, &entries[0]);
    queue_remove(&queue, &entries[1]);
    ck_assert_ptr_null(queue_next(&queue)); // one runs, which is the limit
    limit(2, 1);
    ck_assert_ptr_eq(queue_next(&queue), &entries[3]);
    ck_counts(2, 0);
}
END_TEST

enum { MANY = 64 };

static struct queue_entry many[3 * MANY];

static void remove_many(int count)
{
    for (int i = 0; i < count; i++)
        queue_remove(&queue, &many[i]);
    ck_counts(0, 0);
    ck_assert(list_is_empty(&queue.users));
}

START_TEST(leaves_room_for_another_user)
{
    static const uid_t users[] = {1001, 1002, 1003, 1004};
    static const unsigned shares[] = {48, 12, 3, 1}; // one after the other
    int count = 0;

    setup(MANY, 0);
    for (size_t i = 0; i < COUNT(users); i++) {
        unsigned share = 0;
        while (!queue_is_full(&queue, users[i]) && share <= MANY) {
            ck_assert_int_eq(queue_add(&queue, &many[count++], users[i]), 1);
            share++;
        }
        ck_assert_uint_eq(share, shares[i]);
    }
    ck_assert(queue_is_full(&queue, 0)); // that was the last place
    remove_many(count);
}
END_TEST

START_TEST(has_a_share_for_those_that_wait)
{
    int count = 0;

    setup(1, 8);
    ck_assert_int_eq(queue_add(&queue, &many[count++], 1001), 1);
    for (int i = 0; i < 6; i++) {
        ck_assert(!queue_is_full(&queue, 1001));
        ck_assert_int_eq(queue_add(&queue, &many[count++], 1001), 0);
    }
    ck_assert(queue_is_full(&queue, 1001));
    ck_assert(!queue_is_full(&queue, 1002));
    ck_assert(!queue_is_full(&queue, 0));
    remove_many(count);
}
END_TEST

START_TEST(keeps_to_a_limit_for_each_user)
{
    setup(MANY, 8);
    queue_set_limits(&queue, &(struct queue_limits){MANY, 8, 2, 1});
    ck_assert_int_eq(queue_add(&queue, &many[0], 1001), 1);
    ck_assert_int_eq(queue_add(&queue, &many[1], 1001), 1);
    ck_assert_int_eq(queue_add(&queue, &many[2], 1001), 0);
    ck_assert(queue_is_full(&queue, 1001));
    ck_assert_int_eq(queue_add(&queue, &many[3], 1002), 1);
    ck_assert_ptr_null(queue_next(&queue)); // places there are, but not for that user
    queue_remove(&queue, &many[0]);
    ck_assert_ptr_eq(queue_next(&queue), &many[2]);
    queue_remove(&queue, &many[1]);
    queue_remove(&queue, &many[2]);
    queue_remove(&queue, &many[3]);
    ck_counts(0, 0);
}
END_TEST

START_TEST(gives_each_user_a_turn)
{
    static const int order[] = {1, 4, 2, 5, 3};

    setup(1, MANY);
    ck_assert_int_eq(queue_add(&queue, &many[0], 1001), 1);
    for (int i = 1; i <= 3; i++)
        ck_assert_int_eq(queue_add(&queue, &many[i], 1001), 0);
    for (int i = 4; i <= 5; i++)
        ck_assert_int_eq(queue_add(&queue, &many[i], 1002), 0);
    for (size_t i = 0, last = 0; i < COUNT(order); last = (size_t)order[i++]) {
        queue_remove(&queue, &many[last]);
        ck_assert_ptr_eq(queue_next(&queue), &many[order[i]]);
    }
    queue_remove(&queue, LIST_ENTRY(queue.running.next, struct queue_entry, link));
    ck_counts(0, 0);
}
END_TEST

int main(void)
{
    UNIT_RUN("queue", ONCE(lets_as_many_run_as_the_limit_says), ONCE(keeps_the_order_of_arrival),
             ONCE(lets_those_that_wait_go), ONCE(takes_new_limits),
             ONCE(leaves_room_for_another_user), ONCE(has_a_share_for_those_that_wait),
             ONCE(keeps_to_a_limit_for_each_user), ONCE(gives_each_user_a_turn));
}
