// SPDX-License-Identifier: Apache-2.0
// Doubly linked lists whose links are embedded in their elements. The list itself is a link
// as well, which closes the ring. A link that is in no list points to itself, so that
// removing it twice is harmless.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

#define LIST_ENTRY(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

// Puts LINK, which must be in no list, at the end of LIST.
static inline void list_append(struct list *list, struct list *link)
{
    link->next = list;
    link->previous = list->previous;
    list->previous->next = link;
    list->previous = link;
}

static inline void list_remove(struct list *link)
{
    link->next->previous = link->previous;
    link->previous->next = link->next;
    list_init(link);
}

// Moves every link of FROM, in order, to the end of TO.
static inline void list_move_all(struct list *to, struct list *from)
{
    while (!list_is_empty(from)) {
        struct list *link = from->next;
        list_remove(link);
        list_append(to, link);
    }
}
