// SPDX-License-Identifier: Apache-2.0
#include "words.h"

#include "cleanup.h"

#include <errno.h>
#include <stdbool.h>

enum {
    SMALLEST_CHUNK = 256,
    LARGEST_CHUNK = 64 * 1024, // a longer string gets a chunk of its own
};

struct words_chunk {
    struct words_chunk *next;
    size_t size;
    size_t used;
    char bytes[];
};

// Returns memory for SIZE bytes of a string, or NULL.
static char *words_reserve(struct words *words, size_t size)
{
    struct words_chunk *chunk = words->chunks;
    size_t wanted = chunk ? 2 * chunk->size : SMALLEST_CHUNK;

    if (!chunk || size > chunk->size - chunk->used) {
        wanted = wanted < LARGEST_CHUNK ? wanted : LARGEST_CHUNK;
        wanted = wanted > size ? wanted : size;
        chunk = malloc(sizeof *chunk + wanted);
        if (!chunk)
            return NULL;
        *chunk = (struct words_chunk){.next = words->chunks, .size = wanted};
        words->chunks = chunk;
    }
    chunk->used += size;
    return chunk->bytes + chunk->used - size;
}

// The capacity of a list is the smallest power of 2 that is greater than the count, because the
// NULL at the end needs a place as well.
static size_t words_capacity(size_t count)
{
    size_t capacity = 1;

    while (capacity <= count)
        capacity *= 2;
    return capacity;
}

// Makes room for COUNT items more.
static int words_make_room(struct words *words, size_t count)
{
    size_t capacity = words_capacity(words->count + count);
    char **items;

    if (words->items && capacity == words_capacity(words->count))
        return 0;
    items = realloc(words->items, capacity * sizeof *items);
    if (!items)
        return -ENOMEM;
    items[words->count] = NULL;
    words->items = items;
    return 0;
}

int words_append(struct words *words, const char *text)
{
    size_t next = words->count + 1;
    bool is_full = (next & words->count) == 0;
    size_t size = strlen(text) + 1;
    char *copy;

    if (is_full && words_make_room(words, 1) < 0)
        return -ENOMEM;
    copy = words_reserve(words, size);
    if (!copy)
        return -ENOMEM;
    words->items[words->count] = memcpy(copy, text, size);
    words->items[++words->count] = NULL;
    return 0;
}

int words_append_all(struct words *words, char *const *items)
{
    size_t count = 0;
    size_t size = 0;
    char *bytes;

    for (; items[count]; count++)
        size += strlen(items[count]) + 1;
    if (words_make_room(words, count) < 0)
        return -ENOMEM;
    bytes = words_reserve(words, size);
    if (!bytes)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        words->items[words->count++] = bytes;
        bytes = stpcpy(bytes, items[i]) + 1;
    }
    words->items[words->count] = NULL;
    return 0;
}

int words_append_owned(struct words *words, char *text)
{
    int result = text ? words_append(words, text) : -ENOMEM;

    free(text);
    return result;
}

int words_replace(struct words *words, size_t index, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = words_reserve(words, size);

    if (!copy)
        return -ENOMEM;
    words->items[index] = memcpy(copy, text, size);
    return 0;
}

int words_prepend(struct words *words, const char *const *items, size_t count)
{
    struct words longer = {0};
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++)
        result = words_append(&longer, items[i]);
    if (words->items && result == 0)
        result = words_append_all(&longer, words->items);
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
    struct words_chunk *next;

    for (struct words_chunk *chunk = words->chunks; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(words->items);
    *words = (struct words){0};
}
