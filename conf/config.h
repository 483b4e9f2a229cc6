// SPDX-License-Identifier: Apache-2.0
// The configuration: a list of sandboxes, each checked as a whole. Which modes
// there are, and their keys, is handed in; this knows only the keys of all.
#pragma once

#include "buffer.h"
#include "settings.h"

#include <sys/types.h>

struct sandbox_config;

// What the configuration has to know of a mode.
struct mode_keys {
    const char *name;
    const struct key *keys;
    size_t count;
    size_t size; // of its settings struct
    // Says why KEY, which was given, has no effect with these SETTINGS; NULL: it has one.
    // A default without effect is dropped; in a sandbox's own section it is an error. May
    // be NULL: each key always has an effect.
    const char *(*why_unused)(const void *settings, const struct key *key);
    // Finds errors that the types of the values do not show, once, after all keys have been
    // stored; may store more in SETTINGS. May be NULL: there are none. Returns 0, or -errno
    // with ERR set and *KEY the name of the key that is wrong. Users are looked up in USERS.
    int (*check)(void *settings, struct users *users, const char **key, struct error *err);
    // Finds errors in the keys of every mode that only the mode can see, once, after all keys of
    // CONFIG have been stored. May be NULL: there are none. Returns as check.
    int (*check_common)(const struct sandbox_config *config, const char **key, struct error *err);
    // Is what check stored in A and B the same? May be NULL: it stores nothing.
    bool (*is_same)(const void *a, const void *b);
    // Frees what check stored. NULL: nothing to free.
    void (*finish)(void *settings);
};

// One section, immutable once loaded, and shared: by the sandbox, and by every
// job that was started with it.
struct sandbox_config {
    unsigned references;
    char *name; // of the section and the directory
    const struct mode_keys *mode;
    void *settings;          // the mode's own, owned
    uint64_t timeout_ms;     // 0: none
    uint64_t max_timeout_ms; // 0: none
    uint64_t kill_grace_ms;
    struct words env;   // KEY=value
    struct words allow; // fnmatch patterns; none: everything
    unsigned max_running;
    unsigned max_queued;
    uint64_t max_output_bytes;
    unsigned max_slots;
    uint64_t slot_ttl_ms;
    uid_t owner;
    gid_t group;
    mode_t permissions;
    struct words standby;   // command lines
    unsigned standby_count; // of each
    uint64_t standby_max_age_ms;
};

struct config {
    struct sandbox_config **sandboxes; // in the order of the file
    size_t count;
};

// Reads the file at PATH. MODES are MODE_COUNT descriptions, which outlive the
// result. Users and groups are looked up in USERS, or, when it is NULL, in the user database,
// which may block. NULL when anything is wrong: then PROBLEMS has a line for each error,
// "FILE:LINE: [SECTION] KEY: what is wrong", all those of the file.
struct config *config_load(const char *path, const struct mode_keys *const *modes,
                           size_t mode_count, struct users *users, struct buffer *problems);

// May be NULL. Sandboxes that others hold a reference to live on.
void config_destroy(struct config *config);

// The section called NAME, or NULL. The reference stays the configuration's.
struct sandbox_config *config_find(const struct config *config, const char *name);

struct sandbox_config *sandbox_config_ref(struct sandbox_config *config);
void sandbox_config_unref(struct sandbox_config *config); // may be NULL

// Would anything about a job be different?
bool sandbox_config_equal(const struct sandbox_config *a, const struct sandbox_config *b);

// Would a job run in the same place, by the same means?
bool sandbox_config_same_place(const struct sandbox_config *a, const struct sandbox_config *b);

// The keys of every mode, for their listing.
extern const struct key config_common_keys[];
extern const size_t config_common_count;
