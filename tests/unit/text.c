// SPDX-License-Identifier: Apache-2.0
// base/text.c: control characters of each kind become blanks, and a cut leaves whole
// characters.
#include "unit.h"

#include "text.h"

#include <string.h>

// clang-format off
static const struct {
    const char *text;
    const char *cleaned;
} cleanings[] = {
    {"", ""},
    {"plain text", "plain text"},
    {"a\tb\nc\rd", "a b c d"},
    {"\x1b[31mred\x1b[0m", " [31mred [0m"},
    {"\x01\x1f\x7f", "   "},
    {"\xc2\x80|\xc2\x9b" "31m|\xc2\x9f", " | 31m| "},   // U+0080, U+009B (CSI), U+009F
    {"\xc2\xa0\xc3\xa4", "\xc2\xa0\xc3\xa4"},           // U+00A0 and an umlaut stay
    {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"}, // 0x80 to 0x9f inside
    {"\x9b" "31m", " 31m"},                             // the same as a byte of its own
    {"\xe4\xf6\xfc", "\xe4\xf6\xfc"},                   // Latin-1 is no UTF-8, and harmless
    {"\xe2\x82", "\xe2 "},                              // incomplete
    {"\xc2", "\xc2"},
    {"\xe2\x9b" "x", "\xe2 x"},
    {"\xc0\x9b[31m", " [31m"},                          // ESC, longer than it has to be
    {"\xe0\x80\x9b[31m", " [31m"},
    {"\xe0\x82\x9b" "31m", " 31m"},
    {"\xf0\x80\x80\x8a", " "},
    {"\xf8\x88\x80\x80\x80", "\xf8    "},               // no character has five bytes
};
// clang-format on

START_TEST(replaces_control_characters)
{
    char text[64];
    size_t length = strlen(cleanings[_i].text);

    memcpy(text, cleanings[_i].text, length);
    length = text_clean(text, length);
    ck_assert_uint_eq(length, strlen(cleanings[_i].cleaned));
    ck_assert_mem_eq(text, cleanings[_i].cleaned, length);
}
END_TEST

START_TEST(replaces_a_nul)
{
    char text[] = {'a', '\0', 'b'};

    ck_assert_uint_eq(text_clean(text, sizeof text), 3);
    ck_assert_mem_eq(text, "a b", 3);
}
END_TEST

// clang-format off
static const struct {
    const char *text;
    size_t whole;
} ends[] = {
    {"", 0},
    {"abc", 3},
    {"a\xc3\xa4", 3},
    {"a\xc3", 1},
    {"a\xe2\x82\xac", 4},
    {"a\xe2\x82", 1},
    {"a\xe2", 1},
    {"a\xf0\x9f\x98\x80", 5},
    {"a\xf0\x9f\x98", 1},
    {"a\xf0\x9f", 1},
    {"\xf0", 0},
    {"\x80\x80\x80\x80", 4}, // these end no character, so that none is cut
    {"a\x80", 2},
};
// clang-format on

START_TEST(finds_the_end_of_a_character)
{
    ck_assert_uint_eq(text_whole(ends[_i].text, strlen(ends[_i].text)), ends[_i].whole);
}
END_TEST

// clang-format off
static const struct {
    const char *text;
    size_t maximum;
    const char *line;
} lines[] = {
    {"", 10, ""},
    {"0123456789", 10, "0123456789"},
    {"0123456789a", 10, "0123456789"},
    {"two\nlines\n", 20, "two lines"},
    {"\n\n", 20, ""},
    {"12345678\xe2\x82\xac", 10, "12345678"},
    {"1234567\xe2\x82\xac", 10, "1234567\xe2\x82\xac"},
    {"123456\xc2\x9b\xc2\x9b\xe2\x82\xac", 11, "123456  \xe2\x82\xac"}, // shorter when cleaned
    {"1234567  89", 8, "1234567"},
    {"\xe2\x82\xac", 2, ""},
};
// clang-format on

START_TEST(makes_a_line)
{
    char text[64];

    strcpy(text, lines[_i].text);
    text_make_line(text, lines[_i].maximum);
    ck_assert_str_eq(text, lines[_i].line);
}
END_TEST

// clang-format off
static const struct {
    const char *text;
    bool is_utf8;
} texts[] = {
    {"", true}, {"plain", true}, {"caf\xc3\xa9", true}, {"\xe2\x82\xac", true},
    {"\xf0\x9f\x98\x80", true}, {"\xf4\x8f\xbf\xbf", true}, {"\xed\x9f\xbf", true},
    {"\xff", false}, {"\x80", false}, {"caf\xe9", false}, {"\xc3", false}, {"\xe2\x82", false},
    {"\xc0\xaf", false}, {"\xc1\xbf", false}, {"\xe0\x80\x80", false}, {"\xed\xa0\x80", false},
    {"\xf0\x80\x80\x80", false}, {"\xf4\x90\x80\x80", false}, {"\xf8\x88\x80\x80\x80", false},
    {"a\xc3z", false},
};
// clang-format on

START_TEST(knows_utf8)
{
    const char *text = texts[_i].text;

    ck_assert_int_eq(text_is_utf8(text, strlen(text)), texts[_i].is_utf8);
}
END_TEST

int main(void)
{
    UNIT_RUN("text", EACH(replaces_control_characters, cleanings), ONCE(replaces_a_nul),
             EACH(finds_the_end_of_a_character, ends), EACH(makes_a_line, lines),
             EACH(knows_utf8, texts));
}
