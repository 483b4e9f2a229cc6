// SPDX-License-Identifier: Apache-2.0
// Typed settings: tables that say which keys there are, what each may be, and
// where in a struct its value goes.
#pragma once

#include "error.h"
#include "rlimits.h"
#include "users.h"
#include "words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The possible values of a key, and the type of the member that takes the value.
enum value_type {
    VALUE_TEXT,          // char *, not empty
    VALUE_NAME,          // char *, not empty, and no client takes it for an option
    VALUE_PATH,          // char *, an absolute path
    VALUE_PROGRAM,       // char *, an absolute path, or a name that PATH decides on
    VALUE_TEXTS,         // struct words, from a key given several times
    VALUE_NAMES,         // struct words of NAMEs
    VALUE_ENVIRONMENT,   // struct words of KEY=value; KEY alone: the daemon's own value
    VALUE_DURATION,      // uint64_t, milliseconds, at least 1
    VALUE_TIME_LIMIT,    // uint64_t, milliseconds; 0: "none"
    VALUE_SIZE,          // uint64_t, bytes, at least 1
    VALUE_COUNT,         // unsigned, at least 1
    VALUE_COUNT_OR_0,    // unsigned
    VALUE_SIZE_OR_NONE,  // uint64_t, bytes; 0: "none"
    VALUE_COUNT_OR_NONE, // unsigned; 0: "none"
    VALUE_SIZE_LIMIT,    // struct rlimit_value, bytes, or "none"
    VALUE_COUNT_LIMIT,   // struct rlimit_value, or "none"
    VALUE_SECONDS_LIMIT, // struct rlimit_value, a duration of whole seconds, or "none"
    VALUE_USER,          // uid_t, from a name or number
    VALUE_GROUP,         // gid_t, from a name or number
    VALUE_PERMISSIONS,   // mode_t, octal, up to 0777
    VALUE_CHOICE,        // unsigned, the index of a word in the key's choices
};

struct key {
    const char *name;
    enum value_type type;
    size_t offset;        // of the member in the settings struct
    const char *fallback; // the value when the key is absent; NULL: all zero
    bool is_required;
    const char *const *choices; // of a VALUE_CHOICE, NULL at the end
};

// The key called NAME in the table of COUNT keys, or NULL.
const struct key *settings_find(const struct key *keys, size_t count, const char *name);

bool settings_is_list(const struct key *key);

// Replaces each ${NAME} in TEXT from the daemon's environment, and stores the value in the
// member of SETTINGS that KEY describes; to a list, adds it. Users and groups are looked up in
// USERS (users.h). Returns 0, or -errno with ERR set, which says what is wrong and what would
// be right.
int settings_store(const struct key *key, void *settings, const char *text, struct users *users,
                   struct error *err);

// Frees and zeroes the member of KEY.
void settings_clear(const struct key *key, void *settings);

// Are the values of KEY in A and B the same?
bool settings_equal(const struct key *key, const void *a, const void *b);

// Are the first LENGTH bytes of TEXT a valid name of a variable of sh?
bool environment_is_name(const char *text, size_t length);

// Returns the name that an unknown NAME most likely stands for: one of the COUNT names in KEYS,
// or BEST, the result of an earlier call, if BEST is nearer (NULL: there was no earlier call).
// Returns NULL when none is near.
const char *settings_nearest(const struct key *keys, size_t count, const char *name,
                             const char *best);
