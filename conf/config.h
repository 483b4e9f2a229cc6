// SPDX-License-Identifier: Apache-2.0
// The configuration: a list of checked sandboxes. The caller hands in the modes and their
// keys; this folder knows only the keys that every mode has.
#pragma once

#include "buffer.h"
#include "cgroup.h"
#include "settings.h"

#include <sys/types.h>

struct sandbox_config;

// A mode, as far as the configuration knows it.
struct mode_keys {
    const char *name;
    const struct key *keys;
    size_t count;
    size_t size; // of its settings struct
    // Returns the reason why KEY, which was given, has no effect with these SETTINGS, or NULL
    // when it has an effect. A default without effect is dropped; in a sandbox's own section
    // it is an error. May be NULL: every key always has an effect.
    const char *(*why_unused)(const void *settings, const struct key *key);
    // Finds errors that the types of the values cannot show. It is called once, after all
    // keys have been stored, and may store more in SETTINGS. Users are looked up in USERS.
    // Returns 0, or -errno with ERR set and *KEY the name of the key that is wrong. May be
    // NULL: there are no such errors.
    int (*check)(void *settings, struct users *users, const char **key, struct error *err);
    // Finds errors in the keys of every mode that only the mode can see, once, after all keys of
    // CONFIG have been stored. May be NULL: there are none. Returns as check.
    int (*check_common)(const struct sandbox_config *config, const char **key, struct error *err);
    // Is what check stored in A and B the same? May be NULL: it stores nothing.
    bool (*is_same)(const void *a, const void *b);
    // Frees what check stored. NULL: nothing to free.
    void (*finish)(void *settings);
};

// One section. It does not change after it was loaded. The sandbox, and every job that was
// started with it, hold a reference.
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
    unsigned max_user_running;
    uint64_t max_user_bytes;
    unsigned max_user_calls;
    unsigned max_user_slots;
    unsigned max_user_queued;
    uint64_t max_output_bytes;
    unsigned max_slots;
    unsigned shares_slots; // 1: others than its owner may write the request of a slot
    uint64_t slot_ttl_ms;
    uint64_t write_timeout_ms; // 0: none
    uid_t owner;
    gid_t group;
    mode_t permissions;
    struct rlimits rlimits;      // of the command, wherever it runs
    struct cgroup_limits limits; // of all processes of a job together, wherever they run
    struct words standby;        // command lines
    unsigned standby_count;      // of each
    uint64_t standby_max_age_ms;
};

struct config {
    struct sandbox_config **sandboxes; // in the order of the file
    size_t count;
};

// Reads the file at PATH. MODES are MODE_COUNT descriptions, which must live longer than the
// result. Users and groups are looked up in USERS; if USERS is NULL, in the user database,
// which may block. Returns NULL when anything is wrong: then PROBLEMS has a line for each
// error of the file, "FILE:LINE: [SECTION] KEY: what is wrong".
struct config *config_load(const char *path, const struct mode_keys *const *modes,
                           size_t mode_count, struct users *users, struct buffer *problems);

// CONFIG may be NULL. A section to which somebody holds a reference stays.
void config_destroy(struct config *config);

// Returns the section called NAME, or NULL. The caller gets no reference.
struct sandbox_config *config_find(const struct config *config, const char *name);

struct sandbox_config *sandbox_config_ref(struct sandbox_config *config);
void sandbox_config_unref(struct sandbox_config *config); // may be NULL

// Would anything about a job be different?
bool sandbox_config_equal(const struct sandbox_config *a, const struct sandbox_config *b);

// Would a job run by the same mode, with the same values for all keys of the mode?
bool sandbox_config_same_target(const struct sandbox_config *a, const struct sandbox_config *b);

// The keys that every mode has.
extern const struct key config_common_keys[];
extern const size_t config_common_count;
