// SPDX-License-Identifier: Apache-2.0
// sandbox/model/outcome.c: the one line of `status`, made for `read code kind detail`.
#include "unit.h"

#include "outcome.h"

#include <stdbool.h>
#include <string.h>

// clang-format off
static const struct {
    enum outcome_kind kind;
    int code;
    const char *detail;
    const char *line;
} lines[] = {
    {OUTCOME_EXITED, 0, NULL, "0 exited\n"},
    {OUTCOME_EXITED, 3, NULL, "3 exited\n"},
    {OUTCOME_EXITED, 255, NULL, "255 exited\n"},
    {OUTCOME_SIGNALED, CODE_SIGNALED + 9, "KILL", "137 signaled KILL\n"},
    {OUTCOME_TIMEOUT, CODE_TIMEOUT, "after 10s", "124 timeout after 10s\n"},
    {OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "pods \"x\" not found",
     "125 unreachable pods \"x\" not found\n"},
    {OUTCOME_UNSTARTED, CODE_NOT_EXECUTABLE, "no", "126 unstarted no\n"},
    {OUTCOME_UNSTARTED, CODE_NOT_FOUND, "no", "127 unstarted no\n"},
    {OUTCOME_CANCELLED, CODE_CANCELLED, NULL, "130 cancelled\n"},
    {OUTCOME_OVERFLOW, CODE_OVERFLOW, "stdout exceeded 16M", "141 overflow stdout exceeded 16M\n"},
    {OUTCOME_REFUSED, CODE_REFUSED, "bad", "2 refused bad\n"},
    {OUTCOME_EXITED, 0, "", "0 exited\n"},
    {OUTCOME_REFUSED, CODE_REFUSED, "a\nb\tc\rd\x1b[1m\x7f!", "2 refused a b c d [1m !\n"},
    {OUTCOME_REFUSED, CODE_REFUSED, "ends\n", "2 refused ends\n"},
    {OUTCOME_REFUSED, CODE_REFUSED, "ends \n \n", "2 refused ends\n"},
    {OUTCOME_REFUSED, CODE_REFUSED, "\n", "2 refused\n"},
    {OUTCOME_REFUSED, CODE_REFUSED, "caf\xc3\xa9", "2 refused caf\xc3\xa9\n"},
    {OUTCOME_REFUSED, CODE_REFUSED, "\xc2\x9b" "1m\xc2\x85!", "2 refused  1m !\n"}, // C1
    {OUTCOME_REFUSED, CODE_REFUSED, "100%s %d", "2 refused 100%s %d\n"},
};
// clang-format on

START_TEST(formats_a_line)
{
    struct outcome outcome = {0};
    char line[OUTCOME_MAX_LINE];
    const char *detail = lines[_i].detail;
    size_t length;

    outcome_set(&outcome, lines[_i].kind, lines[_i].code, detail ? "%s" : NULL, detail);
    length = outcome_format(&outcome, line);
    ck_assert_uint_eq(length, strlen(lines[_i].line));
    ck_assert_str_eq(line, lines[_i].line);
    outcome_finish(&outcome);
    ck_assert_int_eq(outcome.kind, OUTCOME_NONE);
    ck_assert_ptr_null(outcome.detail);
}
END_TEST

START_TEST(cuts_a_long_detail)
{
    struct outcome outcome = {0};
    char line[OUTCOME_MAX_LINE];
    char detail[4000];
    static const size_t lengths[] = {511, 512, 513, 3999};

    for (size_t i = 0; i < COUNT(lengths); i++) {
        size_t kept = lengths[i] < OUTCOME_MAX_DETAIL ? lengths[i] : OUTCOME_MAX_DETAIL;
        size_t length;
        memset(detail, 'x', lengths[i]);
        detail[lengths[i]] = '\0';
        outcome_set(&outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s", detail);
        ck_assert_uint_eq(strlen(outcome.detail), kept);
        length = outcome_format(&outcome, line);
        ck_assert_uint_eq(length, strlen("125 unreachable \n") + kept);
        ck_assert_uint_eq(strlen(line), length);
        ck_assert_int_eq(line[length - 1], '\n');
        ck_assert_ptr_eq(strchr(line, '\n'), &line[length - 1]);
    }
    outcome_finish(&outcome);
}
END_TEST

START_TEST(cuts_a_detail_after_a_whole_character)
{
    struct outcome outcome = {0};
    char detail[600];

    memset(detail, 'x', sizeof detail);
    strcpy(detail + OUTCOME_MAX_DETAIL - 2, "\xe2\x82\xac");
    outcome_set(&outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s", detail);
    ck_assert_uint_eq(strlen(outcome.detail), OUTCOME_MAX_DETAIL - 2);
    strcpy(detail + OUTCOME_MAX_DETAIL - 3, "\xe2\x82\xac and more");
    outcome_set(&outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s", detail);
    ck_assert_uint_eq(strlen(outcome.detail), OUTCOME_MAX_DETAIL);
    outcome_finish(&outcome);
}
END_TEST

// "CODE is 0 only when the command is known to have ended with 0."
START_TEST(is_no_success_before_it_is_set)
{
    struct outcome outcome = {0};
    char line[OUTCOME_MAX_LINE];

    outcome_format(&outcome, line);
    ck_assert_ptr_null(strstr(line, "exited"));
    ck_assert_msg(line[0] != '0', "the code of an outcome that was never set is 0");
    ck_assert_str_ne(outcome_kind_name(OUTCOME_NONE), outcome_kind_name(OUTCOME_EXITED));
}
END_TEST

START_TEST(replaces_what_it_held)
{
    struct outcome outcome = {0};

    outcome_set(&outcome, OUTCOME_REFUSED, CODE_REFUSED, "one %d", 1);
    outcome_set(&outcome, OUTCOME_TIMEOUT, CODE_TIMEOUT, "two");
    ck_assert_int_eq(outcome.kind, OUTCOME_TIMEOUT);
    ck_assert_int_eq(outcome.code, CODE_TIMEOUT);
    ck_assert_str_eq(outcome.detail, "two");
    outcome_set(&outcome, OUTCOME_EXITED, 0, NULL);
    ck_assert_ptr_null(outcome.detail);
    outcome_finish(&outcome);
    outcome_finish(&outcome);
}
END_TEST

START_TEST(says_that_a_client_alone_says_so)
{
    struct outcome outcome = {0};
    char line[OUTCOME_MAX_LINE];

    outcome_set_unconfirmed(&outcome);
    ck_assert_int_eq(outcome.kind, OUTCOME_EXITED);
    ck_assert_int_eq(outcome.code, 0);
    ck_assert_str_eq(outcome_detail(&outcome), "unconfirmed");
    outcome_format(&outcome, line);
    ck_assert_str_eq(line, "0 exited unconfirmed\n");
    outcome_set(&outcome, OUTCOME_EXITED, 0, NULL);
    ck_assert_str_eq(outcome_detail(&outcome), "");
    outcome_format(&outcome, line);
    ck_assert_str_eq(line, "0 exited\n");
    outcome_finish(&outcome);
}
END_TEST

START_TEST(names_every_kind)
{
    for (int kind = OUTCOME_NONE; kind <= OUTCOME_REFUSED; kind++) {
        const char *name = outcome_kind_name((enum outcome_kind)kind);
        ck_assert_ptr_nonnull(name);
        ck_assert_ptr_null(strchr(name, ' ')); // the shell's read would split there
        for (int other = OUTCOME_NONE; other < kind; other++)
            ck_assert_str_ne(name, outcome_kind_name((enum outcome_kind)other));
    }
}
END_TEST

int main(void)
{
    UNIT_RUN("outcome", EACH(formats_a_line, lines), ONCE(cuts_a_long_detail),
             ONCE(cuts_a_detail_after_a_whole_character), ONCE(is_no_success_before_it_is_set),
             ONCE(replaces_what_it_held), ONCE(says_that_a_client_alone_says_so),
             ONCE(names_every_kind));
}
