// SPDX-License-Identifier: Apache-2.0
#include "run_output.h"

#include "cleanup.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

enum { RESERVE = 64 * 1024 }; // bytes, as many as a pipe holds

static uint32_t bytes_in_pipe(const struct run_output *output)
{
    int count = 0;
    return ioctl(output->fd, FIONREAD, &count) == 0 && count > 0 ? (uint32_t)count : 0;
}

// The last part of the window is kept for the bytes that are in the pipe when the command
// exits. Otherwise the news of its exit would have to wait for a reader.
static uint32_t usable(const struct run_output *output)
{
    if (output->due > 0)
        return output->window;
    return output->window > RESERVE ? output->window - RESERVE : 0;
}

void run_output_close(struct run_output *output)
{
    list_remove(&output->turn.link);
    loop_unwatch(output->uplink->loop, &output->watch);
    close_fd(&output->fd);
    output->due = 0;
}

// Sends one frame at most. Returns true if there may be bytes for another frame.
static bool pass(struct run_output *output)
{
    size_t room = usable(output);
    size_t size = room < WIRE_MAX_PAYLOAD ? room : WIRE_MAX_PAYLOAD;
    ssize_t count;

    if (size == 0)
        return false;
    if (!output->has_begun && bytes_in_pipe(output) > 0) {
        output->has_begun = true;
        output->before_first(output->data);
    }
    count = uplink_send_from(output->uplink, output->job, output->type, output->fd, size);
    if (count > 0) {
        output->window -= (uint32_t)count;
        output->due -= (uint32_t)count < output->due ? (uint32_t)count : output->due;
        return usable(output) > 0;
    }
    // The bytes that were due are not there: another process has read them.
    output->due = 0;
    if (count == -EAGAIN || count == -EINTR)
        return false;
    output->has_ended = true;
    run_output_close(output);
    return false;
}

// Waits for bytes if IS_EMPTY, and otherwise for a turn. Without a window it waits for
// credit, which run_output_credit brings.
static void wait_for_more(struct run_output *output, bool is_empty)
{
    uint32_t events = is_empty && usable(output) > 0 ? EPOLLIN : 0;

    if (output->fd < 0)
        return;
    if (loop_change(output->uplink->loop, &output->watch, events) < 0)
        is_empty = false; // no memory: it takes turns, which need none
    if (!is_empty && usable(output) > 0)
        uplink_wait(output->uplink, &output->turn);
}

static void on_readable(void *data, uint32_t events)
{
    struct run_output *output = data;

    (void)events;
    if (!uplink_is_free(output->uplink)) {
        wait_for_more(output, false);
        return;
    }
    pass(output);
    wait_for_more(output, true);
    output->on_change(output->data);
}

static void on_turn(void *data)
{
    struct run_output *output = data;

    wait_for_more(output, !pass(output));
    output->on_change(output->data);
}

void run_output_mark(struct run_output *output)
{
    if (output->fd < 0)
        return;
    output->due = bytes_in_pipe(output);
    // The second read usually finds the end.
    for (int i = 0; i < 2 && output->fd >= 0 && uplink_is_free(output->uplink); i++)
        if (!pass(output))
            break;
    if (output->due > 0)
        wait_for_more(output, false);
}

int run_output_credit(struct run_output *output, uint32_t count)
{
    bool was_closed = usable(output) == 0;

    if (count > WIRE_OUTPUT_WINDOW - output->window)
        return -EBADMSG;
    output->window += count;
    if (was_closed)
        wait_for_more(output, true);
    return 0;
}

int run_output_open(struct run_output *output, int fd)
{
    output->fd = fd;
    output->window = WIRE_OUTPUT_WINDOW;
    output->watch = (struct watch){.fd = -1, .on_ready = on_readable, .data = output};
    uplink_turn_init(&output->turn, on_turn, output);
    return loop_watch(output->uplink->loop, &output->watch, fd, EPOLLIN);
}
