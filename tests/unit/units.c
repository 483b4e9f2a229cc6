// SPDX-License-Identifier: Apache-2.0
// conf/units.c: numbers, durations and sizes, read and written.
#include "unit.h"

#include "units.h"

#include <errno.h>
#include <string.h>

#define DAY UINT64_C(86400000)

// clang-format off
static const struct {
    const char *text;
    int result;
    uint64_t value;
} durations[] = {
    {"1ms", 0, 1},
    {"500ms", 0, 500},
    {"10s", 0, 10000},
    {"2m", 0, 120000},
    {"1h", 0, 3600000},
    {"7d", 0, 7 * DAY},
    {"365d", 0, DURATION_MAX_MS},
    {"31536000000ms", 0, DURATION_MAX_MS},
    {"010s", 0, 10000},
    {"31536000001ms", -ERANGE, 0},
    {"366d", -ERANGE, 0},
    {"0s", -ERANGE, 0},
    {"0ms", -ERANGE, 0},
    {"18446744073709551615ms", -ERANGE, 0},
    {"18446744073709551616ms", -ERANGE, 0},
    {"213503982335d", -ERANGE, 0}, // times a day's ms is over 2^64
    {"99999999999999999999999s", -ERANGE, 0},
    {"", -EINVAL, 0},
    {"10", -EINVAL, 0},
    {"0", -EINVAL, 0},
    {"s", -EINVAL, 0},
    {"ms", -EINVAL, 0},
    {"-1s", -EINVAL, 0},
    {"+1s", -EINVAL, 0},
    {" 1s", -EINVAL, 0},
    {"1s ", -EINVAL, 0},
    {"1 s", -EINVAL, 0},
    {"1.5s", -EINVAL, 0},
    {"1S", -EINVAL, 0},
    {"1sec", -EINVAL, 0},
    {"1m30s", -EINVAL, 0},
    {"0x10s", -EINVAL, 0},
    {"none", -EINVAL, 0},
    {"16M", -EINVAL, 0},
};
// clang-format on

START_TEST(reads_a_duration)
{
    struct error err = {0};
    uint64_t ms = 4711;
    int result = duration_parse(durations[_i].text, &ms, &err);

    ck_assert_msg(result == durations[_i].result, "'%s' gave %d", durations[_i].text, result);
    ck_assert_int_eq(err.code, -result);
    if (result == 0) {
        ck_assert_uint_eq(ms, durations[_i].value);
        ck_assert_ptr_null(err.message);
    } else {
        ck_assert_ptr_nonnull(strstr(error_message(&err), durations[_i].text));
        ck_assert_int_eq(duration_parse(durations[_i].text, &ms, NULL), result);
    }
    error_finish(&err);
}
END_TEST

// clang-format off
static const struct {
    const char *text;
    int result;
    uint64_t value;
} sizes[] = {
    {"1", 0, 1},
    {"4096", 0, 4096},
    {"64K", 0, 65536},
    {"16M", 0, 16777216},
    {"1G", 0, 1073741824},
    {"1024G", 0, SIZE_MAX_BYTES},
    {"1099511627776", 0, SIZE_MAX_BYTES},
    {"1099511627777", -ERANGE, 0},
    {"1025G", -ERANGE, 0},
    {"0", -ERANGE, 0},
    {"0K", -ERANGE, 0},
    {"17179869184G", -ERANGE, 0}, // 2^64
    {"17179869185G", -ERANGE, 0}, // 2^64 and a bit, which would wrap to 1G
    {"18446744073709551616", -ERANGE, 0},
    {"", -EINVAL, 0},
    {"K", -EINVAL, 0},
    {"1k", -EINVAL, 0},
    {"1KB", -EINVAL, 0},
    {"1KiB", -EINVAL, 0},
    {"1T", -EINVAL, 0},
    {"1.5M", -EINVAL, 0},
    {"-1", -EINVAL, 0},
    {"1 K", -EINVAL, 0},
    {"0x10", -EINVAL, 0},
    {"10s", -EINVAL, 0},
};
// clang-format on

START_TEST(reads_a_size)
{
    struct error err = {0};
    uint64_t bytes = 4711;
    int result = size_parse(sizes[_i].text, &bytes, &err);

    ck_assert_msg(result == sizes[_i].result, "'%s' gave %d", sizes[_i].text, result);
    ck_assert_int_eq(err.code, -result);
    if (result == 0)
        ck_assert_uint_eq(bytes, sizes[_i].value);
    else
        ck_assert_ptr_nonnull(strstr(error_message(&err), sizes[_i].text));
    error_finish(&err);
}
END_TEST

// clang-format off
static const struct {
    const char *text;
    size_t length;
    int result;
    uint64_t value;
} numbers[] = {
    {"0", 1, 0, 0},
    {"007", 3, 0, 7},
    {"123", 2, 0, 12},
    {"12x", 2, 0, 12},
    {"12x", 3, -EINVAL, 0},
    {"x", 1, -EINVAL, 0},
    {"1", 0, -EINVAL, 0},
    {"-1", 2, -EINVAL, 0},
    {"18446744073709551615", 20, 0, UINT64_MAX},
    {"18446744073709551616", 20, -ERANGE, 0},
    {"99999999999999999999", 20, -ERANGE, 0},
    {"184467440737095516150", 21, -ERANGE, 0},
};
// clang-format on

START_TEST(reads_a_number)
{
    uint64_t number = 4711;
    int result = number_parse(numbers[_i].text, numbers[_i].length, &number);

    ck_assert_int_eq(result, numbers[_i].result);
    if (result == 0)
        ck_assert_uint_eq(number, numbers[_i].value);
}
END_TEST

// clang-format off
static const struct {
    uint64_t ms;
    const char *text;
} formatted_durations[] = {
    {1, "1ms"},
    {500, "500ms"},
    {1000, "1s"},
    {1500, "1500ms"},
    {10000, "10s"},
    {59000, "59s"},
    {60000, "1m"},
    {90000, "90s"},
    {3600000, "1h"},
    {5400000, "90m"},
    {DAY, "1d"},
    {7 * DAY, "7d"},
    {DAY + 1, "86400001ms"},
    {25 * 3600000, "25h"},
    {DURATION_MAX_MS, "365d"},
};
// clang-format on

START_TEST(writes_a_duration)
{
    char text[UNITS_TEXT];
    uint64_t back;

    duration_format(formatted_durations[_i].ms, text);
    ck_assert_str_eq(text, formatted_durations[_i].text);
    ck_assert_int_eq(duration_parse(text, &back, NULL), 0);
    ck_assert_uint_eq(back, formatted_durations[_i].ms);
}
END_TEST

// clang-format off
static const struct {
    uint64_t bytes;
    const char *text;
} formatted_sizes[] = {
    {1, "1"},
    {1023, "1023"},
    {1024, "1K"},
    {1536, "1536"},
    {65536, "64K"},
    {16777216, "16M"},
    {1073741824, "1G"},
    {1073741825, "1073741825"},
    {1610612736, "1536M"},
    {SIZE_MAX_BYTES, "1024G"},
};
// clang-format on

START_TEST(writes_a_size)
{
    char text[UNITS_TEXT];
    uint64_t back;

    size_format(formatted_sizes[_i].bytes, text);
    ck_assert_str_eq(text, formatted_sizes[_i].text);
    ck_assert_int_eq(size_parse(text, &back, NULL), 0);
    ck_assert_uint_eq(back, formatted_sizes[_i].bytes);
}
END_TEST

START_TEST(has_room_for_every_value)
{
    char text[UNITS_TEXT];

    duration_format(UINT64_MAX, text);
    ck_assert_str_eq(text, "18446744073709551615ms");
    size_format(UINT64_MAX, text);
    ck_assert_str_eq(text, "18446744073709551615");
}
END_TEST

int main(void)
{
    UNIT_RUN("units", EACH(reads_a_duration, durations), EACH(reads_a_size, sizes),
             EACH(reads_a_number, numbers), EACH(writes_a_duration, formatted_durations),
             EACH(writes_a_size, formatted_sizes), ONCE(has_room_for_every_value));
}
