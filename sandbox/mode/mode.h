// SPDX-License-Identifier: Apache-2.0
// What a mode implements: a pure function from settings and a command to an
// argv, and a judgement of how it ended. Spawning, feeding, capturing, timing
// and killing are the same for all and are not here.
#pragma once

#include "config.h"
#include "launch.h"
#include "outcome.h"

// The command of a request, with the request's environment merged into the configuration's.
struct command {
    const struct words *env;  // NAME=VALUE, each name once
    const struct words *argv; // at least one
    const struct caller *caller;
    const char *workdir;                 // that the request asks for, absolute; NULL: none
    const struct container_entry *entry; // NULL: the command is run as the mode does
    const char *container;               // the name of the new container; NULL: the engine's choice
};

// How an agent becomes the first process of a new container, whose command argv is.
struct container_entry {
    const char *copy; // the agent on this machine, to be mounted as ENTRY_AGENT; NULL: none
};

#define ENTRY_AGENT "/.hooksfs-agent"

// How the process ended, for a mode's judgement.
struct ending {
    bool is_signaled;
    int number; // exit code or signal
    const char *err;
    size_t err_length; // what it wrote to stderr, as far as it was kept
    const char *out;
    size_t out_length; // the same of stdout
    bool has_env;      // the command was given an environment
};

enum { AGENT_MAX_CONNECTIONS = 64 };

enum agent_use { AGENT_NO, AGENT_AUTO, AGENT_REQUIRE };
enum agent_connect { AGENT_AT_START, AGENT_AT_USE };
enum agent_way { AGENT_SENT, AGENT_MOUNTED };

// Whether the commands of a mode that reaches into a container go over connections to
// an agent there, and which.
struct agent_settings {
    unsigned use; // enum agent_use
    unsigned connections;
    unsigned connect;            // enum agent_connect
    uint64_t connect_timeout_ms; // of an attempt; 0: none but the job's
    unsigned way;                // enum agent_way, when path is NULL
    char *path;                  // where it is already; NULL: it is brought there
    char *workdir;               // NULL: the agent's
};

extern const char *const agent_use_choices[];
extern const char *const agent_connect_choices[];
extern const char *const agent_way_choices[];

struct mode {
    struct mode_keys keys;

    // The part of SETTINGS that is about agents. NULL: the mode has none.
    const struct agent_settings *(*agent)(const void *settings);

    // Are commands confined as their callers are? NULL: never.
    bool (*confines)(const void *settings);

    // Fills in LAUNCH, which is all zero. Mandatory. Returns 0, or -EINVAL, -EACCES, -EMFILE,
    // -ENFILE or -ENOMEM with ERR set; the caller then frees what LAUNCH has.
    int (*prepare)(const void *settings, const struct command *command, struct launch *launch,
                   struct error *err);

    // Of a mode with a new container for each job, whose agent is the first process there:
    // as prepare, for a client that removes the container NAME; it is the first try of
    // several if IS_FIRST. NULL for other modes.
    int (*prepare_removal)(const void *settings, const char *name, bool is_first,
                           struct launch *launch, struct error *err);

    // Of a mode whose process is a client of what runs elsewhere: its name, for
    // messages. NULL: the process is the command itself.
    const char *client;

    // How many bytes at the end of ERR could be the beginning of a message of
    // the client's that is not the command's to show. NULL: there are none.
    size_t (*held_back)(const char *err, size_t length);

    // Could OUT, all that came of stdout so far, be the beginning of such a message? Then
    // its LENGTH, otherwise 0. When the outcome is unstarted or unreachable, these bytes
    // are removed. NULL: there is no such message.
    size_t (*held_back_out)(const char *out, size_t length);

    // Says how the command ended, in OUTCOME. Mandatory. Returns how many bytes at the end
    // of err were the client's message and are to be removed.
    size_t (*judge)(const struct ending *ending, struct outcome *outcome);
};

// Every mode, alphabetical. The struct mode of X(NAME) is NAME_mode, in NAME.c.
#define MODES(X)                                                                                   \
    X(direct)                                                                                      \
    X(docker_exec)                                                                                 \
    X(docker_run)                                                                                  \
    X(kubectl_exec)

#define MODE_DECLARE(name) extern const struct mode name##_mode;
MODES(MODE_DECLARE)
#undef MODE_DECLARE

// Every mode, alphabetical, for config_load.
extern const struct mode_keys *const modes_keys[];
extern const size_t modes_count;

// CONFIG's settings of an agent, or NULL when its commands do not go that way.
const struct agent_settings *mode_agent_settings(const struct sandbox_config *config);

// Has each job of CONFIG a container of its own?
bool mode_has_container_per_job(const struct sandbox_config *config);

// The keys for the agent settings that a mode's settings, a struct TYPE, have as MEMBER: the
// first ones of the mode's table.
// clang-format off
// NOLINTBEGIN(bugprone-macro-parentheses): a member cannot be in parentheses
#define AGENT_KEYS(type, member)                                                                   \
    {"agent",       VALUE_CHOICE, offsetof(type, member.use),         "no",    false, agent_use_choices},     \
    {"agent_path",  VALUE_PATH,   offsetof(type, member.path),        NULL,    false, NULL},                  \
    {"connect",     VALUE_CHOICE, offsetof(type, member.connect),     "start", false, agent_connect_choices}, \
    {"connect_timeout", VALUE_DURATION, offsetof(type, member.connect_timeout_ms), "10s", false, NULL},       \
    {"connections", VALUE_COUNT,  offsetof(type, member.connections), "2",     false, NULL}
// NOLINTEND(bugprone-macro-parentheses)
// clang-format on

// For why_unused and check of a mode with these keys; see struct mode_keys.
const char *mode_agent_why_unused(const struct agent_settings *agent, const struct key *key);
int mode_check_agent(const struct agent_settings *agent, const char **key, struct error *err);

// The mode whose keys these are.
const struct mode *mode_of(const struct mode_keys *keys);
