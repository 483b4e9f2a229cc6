// SPDX-License-Identifier: Apache-2.0
// base/buffer.c: appending, dropping and taking bytes.
#include "unit.h"

#include "buffer.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static void ck_content(const struct buffer *buffer, const char *text)
{
    ck_assert_uint_eq(buffer->length, strlen(text));
    ck_assert_int_eq(memcmp(buffer->data, text, buffer->length), 0);
}

START_TEST(appends_and_drops)
{
    struct buffer buffer = {0};

    ck_assert_int_eq(buffer_append(&buffer, "hello", 5), 0);
    ck_assert_int_eq(buffer_append(&buffer, " world", 6), 0);
    ck_content(&buffer, "hello world");
    buffer_drop(&buffer, 0);
    ck_content(&buffer, "hello world");
    buffer_drop(&buffer, 6);
    ck_content(&buffer, "world");
    buffer_drop(&buffer, 5);
    ck_assert_uint_eq(buffer.length, 0);
    ck_assert_int_eq(buffer_append(&buffer, "again", 5), 0);
    ck_content(&buffer, "again");
    buffer_finish(&buffer);
    ck_assert_ptr_null(buffer.data);
    ck_assert_uint_eq(buffer.length + buffer.capacity, 0);
    ck_assert_int_eq(buffer_append(&buffer, "usable", 6), 0);
    buffer_finish(&buffer);
}
END_TEST

START_TEST(appends_nothing)
{
    struct buffer buffer = {0};

    ck_assert_int_eq(buffer_append(&buffer, NULL, 0), 0);
    ck_assert_int_eq(buffer_append(&buffer, "", 0), 0);
    ck_assert_uint_eq(buffer.length, 0);
    buffer_finish(&buffer);
    buffer_finish(&buffer);
}
END_TEST

START_TEST(keeps_content_while_it_grows)
{
    struct buffer buffer = {0};

    for (unsigned i = 0; i < 100000; i++) {
        unsigned char byte = (unsigned char)(i * 7);
        ck_assert_int_eq(buffer_append(&buffer, &byte, 1), 0);
    }
    ck_assert_uint_eq(buffer.length, 100000);
    ck_assert_uint_ge(buffer.capacity, buffer.length);
    for (unsigned i = 0; i < 100000; i++)
        ck_assert_uint_eq((unsigned char)buffer.data[i], (unsigned char)(i * 7));
    buffer_finish(&buffer);
}
END_TEST

START_TEST(reserves_room)
{
    struct buffer buffer = {0};
    char *data;

    ck_assert_int_eq(buffer_append(&buffer, "abc", 3), 0);
    ck_assert_int_eq(buffer_reserve(&buffer, 10000), 0);
    ck_assert_uint_ge(buffer.capacity - buffer.length, 10000);
    ck_content(&buffer, "abc");
    data = buffer.data;
    memset(buffer.data + 3, 'x', 10000);
    ck_assert_int_eq(buffer_reserve(&buffer, 10000), 0);
    ck_assert_ptr_eq(buffer.data, data);
    buffer_finish(&buffer);
}
END_TEST

START_TEST(refuses_what_cannot_be)
{
    static const size_t too_much[] = {SIZE_MAX, SIZE_MAX - 2, SIZE_MAX / 2};
    struct buffer buffer = {0};

    ck_assert_int_eq(buffer_append(&buffer, "abc", 3), 0);
    for (size_t i = 0; i < COUNT(too_much); i++) {
        ck_assert_int_eq(buffer_reserve(&buffer, too_much[i]), -ENOMEM);
        ck_content(&buffer, "abc");
    }
    buffer_finish(&buffer);
}
END_TEST

START_TEST(prints)
{
    struct buffer buffer = {0};
    char long_text[3000];

    memset(long_text, 'y', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    ck_assert_int_eq(buffer_printf(&buffer, "%s", ""), 0);
    ck_assert_uint_eq(buffer.length, 0);
    ck_assert_int_eq(buffer_printf(&buffer, "%d-%s", 42, "x"), 0);
    ck_content(&buffer, "42-x");
    ck_assert_int_eq(buffer_printf(&buffer, "%s", long_text), 0);
    ck_assert_uint_eq(buffer.length, 4 + sizeof long_text - 1);
    buffer_finish(&buffer);
}
END_TEST

START_TEST(gives_its_content_away)
{
    struct buffer buffer = {0};
    char *text = buffer_take_string(&buffer);

    ck_assert_str_eq(text, "");
    free(text);
    ck_assert_int_eq(buffer_append(&buffer, "a\0b", 3), 0);
    text = buffer_take_string(&buffer);
    ck_assert_int_eq(memcmp(text, "a\0b", 4), 0);
    ck_assert_ptr_null(buffer.data);
    ck_assert_uint_eq(buffer.length + buffer.capacity, 0);
    free(text);
    // Also when it was full to the last byte.
    ck_assert_int_eq(buffer_reserve(&buffer, 1), 0);
    while (buffer.length < buffer.capacity)
        ck_assert_int_eq(buffer_append(&buffer, "z", 1), 0);
    size_t length = buffer.length;
    text = buffer_take_string(&buffer);
    ck_assert_uint_eq(strlen(text), length);
    free(text);
}
END_TEST

int main(void)
{
    UNIT_RUN("buffer", ONCE(appends_and_drops), ONCE(appends_nothing),
             ONCE(keeps_content_while_it_grows), ONCE(reserves_room), ONCE(refuses_what_cannot_be),
             ONCE(prints), ONCE(gives_its_content_away));
}
