// SPDX-License-Identifier: Apache-2.0
#include "settings.h"

#include "buffer.h"
#include "cleanup.h"
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sys/types.h>

const struct key *settings_find(const struct key *keys, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

bool settings_is_list(const struct key *key)
{
    return key->type == VALUE_TEXTS || key->type == VALUE_NAMES || key->type == VALUE_ENVIRONMENT;
}

// --- ${NAME}

bool environment_is_name(const char *text, size_t length)
{
    if (length == 0 || isdigit((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_')
            return false;
    return true;
}

// Returns a new string, or NULL with ERR set.
static char *settings_expand(const char *text, struct error *err)
{
    AUTO(buffer_finish) struct buffer expanded = {0};
    const char *dollar;
    char *result;

    for (; (dollar = strstr(text, "${")); text = strchr(dollar, '}') + 1) {
        size_t length = strcspn(dollar + 2, "}");
        AUTO_FREE char *name = strndup(dollar + 2, length);
        const char *value = name ? getenv(name) : NULL;

        if (name && (dollar[2 + length] != '}' || !environment_is_name(name, length))) {
            error_set(err, EINVAL, "'%s' is no ${NAME} of an environment variable", dollar);
            return NULL;
        }
        if (name && !value) {
            error_set(err, EINVAL,
                      "the environment variable %s is not set; set it for the daemon, or write the "
                      "value here",
                      name);
            return NULL;
        }
        if (!value || buffer_append(&expanded, text, (size_t)(dollar - text)) < 0 ||
            buffer_append(&expanded, value, strlen(value)) < 0)
            goto no_memory;
    }
    if (buffer_append(&expanded, text, strlen(text)) < 0)
        goto no_memory;
    result = buffer_take_string(&expanded);
    if (result)
        return result;
no_memory:
    error_set(err, ENOMEM, "no memory");
    return NULL;
}

// --- One value

static int value_store_count(const char *text, unsigned minimum, unsigned *count, struct error *err)
{
    uint64_t value;
    if (number_parse(text, strlen(text), &value) < 0 || value > INT_MAX || value < minimum)
        return error_set(err, EINVAL, "'%s' is not a whole number from %u to %d", text, minimum,
                         INT_MAX);
    *count = (unsigned)value;
    return 0;
}

static int value_store_seconds(const char *text, uint64_t *seconds, struct error *err)
{
    uint64_t ms;
    int result = duration_parse(text, &ms, err);

    if (result == 0 && ms % 1000 != 0)
        result = error_set(err, EINVAL, "'%s' is not a whole number of seconds", text);
    *seconds = result == 0 ? ms / 1000 : 0;
    return result;
}

static int value_store_limit(enum value_type type, const char *text, struct rlimit_value *limit,
                             struct error *err)
{
    unsigned count = 0;
    int result = 0;

    if (type == VALUE_SECONDS_LIMIT) {
        result = value_store_seconds(text, &limit->value, err);
    } else if (type == VALUE_COUNT_LIMIT || strcmp(text, "0") == 0) {
        result = value_store_count(text, 0, &count, err);
        limit->value = count;
    } else {
        result = size_parse(text, &limit->value, err);
    }
    limit->is_set = result == 0;
    return result;
}

static int value_store_permissions(const char *text, mode_t *mode, struct error *err)
{
    char *end;
    unsigned long value = strtoul(text, &end, 8);

    if (*end || !isdigit((unsigned char)*text) || value > 0777)
        return error_set(err, EINVAL, "'%s' are no permissions: write them in octal, as 0750",
                         text);
    *mode = (mode_t)value;
    return 0;
}

static int value_store_choice(const char *text, const char *const *choices, unsigned *choice,
                              struct error *err)
{
    AUTO(buffer_finish) struct buffer names = {0};

    for (*choice = 0; choices[*choice]; ++*choice) {
        if (strcmp(text, choices[*choice]) == 0)
            return 0;
        buffer_printf(&names, "%s%s", *choice ? ", " : "", choices[*choice]);
    }
    *choice = 0;
    return error_set(err, EINVAL, "'%s' is none of %.*s", text, (int)names.length,
                     names.data ? names.data : "");
}

static int value_store_environment(const char *text, struct words *words, struct error *err)
{
    size_t length = strcspn(text, "=");
    const char *value;
    AUTO_FREE char *pair = NULL;

    if (!environment_is_name(text, length))
        return error_set(err, EINVAL,
                         "'%.*s' cannot be the name of an environment variable: write KEY=value or "
                         "KEY",
                         (int)length, text);
    if (text[length] == '=')
        return words_append(words, text);
    value = getenv(text);
    if (!value)
        return 0;
    pair = malloc(length + strlen(value) + 2);
    if (!pair)
        return error_set(err, ENOMEM, "no memory");
    memcpy(pair, text, length);
    pair[length] = '=';
    strcpy(pair + length + 1, value);
    return words_append_owned(words, take_ptr(&pair));
}

static int value_store_text(const char *text, char **member)
{
    *member = strdup(text);
    return *member ? 0 : -ENOMEM;
}

static int value_check_text(enum value_type type, const char *text, struct error *err)
{
    if (!*text)
        return error_set(err, EINVAL, "has no value");
    if ((type == VALUE_NAME || type == VALUE_NAMES || type == VALUE_PROGRAM) && *text == '-')
        return error_set(err, EINVAL, "'%s' would be taken for an option: it must not begin with -",
                         text);
    if (type == VALUE_PATH && *text != '/')
        return error_set(err, EINVAL, "'%s' does not begin with /: write the whole path", text);
    // The daemon's working directory is /, wherever it was started.
    if (type == VALUE_PROGRAM && *text != '/' && strchr(text, '/'))
        return error_set(err, EINVAL,
                         "'%s' does not begin with /: write the whole path, or a name without /",
                         text);
    return 0;
}

static bool value_may_be_none(enum value_type type)
{
    return type == VALUE_TIME_LIMIT || type == VALUE_SIZE_OR_NONE || type == VALUE_COUNT_OR_NONE ||
           type == VALUE_SIZE_LIMIT || type == VALUE_COUNT_LIMIT || type == VALUE_SECONDS_LIMIT;
}

// MEMBER is all zero, unless it is a list.
static int value_store(const struct key *key, void *member, const char *text, struct users *users,
                       struct error *err)
{
    if (value_may_be_none(key->type) && strcmp(text, "none") == 0)
        return 0;
    switch (key->type) {
    case VALUE_TEXT:
    case VALUE_NAME:
    case VALUE_PATH:
    case VALUE_PROGRAM:
        return value_store_text(text, member);
    case VALUE_TEXTS:
    case VALUE_NAMES:
        return words_append(member, text);
    case VALUE_ENVIRONMENT:
        return value_store_environment(text, member, err);
    case VALUE_TIME_LIMIT:
    case VALUE_DURATION:
        return duration_parse(text, member, err);
    case VALUE_SIZE:
    case VALUE_SIZE_OR_NONE:
        return size_parse(text, member, err);
    case VALUE_COUNT:
    case VALUE_COUNT_OR_NONE:
        return value_store_count(text, 1, member, err);
    case VALUE_COUNT_OR_0:
        return value_store_count(text, 0, member, err);
    case VALUE_SIZE_LIMIT:
    case VALUE_COUNT_LIMIT:
    case VALUE_SECONDS_LIMIT:
        return value_store_limit(key->type, text, member, err);
    case VALUE_USER:
        return users_find_uid(users, text, member, err);
    case VALUE_GROUP:
        return users_find_gid(users, text, member, err);
    case VALUE_PERMISSIONS:
        return value_store_permissions(text, member, err);
    case VALUE_CHOICE:
        return value_store_choice(text, key->choices, member, err);
    }
    return -EINVAL;
}

int settings_store(const struct key *key, void *settings, const char *text, struct users *users,
                   struct error *err)
{
    AUTO_FREE char *expanded = settings_expand(text, err);
    void *member = (char *)settings + key->offset;
    int result;

    if (!expanded)
        return -EINVAL;
    result = value_check_text(key->type, expanded, err);
    if (result == 0) {
        if (!settings_is_list(key))
            settings_clear(key, settings);
        result = value_store(key, member, expanded, users, err);
    }
    if (result == -ENOMEM)
        error_set(err, ENOMEM, "no memory");
    return result;
}

static size_t value_size(const struct key *key)
{
    switch (key->type) {
    case VALUE_DURATION:
    case VALUE_TIME_LIMIT:
    case VALUE_SIZE:
    case VALUE_SIZE_OR_NONE:
        return sizeof(uint64_t);
    case VALUE_COUNT:
    case VALUE_COUNT_OR_0:
    case VALUE_COUNT_OR_NONE:
    case VALUE_CHOICE:
        return sizeof(unsigned);
    case VALUE_SIZE_LIMIT:
    case VALUE_COUNT_LIMIT:
    case VALUE_SECONDS_LIMIT:
        return sizeof(struct rlimit_value);
    case VALUE_USER:
        return sizeof(uid_t);
    case VALUE_GROUP:
        return sizeof(gid_t);
    case VALUE_PERMISSIONS:
        return sizeof(mode_t);
    default:
        return 0; // the member owns memory; the callers handle it
    }
}

void settings_clear(const struct key *key, void *settings)
{
    void *member = (char *)settings + key->offset;

    if (settings_is_list(key))
        words_finish(member);
    else if (value_size(key) > 0)
        memset(member, 0, value_size(key));
    else
        free(take_ptr(member));
}

bool settings_equal(const struct key *key, const void *a, const void *b)
{
    const void *member_a = (const char *)a + key->offset;
    const void *member_b = (const char *)b + key->offset;

    if (settings_is_list(key))
        return words_equal(member_a, member_b);
    if (value_size(key) > 0)
        return memcmp(member_a, member_b, value_size(key)) == 0;

    const char *text_a = *(char *const *)member_a;
    const char *text_b = *(char *const *)member_b;
    return text_a && text_b ? strcmp(text_a, text_b) == 0 : text_a == text_b;
}

// --- The nearest key to an unknown one

enum { MAX_NAME = 32 };

// Levenshtein's distance, with one row and a diagonal.
static size_t name_distance(const char *a, const char *b)
{
    size_t row[MAX_NAME + 1];
    size_t length_a = strlen(a);
    size_t length_b = strlen(b);

    if (length_a > MAX_NAME || length_b > MAX_NAME)
        return MAX_NAME;
    for (size_t j = 0; j <= length_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            if (substituted < row[j])
                row[j] = substituted;
        }
    }
    return row[length_b];
}

const char *settings_nearest(const struct key *keys, size_t count, const char *name,
                             const char *best)
{
    size_t limit = strlen(name) / 3 + 1;
    size_t best_distance = best ? name_distance(name, best) : limit + 1;

    for (size_t i = 0; i < count; i++) {
        size_t d = name_distance(name, keys[i].name);
        if (d < best_distance) {
            best = keys[i].name;
            best_distance = d;
        }
    }
    return best_distance <= limit ? best : NULL;
}
