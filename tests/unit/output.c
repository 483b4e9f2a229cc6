// SPDX-License-Identifier: Apache-2.0
// sandbox/output.c: a job's output up to a limit, and the part of it that is shown.
#include "unit.h"

#include "output.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static void ck_visible(const struct output *output, const char *text)
{
    ck_assert_uint_eq(output_visible(output), strlen(text));
    if (*text)
        ck_assert_int_eq(memcmp(output->bytes.data, text, strlen(text)), 0);
}

START_TEST(starts_open_and_empty)
{
    struct output output = {0};

    ck_visible(&output, "");
    ck_assert(!output.is_ended);
    output_end(&output, 0);
    ck_assert(output.is_ended);
    ck_visible(&output, "");
    ck_assert_uint_eq(output.total, 0);
    output_finish(&output);
}
END_TEST

// Appended in pieces, what is kept and what is counted.
// clang-format off
static const struct {
    const char *pieces[4];
    uint64_t limit;
    ssize_t kept[4];
    const char *visible;
} appends[] = {
    {{"abc", "def"}, 100, {3, 3}, "abcdef"},
    {{"abc", "def"}, 6, {3, 3}, "abcdef"},
    {{"abc", "def"}, 5, {3, 2}, "abcde"},
    {{"abc", "def"}, 3, {3, 0}, "abc"},
    {{"abcdef"}, 1, {1}, "a"},
    {{"abc", "def", "g", ""}, 4, {3, 1, 0, 0}, "abcd"},
};
// clang-format on

START_TEST(keeps_up_to_the_limit)
{
    struct output output = {0};
    uint64_t total = 0;

    for (size_t i = 0; i < 4 && appends[_i].pieces[i]; i++) {
        const char *piece = appends[_i].pieces[i];
        ck_assert_int_eq(output_append(&output, piece, strlen(piece), appends[_i].limit),
                         appends[_i].kept[i]);
        total += strlen(piece);
    }
    ck_visible(&output, appends[_i].visible);
    ck_assert_uint_eq(output.total, total);
    output_end(&output, 0);
    ck_visible(&output, appends[_i].visible);
    output_finish(&output);
}
END_TEST

// After a gap nothing is kept: a reader could not see that bytes are missing.
START_TEST(keeps_nothing_after_what_it_could_not_keep)
{
    struct output output = {0};

    output_append(&output, "abc", 3, UINT64_MAX);
    ck_assert_int_eq(output_append(&output, "", SIZE_MAX / 2, UINT64_MAX), -ENOMEM);
    ck_assert_int_eq(output_append(&output, "def", 3, UINT64_MAX), -ENOMEM);
    ck_visible(&output, "abc");
    output_finish(&output);
    ck_assert_int_eq(output_append(&output, "def", 3, UINT64_MAX), 3);
    ck_visible(&output, "def");
    output_finish(&output);
}
END_TEST

START_TEST(hides_what_is_held)
{
    struct output output = {0};

    output_append(&output, "own message", 11, 100);
    output.held = 7;
    ck_visible(&output, "own ");
    output_append(&output, "!", 1, 100);
    output.held = 0;
    ck_visible(&output, "own message!");
    output.held = 12;
    ck_visible(&output, "");
    output_end(&output, 0);
    ck_visible(&output, "own message!");
    output_finish(&output);
}
END_TEST

START_TEST(strips_what_is_not_its_own)
{
    struct output output = {0};

    output_append(&output, "own message", 11, 100);
    output.held = 9;
    output_end(&output, 7);
    ck_visible(&output, "own ");
    ck_assert_uint_eq(output.total, 4);
    ck_assert(output.is_ended);
    output_finish(&output);
    output_append(&output, "message", 7, 100);
    output_end(&output, 7);
    ck_visible(&output, "");
    output_finish(&output);
}
END_TEST

START_TEST(finish_makes_it_new)
{
    struct output output = {0};

    output_append(&output, "abc", 3, 100);
    output_end(&output, 0);
    output_finish(&output);
    ck_assert(!output.is_ended);
    ck_assert_uint_eq(output.total, 0);
    ck_visible(&output, "");
    output_finish(&output);
}
END_TEST

int main(void)
{
    UNIT_RUN("output", ONCE(starts_open_and_empty), EACH(keeps_up_to_the_limit, appends),
             ONCE(keeps_nothing_after_what_it_could_not_keep), ONCE(hides_what_is_held),
             ONCE(strips_what_is_not_its_own), ONCE(finish_makes_it_new));
}
