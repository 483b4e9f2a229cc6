// SPDX-License-Identifier: Apache-2.0
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

// Largest first: the first unit that divides a value gives its shortest form.
// clang-format off
static const struct unit durations[] = {
    {"d",  UINT64_C(86400000)},
    {"h",  UINT64_C(3600000)},
    {"m",  60000},
    {"s",  1000},
    {"ms", 1},
    {0},
};
static const struct unit sizes[] = {
    {"G", UINT64_C(1) << 30},
    {"M", UINT64_C(1) << 20},
    {"K", UINT64_C(1) << 10},
    {"",  1},
    {0},
};
// clang-format on

int number_parse(const char *text, size_t length, uint64_t *number)
{
    uint64_t value = 0;

    if (length == 0)
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]))
            return -EINVAL;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return -ERANGE;
    }
    *number = value;
    return 0;
}

static int parse(const char *text, const struct unit *units, uint64_t maximum, uint64_t *value)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number;
    int result = number_parse(text, digits, &number);

    if (result < 0)
        return result;
    for (const struct unit *unit = units; unit->name; unit++) {
        if (strcmp(text + digits, unit->name) != 0)
            continue;
        if (__builtin_mul_overflow(number, unit->factor, &number) || number < 1 || number > maximum)
            return -ERANGE;
        *value = number;
        return 0;
    }
    return -EINVAL;
}

int duration_parse(const char *text, uint64_t *ms, struct error *err)
{
    switch (parse(text, durations, DURATION_MAX_MS, ms)) {
    case 0:
        return 0;
    case -ERANGE:
        return error_set(err, ERANGE, "'%s' is out of range: a duration is from 1ms to 365d", text);
    default:
        return error_set(err, EINVAL,
                         "'%s' is no duration: write a number and ms, s, m, h or d, "
                         "as 500ms or 10s",
                         text);
    }
}

int size_parse(const char *text, uint64_t *bytes, struct error *err)
{
    switch (parse(text, sizes, SIZE_MAX_BYTES, bytes)) {
    case 0:
        return 0;
    case -ERANGE:
        return error_set(err, ERANGE, "'%s' is out of range: a size is from 1 to 1024G", text);
    default:
        return error_set(err, EINVAL,
                         "'%s' is no size: write bytes, or a number and K, M or G, "
                         "as 16M",
                         text);
    }
}

static void format(uint64_t value, const struct unit *units, char text[UNITS_TEXT])
{
    while (units[1].name && value % units->factor != 0)
        units++;
    snprintf(text, UNITS_TEXT, "%" PRIu64 "%s", value / units->factor, units->name);
}

void duration_format(uint64_t ms, char text[UNITS_TEXT])
{
    format(ms, durations, text);
}

void size_format(uint64_t bytes, char text[UNITS_TEXT])
{
    format(bytes, sizes, text);
}
