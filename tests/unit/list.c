// SPDX-License-Identifier: Apache-2.0
// base/list.h: the ring of links.
#include "unit.h"

#include "list.h"

struct item {
    int number;
    struct list link;
};

static struct item items[6];

static void setup(struct list *list, int first, int count)
{
    list_init(list);
    for (int i = first; i < first + count; i++) {
        items[i].number = i;
        list_init(&items[i].link);
        list_append(list, &items[i].link);
    }
}

// LIST has the numbers of EXPECTED, ended by -1, in both directions.
static void ck_list(struct list *list, const int *expected)
{
    struct list *link = list->next;

    for (; *expected >= 0; expected++, link = link->next) {
        ck_assert_ptr_ne(link, list);
        ck_assert_int_eq(LIST_ENTRY(link, struct item, link)->number, *expected);
        ck_assert_ptr_eq(link->next->previous, link);
        ck_assert_ptr_eq(link->previous->next, link);
    }
    ck_assert_ptr_eq(link, list);
}

START_TEST(starts_empty)
{
    struct list list;

    list_init(&list);
    ck_assert(list_is_empty(&list));
    list_remove(&list);
    ck_assert(list_is_empty(&list));
}
END_TEST

START_TEST(keeps_the_order)
{
    struct list list;

    setup(&list, 0, 3);
    ck_assert(!list_is_empty(&list));
    ck_list(&list, (const int[]){0, 1, 2, -1});
}
END_TEST

START_TEST(removes_from_everywhere)
{
    struct list list;

    setup(&list, 0, 5);
    list_remove(&items[2].link);
    ck_list(&list, (const int[]){0, 1, 3, 4, -1});
    list_remove(&items[0].link);
    list_remove(&items[4].link);
    ck_list(&list, (const int[]){1, 3, -1});
    ck_assert(list_is_empty(&items[2].link));
    list_remove(&items[2].link); // harmless for a link that is in no list
    ck_list(&list, (const int[]){1, 3, -1});
    list_append(&list, &items[2].link);
    ck_list(&list, (const int[]){1, 3, 2, -1});
    for (int i = 1; i <= 3; i++)
        list_remove(&items[i].link);
    ck_assert(list_is_empty(&list));
}
END_TEST

START_TEST(moves_all)
{
    struct list to;
    struct list from;

    setup(&to, 0, 2);
    setup(&from, 2, 3);
    list_move_all(&to, &from);
    ck_list(&to, (const int[]){0, 1, 2, 3, 4, -1});
    ck_assert(list_is_empty(&from));
    list_move_all(&to, &from);
    ck_list(&to, (const int[]){0, 1, 2, 3, 4, -1});
    list_move_all(&from, &to);
    ck_list(&from, (const int[]){0, 1, 2, 3, 4, -1});
    ck_assert(list_is_empty(&to));
}
END_TEST

int main(void)
{
    UNIT_RUN("list", ONCE(starts_empty), ONCE(keeps_the_order), ONCE(removes_from_everywhere),
             ONCE(moves_all));
}
