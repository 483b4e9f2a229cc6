// SPDX-License-Identifier: Apache-2.0
// Numbers with units, as people write them in a configuration or a request.
#pragma once

#include "error.h"

#include <stddef.h>
#include <stdint.h>

#define DURATION_MAX_MS ((uint64_t)365 * 24 * 3600 * 1000)
#define SIZE_MAX_BYTES  ((uint64_t)1 << 40)

// Reads the LENGTH digits of TEXT as a number. Returns 0, -EINVAL (there are no digits, or
// other characters) or -ERANGE.
int number_parse(const char *text, size_t length, uint64_t *number);

// Reads "500ms", "10s", "2m", "1h" or "7d" as milliseconds, from 1 to DURATION_MAX_MS. Returns
// 0, or -EINVAL or -ERANGE with ERR set, which says what would be right.
int duration_parse(const char *text, uint64_t *ms, struct error *err);

// Reads "4096", "64K", "16M" or "1G" as bytes, from 1 to SIZE_MAX_BYTES. Returns as
// duration_parse does.
int size_parse(const char *text, uint64_t *bytes, struct error *err);

enum { UNITS_TEXT = 24 }; // bytes, enough for any formatted value

// Write the shortest exact form, such as "10s", "1500ms" or "16M".
void duration_format(uint64_t ms, char text[UNITS_TEXT]);
void size_format(uint64_t bytes, char text[UNITS_TEXT]);
