// SPDX-License-Identifier: Apache-2.0
// One connection: a client such as kubectl, which was started once, with an agent in the
// container at its other end. The remotes on it are its jobs.
#pragma once

#include "config.h"
#include "remote.h"

// The consequence of the end of a connection for the next attempt.
enum connection_verdict {
    CONNECTION_BROKE,      // it may succeed
    CONNECTION_DOUBTFUL,   // it may succeed; a job that has another route should take that
    CONNECTION_IMPOSSIBLE, // the container cannot take an agent
};

// Called from the loop, and never during a call to the connection.
struct connection_events {
    // The agent has greeted, and calls itself VERSION.
    void (*on_ready)(void *data, const char *version);
    // The connection is over, and frees itself. UNSENT is the list of the remotes that were
    // not sent, which wait again; the jobs of the other remotes are told.
    void (*on_end)(void *data, const char *reason, enum connection_verdict verdict,
                   struct list *unsent);
};

// Starts the client for CONFIG, whose commands go to an agent. NUMBER is for the log. Returns
// NULL with ERR set: as process_start, or ENOMEM.
struct connection *connection_create(struct loop *loop, struct sandbox_config *config,
                                     unsigned number, const struct connection_events *events,
                                     void *data, struct error *err);

// Ends CONNECTION, which kills its jobs in the container. It frees itself later, without an
// event. CONNECTION may be NULL.
void connection_close(struct connection *connection);

// Kills the clients of all connections that are closing, and frees these.
void connection_finish_all(void);

// Does CONNECTION take remotes?
bool connection_is_ready(const struct connection *connection);

// Returns the number of its remotes.
unsigned connection_load(const struct connection *connection);

// Gives a remote that waits to a CONNECTION that is ready.
void connection_add(struct connection *connection, struct remote *remote);
