// SPDX-License-Identifier: Apache-2.0
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    ROOM = 256 * 1024, // commands' output waits while more than this does
    LIMIT = 16 << 20,  // a daemon that never reads its answers
    SMALL = 16 * 1024, // memory that may be kept
    SHORT = 4096,      // bytes that wait for others to go with
    LATER_MS = 1,
    WIDTH = 1024 * 1024, // of the pipe to the client's side, once it was full
};

void connection_break(struct connection *connection, int errnum)
{
    if (connection->errnum)
        return;
    connection->errnum = errnum;
    loop_change(connection->loop, &connection->watch, 0);
    loop_defer(connection->loop, &connection->broken);
}

static void on_broken(void *data)
{
    struct connection *connection = data;
    connection->on_broken(connection->data, connection->errnum);
}

static size_t pending(const struct connection *connection)
{
    return connection->out.length - connection->written;
}

static bool has_room(const struct connection *connection)
{
    return pending(connection) < ROOM;
}

bool connection_is_free(const struct connection *connection)
{
    return has_room(connection) && list_is_empty(&connection->turns);
}

// --- Writing

// Whoever reads our pipe may take a page at a time, and each would wake us. So a pipe
// that was full is made wider, once; a system that does not permit it leaves it as it is.
static bool widen(struct connection *connection)
{
    bool was_wide = connection->is_wide;

    connection->is_wide = true;
    return !was_wide && fcntl(connection->fd, F_SETPIPE_SZ, WIDTH) >= 0;
}

static void write_out(struct connection *connection)
{
    struct buffer *out = &connection->out;
    ssize_t count;

    if (pending(connection) == 0 || connection->watch.events || connection->errnum)
        return;
    do {
        count = write(connection->fd, out->data + connection->written, pending(connection));
        if (count < 0 && errno != EAGAIN && errno != EINTR) {
            connection_break(connection, errno);
            return;
        }
        connection->written += count > 0 ? (size_t)count : 0;
    } while (pending(connection) > 0 && widen(connection));
    if (pending(connection) == 0) {
        connection->written = 0;
        out->length = 0;
        return;
    }
    if (connection->written > pending(connection)) {
        buffer_drop(out, connection->written);
        connection->written = 0;
    }
    if (loop_change(connection->loop, &connection->watch, EPOLLOUT) < 0)
        connection_break(connection, ENOMEM);
}

// One round of those who wait, and then what they and others have left.
static void on_flush(void *data)
{
    struct connection *connection = data;
    struct list round;

    list_init(&round);
    list_move_all(&round, &connection->turns);
    while (!list_is_empty(&round) && has_room(connection)) {
        struct turn *turn = LIST_ENTRY(round.next, struct turn, link);
        list_remove(&turn->link);
        turn->take(turn->data);
    }
    // Those who had no turn are still first.
    list_move_all(&round, &connection->turns);
    list_move_all(&connection->turns, &round);
    loop_disarm(connection->loop, &connection->later);
    write_out(connection);
    if (!list_is_empty(&connection->turns) && has_room(connection))
        loop_defer(connection->loop, &connection->flush);
}

static void on_writable(void *data, uint32_t events)
{
    struct connection *connection = data;

    (void)events;
    loop_change(connection->loop, &connection->watch, 0);
    loop_defer(connection->loop, &connection->flush);
}

static void on_later(void *data)
{
    struct connection *connection = data;

    loop_defer(connection->loop, &connection->flush);
}

// --- Frames

static bool check(struct connection *connection, int result)
{
    if (result == 0 && pending(connection) > LIMIT)
        result = -ENOBUFS;
    if (result < 0)
        connection_break(connection, -result);
    return result == 0;
}

static void flush_later(struct connection *connection)
{
    if (!connection->later.place && list_is_empty(&connection->flush.link) &&
        loop_arm(connection->loop, &connection->later, LATER_MS) < 0)
        loop_defer(connection->loop, &connection->flush);
}

void connection_send(struct connection *connection, uint32_t job, enum frame_type type,
                     const void *payload, size_t length)
{
    if (check(connection, frame_append(&connection->out, job, type, payload, length)))
        flush_later(connection);
}

void connection_send_number(struct connection *connection, uint32_t job, enum frame_type type,
                            uint32_t number)
{
    if (check(connection, frame_append_number(&connection->out, job, type, number)))
        flush_later(connection);
}

void connection_send_now(struct connection *connection, uint32_t job, enum frame_type type,
                         const void *payload, size_t length)
{
    if (check(connection, frame_append(&connection->out, job, type, payload, length)))
        loop_defer(connection->loop, &connection->flush);
}

void connection_send_hello(struct connection *connection, const char *version)
{
    if (check(connection, frame_append_hello(&connection->out, version)))
        loop_defer(connection->loop, &connection->flush);
}

ssize_t connection_send_from(struct connection *connection, uint32_t job, enum frame_type type,
                             int fd, size_t size)
{
    struct buffer *out = &connection->out;
    char *place;
    ssize_t count;

    if (buffer_reserve(out, WIRE_HEADER + size) < 0) {
        connection_break(connection, ENOMEM);
        return -ENOMEM;
    }
    place = out->data + out->length;
    count = read(fd, place + WIRE_HEADER, size);
    if (count <= 0)
        return count < 0 ? -errno : 0;
    frame_put_header(place, job, type, (size_t)count);
    out->length += WIRE_HEADER + (size_t)count;
    // A short answer is often followed by the end: then they leave together.
    if (pending(connection) < SHORT)
        flush_later(connection);
    else
        loop_defer(connection->loop, &connection->flush);
    return count;
}

void turn_init(struct turn *turn, void (*take)(void *data), void *data)
{
    list_init(&turn->link);
    turn->take = take;
    turn->data = data;
}

void connection_wait(struct connection *connection, struct turn *turn)
{
    if (list_is_empty(&turn->link))
        list_append(&connection->turns, &turn->link);
    if (has_room(connection))
        loop_defer(connection->loop, &connection->flush);
}

// --- Beginning and end

void connection_init(struct connection *connection, struct loop *loop, int fd,
                     void (*on_break)(void *data, int errnum), void *data)
{
    *connection = (struct connection){.loop = loop, .fd = fd, .on_broken = on_break, .data = data};
    connection->watch = (struct watch){.fd = fd, .on_ready = on_writable, .data = connection};
    connection->later = (struct timer){.on_time = on_later, .data = connection};
    task_init(&connection->flush, on_flush, connection);
    task_init(&connection->broken, on_broken, connection);
    list_init(&connection->turns);
}

void connection_finish(struct connection *connection)
{
    loop_unwatch(connection->loop, &connection->watch);
    loop_disarm(connection->loop, &connection->later);
    loop_undefer(&connection->flush);
    loop_undefer(&connection->broken);
    buffer_finish(&connection->out);
}

void connection_trim(struct connection *connection)
{
    if (connection->out.length == 0 && connection->out.capacity > SMALL)
        buffer_finish(&connection->out);
}
