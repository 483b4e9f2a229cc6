// SPDX-License-Identifier: Apache-2.0
// The insides of a connection, for connection.c, connection_receive.c and connection_end.c.
#pragma once

#include "bootstrap.h"
#include "connection.h"
#include "inlet.h"
#include "late.h"
#include "outlet.h"

enum { CONNECTION_BUCKETS = 256 };

enum connection_state {
    CONNECTION_ENTERS, // the script talks
    CONNECTION_GREETS, // HELLO is next
    CONNECTION_READY,
    CONNECTION_CLOSING, // its owner has closed it, and no longer knows it
};

struct connection {
    struct line line; // the first member
    struct list link; // in the list of closing connections
    struct loop *loop;
    struct sandbox_config *config;
    unsigned number;
    const struct connection_events *events;
    void *data;
    enum connection_state state;
    char *container;     // the name of its new container; NULL: none
    bool has_ended_well; // the client has, after the connection was closed
    struct bootstrap bootstrap;
    struct process *process; // the client
    struct inlet in;
    struct error error; // the reason why it must end
    struct outlet out;
    struct buffer err;                       // the last bytes of the client's stderr
    struct list buckets[CONNECTION_BUCKETS]; // of remotes
    struct late late;
    unsigned load;
    unsigned pings;     // that the agent has not answered
    uint64_t heard_ns;  // the time of the last bytes from the agent
    struct timer timer; // until the greeting; then of the beat; then until the client ends
    struct timer break_timer;
};

void connection_set_state(struct connection *connection, enum connection_state state);

void connection_free(struct connection *connection);

// The list of the remotes whose ids have the same remainder as ID.
struct list *connection_bucket(struct connection *connection, uint32_t id);

// --- connection_receive.c

// Reads up to LIMIT pieces from the client. Returns false if the connection has ended.
bool connection_receive(struct connection *connection, int limit);

// Reads from the client's stderr, and keeps the end of it.
void connection_keep_stderr(struct connection *connection);

// --- connection_end.c; the functions free the connection, and are called from the loop

void connection_end(struct connection *connection, const char *reason,
                    enum connection_verdict verdict);
void connection_end_with(struct connection *connection, enum connection_verdict verdict,
                         const char *format, ...) __attribute__((format(printf, 3, 4)));

// The client has ended before the agent has greeted. Its mode knows the reason.
void connection_end_before_greeting(struct connection *connection, bool is_signaled, int number);

// The client has closed a stream: its exit is next, and says why. Ends the connection only
// if the client does not end soon.
void connection_expect_end(struct connection *connection);

// The client has ended, or has closed a stream, while the agent was there.
void connection_end_as_broken(struct connection *connection);
