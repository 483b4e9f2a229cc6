// SPDX-License-Identifier: Apache-2.0
// Bytes from the client's stdout: lines of the script, the greeting, frames.
#include "connection_parts.h"

#include "cleanup.h"
#include "log.h"

#include <errno.h>

enum {
    AT_ONCE = 64 * 1024, // bytes read from the client
    STDERR_TAIL = 4096,
};

static struct remote *find_remote(struct connection *connection, uint32_t id)
{
    struct list *head = connection_bucket(connection, id);

    for (struct list *link = head->next; link != head; link = link->next) {
        struct remote *remote = LIST_ENTRY(link, struct remote, link);
        if (remote->id == id)
            return remote;
    }
    return NULL;
}

// Returns 0, or -errno with the error set; -EPROTO if another attempt would not help.
static int take_greeting(struct connection *connection, const struct frame *frame)
{
    struct error *err = &connection->error;
    AUTO_FREE char *version = NULL;
    uint32_t number;
    const char *text;
    size_t length;

    if (frame->type != FRAME_HELLO || !frame_parse_hello(frame, &number, &text, &length))
        return error_set(err, EPROTO, "the answer there is not from an agent of hooksfs");
    version = strndup(text, length);
    if (!version)
        return error_set(err, ENOMEM, "no memory");
    if (number != WIRE_VERSION)
        return error_set(err, EPROTO,
                         "the agent there, %s, speaks version %u of the protocol, and this "
                         "hooksfs speaks %d; use agents of one make",
                         version, number, WIRE_VERSION);
    connection_set_state(connection, CONNECTION_READY);
    // Words of the shell that took the agent are no reason for a later end.
    connection->err.length = 0;
    loop_arm(connection->loop, &connection->timer, WIRE_BEAT_MS);
    connection->events->on_ready(connection->data, version);
    return 0;
}

static int take_frame(void *data, const struct frame *frame)
{
    struct connection *connection = data;
    struct remote *remote;

    if (connection->state == CONNECTION_GREETS)
        return take_greeting(connection, frame);
    // One answer for each question: otherwise an agent could keep the daemon busy with them.
    if (frame->type == FRAME_PONG)
        return connection->pings > 0 && connection->pings-- ? 0 : -EBADMSG;
    remote = frame->type == FRAME_HELLO ? NULL : find_remote(connection, frame->job);
    if (remote)
        return remote_receive(remote, frame);
    if (frame->type == FRAME_HELLO || frame->job >= connection->out.next_job)
        return -EBADMSG;
    return late_take(&connection->late, frame);
}

// Returns the number of bytes that belong to the way in, or as bootstrap_take.
static ssize_t take_lines(struct connection *connection, const char *bytes, size_t size)
{
    struct bootstrap *bootstrap = &connection->bootstrap;
    const struct agent_blob *blob = bootstrap->blob;
    ssize_t used =
        bootstrap_take(bootstrap, bytes, size, &connection->out.bytes, &connection->error);

    if (used < 0)
        return used;
    if (bootstrap->blob != blob)
        log_debug(DEBUG_CONNECTION, "sandbox %s: connection %u: is sent the agent for %s",
                  connection->config->name, connection->number, bootstrap->blob->machine);
    if (bootstrap->is_done)
        connection_set_state(connection, CONNECTION_GREETS);
    outlet_flush(&connection->out);
    return used;
}

// Returns 0, -ENOMEM, or another -errno with the error set; -EPROTO as take_greeting.
static int take_bytes(struct connection *connection, const char *bytes, size_t size)
{
    struct error *err = &connection->error;
    ssize_t used = connection->state == CONNECTION_ENTERS ? take_lines(connection, bytes, size) : 0;
    int result;

    if (used < 0)
        return (int)used;
    result =
        inlet_receive(&connection->in, bytes + used, size - (size_t)used, take_frame, connection);
    if (result == -EBADMSG && connection->state == CONNECTION_GREETS)
        return error_set(err, EPROTO, "the answer there is not from an agent of hooksfs");
    if (result == -EBADMSG)
        return error_set(err, EBADMSG, "the agent does not keep to the protocol");
    return result;
}

bool connection_receive(struct connection *connection, int limit)
{
    static char bytes[AT_ONCE];
    ssize_t count = 1;
    int result = 0;

    for (int i = 0; i < limit && count > 0 && result == 0; i++) {
        count = process_read(connection->process, JOB_STDOUT, bytes, sizeof bytes);
        if (count > 0 && connection->state != CONNECTION_CLOSING) {
            connection->heard_ns = loop_now_ns();
            result = take_bytes(connection, bytes, (size_t)count);
        }
    }
    if (result < 0) {
        if (result == -ENOMEM)
            error_set(&connection->error, ENOMEM, "no memory");
        connection_end(connection, error_message(&connection->error),
                       result == -EPROTO ? CONNECTION_IMPOSSIBLE : CONNECTION_BROKE);
        return false;
    }
    if (count == 0)
        connection_expect_end(connection);
    return true;
}

void connection_keep_stderr(struct connection *connection)
{
    char bytes[STDERR_TAIL];
    ssize_t count = process_read(connection->process, JOB_STDERR, bytes, sizeof bytes);
    struct buffer *err = &connection->err;

    if (count > 0 && buffer_append(err, bytes, (size_t)count) == 0 && err->length > STDERR_TAIL)
        buffer_drop(err, err->length - STDERR_TAIL);
}
