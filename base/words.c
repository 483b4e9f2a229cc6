// SPDX-License-Identifier: Apache-2.0
#include "words.h"

#include "cleanup.h"

#include <errno.h>
#include <stdbool.h>

// The capacity is always a power of 2, so that it can be derived from the count. The
// NULL at the end needs a place as well: the list is full when count + 1 is a power of 2.
int words_append_owned(struct words *words, char *text)
{
    size_t used = words->count + 1;
    bool is_full = (used & (used - 1)) == 0;
    char **items = words->items;

    if (is_full && text)
        items = realloc(words->items, 2 * used * sizeof *items);
    if (!items || !text) {
        free(text);
        return -ENOMEM;
    }
    words->items = items;
    items[words->count++] = text;
    items[words->count] = NULL;
    return 0;
}

int words_append(struct words *words, const char *text)
{
    return words_append_owned(words, strdup(text));
}

int words_prepend(struct words *words, const char *const *items, size_t count)
{
    struct words longer = {0};
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++)
        result = words_append(&longer, items[i]);
    for (size_t i = 0; i < words->count && result == 0; i++)
        result = words_append(&longer, words->items[i]);
    words_finish(result == 0 ? words : &longer);
    if (result == 0)
        *words = longer;
    return result;
}

bool words_equal(const struct words *a, const struct words *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

void words_finish(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
    *words = (struct words){0};
}
