// SPDX-License-Identifier: Apache-2.0
// sandbox/remote/late.c: how many frames about released jobs may come.
#include "unit.h"

#include "late.h"

#include <errno.h>

static struct late late;

static int take(uint32_t job, enum frame_type type)
{
    struct frame frame = {.job = job, .type = type};
    return late_take(&late, &frame);
}

static void begin(void)
{
    late = (struct late){0};
    late_init(&late);
}

START_TEST(counts_frames)
{
    begin();
    late_add(&late, 5, 3);
    late_add(&late, 5 + LATE_BUCKETS, 1);
    ck_assert_int_eq(take(5, FRAME_STDOUT), 0);
    ck_assert_int_eq(take(5, FRAME_STDIN_CREDIT), 0);
    ck_assert_int_eq(take(5 + LATE_BUCKETS, FRAME_STDOUT), 0);
    ck_assert_int_eq(take(5, FRAME_STDERR_END), 0);
    ck_assert_int_eq(take(5 + LATE_BUCKETS, FRAME_STDOUT), -EBADMSG);
    ck_assert_int_eq(take(5, FRAME_STDOUT), -EBADMSG);
    late_finish(&late);
}
END_TEST

START_TEST(takes_nothing_after_the_last_frame)
{
    begin();
    late_add(&late, 5, 100);
    ck_assert_int_eq(take(6, FRAME_STDOUT), -EBADMSG);
    ck_assert_int_eq(take(5, FRAME_GONE), 0);
    ck_assert_uint_eq(late.count, 0);
    ck_assert_int_eq(take(5, FRAME_GONE), -EBADMSG);
    late_finish(&late);
}
END_TEST

START_TEST(does_not_let_jobs_pile_up)
{
    begin();
    for (uint32_t i = 1; i <= LATE_MOST_JOBS; i++)
        late_add(&late, i, 1);
    ck_assert_int_eq(take(1, FRAME_GONE), 0);
    late_add(&late, LATE_MOST_JOBS + 1, 1);
    ck_assert_int_eq(take(2, FRAME_GONE), 0);
    late_add(&late, LATE_MOST_JOBS + 2, 1);
    late_add(&late, LATE_MOST_JOBS + 3, 1);
    ck_assert_int_eq(take(3, FRAME_GONE), -EBADMSG);
    late_finish(&late);
}
END_TEST

int main(void)
{
    UNIT_RUN("late", ONCE(counts_frames), ONCE(takes_nothing_after_the_last_frame),
             ONCE(does_not_let_jobs_pile_up));
}
