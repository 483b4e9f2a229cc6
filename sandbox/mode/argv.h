// SPDX-License-Identifier: Apache-2.0
// Builds argument lists and environments. A lack of memory is noted, and reported once, by
// argv_end. So the code that adds the arguments shows their order, and no error handling.
#pragma once

#include "settings.h"

struct argv {
    struct words *words; // the result; not owned
    bool has_failed;     // there was no memory for a word
};

// Appends WORD.
void argv_add(struct argv *argv, const char *word);

// Appends OPTION and VALUE as two words, or nothing when VALUE is NULL.
void argv_add_option(struct argv *argv, const char *option, const char *value);

// Appends OPTION directly followed by VALUE, or nothing when VALUE is NULL.
void argv_add_joined(struct argv *argv, const char *option, const char *value);

// Appends an option of docker and podman that mounts the file SOURCE of the engine's machine
// as TARGET, read-only. The client fails if there is no such file.
void argv_add_mount(struct argv *argv, const char *source, const char *target);

// Appends every word of WORDS.
void argv_add_all(struct argv *argv, const struct words *words);

// Returns 0, or -ENOMEM with ERR set when a function above had no memory.
int argv_end(const struct argv *argv, struct error *err);

// Sets the variables of CHANGES in ENV. A variable of the same name is replaced. Returns 0 or
// -ENOMEM.
int environment_merge(struct words *env, const struct words *changes);

// Appends PAIR, NAME=VALUE, unless ENV has a variable of that name. Returns 0 or -ENOMEM.
int environment_default(struct words *env, const char *pair);

// Appends a copy of the daemon's environment. Returns 0 or -ENOMEM.
int environment_inherit(struct words *env);
