// SPDX-License-Identifier: Apache-2.0
#include "job_output.h"

#include "cleanup.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

enum { RESERVE = 64 * 1024 }; // bytes: as much as a pipe holds

static uint32_t bytes_in_pipe(const struct job_output *output)
{
    int count = 0;
    return ioctl(output->fd, FIONREAD, &count) == 0 && count > 0 ? (uint32_t)count : 0;
}

// The end of the window is kept for what the command leaves in the pipe: that it
// has exited must not wait for a reader.
static uint32_t usable(const struct job_output *output)
{
    if (output->due > 0)
        return output->window;
    return output->window > RESERVE ? output->window - RESERVE : 0;
}

void job_output_close(struct job_output *output)
{
    list_remove(&output->turn.link);
    loop_unwatch(output->connection->loop, &output->watch);
    close_fd(&output->fd);
    output->due = 0;
}

// Sends one frame at most. Returns whether there may be more for another.
static bool pass(struct job_output *output)
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
    count = connection_send_from(output->connection, output->job, output->type, output->fd, size);
    if (count > 0) {
        output->window -= (uint32_t)count;
        output->due -= (uint32_t)count < output->due ? (uint32_t)count : output->due;
        return usable(output) > 0;
    }
    // Nothing there although it was due: somebody else has read it.
    output->due = 0;
    if (count == -EAGAIN || count == -EINTR)
        return false;
    output->has_ended = true;
    job_output_close(output);
    return false;
}

// Waits for what is needed: bytes, when IS_EMPTY, or else a turn; credit comes by itself.
static void wait_for_more(struct job_output *output, bool is_empty)
{
    uint32_t events = is_empty && usable(output) > 0 ? EPOLLIN : 0;

    if (output->fd < 0)
        return;
    if (loop_change(output->connection->loop, &output->watch, events) < 0)
        is_empty = false; // then by turns, which needs nothing
    if (!is_empty && usable(output) > 0)
        connection_wait(output->connection, &output->turn);
}

static void on_readable(void *data, uint32_t events)
{
    struct job_output *output = data;

    (void)events;
    if (!connection_is_free(output->connection)) {
        wait_for_more(output, false);
        return;
    }
    pass(output);
    wait_for_more(output, true);
    output->on_change(output->data);
}

static void on_turn(void *data)
{
    struct job_output *output = data;

    wait_for_more(output, !pass(output));
    output->on_change(output->data);
}

void job_output_mark(struct job_output *output)
{
    if (output->fd < 0)
        return;
    output->due = bytes_in_pipe(output);
    // The second time finds the end, as a rule.
    for (int i = 0; i < 2 && output->fd >= 0 && connection_is_free(output->connection); i++)
        if (!pass(output))
            break;
    if (output->due > 0)
        wait_for_more(output, false);
}

int job_output_credit(struct job_output *output, uint32_t count)
{
    bool was_closed = usable(output) == 0;

    if (count > WIRE_OUTPUT_WINDOW - output->window)
        return -EBADMSG;
    output->window += count;
    if (was_closed)
        wait_for_more(output, true);
    return 0;
}

int job_output_open(struct job_output *output, int fd)
{
    output->fd = fd;
    output->window = WIRE_OUTPUT_WINDOW;
    output->watch = (struct watch){.fd = -1, .on_ready = on_readable, .data = output};
    turn_init(&output->turn, on_turn, output);
    return loop_watch(output->connection->loop, &output->watch, fd, EPOLLIN);
}
