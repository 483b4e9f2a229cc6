// SPDX-License-Identifier: Apache-2.0
// Resource limits (setrlimit(2)) that the configuration sets for a command.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

// Has no padding, so that memcmp can compare it.
struct rlimit_value {
    uint64_t is_set; // 0: there is no such limit
    uint64_t value;  // soft and hard, in the unit of setrlimit
};

// All zero: there are no limits.
struct rlimits {
    struct rlimit_value of[RLIM_NLIMITS]; // by RLIMIT_*
};

// Makes LIMIT as low as MAXIMUM. Returns true if that changed LIMIT.
static inline bool rlimit_lower(struct rlimit *limit, const struct rlimit *maximum)
{
    struct rlimit before = *limit;

    if (limit->rlim_max > maximum->rlim_max)
        limit->rlim_max = maximum->rlim_max;
    if (limit->rlim_cur > maximum->rlim_cur)
        limit->rlim_cur = maximum->rlim_cur;
    if (limit->rlim_cur > limit->rlim_max)
        limit->rlim_cur = limit->rlim_max;
    return limit->rlim_cur != before.rlim_cur || limit->rlim_max != before.rlim_max;
}

// Makes LIMIT, of RESOURCE, as low as LIMITS says. Returns true if that changed LIMIT.
static inline bool rlimits_lower(const struct rlimits *limits, int resource, struct rlimit *limit)
{
    const struct rlimit_value *value = &limits->of[resource];
    struct rlimit maximum = {.rlim_cur = value->value, .rlim_max = value->value};

    return value->is_set && rlimit_lower(limit, &maximum);
}
