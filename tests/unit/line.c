// SPDX-License-Identifier: Apache-2.0
// client/line.c: words become a command line, from which the daemon's own parser reads the same.
#include "unit.h"

#include "line.h"
#include "request.h"

#include <string.h>

static const char *const values[] = {
    "plain",
    "",
    " ",
    "two words",
    "it's",
    "'",
    "''",
    "\"",
    "$HOME `x` \\",
    "line\nbreak",
    "a;b|c&d",
    "<>()",
    "\t",
    "*?~[{#!",
    "a=b",
    "-x",
    "\xff\xfe\x01",
    "%s",
    "=",
    "'\n'",
    "\\'",
};

// The request that the daemon reads in LINE.
static struct request_parser parse(struct buffer *line)
{
    struct request_parser parser = {0};
    struct error err = {0};
    bool is_complete = false;
    ssize_t used;

    ck_assert_int_eq(buffer_append(line, "\nrest", 5), 0);
    used = request_parse(&parser, line->data, line->length, &is_complete, &err);
    ck_assert_msg(used >= 0, "%s", error_message(&err));
    ck_assert(is_complete);
    ck_assert_uint_eq(line->length - (size_t)used, 4);
    return parser;
}

START_TEST(says_any_word)
{
    struct buffer line = {0};
    struct request_parser parser;

    ck_assert_int_eq(line_add_word(&line, "cmd"), 0);
    ck_assert_int_eq(line_add_word(&line, values[_i]), 0);
    ck_assert_int_eq(line_add_word(&line, "last"), 0);
    parser = parse(&line);
    ck_assert_uint_eq(parser.request.argv.count, 3);
    ck_assert_str_eq(parser.request.argv.items[1], values[_i]);
    request_parser_finish(&parser);
    buffer_finish(&line);
}
END_TEST

START_TEST(says_any_value_of_a_variable)
{
    struct buffer line = {0};
    struct request_parser parser;
    char wanted[64];

    ck_assert_int_eq(line_add_pair(&line, "NAME=", 5, values[_i]), 0);
    ck_assert_int_eq(line_add_word(&line, "cmd"), 0);
    parser = parse(&line);
    snprintf(wanted, sizeof wanted, "NAME=%s", values[_i]);
    ck_assert_uint_eq(parser.request.env.count, 1);
    ck_assert_str_eq(parser.request.env.items[0], wanted);
    ck_assert_uint_eq(parser.request.argv.count, 1);
    request_parser_finish(&parser);
    buffer_finish(&line);
}
END_TEST

START_TEST(knows_an_assignment)
{
    ck_assert_uint_eq(line_name_length("A=1"), 2);
    ck_assert_uint_eq(line_name_length("_a9="), 4);
    ck_assert_uint_eq(line_name_length("A"), 0);
    ck_assert_uint_eq(line_name_length("=1"), 0);
    ck_assert_uint_eq(line_name_length("9A=1"), 0);
    ck_assert_uint_eq(line_name_length("A-B=1"), 0);
}
END_TEST

int main(void)
{
    UNIT_RUN("line", EACH(says_any_word, values), EACH(says_any_value_of_a_variable, values),
             ONCE(knows_an_assignment));
}
