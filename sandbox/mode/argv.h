// SPDX-License-Identifier: Apache-2.0
// Building argument lists and environments. Running out of memory is noted and
// reported once, at the end, so that the order of arguments can be read.
#pragma once

#include "settings.h"

struct argv {
    struct words *words; // what is built; not owned
    bool has_failed;
};

// Appends WORD.
void argv_add(struct argv *argv, const char *word);

// Appends OPTION and VALUE as two words, or nothing when VALUE is NULL.
void argv_add_option(struct argv *argv, const char *option, const char *value);

// Appends OPTION directly followed by VALUE, or nothing when VALUE is NULL.
void argv_add_joined(struct argv *argv, const char *option, const char *value);

// Appends every word of WORDS.
// Adds an option of docker's and podman's that mounts the file SOURCE of the engine's machine
// as TARGET, read-only. The client fails if there is no such file.
void argv_add_mount(struct argv *argv, const char *source, const char *target);

void argv_add_all(struct argv *argv, const struct words *words);

// 0, or -ENOMEM with ERR set when any of the above failed.
int argv_end(const struct argv *argv, struct error *err);

// Sets the variables of CHANGES in ENV, replacing those of the same name.
// 0 or -ENOMEM.
int environment_merge(struct words *env, const struct words *changes);

// Appends PAIR, NAME=VALUE, unless ENV has a variable of that name. 0 or -ENOMEM.
int environment_default(struct words *env, const char *pair);

// Appends a copy of our own environment. 0 or -ENOMEM.
int environment_inherit(struct words *env);
