// SPDX-License-Identifier: Apache-2.0
// sandbox/reserve.c: how many standbys there are, when they are started, and which one goes.
#include "unit.h"

#include "reserve.h"

static struct reserve reserve;
static struct reserve_entry entries[8];

// Starts as many as are missing; ENTRIES from FIRST on. Returns how many.
static unsigned fill(unsigned first, uint64_t now_ms)
{
    unsigned count = 0;

    while (reserve_missing(&reserve, now_ms) > 0)
        reserve_add(&reserve, &entries[first + count++], now_ms);
    return count;
}

static void setup(unsigned wanted)
{
    reserve_init(&reserve, wanted, 60000);
}

START_TEST(fills_up_at_once)
{
    setup(3);
    ck_assert_uint_eq(reserve_missing(&reserve, 1000), 3);
    ck_assert_uint_eq(fill(0, 1000), 3);
    ck_assert_uint_eq(reserve.count, 3);
    ck_assert_uint_eq(reserve_next_ms(&reserve, 1000), 61000); // the age
    ck_assert_ptr_null(reserve_expired(&reserve, 60999));
}
END_TEST

START_TEST(waits_for_the_job_that_took_one_but_not_for_long)
{
    setup(1);
    fill(0, 1000);
    reserve_remove(&reserve, &entries[0]);
    reserve_on_taken(&reserve, 2000);
    ck_assert_uint_eq(reserve_missing(&reserve, 2000), 0);
    ck_assert_uint_eq(reserve_next_ms(&reserve, 2000), 2000 + RESERVE_HOLD_MS);
    ck_assert_uint_eq(reserve_missing(&reserve, 2000 + RESERVE_HOLD_MS), 1);
    reserve_on_job_end(&reserve, 2010);
    ck_assert_uint_eq(reserve_missing(&reserve, 2010), 1);
}
END_TEST

START_TEST(is_not_put_off_by_job_after_job)
{
    setup(4);
    fill(0, 1000);
    for (unsigned i = 0; i < 4; i++) {
        reserve_remove(&reserve, &entries[i]);
        reserve_on_taken(&reserve, 2000 + 10 * i);
    }
    ck_assert_uint_eq(reserve_missing(&reserve, 2000 + RESERVE_HOLD_MS), 4);
}
END_TEST

START_TEST(pauses_longer_with_each_failure)
{
    uint64_t now = 1000;

    setup(1);
    ck_assert(reserve_on_failed(&reserve, now));
    for (uint64_t pause = RESERVE_FIRST_PAUSE_MS; pause < RESERVE_LONGEST_PAUSE_MS; pause *= 2) {
        ck_assert_uint_eq(reserve_missing(&reserve, now + pause - 1), 0);
        ck_assert_uint_eq(reserve_next_ms(&reserve, now), now + pause);
        now += pause;
        ck_assert_uint_eq(reserve_missing(&reserve, now), 1);
        ck_assert(!reserve_on_failed(&reserve, now)); // it was told once
    }
    ck_assert_uint_eq(reserve_missing(&reserve, now + RESERVE_LONGEST_PAUSE_MS - 1), 0);
    ck_assert_uint_eq(reserve_missing(&reserve, now + RESERVE_LONGEST_PAUSE_MS), 1);
    // After one that was taken, all is well again.
    reserve_on_taken(&reserve, now);
    now += 2 * RESERVE_LONGEST_PAUSE_MS;
    ck_assert(reserve_on_failed(&reserve, now));
    ck_assert_uint_eq(reserve_missing(&reserve, now + RESERVE_FIRST_PAUSE_MS), 1);
}
END_TEST

START_TEST(takes_the_failure_of_many_for_one)
{
    setup(4);
    fill(0, 1000);
    for (unsigned i = 0; i < 4; i++) {
        reserve_remove(&reserve, &entries[i]);
        reserve_on_failed(&reserve, 2000);
    }
    ck_assert_uint_eq(reserve_missing(&reserve, 2000 + RESERVE_FIRST_PAUSE_MS), 4);
}
END_TEST

START_TEST(replaces_an_old_one_before_it_goes)
{
    setup(2);
    fill(0, 1000);
    ck_assert_uint_eq(reserve_missing(&reserve, 60999), 0);
    ck_assert_uint_eq(fill(2, 61000), 1); // one more than wanted, and no more than that
    ck_assert_ptr_null(reserve_expired(&reserve, 61000));
    ck_assert_uint_eq(reserve_next_ms(&reserve, 61000), 61000 + RESERVE_WARM_MS);
    ck_assert_ptr_eq(reserve_expired(&reserve, 61000 + RESERVE_WARM_MS), &entries[0]);
    reserve_remove(&reserve, &entries[0]);
    ck_assert_ptr_null(reserve_expired(&reserve, 61000 + RESERVE_WARM_MS));
    ck_assert_uint_eq(fill(3, 61000 + RESERVE_WARM_MS), 1);
}
END_TEST

START_TEST(lets_an_old_one_go_without_a_replacement)
{
    setup(1);
    fill(0, 1000);
    reserve_on_failed(&reserve, 60990); // nothing can be started
    reserve.resume_ms = UINT64_MAX;
    ck_assert_ptr_null(reserve_expired(&reserve, 61000));
    ck_assert_ptr_eq(reserve_expired(&reserve, 61000 + RESERVE_LINGER_MS), &entries[0]);
}
END_TEST

int main(void)
{
    UNIT_RUN("reserve", ONCE(fills_up_at_once),
             ONCE(waits_for_the_job_that_took_one_but_not_for_long),
             ONCE(is_not_put_off_by_job_after_job), ONCE(pauses_longer_with_each_failure),
             ONCE(takes_the_failure_of_many_for_one), ONCE(replaces_an_old_one_before_it_goes),
             ONCE(lets_an_old_one_go_without_a_replacement));
}
