// SPDX-License-Identifier: Apache-2.0
// sandbox/mode/argv.c: argument lists, and environments in which the last one wins.
#include "world.h"

#include "argv.h"

static void ck_words(const struct words *words, const char *text)
{
    char *joined = world_join(words);
    ck_assert_str_eq(joined, text);
    free(joined);
}

START_TEST(builds_in_order)
{
    struct words words = {0};
    struct words more = {0};
    struct argv argv = {.words = &words};

    words_append(&more, "m1");
    words_append(&more, "");
    argv_add(&argv, "a");
    argv_add_option(&argv, "-n", "value");
    argv_add_option(&argv, "-x", NULL);
    argv_add_joined(&argv, "--user=", "u");
    argv_add_joined(&argv, "--none=", NULL);
    argv_add_joined(&argv, "--empty=", "");
    argv_add_all(&argv, &more);
    argv_add_all(&argv, &(struct words){0});
    ck_assert_int_eq(argv_end(&argv, NULL), 0);
    ck_words(&words, "[a][-n][value][--user=u][--empty=][m1][]");
    ck_assert_ptr_null(words.items[words.count]);
    words_finish(&words);
    words_finish(&more);
}
END_TEST

START_TEST(reports_lost_memory)
{
    struct words words = {0};
    struct argv argv = {.words = &words, .has_failed = true};
    struct error err = {0};

    ck_assert_int_lt(argv_end(&argv, &err), 0);
    ck_assert_int_ne(err.code, 0);
    error_finish(&err);
}
END_TEST

// clang-format off
static const struct {
    const char *env[4];
    const char *changes[5];
    const char *merged;
} merges[] = {
    {{NULL}, {NULL}, ""},
    {{"A=1"}, {NULL}, "[A=1]"},
    {{NULL}, {"A=1"}, "[A=1]"},
    {{"A=1", "B=2"}, {"A=3"}, "[A=3][B=2]"},
    {{"A=1"}, {"B=2", "C=3"}, "[A=1][B=2][C=3]"},
    {{"A=1"}, {"A=2", "A=3"}, "[A=3]"},
    {{NULL}, {"A=1", "B=1", "A=2"}, "[A=2][B=1]"},
    {{"AB=1", "A=1"}, {"A=2"}, "[AB=1][A=2]"},
    {{"A=1", "AB=1"}, {"AB=2"}, "[A=1][AB=2]"},
    {{"A=1"}, {"A="}, "[A=]"},
    {{"A=x=y"}, {"A=z=w"}, "[A=z=w]"},
};
// clang-format on

START_TEST(merges_environments)
{
    struct words env = {0};
    struct words changes = {0};

    for (size_t i = 0; i < 4 && merges[_i].env[i]; i++)
        words_append(&env, merges[_i].env[i]);
    for (size_t i = 0; i < 5 && merges[_i].changes[i]; i++)
        words_append(&changes, merges[_i].changes[i]);
    ck_assert_int_eq(environment_merge(&env, &changes), 0);
    ck_words(&env, merges[_i].merged);
    words_finish(&env);
    words_finish(&changes);
}
END_TEST

START_TEST(inherits_our_own)
{
    struct words env = {0};
    size_t count = 0;

    setenv("HOOKSFS_UNIT", "here", 1);
    while (environ[count])
        count++;
    ck_assert_int_eq(environment_inherit(&env), 0);
    ck_assert_uint_eq(env.count, count);
    ck_assert_str_eq(world_variable(&env, "HOOKSFS_UNIT"), "here");
    words_finish(&env);
}
END_TEST

int main(void)
{
    UNIT_RUN("argv", ONCE(builds_in_order), ONCE(reports_lost_memory),
             EACH(merges_environments, merges), ONCE(inherits_our_own));
}
