// SPDX-License-Identifier: Apache-2.0
// What is to be started for a request: the mode's answer to it.
#pragma once

#include "buffer.h"
#include "config.h"
#include "identity.h"
#include "request.h"

// A file of launch's bytes that only the process can open, in memory.
#define LAUNCH_FILE "/proc/self/fd/3"

struct container_entry;
struct mode;

// All zero is none. The members are owned, except client.
struct launch {
    struct words argv;
    struct words env;          // the whole environment of the process; for an agent, what is
                               // added to the agent's
    char *workdir;             // NULL: /, or for an agent the agent's
    const struct mode *client; // whose client the process is; NULL: the process is the command
    struct identity identity;  // when has_identity
    bool has_identity;         // else as the daemon
    bool has_env;              // the command was given an environment
    char *container;           // the new container's name; NULL: it has none of ours
    struct buffer file;        // what the process finds at LAUNCH_FILE; empty: no such file
};

// Fills in LAUNCH, which is all zero but perhaps for container, for REQUEST of CALLER's with
// CONFIG. 0, or
// -EINVAL, -ENOMEM, -EMFILE or -ENFILE with ERR set.
int launch_prepare(struct launch *launch, const struct sandbox_config *config,
                   const struct request *request, const struct caller *caller, struct error *err);

// Draws a name for a new container, which nobody can guess, into *NAME for the caller to
// free. 0, or -EIO or -ENOMEM with ERR set.
int launch_name_container(char **name, struct error *err);

// The same as launch_prepare for an agent.
int launch_prepare_remote(struct launch *launch, const struct sandbox_config *config,
                          const struct request *request, struct error *err);

// Fills in LAUNCH, which is all zero, for a client that runs ARGV where CONFIG's
// commands run, without an environment for them. It has ours, and what makes it quick.
// ENTRY is for a new container of its own, whose name LAUNCH has then; otherwise NULL. 0, or
// -ENOMEM with ERR set.
int launch_prepare_client(struct launch *launch, const struct sandbox_config *config,
                          const struct words *argv, const struct container_entry *entry,
                          struct error *err);

// Would a process of A be started exactly as one of B? Never when one is confined as its
// caller is. Each member that makes a difference
// to the process is compared here: otherwise a request would get a standby that is not its
// own.
bool launch_equal(const struct launch *a, const struct launch *b);

void launch_finish(struct launch *launch);
