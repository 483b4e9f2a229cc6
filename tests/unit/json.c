// SPDX-License-Identifier: Apache-2.0
// fs/json.c: an answer as one JSON object, for readers with room for any number of bytes.
#include "unit.h"

#include "buffer.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

// clang-format off
static const struct {
    const char *out;
    size_t size; // 0: up to its end
    const char *detail;
    const char *text; // from "detail" to "stderr"
} texts[] = {
    {"hello\n", 0, "", "\"\",\"stdout\":\"hello\\n\""},
    {"", 0, "after 5s", "\"after 5s\",\"stdout\":\"\""},
    {"a\"b\\c/d", 0, "q\"\\", "\"q\\\"\\\\\",\"stdout\":\"a\\\"b\\\\c/d\""},
    {"\b\f\n\r\t\1\x1f\x7f", 0, "", "\"\",\"stdout\":\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
    {"a\0b", 3, "", "\"\",\"stdout\":\"a\\u0000b\""},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 0, "\xc3\xa4", "\"\xc3\xa4\",\"stdout\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""},
    // No UTF-8: cut, too long, a surrogate, beyond the last character, a lone byte.
    {"\xc3", 0, "", "\"\",\"stdout_base64\":\"ww==\""},
    {"\xc0\xaf", 0, "", "\"\",\"stdout_base64\":\"wK8=\""},
    {"\xed\xa0\x80", 0, "", "\"\",\"stdout_base64\":\"7aCA\""},
    {"\xf4\x90\x80\x80", 0, "", "\"\",\"stdout_base64\":\"9JCAgA==\""},
    {"ab\xff" "cd", 0, "", "\"\",\"stdout_base64\":\"YWL/Y2Q=\""},
    {"x", 0, "\xff" "a\xc3", "\"\xef\xbf\xbd" "a\xef\xbf\xbd\",\"stdout\":\"x\""},
};
// clang-format on

static void fill(const struct json_source *source, size_t room, struct buffer *text)
{
    struct json json = {0};
    char bytes[256];
    size_t count;

    while (!json_prepare(&json, source))
        ;
    while ((count = json_fill(&json, source, bytes, room)) > 0) {
        ck_assert_uint_le(count, room);
        buffer_append(text, bytes, count);
    }
    ck_assert_uint_eq(json_fill(&json, source, bytes, room), 0);
}

START_TEST(says_it_all)
{
    static const size_t rooms[] = {1, 2, 3, 5, 7, 64, 256};
    size_t size = texts[_i].size ? texts[_i].size : strlen(texts[_i].out);
    struct json_source source = {
        .code = 7,
        .kind = "exited",
        .detail = texts[_i].detail,
        .bytes = {texts[_i].out, "e"},
        .sizes = {size,          1  },
        .ms = 12,
    };
    struct buffer wanted = {0};

    buffer_printf(&wanted,
                  "{\"code\":7,\"kind\":\"exited\",\"detail\":%s,\"stderr\":\"e\",\"ms\":12}\n",
                  texts[_i].text);
    for (size_t i = 0; i < COUNT(rooms); i++) {
        struct buffer text = {0};
        fill(&source, rooms[i], &text);
        ck_assert_uint_eq(text.length, wanted.length);
        ck_assert_int_eq(memcmp(text.data, wanted.data, text.length), 0);
        buffer_finish(&text);
    }
    buffer_finish(&wanted);
}
END_TEST

START_TEST(knows_what_each_stream_is)
{
    struct json_source source = {
        .kind = "exited", .detail = "", .bytes = {"x", "\xff"},
                .sizes = {1,   1     }
    };
    static const char wanted[] = "{\"code\":0,\"kind\":\"exited\",\"detail\":\"\",\"stdout\":\"x\","
                                 "\"stderr_base64\":\"/w==\",\"ms\":0}\n";
    struct buffer text = {0};

    fill(&source, 100, &text);
    ck_assert_uint_eq(text.length, sizeof wanted - 1);
    ck_assert_int_eq(memcmp(text.data, wanted, text.length), 0);
    buffer_finish(&text);
}
END_TEST

// A stream is looked at in parts, also where a character lies across their border.
START_TEST(looks_at_a_large_stream_in_parts)
{
    size_t size = 3 * (size_t)JSON_CHECK;
    char *bytes = malloc(size);
    struct json_source source = {
        .kind = "exited", .detail = "", .bytes = {bytes, ""}
    };
    unsigned calls = 1;

    for (size_t i = 0; i < size; i += 3)
        memcpy(bytes + i, "\xe2\x82\xac", 3);
    source.sizes[JOB_STDOUT] = size;
    struct json json = {0};
    while (!json_prepare(&json, &source))
        calls++;
    ck_assert_uint_ge(calls, 3);
    ck_assert(!json.is_binary[JOB_STDOUT]);
    bytes[size - 1] = 'x';
    json = (struct json){0};
    while (!json_prepare(&json, &source))
        ;
    ck_assert(json.is_binary[JOB_STDOUT]);
    free(bytes);
}
END_TEST

int main(void)
{
    UNIT_RUN("json", EACH(says_it_all, texts), ONCE(knows_what_each_stream_is),
             ONCE(looks_at_a_large_stream_in_parts));
}
