// SPDX-License-Identifier: Apache-2.0
// A list of strings, such as the arguments of a program.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// NULL-terminated like an argv. All zero is empty.
struct words {
    char **items; // owned, and each item; NULL while nothing was appended
    size_t count;
};

// Appends a copy of TEXT. Returns 0 or -ENOMEM.
int words_append(struct words *words, const char *text);

// Appends TEXT itself, which the list then owns; on failure TEXT is freed. Returns 0, or
// -ENOMEM, also when TEXT is NULL.
int words_append_owned(struct words *words, char *text);

// Puts copies of the COUNT strings of ITEMS in front. Returns 0, or -ENOMEM; WORDS are then as
// before.
int words_prepend(struct words *words, const char *const *items, size_t count);

// Do A and B have the same strings in the same order?
bool words_equal(const struct words *a, const struct words *b);

// Frees the content; the list is empty and usable afterwards.
void words_finish(struct words *words);
