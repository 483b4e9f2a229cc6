// SPDX-License-Identifier: Apache-2.0
// A launch says which process to start for a request. The mode fills it in.
#pragma once

#include "buffer.h"
#include "cgroup.h"
#include "config.h"
#include "identity.h"
#include "request.h"

// A file in memory, with the bytes of launch.file. Only the process can open it by this name.
#define LAUNCH_FILE "/proc/self/fd/3"

struct container_entry;
struct mode;

// All zero: there is nothing to start. The members are owned, except client.
struct launch {
    struct words argv;
    struct words env;            // the whole environment of the process; for an agent, the
                                 // variables that are added to the agent's
    char *workdir;               // NULL: /, or for an agent the agent's
    const struct mode *client;   // whose client the process is; NULL: the process is the command
    struct identity identity;    // when has_identity
    bool has_identity;           // false: the process runs as the daemon does
    bool has_env;                // the command was given an environment
    char *container;             // the new container's name; NULL: the daemon names none
    struct rlimits rlimits;      // of the command, if the process is no client
    bool has_group;              // the process has a control group of its own, with `limits`
    struct cgroup_limits limits; // of the job, if the process is no client
    struct buffer file;          // the bytes of LAUNCH_FILE; empty: there is no such file
};

// Fills in LAUNCH for a REQUEST of CALLER with CONFIG. LAUNCH is all zero, except perhaps for
// container. Returns 0, or -EINVAL, -EACCES, -ENOMEM, -EMFILE or -ENFILE with ERR set.
int launch_prepare(struct launch *launch, const struct sandbox_config *config,
                   const struct request *request, const struct caller *caller, struct error *err);

// Stores a random name for a new container in *NAME, which the caller frees. Nobody can guess
// the name. Returns 0, or -EIO or -ENOMEM with ERR set.
int launch_name_container(char **name, struct error *err);

// The same as launch_prepare, for a command that an agent runs.
int launch_prepare_remote(struct launch *launch, const struct sandbox_config *config,
                          const struct request *request, struct error *err);

// Fills in LAUNCH, which is all zero, for a client that runs ARGV where the commands of CONFIG
// run. ARGV gets no environment there. The client has the daemon's environment, with variables
// that make the client fast. ENTRY is for a new container, whose name LAUNCH has then;
// otherwise NULL. Returns 0, or -ENOMEM with ERR set.
int launch_prepare_client(struct launch *launch, const struct sandbox_config *config,
                          const struct words *argv, const struct container_entry *entry,
                          struct error *err);

// Would the process of A, a launch for the daemon itself, be started exactly as the process of B?
// Each member that makes a difference to the process must be compared here: otherwise a request
// would get a standby that is not its own.
bool launch_equal(const struct launch *a, const struct launch *b);

void launch_finish(struct launch *launch);
