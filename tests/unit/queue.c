// SPDX-License-Identifier: Apache-2.0
// sandbox/queue.c: who runs, who waits, and who is next, without a process.
#include "unit.h"

#include "queue.h"

enum { ENTRIES = 6 };

static struct queue queue;
static struct queue_entry entries[ENTRIES];

static void setup(unsigned max_running, unsigned max_waiting)
{
    queue_init(&queue);
    queue_set_limits(&queue, max_running, max_waiting);
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
    ck_assert(queue_add(&queue, &entries[0]));
    ck_assert(queue_add(&queue, &entries[1]));
    ck_assert(!queue_is_full(&queue)); // two more may wait
    ck_assert(!queue_add(&queue, &entries[2]));
    ck_assert(!queue_is_full(&queue));
    ck_assert(!queue_add(&queue, &entries[3]));
    ck_assert(queue_is_full(&queue));
    ck_counts(2, 2);
    ck_assert_ptr_null(queue_next(&queue));
}
END_TEST

START_TEST(keeps_the_order_of_arrival)
{
    setup(1, 9);
    for (int i = 0; i < ENTRIES; i++)
        ck_assert_int_eq(queue_add(&queue, &entries[i]), i == 0);
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
        queue_add(&queue, &entries[i]);
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
        ck_assert(queue_add(&queue, &entries[i]));
    ck_assert(queue_is_full(&queue));
    queue_set_limits(&queue, 1, 1); // nobody is sent away
    ck_counts(3, 0);
    ck_assert(!queue_add(&queue, &entries[3]));
    ck_assert(queue_is_full(&queue));
    queue_remove(&queue, &entries[0]);
    queue_remove(&queue, &entries[1]);
    ck_assert_ptr_null(queue_next(&queue)); // one runs, which is the limit
    queue_set_limits(&queue, 2, 1);
    ck_assert_ptr_eq(queue_next(&queue), &entries[3]);
    ck_counts(2, 0);
}
END_TEST

int main(void)
{
    UNIT_RUN("queue", ONCE(lets_as_many_run_as_the_limit_says), ONCE(keeps_the_order_of_arrival),
             ONCE(lets_those_that_wait_go), ONCE(takes_new_limits));
}
