// SPDX-License-Identifier: Apache-2.0
// Typed settings: tables that say which keys there are, what each may be, and
// where in a struct its value goes.
#pragma once

#include "error.h"
#include "users.h"
#include "words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a value may be, and the type of the member that takes it.
enum value_type {
    VALUE_TEXT,        // char *, not empty
    VALUE_NAME,        // char *, as TEXT, and not to be taken for an option
    VALUE_PATH,        // char *, an absolute path
    VALUE_PROGRAM,     // char *, an absolute path, or a name that PATH decides on
    VALUE_TEXTS,       // struct words, from a key given several times
    VALUE_NAMES,       // struct words of NAMEs
    VALUE_ENVIRONMENT, // struct words of KEY=value; KEY alone takes our own value
    VALUE_DURATION,    // uint64_t, milliseconds, at least 1
    VALUE_TIME_LIMIT,  // uint64_t, milliseconds; 0: "none"
    VALUE_SIZE,        // uint64_t, bytes, at least 1
    VALUE_COUNT,       // unsigned, at least 1
    VALUE_COUNT_OR_0,  // unsigned
    VALUE_USER,        // uid_t, from a name or number
    VALUE_GROUP,       // gid_t, from a name or number
    VALUE_PERMISSIONS, // mode_t, octal, up to 0777
    VALUE_CHOICE,      // unsigned, the place of a word in the key's choices
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

// Stores TEXT, after ${NAME} has been replaced from our environment, in the
// member of SETTINGS that KEY describes; for a list, adds it. Users and groups are looked up
// in USERS (see there). 0 or -errno with ERR saying what is wrong and what would be right.
int settings_store(const struct key *key, void *settings, const char *text, struct users *users,
                   struct error *err);

// Frees and zeroes the member of KEY.
void settings_clear(const struct key *key, void *settings);

// Are the values of KEY in A and B the same?
bool settings_equal(const struct key *key, const void *a, const void *b);

// Is TEXT, up to LENGTH, a name that the environment can have in sh?
bool environment_is_name(const char *text, size_t length);

// Of the COUNT names in KEYS, the one that NAME is most likely meant to be, or
// BEST, if that is nearer (NULL: none yet). NULL when none is near.
const char *settings_nearest(const struct key *keys, size_t count, const char *name,
                             const char *best);
