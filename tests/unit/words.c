// SPDX-License-Identifier: Apache-2.0
// base/words.c: lists of strings.
#include "unit.h"

#include "words.h"

#include <errno.h>
#include <string.h>

START_TEST(keeps_words)
{
    struct words words = {0};

    words_finish(&words);
    ck_assert_int_eq(words_append(&words, "a"), 0);
    ck_assert_int_eq(words_append_owned(&words, strdup("b")), 0);
    ck_assert_int_eq(words_append(&words, ""), 0);
    ck_assert_uint_eq(words.count, 3);
    ck_assert_str_eq(words.items[0], "a");
    ck_assert_str_eq(words.items[1], "b");
    ck_assert_str_eq(words.items[2], "");
    ck_assert_ptr_null(words.items[3]);
    ck_assert_int_eq(words_append_owned(&words, NULL), -ENOMEM);
    ck_assert_uint_eq(words.count, 3);
    words_finish(&words);
    ck_assert_ptr_null(words.items);
    ck_assert_uint_eq(words.count, 0);
}
END_TEST

START_TEST(keeps_many_words)
{
    struct words words = {0};
    char text[16];

    for (unsigned i = 0; i < 70; i++) {
        snprintf(text, sizeof text, "%u", i);
        ck_assert_int_eq(words_append(&words, text), 0);
        ck_assert_uint_eq(words.count, i + 1);
        ck_assert_ptr_null(words.items[i + 1]);
    }
    for (unsigned i = 0; i < 70; i++)
        ck_assert_uint_eq(strtoul(words.items[i], NULL, 10), i);
    words_finish(&words);
}
END_TEST

// Strings that fill a chunk to its end, and others that are longer than any.
START_TEST(keeps_words_of_every_length)
{
    static const size_t sizes[] = {1, 255, 256, 300, 1, 511, 65536, 200000, 1, 65535, 65537, 3};
    struct words words = {0};
    struct words copy = {0};
    size_t count = sizeof sizes / sizeof sizes[0];

    for (size_t i = 0; i < count; i++) {
        char *text = calloc(1, sizes[i]);
        memset(text, 'a' + (int)i, sizes[i] - 1);
        ck_assert_int_eq(words_append_owned(&words, text), 0);
    }
    ck_assert_int_eq(words_append(&copy, "first"), 0);
    ck_assert_int_eq(words_append_all(&copy, words.items), 0);
    ck_assert_int_eq(words_append_all(&copy, words.items), 0);
    ck_assert_int_eq(words_append(&copy, "last"), 0);
    ck_assert_uint_eq(copy.count, 2 * count + 2);
    ck_assert_ptr_null(copy.items[copy.count]);
    for (size_t i = 0; i < 2 * count; i++) {
        ck_assert_uint_eq(strlen(copy.items[i + 1]), sizes[i % count] - 1);
        ck_assert_str_eq(copy.items[i + 1], words.items[i % count]);
    }
    ck_assert_str_eq(copy.items[2 * count + 1], "last");
    words_finish(&copy);
    words_finish(&words);
}
END_TEST

START_TEST(replaces_a_word)
{
    struct words words = {0};

    ck_assert_int_eq(words_append(&words, "a"), 0);
    ck_assert_int_eq(words_append(&words, "b"), 0);
    ck_assert_int_eq(words_replace(&words, 0, "longer"), 0);
    ck_assert_uint_eq(words.count, 2);
    ck_assert_str_eq(words.items[0], "longer");
    ck_assert_str_eq(words.items[1], "b");
    words_finish(&words);
}
END_TEST

START_TEST(puts_words_in_front)
{
    static const char *const front[] = {"a", "b"};
    struct words words = {0};

    ck_assert_int_eq(words_prepend(&words, front, 2), 0);
    ck_assert_uint_eq(words.count, 2);
    ck_assert_int_eq(words_append(&words, "c"), 0);
    ck_assert_int_eq(words_prepend(&words, front, 1), 0);
    ck_assert_uint_eq(words.count, 4);
    ck_assert_str_eq(words.items[0], "a");
    ck_assert_str_eq(words.items[1], "a");
    ck_assert_str_eq(words.items[2], "b");
    ck_assert_str_eq(words.items[3], "c");
    ck_assert_ptr_null(words.items[4]);
    words_finish(&words);
}
END_TEST

int main(void)
{
    UNIT_RUN("words", ONCE(keeps_words), ONCE(keeps_many_words), ONCE(keeps_words_of_every_length),
             ONCE(replaces_a_word), ONCE(puts_words_in_front));
}
