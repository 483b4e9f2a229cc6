// SPDX-License-Identifier: Apache-2.0
// One connection: a client, such as kubectl, that was started once, and an agent at
// its other end, in the container. Remotes are its jobs.
#pragma once

#include "config.h"
#include "remote.h"

// Called from the loop, never from within a call to the connection.
struct connection_events {
    // The agent has greeted; it calls itself VERSION.
    void (*on_ready)(void *data, const char *version);
    // The connection is over, and is freed by itself. Those of its remotes that were
    // not sent are on the list UNSENT, and wait again; the others have been told.
    // IS_DECLINED: the container cannot take an agent.
    void (*on_end)(void *data, const char *reason, bool is_declined, struct list *unsent);
};

// Starts the client for CONFIG, whose commands go to an agent. NULL with ERR set: as
// process_start, or ENOMEM.
struct connection *connection_create(struct loop *loop, struct sandbox_config *config,
                                     const struct connection_events *events, void *data,
                                     struct error *err);

// Ends it, which kills its jobs in the container. It frees itself then; there will be
// no event. May be NULL.
void connection_close(struct connection *connection);

// Kills the clients of all that are being closed and frees them.
void connection_finish_all(void);

// Does it take remotes?
bool connection_is_ready(const struct connection *connection);

// How many remotes it has.
unsigned connection_load(const struct connection *connection);

// --- For remotes

// Gives a waiting remote to a connection that is ready.
void connection_add(struct connection *connection, struct remote *remote);

// It is leaving, for whatever reason.
void connection_remove(struct connection *connection, struct remote *remote);

// It has something to send.
void connection_send(struct connection *connection, struct remote *remote);

// Sends a frame without a payload, or with NUMBER if it is not 0, after what has been
// framed already.
void connection_control(struct connection *connection, uint32_t job, enum frame_type type,
                        uint32_t number);

// The same for a frame that can wait a little for others to go with.
void connection_control_later(struct connection *connection, uint32_t job, enum frame_type type);
