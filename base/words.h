// SPDX-License-Identifier: Apache-2.0
// A list of strings, such as the arguments of a program.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct words_chunk;

// NULL-terminated like an argv. All zero is empty. The strings lie together in a few chunks: a
// command line can have 65,536 words, and three lists have them until the command has started. With
// an allocation for each word, one caller could hold the daemon up for 10 ms.
struct words {
    char **items; // owned, as what they point to; NULL while nothing was appended
    size_t count;
    struct words_chunk *chunks; // the newest first
};

// Appends a copy of TEXT. Returns 0 or -ENOMEM.
int words_append(struct words *words, const char *text);

// Appends copies of the strings of ITEMS, which end with NULL. Returns 0, or -ENOMEM; WORDS are
// then as before.
int words_append_all(struct words *words, char *const *items);

// Appends a copy of TEXT, and frees TEXT in any case. Returns 0, or -ENOMEM, also when TEXT is
// NULL.
int words_append_owned(struct words *words, char *text);

// Has a copy of TEXT replace the item INDEX. Returns 0, or -ENOMEM; the item is then as before.
int words_replace(struct words *words, size_t index, const char *text);

// Puts copies of the COUNT strings of ITEMS in front. Returns 0, or -ENOMEM; WORDS are then as
// before.
int words_prepend(struct words *words, const char *const *items, size_t count);

// Do A and B have the same strings in the same order?
bool words_equal(const struct words *a, const struct words *b);

// Frees the content; the list is empty and usable afterwards.
void words_finish(struct words *words);
