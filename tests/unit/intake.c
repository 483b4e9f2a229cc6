// SPDX-License-Identifier: Apache-2.0
// sandbox/intake.c: how much of a job's output is kept, and when reading stops.
#include "unit.h"

#include "intake.h"

#include <errno.h>
#include <string.h>

static char chunk[65536];

static int take(struct intake *intake, enum job_stream stream, size_t size)
{
    while (size > sizeof chunk) {
        int result = intake_take(intake, stream, chunk, sizeof chunk);
        if (result < 0)
            return result;
        size -= sizeof chunk;
    }
    return intake_take(intake, stream, chunk, size);
}

START_TEST(keeps_up_to_the_limit_and_says_when_it_is_passed)
{
    struct intake intake = {.keeping = JOB_KEEPS, .limit = 100};

    ck_assert_int_eq(take(&intake, JOB_STDOUT, 60), 0);
    ck_assert_int_eq(take(&intake, JOB_STDOUT, 40), 0);
    ck_assert_int_eq(take(&intake, JOB_STDERR, 100), 0);
    ck_assert_int_eq(take(&intake, JOB_STDOUT, 1), -EFBIG);
    ck_assert_uint_eq(output_visible(&intake.outputs[JOB_STDOUT]), 100);
    ck_assert_uint_eq(intake.outputs[JOB_STDOUT].total, 101);
    ck_assert(
        !intake_is_full(&intake, JOB_STDOUT, true)); // reading goes on, and the bytes are dropped
    intake_finish(&intake);
}
END_TEST

static size_t hold_3(const char *err, size_t length)
{
    ck_assert_ptr_nonnull(err);
    return length < 3 ? length : 3;
}

START_TEST(holds_back_the_end_of_stderr_only)
{
    struct intake intake = {.keeping = JOB_KEEPS, .limit = 100, .held_back = hold_3};

    take(&intake, JOB_STDOUT, 10);
    take(&intake, JOB_STDERR, 2);
    ck_assert_uint_eq(output_visible(&intake.outputs[JOB_STDOUT]), 10);
    ck_assert_uint_eq(output_visible(&intake.outputs[JOB_STDERR]), 0);
    take(&intake, JOB_STDERR, 8);
    ck_assert_uint_eq(output_visible(&intake.outputs[JOB_STDERR]), 7);
    intake_finish(&intake);
}
END_TEST

static const struct {
    uint64_t limit;
    bool is_readable;
    size_t window;
} windows[] = {
    {16 << 20, true,  JOB_WINDOW},
    {16 << 20, false, 16 << 20  },
    {1000,     true,  JOB_WINDOW},
    {1000,     false, JOB_WINDOW},
};

START_TEST(a_stream_is_full_at_its_window)
{
    struct intake intake = {.keeping = JOB_STREAMS_OUT, .limit = windows[_i].limit};

    take(&intake, JOB_STDOUT, windows[_i].window - 1);
    ck_assert(!intake_is_full(&intake, JOB_STDOUT, windows[_i].is_readable));
    take(&intake, JOB_STDOUT, 1);
    ck_assert(intake_is_full(&intake, JOB_STDOUT, windows[_i].is_readable));
    output_consume(&intake.outputs[JOB_STDOUT], 1);
    ck_assert(!intake_is_full(&intake, JOB_STDOUT, windows[_i].is_readable));
    intake_finish(&intake);
}
END_TEST

// The limit is for each stream alone. Consumed bytes of stderr stay for the judge.
START_TEST(both_streams_are_full_at_their_windows)
{
    struct intake intake = {.keeping = JOB_STREAMS_BOTH, .limit = 16 << 20};
    struct output *err = &intake.outputs[JOB_STDERR];

    for (int i = 0; i < JOB_STREAMS; i++) {
        enum job_stream stream = (enum job_stream)i;
        take(&intake, stream, JOB_WINDOW - 1);
        ck_assert(!intake_is_full(&intake, stream, false));
        take(&intake, stream, 1);
        ck_assert(intake_is_full(&intake, stream, false));
        ck_assert_int_eq(intake_is_full(&intake, JOB_STDERR, false), i);
    }
    ck_assert_int_eq(intake_take(&intake, JOB_STDERR, "the end", 7), 0);
    output_consume(err, output_visible(err));
    ck_assert(!intake_is_full(&intake, JOB_STDERR, false));
    ck_assert_uint_ge(err->bytes.length, JOB_STDERR_TAIL);
    ck_assert_int_eq(memcmp(err->bytes.data + err->bytes.length - 7, "the end", 7), 0);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(take(&intake, JOB_STDERR, 1000), 0);
        ck_assert_uint_eq(output_visible(err), 1000);
        output_consume(err, 1000);
        ck_assert_uint_ge(err->bytes.length, JOB_STDERR_TAIL);
    }
    ck_assert_uint_le(err->bytes.length, 4 * JOB_STDERR_TAIL);
    intake_finish(&intake);
}
END_TEST

START_TEST(of_a_streams_stderr_the_end_is_kept)
{
    struct intake intake = {.keeping = JOB_STREAMS_OUT, .limit = 10};
    const struct output *err = &intake.outputs[JOB_STDERR];

    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(take(&intake, JOB_STDERR, 100), 0);
    ck_assert_int_eq(intake_take(&intake, JOB_STDERR, "the end", 7), 0);
    ck_assert_uint_ge(output_visible(err), JOB_STDERR_TAIL);
    ck_assert_uint_le(output_visible(err), 2 * JOB_STDERR_TAIL);
    ck_assert_int_eq(memcmp(output_bytes(err) + output_visible(err) - 7, "the end", 7), 0);
    intake_finish(&intake);
}
END_TEST

// In every pattern of taking and consuming, the bytes come out in order, and there is no more
// memory than for the bytes that wait.
START_TEST(consuming_keeps_the_order)
{
    struct output output = {0};
    unsigned written = 0;
    unsigned read = 0;

    for (unsigned round = 1; round < 5000; round++) {
        for (unsigned i = 0; i < round % 37; i++) {
            char byte = (char)written++;
            ck_assert_int_eq(output_append(&output, &byte, 1, UINT64_MAX), 1);
        }
        size_t part = output_visible(&output) * (round % 5) / 4;
        if (part > output_visible(&output))
            part = output_visible(&output);
        for (size_t i = 0; i < part; i++)
            ck_assert_int_eq(output_bytes(&output)[i], (char)read++);
        output_consume(&output, part);
        ck_assert_uint_eq(output_visible(&output), written - read);
    }
    ck_assert_uint_lt(output.bytes.capacity, 4096);
    output_finish(&output);
}
END_TEST

int main(void)
{
    UNIT_RUN("intake", ONCE(keeps_up_to_the_limit_and_says_when_it_is_passed),
             ONCE(holds_back_the_end_of_stderr_only), EACH(a_stream_is_full_at_its_window, windows),
             ONCE(both_streams_are_full_at_their_windows),
             ONCE(of_a_streams_stderr_the_end_is_kept), ONCE(consuming_keeps_the_order));
}
