// SPDX-License-Identifier: Apache-2.0
// conf/settings.c: values of each type, ${NAME}, lists, and the nearest key.
#include "unit.h"

#include "settings.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>

struct settings {
    char *text;
    struct words list;
    uint64_t number;
    unsigned count;
    uid_t user;
    gid_t group;
    mode_t permissions;
};

#define KEY(name, type, member)                                                                    \
    {                                                                                              \
        name, type, offsetof(struct settings, member), NULL, false                                 \
    }

static const char *const choices[] = {"no", "auto", "require", NULL};

static const struct key keys[] = {
    KEY("text", VALUE_TEXT, text),
    KEY("name", VALUE_NAME, text),
    KEY("path", VALUE_PATH, text),
    KEY("program", VALUE_PROGRAM, text),
    KEY("texts", VALUE_TEXTS, list),
    KEY("names", VALUE_NAMES, list),
    KEY("environment", VALUE_ENVIRONMENT, list),
    KEY("duration", VALUE_DURATION, number),
    KEY("limit", VALUE_TIME_LIMIT, number),
    KEY("size", VALUE_SIZE, number),
    KEY("count", VALUE_COUNT, count),
    KEY("count_or_0", VALUE_COUNT_OR_0, count),
    KEY("user", VALUE_USER, user),
    KEY("group", VALUE_GROUP, group),
    KEY("permissions", VALUE_PERMISSIONS, permissions),
    {"choice", VALUE_CHOICE, offsetof(struct settings, count), NULL, false, choices},
};

static const struct key *key_of(const char *name)
{
    const struct key *key = settings_find(keys, COUNT(keys), name);
    ck_assert_ptr_nonnull(key);
    return key;
}

static void clear_all(struct settings *settings)
{
    settings_clear(key_of("text"), settings);
    settings_clear(key_of("texts"), settings);
}

static void set_environment(void)
{
    setenv("UNIT_A", "alpha", 1);
    setenv("UNIT_CHOICE", "require", 1);
    setenv("UNIT_EMPTY", "", 1);
    setenv("UNIT_OPTION", "-n", 1);
    setenv("UNIT_NESTED", "${UNIT_A}", 1);
    setenv("UNIT_EQUALS", "x=y=z", 1);
    setenv("UNIT_TIME", "7", 1);
    setenv("_UNIT1", "score", 1);
    unsetenv("UNIT_UNSET");
}

START_TEST(finds_keys)
{
    for (size_t i = 0; i < COUNT(keys); i++)
        ck_assert_ptr_eq(settings_find(keys, COUNT(keys), keys[i].name), &keys[i]);
    ck_assert_ptr_null(settings_find(keys, COUNT(keys), "tex"));
    ck_assert_ptr_null(settings_find(keys, COUNT(keys), ""));
    ck_assert_ptr_null(settings_find(keys, COUNT(keys), "TEXT"));
    ck_assert_ptr_null(settings_find(keys, 0, "text"));
    ck_assert(settings_is_list(key_of("texts")));
    ck_assert(settings_is_list(key_of("names")));
    ck_assert(settings_is_list(key_of("environment")));
    ck_assert(!settings_is_list(key_of("text")));
    ck_assert(!settings_is_list(key_of("size")));
}
END_TEST

// Texts, and the value that is stored. If STORED is NULL, the text is refused, and MESSAGE is
// part of the reason.
// clang-format off
static const struct {
    const char *key;
    const char *text;
    const char *stored;
    const char *message;
} texts[] = {
    {"text", "plain", "plain", NULL},
    {"text", "two words", "two words", NULL},
    {"text", "-n", "-n", NULL},
    {"text", "", NULL, "no value"},
    {"name", "pod-1", "pod-1", NULL},
    {"name", "a-n", "a-n", NULL},
    {"name", "-n", NULL, "option"},
    {"name", "--all", NULL, "option"},
    {"name", "-", NULL, "option"},
    {"name", "", NULL, "no value"},
    {"path", "/a b", "/a b", NULL},
    {"path", "/", "/", NULL},
    {"path", "a/b", NULL, "whole path"},
    {"path", "-n", NULL, "whole path"},
    {"path", "", NULL, "no value"},
    {"path", "/${UNIT_A}", "/alpha", NULL},
    {"path", "${UNIT_A}", NULL, "whole path"},
    {"program", "/usr/bin/a b", "/usr/bin/a b", NULL},
    {"program", "kubectl", "kubectl", NULL},
    {"program", "bin/kubectl", NULL, "whole path"},
    {"program", "./kubectl", NULL, "whole path"},
    {"program", "../kubectl", NULL, "whole path"},
    {"program", "-n", NULL, "option"},
    {"program", "", NULL, "no value"},
    {"text", "${UNIT_A}", "alpha", NULL},
    {"text", "<${UNIT_A}>", "<alpha>", NULL},
    {"text", "${UNIT_A}${UNIT_A}", "alphaalpha", NULL},
    {"text", "${_UNIT1}!", "score!", NULL},
    {"text", "a${UNIT_EMPTY}b", "ab", NULL},
    {"text", "${UNIT_NESTED}", "${UNIT_A}", NULL}, // a variable's value is not expanded again
    {"text", "$UNIT_A", "$UNIT_A", NULL},
    {"text", "$$", "$$", NULL},
    {"text", "$", "$", NULL},
    {"text", "a}b{c", "a}b{c", NULL},
    {"text", "$ {UNIT_A}", "$ {UNIT_A}", NULL},
    {"text", "$${UNIT_A}", "$alpha", NULL},
    {"text", "${UNIT_A}}", "alpha}", NULL},
    {"text", "${UNIT_UNSET}", NULL, "UNIT_UNSET"},
    {"text", "${UNIT_A}${UNIT_UNSET}", NULL, "UNIT_UNSET"},
    {"text", "${UNIT_EMPTY}", NULL, "no value"},
    {"text", "${", NULL, "${"},
    {"text", "${}", NULL, "${}"},
    {"text", "${UNIT_A", NULL, "${UNIT_A"},
    {"text", "${1A}", NULL, "${1A}"},
    {"text", "${UNIT A}", NULL, "${UNIT A}"},
    {"text", "${UNIT-A}", NULL, "${UNIT-A}"},
    {"text", "${${UNIT_A}}", NULL, "${"},
    {"text", "x${UNIT_A}${", NULL, "${"},
    {"name", "${UNIT_A}", "alpha", NULL},
    {"name", "${UNIT_OPTION}", NULL, "option"},
    {"name", "${UNIT_EMPTY}-n", NULL, "option"},
};
// clang-format on

START_TEST(stores_a_text)
{
    struct settings settings = {0};
    struct error err = {0};
    int result;

    set_environment();
    result = settings_store(key_of(texts[_i].key), &settings, texts[_i].text, NULL, &err);
    if (texts[_i].stored) {
        ck_assert_msg(result == 0, "'%s': %s", texts[_i].text, result ? error_message(&err) : "");
        ck_assert_str_eq(settings.text, texts[_i].stored);
    } else {
        ck_assert_msg(result < 0, "'%s' was taken", texts[_i].text);
        ck_assert_int_eq(err.code, -result);
        ck_assert_msg(strstr(error_message(&err), texts[_i].message), "%s", error_message(&err));
    }
    error_finish(&err);
    clear_all(&settings);
}
END_TEST

// Numbers of every kind; refused where OK is false.
// clang-format off
static const struct {
    const char *key;
    const char *text;
    bool is_ok;
    uint64_t value;
} numbers[] = {
    {"duration", "10s", true, 10000},
    {"duration", "${UNIT_TIME}s", true, 7000},
    {"duration", "none", false, 0},
    {"duration", "0s", false, 0},
    {"duration", "", false, 0},
    {"duration", "soon", false, 0},
    {"limit", "10s", true, 10000},
    {"limit", "none", true, 0},
    {"limit", "None", false, 0},
    {"limit", "0s", false, 0},
    {"limit", "10", false, 0},
    {"size", "64K", true, 65536},
    {"size", "1", true, 1},
    {"size", "0", false, 0},
    {"size", "none", false, 0},
    {"count", "1", true, 1},
    {"count", "64", true, 64},
    {"count", "2147483647", true, 2147483647},
    {"count", "0", false, 0},
    {"count", "-1", false, 0},
    {"count", "2147483648", false, 0},
    {"count", "4294967297", false, 0},
    {"count", "18446744073709551617", false, 0},
    {"count", "1.5", false, 0},
    {"count", "1K", false, 0},
    {"count", "many", false, 0},
    {"count", "", false, 0},
    {"count_or_0", "0", true, 0},
    {"count_or_0", "1024", true, 1024},
    {"count_or_0", "-1", false, 0},
    {"user", "root", true, 0},
    {"user", "0", true, 0},
    {"user", "12345", true, 12345},
    {"user", "4294967294", true, 4294967294},
    {"user", "4294967295", false, 0}, // (uid_t)-1 means "nobody at all" to chown
    {"user", "4294967296", false, 0},
    {"user", "-1", false, 0},
    {"user", "no such user", false, 0},
    {"user", "", false, 0},
    {"group", "root", true, 0},
    {"group", "12345", true, 12345},
    {"group", "4294967295", false, 0},
    {"group", "4294967296", false, 0},
    {"group", "no such group", false, 0},
    {"permissions", "0700", true, 0700},
    {"permissions", "750", true, 0750},
    {"permissions", "0", true, 0},
    {"permissions", "777", true, 0777},
    {"permissions", "1777", false, 0},
    {"permissions", "0800", false, 0},
    {"permissions", "-1", false, 0},
    {"permissions", "+7", false, 0},
    {"permissions", "0x7", false, 0},
    {"permissions", "rwx", false, 0},
    {"permissions", "777777777777777777777777777", false, 0},
    {"permissions", "", false, 0},
    {"choice", "no", true, 0},
    {"choice", "auto", true, 1},
    {"choice", "require", true, 2},
    {"choice", "${UNIT_CHOICE}", true, 2},
    {"choice", "Auto", false, 0},
    {"choice", "aut", false, 0},
    {"choice", "autoo", false, 0},
    {"choice", "auto ", false, 0},
    {"choice", "1", false, 0},
    {"choice", "", false, 0},
};
// clang-format on

static uint64_t number_of(const struct settings *settings, enum value_type type)
{
    switch (type) {
    case VALUE_COUNT:
    case VALUE_COUNT_OR_0:
    case VALUE_CHOICE:
        return settings->count;
    case VALUE_USER:
        return settings->user;
    case VALUE_GROUP:
        return settings->group;
    case VALUE_PERMISSIONS:
        return settings->permissions;
    default:
        return settings->number;
    }
}

START_TEST(stores_a_number)
{
    struct settings settings = {
        .number = 4711, .count = 4711, .user = 4711, .group = 4711, .permissions = 04711};
    struct error err = {0};
    const struct key *key = key_of(numbers[_i].key);
    int result;

    set_environment();
    result = settings_store(key, &settings, numbers[_i].text, NULL, &err);
    ck_assert_msg((result == 0) == numbers[_i].is_ok, "%s = '%s' gave %d", numbers[_i].key,
                  numbers[_i].text, result);
    if (numbers[_i].is_ok) {
        ck_assert_uint_eq(number_of(&settings, key->type), numbers[_i].value);
        settings_clear(key, &settings);
        ck_assert_uint_eq(number_of(&settings, key->type), 0);
    } else {
        ck_assert_int_lt(result, 0);
        ck_assert_int_eq(err.code, -result);
        ck_assert_uint_gt(strlen(error_message(&err)), 5);
    }
    error_finish(&err);
}
END_TEST

START_TEST(says_what_can_be_chosen)
{
    struct settings settings = {0};
    struct error err = {0};

    ck_assert_int_eq(settings_store(key_of("choice"), &settings, "perhaps", NULL, &err), -EINVAL);
    ck_assert_str_eq(error_message(&err), "'perhaps' is none of no, auto, require");
    error_finish(&err);
}
END_TEST

// Values of a list, and the content of the list. If STORED is NULL, the last value is refused.
// clang-format off
static const struct {
    const char *key;
    const char *values[4];
    const char *stored;
    const char *message;
} lists[] = {
    {"texts", {"a"}, "[a]", NULL},
    {"texts", {"a", "b", "a"}, "[a][b][a]", NULL},
    {"texts", {"--option", "two words"}, "[--option][two words]", NULL},
    {"texts", {"a, b"}, "[a, b]", NULL},
    {"texts", {"${UNIT_A}", "b"}, "[alpha][b]", NULL},
    {"texts", {""}, NULL, "no value"},
    {"names", {"/a:/b", "c:/d:ro"}, "[/a:/b][c:/d:ro]", NULL},
    {"names", {"/a:/b", "-v"}, NULL, "option"},
    {"environment", {"A=1", "B=two words"}, "[A=1][B=two words]", NULL},
    {"environment", {"A="}, "[A=]", NULL},
    {"environment", {"A=b=c"}, "[A=b=c]", NULL},
    {"environment", {"_a1=x"}, "[_a1=x]", NULL},
    {"environment", {"UNIT_A"}, "[UNIT_A=alpha]", NULL},
    {"environment", {"UNIT_EMPTY"}, "[UNIT_EMPTY=]", NULL},
    {"environment", {"UNIT_EQUALS"}, "[UNIT_EQUALS=x=y=z]", NULL},
    {"environment", {"A=${UNIT_A}"}, "[A=alpha]", NULL},
    {"environment", {"UNIT_NESTED"}, "[UNIT_NESTED=${UNIT_A}]", NULL},
    {"environment", {"=x"}, NULL, "KEY=value"},
    {"environment", {"1A=x"}, NULL, "KEY=value"},
    {"environment", {"A-B=x"}, NULL, "KEY=value"},
    {"environment", {"A B=x"}, NULL, "KEY=value"},
    {"environment", {"A B"}, NULL, "KEY=value"},
    {"environment", {"A=${UNIT_UNSET}"}, NULL, "UNIT_UNSET"},
    {"environment", {""}, NULL, "no value"},
};
// clang-format on

START_TEST(stores_a_list)
{
    struct settings settings = {0};
    struct error err = {0};
    int result = 0;
    char stored[200] = "";

    set_environment();
    for (size_t i = 0; i < 4 && lists[_i].values[i]; i++) {
        ck_assert_int_eq(result, 0);
        result = settings_store(key_of(lists[_i].key), &settings, lists[_i].values[i], NULL, &err);
    }
    if (lists[_i].stored) {
        ck_assert_int_eq(result, 0);
        for (size_t i = 0; i < settings.list.count; i++)
            sprintf(stored + strlen(stored), "[%s]", settings.list.items[i]);
        ck_assert_str_eq(stored, lists[_i].stored);
        ck_assert_ptr_null(settings.list.items[settings.list.count]);
    } else {
        ck_assert_int_lt(result, 0);
        ck_assert_msg(strstr(error_message(&err), lists[_i].message), "%s", error_message(&err));
    }
    error_finish(&err);
    settings_clear(key_of("texts"), &settings);
    ck_assert_uint_eq(settings.list.count, 0);
    ck_assert_ptr_null(settings.list.items);
}
END_TEST

START_TEST(hands_on_nothing_that_is_not_set)
{
    struct settings settings = {0};

    set_environment();
    settings_store(key_of("environment"), &settings, "UNIT_UNSET", NULL, NULL);
    ck_assert_uint_eq(settings.list.count, 0);
    clear_all(&settings);
}
END_TEST

START_TEST(replaces_a_single_value)
{
    struct settings settings = {0};

    ck_assert_int_eq(settings_store(key_of("text"), &settings, "one", NULL, NULL), 0);
    ck_assert_int_eq(settings_store(key_of("text"), &settings, "two", NULL, NULL), 0);
    ck_assert_str_eq(settings.text, "two");
    ck_assert_int_eq(settings_store(key_of("size"), &settings, "1K", NULL, NULL), 0);
    ck_assert_int_eq(settings_store(key_of("size"), &settings, "2K", NULL, NULL), 0);
    ck_assert_uint_eq(settings.number, 2048);
    clear_all(&settings);
    ck_assert_ptr_null(settings.text);
    settings_clear(key_of("text"), &settings);
}
END_TEST

// Pairs of values of one key.
// clang-format off
static const struct {
    const char *key;
    const char *a[3];
    const char *b[3];
    bool is_equal;
} pairs[] = {
    {"text", {"x"}, {"x"}, true},
    {"text", {"x"}, {"y"}, false},
    {"text", {"x"}, {NULL}, false},
    {"text", {NULL}, {"x"}, false},
    {"text", {NULL}, {NULL}, true},
    {"texts", {"x", "y"}, {"x", "y"}, true},
    {"texts", {"x", "y"}, {"y", "x"}, false},
    {"texts", {"x", "y"}, {"x"}, false},
    {"texts", {"x"}, {"x", "y"}, false},
    {"texts", {NULL}, {NULL}, true},
    {"environment", {"A=1"}, {"A=2"}, false},
    {"duration", {"60s"}, {"1m"}, true},
    {"duration", {"60s"}, {"2m"}, false},
    {"limit", {"none"}, {NULL}, true},
    {"size", {"1024"}, {"1K"}, true},
    {"size", {"1"}, {"1K"}, false},
    {"count", {"1"}, {"2"}, false},
    {"count", {"2"}, {"2"}, true},
    {"choice", {"auto"}, {"auto"}, true},
    {"choice", {"auto"}, {"require"}, false},
    {"choice", {"no"}, {NULL}, true},
    {"user", {"root"}, {"0"}, true},
    {"user", {"0"}, {"1"}, false},
    {"group", {"0"}, {"1"}, false},
    {"permissions", {"0700"}, {"700"}, true},
    {"permissions", {"0700"}, {"0750"}, false},
};
// clang-format on

START_TEST(compares)
{
    struct settings a = {0};
    struct settings b = {0};
    const struct key *key = key_of(pairs[_i].key);

    for (size_t i = 0; i < 3 && pairs[_i].a[i]; i++)
        ck_assert_int_eq(settings_store(key, &a, pairs[_i].a[i], NULL, NULL), 0);
    for (size_t i = 0; i < 3 && pairs[_i].b[i]; i++)
        ck_assert_int_eq(settings_store(key, &b, pairs[_i].b[i], NULL, NULL), 0);
    ck_assert(settings_equal(key, &a, &b) == pairs[_i].is_equal);
    ck_assert(settings_equal(key, &b, &a) == pairs[_i].is_equal);
    ck_assert(settings_equal(key, &a, &a));
    clear_all(&a);
    clear_all(&b);
}
END_TEST

// clang-format off
static const struct {
    const char *text;
    size_t length;
    bool is_name;
} names[] = {
    {"A", 1, true},    {"_", 1, true},    {"a_1", 3, true},       {"A=1", 1, true},
    {"", 0, false},    {"A", 0, false},   {"1A", 2, false},       {"A-B", 3, false},
    {"A B", 3, false}, {"A=1", 2, false}, {"\xc3\xa9", 2, false},
};
// clang-format on

START_TEST(knows_names_of_variables)
{
    ck_assert(environment_is_name(names[_i].text, names[_i].length) == names[_i].is_name);
}
END_TEST

static const struct key suggestions[] = {
    {.name = "timeout"},    {.name = "max_timeout"}, {.name = "max_running"},
    {.name = "max_queued"}, {.name = "pod"},         {.name = "container"},
    {.name = "kill_grace"}, {.name = "permissions"}, {.name = "env"},
};

// clang-format off
static const struct {
    const char *name;
    const char *best;
    const char *nearest;
} misspelt[] = {
    {"timeot", NULL, "timeout"},
    {"tiemout", NULL, "timeout"},
    {"Timeout", NULL, "timeout"},
    {"time_out", NULL, "timeout"},
    {"maxtimeout", NULL, "max_timeout"},
    {"max-running", NULL, "max_running"},
    {"max_runing", NULL, "max_running"},
    {"pods", NULL, "pod"},
    {"pdo", NULL, "pod"},
    {"contaner", NULL, "container"},
    {"permision", NULL, "permissions"},
    {"envs", NULL, "env"},
    {"xyzzy", NULL, NULL},
    {"completely_different", NULL, NULL},
    {"a_name_that_is_longer_than_any_key_could_reasonably_be", NULL, NULL},
    {"mod", "mode", "mode"},   // pod is as near; the first stays
    {"pots", "mounts", "pod"}, // nearer than the best so far
    {"max_runnin", "max_runnin", "max_runnin"},
};
// clang-format on

START_TEST(suggests_the_nearest_key)
{
    const char *nearest =
        settings_nearest(suggestions, COUNT(suggestions), misspelt[_i].name, misspelt[_i].best);

    if (misspelt[_i].nearest)
        ck_assert_pstr_eq(nearest, misspelt[_i].nearest);
    else
        ck_assert_ptr_null(nearest);
}
END_TEST

int main(void)
{
    UNIT_RUN("settings", ONCE(finds_keys), EACH(stores_a_text, texts),
             EACH(stores_a_number, numbers), ONCE(says_what_can_be_chosen),
             EACH(stores_a_list, lists), ONCE(hands_on_nothing_that_is_not_set),
             ONCE(replaces_a_single_value), EACH(compares, pairs),
             EACH(knows_names_of_variables, names), EACH(suggests_the_nearest_key, misspelt));
}
