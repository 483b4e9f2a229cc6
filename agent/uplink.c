// SPDX-License-Identifier: Apache-2.0
#include "uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    ROOM = 256 * 1024, // while so many bytes wait, no output of a command is read
    LIMIT = 16 << 20,  // so many bytes wait only if the daemon does not read its answers
    SMALL = 16 * 1024, // memory that may be kept
    SHORT = 4096,      // fewer bytes wait a little, to leave together with others
    LATER_MS = 1,
    WIDTH = 1024 * 1024, // of the pipe to the client, once it was full
};

void uplink_break(struct uplink *uplink, int errnum)
{
    if (uplink->errnum)
        return;
    uplink->errnum = errnum;
    loop_change(uplink->loop, &uplink->watch, 0);
    loop_defer(uplink->loop, &uplink->broken);
}

static void on_uplink_broken(void *data)
{
    struct uplink *uplink = data;
    uplink->on_broken(uplink->data, uplink->errnum);
}

static size_t uplink_pending(const struct uplink *uplink)
{
    return uplink->out.length - uplink->written;
}

static bool uplink_has_room(const struct uplink *uplink)
{
    return uplink_pending(uplink) < ROOM;
}

bool uplink_is_free(const struct uplink *uplink)
{
    return uplink_has_room(uplink) && list_is_empty(&uplink->turns);
}

// --- Writing

// The reader of the agent's pipe may take a page at a time, and each page would wake the agent. So
// a pipe that was full is made wider, once. Where the system does not permit it, it stays narrow.
static bool uplink_widen(struct uplink *uplink)
{
    bool was_wide = uplink->is_wide;

    uplink->is_wide = true;
    return !was_wide && fcntl(uplink->fd, F_SETPIPE_SZ, WIDTH) >= 0;
}

static void uplink_write(struct uplink *uplink)
{
    struct buffer *out = &uplink->out;
    ssize_t count;

    if (uplink_pending(uplink) == 0 || uplink->watch.events || uplink->errnum)
        return;
    do {
        count = write(uplink->fd, out->data + uplink->written, uplink_pending(uplink));
        if (count < 0 && errno != EAGAIN && errno != EINTR) {
            uplink_break(uplink, errno);
            return;
        }
        uplink->written += count > 0 ? (size_t)count : 0;
    } while (uplink_pending(uplink) > 0 && uplink_widen(uplink));
    if (uplink_pending(uplink) == 0) {
        uplink->written = 0;
        out->length = 0;
        return;
    }
    if (uplink->written > uplink_pending(uplink)) {
        buffer_drop(out, uplink->written);
        uplink->written = 0;
    }
    if (loop_change(uplink->loop, &uplink->watch, EPOLLOUT) < 0)
        uplink_break(uplink, ENOMEM);
}

// Gives each stream that waits one turn, while there is room, and then writes.
static void on_uplink_flush(void *data)
{
    struct uplink *uplink = data;
    struct list round;

    list_init(&round);
    list_move_all(&round, &uplink->turns);
    while (!list_is_empty(&round) && uplink_has_room(uplink)) {
        struct uplink_turn *turn = LIST_ENTRY(round.next, struct uplink_turn, link);
        list_remove(&turn->link);
        turn->take(turn->data);
    }
    // The streams that had no turn are first again.
    list_move_all(&round, &uplink->turns);
    list_move_all(&uplink->turns, &round);
    loop_disarm(uplink->loop, &uplink->later);
    uplink_write(uplink);
    if (!list_is_empty(&uplink->turns) && uplink_has_room(uplink))
        loop_defer(uplink->loop, &uplink->flush);
}

static void on_uplink_writable(void *data, uint32_t events)
{
    struct uplink *uplink = data;

    (void)events;
    loop_change(uplink->loop, &uplink->watch, 0);
    loop_defer(uplink->loop, &uplink->flush);
}

static void on_uplink_later(void *data)
{
    struct uplink *uplink = data;

    loop_defer(uplink->loop, &uplink->flush);
}

// --- Frames

static bool uplink_check(struct uplink *uplink, int result)
{
    if (result == 0 && uplink_pending(uplink) > LIMIT)
        result = -ENOBUFS;
    if (result < 0)
        uplink_break(uplink, -result);
    return result == 0;
}

static void uplink_flush_later(struct uplink *uplink)
{
    if (!timer_is_armed(&uplink->later) && list_is_empty(&uplink->flush.link) &&
        loop_arm(uplink->loop, &uplink->later, LATER_MS) < 0)
        loop_defer(uplink->loop, &uplink->flush);
}

void uplink_send(struct uplink *uplink, uint32_t job, enum frame_type type, const void *payload,
                 size_t length)
{
    if (uplink_check(uplink, frame_append(&uplink->out, job, type, payload, length)))
        uplink_flush_later(uplink);
}

void uplink_send_number(struct uplink *uplink, uint32_t job, enum frame_type type, uint32_t number)
{
    if (uplink_check(uplink, frame_append_number(&uplink->out, job, type, number)))
        uplink_flush_later(uplink);
}

void uplink_send_now(struct uplink *uplink, uint32_t job, enum frame_type type, const void *payload,
                     size_t length)
{
    if (uplink_check(uplink, frame_append(&uplink->out, job, type, payload, length)))
        loop_defer(uplink->loop, &uplink->flush);
}

void uplink_send_hello(struct uplink *uplink, const char *version)
{
    if (uplink_check(uplink, frame_append_hello(&uplink->out, version)))
        loop_defer(uplink->loop, &uplink->flush);
}

ssize_t uplink_send_from(struct uplink *uplink, uint32_t job, enum frame_type type, int fd,
                         size_t size)
{
    struct buffer *out = &uplink->out;
    char *frame;
    ssize_t count;

    if (buffer_reserve(out, WIRE_HEADER + size) < 0) {
        uplink_break(uplink, ENOMEM);
        return -ENOMEM;
    }
    frame = out->data + out->length;
    count = read(fd, frame + WIRE_HEADER, size);
    if (count <= 0)
        return count < 0 ? -errno : 0;
    frame_put_header(frame, job, type, (size_t)count);
    out->length += WIRE_HEADER + (size_t)count;
    // A short answer is often followed by the end: then they leave together.
    if (uplink_pending(uplink) < SHORT)
        uplink_flush_later(uplink);
    else
        loop_defer(uplink->loop, &uplink->flush);
    return count;
}

void uplink_turn_init(struct uplink_turn *turn, void (*take)(void *data), void *data)
{
    list_init(&turn->link);
    turn->take = take;
    turn->data = data;
}

void uplink_wait(struct uplink *uplink, struct uplink_turn *turn)
{
    if (list_is_empty(&turn->link))
        list_append(&uplink->turns, &turn->link);
    if (uplink_has_room(uplink))
        loop_defer(uplink->loop, &uplink->flush);
}

// --- Beginning and end

void uplink_init(struct uplink *uplink, struct loop *loop, int fd,
                 void (*on_break)(void *data, int errnum), void *data)
{
    *uplink = (struct uplink){.loop = loop, .fd = fd, .on_broken = on_break, .data = data};
    uplink->watch = (struct watch){.fd = fd, .on_ready = on_uplink_writable, .data = uplink};
    uplink->later = (struct timer){.on_time = on_uplink_later, .data = uplink};
    task_init(&uplink->flush, on_uplink_flush, uplink);
    task_init(&uplink->broken, on_uplink_broken, uplink);
    list_init(&uplink->turns);
}

void uplink_finish(struct uplink *uplink)
{
    loop_unwatch(uplink->loop, &uplink->watch);
    loop_disarm(uplink->loop, &uplink->later);
    loop_undefer(&uplink->flush);
    loop_undefer(&uplink->broken);
    buffer_finish(&uplink->out);
}

void uplink_trim(struct uplink *uplink)
{
    if (uplink->out.length == 0 && uplink->out.capacity > SMALL)
        buffer_finish(&uplink->out);
}
