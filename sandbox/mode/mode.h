// SPDX-License-Identifier: Apache-2.0
// A mode is a pure function from settings and a command to an argv, and a judgement of the
// end of the process. Processes, streams, time limits and signals are the same for all modes,
// and are in other files.
#pragma once

#include "cgroup.h"
#include "config.h"
#include "launch.h"
#include "outcome.h"

// The command of a request, with the request's environment merged into the configuration's.
struct command {
    const struct sandbox_config *config;
    const struct words *env;  // NAME=VALUE, each name once
    const struct words *argv; // at least one
    const struct caller *caller;
    const char *workdir;                 // of the request, absolute; NULL: none
    const struct container_entry *entry; // NULL: the mode runs the command itself
    const char *container;               // the name of the new container; NULL: the engine's choice
};

// For an agent that becomes the first process of a new container. argv is the agent's command.
struct container_entry {
    const char *copy; // the agent's file on this machine, mounted as ENTRY_AGENT; NULL: none
};

#define ENTRY_AGENT "/.hooksfs-agent"

// The end of the process, which a mode judges.
struct ending {
    bool is_signaled;
    int number; // exit code or signal
    const char *err;
    size_t err_length; // the last bytes of stderr that were kept
    const char *out;
    size_t out_length; // the same of stdout
    bool has_env;      // the command was given an environment
};

enum { AGENT_MAX_CONNECTIONS = 64 };

enum agent_use { AGENT_NO, AGENT_AUTO, AGENT_REQUIRE };
enum agent_connect { AGENT_AT_START, AGENT_AT_USE };
enum agent_way { AGENT_SENT, AGENT_MOUNTED };

// Settings of a mode that reaches into a container: do its commands go through an agent there,
// and over which connections?
struct agent_settings {
    unsigned use; // enum agent_use
    unsigned connections;
    unsigned connect;            // enum agent_connect
    uint64_t connect_timeout_ms; // of an attempt; 0: only the job's time limit counts
    unsigned way;                // enum agent_way, when path is NULL
    char *path;                  // of the agent in the container; NULL: the daemon brings it there
    char *workdir;               // of the commands; NULL: the agent's
};

extern const char *const agent_use_choices[];
extern const char *const agent_connect_choices[];
extern const char *const agent_way_choices[];

struct mode {
    struct mode_keys keys;

    // Does each job have a control group on this machine even without a limit? NULL: the mode
    // cannot give its jobs control groups.
    bool (*has_group)(const void *settings);

    // The part of SETTINGS that is about agents. NULL: the mode has none.
    const struct agent_settings *(*agent)(const void *settings);

    // Can the client give a command the limit of the common key NAME, rlimit_* or limit_*? NULL: it
    // can give none. A required agent and the daemon itself can give every limit.
    bool (*client_limits)(const char *name);

    // Are commands confined as their callers are? NULL: never.
    bool (*confines)(const void *settings);

    // Fills in LAUNCH, which is all zero. Required. Returns 0, or -EINVAL, -EACCES, -EMFILE,
    // -ENFILE or -ENOMEM with ERR set; the caller then frees what LAUNCH has.
    int (*prepare)(const void *settings, const struct command *command, struct launch *launch,
                   struct error *err);

    // For a mode with a new container for each job. Works like prepare, for a client that
    // removes the container NAME. IS_FIRST: this is the first of several attempts. NULL for
    // other modes.
    int (*prepare_removal)(const void *settings, const char *name, bool is_first,
                           struct launch *launch, struct error *err);

    // The name of the client, for messages, if the process is a client of a command that runs
    // elsewhere. NULL: the process is the command itself.
    const char *client;

    // Returns how many bytes at the end of ERR could be the beginning of a message of the
    // client that must not be shown as the command's stderr. NULL: there is no such message.
    size_t (*held_back)(const char *err, size_t length);

    // Returns LENGTH if OUT, all bytes of stdout so far, could be the beginning of such a
    // message, otherwise 0. When the outcome is unstarted or unreachable, these bytes are
    // removed. NULL: there is no such message.
    size_t (*held_back_out)(const char *out, size_t length);

    // Stores in OUTCOME how the command ended. Required. Returns how many bytes at the end of
    // err are the client's message, which is then removed.
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

// Returns the agent settings of CONFIG, or NULL when its commands do not go through an agent.
const struct agent_settings *mode_agent_settings(const struct sandbox_config *config);

// Does each job of CONFIG have a control group on this machine?
bool mode_has_group(const struct sandbox_config *config);

// Does each job of CONFIG have a new container?
bool mode_has_container_per_job(const struct sandbox_config *config);

// The keys of the agent settings. They are the first keys of a mode's table, and are stored in
// MEMBER of the mode's settings, a struct TYPE.
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

// For mode_keys.check_common: can commands have the limits of CONFIG, and are its standby lines
// right?
int mode_check_common(const struct sandbox_config *config, const char **key, struct error *err);

// Returns the mode that KEYS belong to.
const struct mode *mode_of(const struct mode_keys *keys);
