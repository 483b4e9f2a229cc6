// SPDX-License-Identifier: Apache-2.0
#include "run_input.h"

#include "cleanup.h"

#include <errno.h>
#include <sys/epoll.h>

static size_t left(const struct run_input *input)
{
    return input->bytes.length - input->taken;
}

void run_input_keep(struct run_input *input)
{
    loop_unwatch(input->uplink->loop, &input->watch);
    loop_undefer(&input->credit);
    buffer_finish(&input->bytes);
    input->taken = 0;
    if (input->fd >= 0)
        input->kept_fd = take_fd(&input->fd);
}

void run_input_close(struct run_input *input)
{
    run_input_keep(input);
    close_fd(&input->kept_fd);
}

// Gives credit when there is enough of it for a frame. After the end none is needed.
static void give_credit(void *data)
{
    struct run_input *input = data;
    bool is_half = input->owed >= WIRE_STDIN_WINDOW / 2;

    if (!input->has_begun || input->has_ended || input->fd < 0 || input->owed == 0 ||
        (!is_half && left(input) > 0))
        return;
    uplink_send_number(input->uplink, input->job, FRAME_STDIN_CREDIT, input->owed);
    input->window += input->owed;
    input->owed = 0;
}

// Tells the daemon that the command reads no more, but only once the command runs.
static void tell_refusal(struct run_input *input)
{
    if (input->is_refused && input->has_begun && !input->has_ended)
        uplink_send(input->uplink, input->job, FRAME_STDIN_CLOSED, NULL, 0);
}

// Writes as many bytes as the pipe takes. Returns their number.
static size_t write_some(struct run_input *input, const char *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t count = write(input->fd, bytes + done, size - done);
        if (count > 0) {
            done += (size_t)count;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) {
            input->is_refused = true;
            run_input_close(input);
            tell_refusal(input);
        }
        break;
    }
    input->owed += (uint32_t)done;
    return done;
}

static void on_writable(void *data, uint32_t events)
{
    struct run_input *input = data;

    (void)events;
    input->taken += write_some(input, input->bytes.data + input->taken, left(input));
    if (input->fd < 0)
        return;
    if (left(input) == 0) {
        buffer_finish(&input->bytes);
        input->taken = 0;
        loop_change(input->uplink->loop, &input->watch, 0);
        if (input->has_ended)
            run_input_close(input);
    }
    give_credit(input);
}

int run_input_write(struct run_input *input, const char *bytes, size_t size)
{
    size_t done = 0;
    int result = 0;

    if (input->has_ended)
        return -EBADMSG;
    if (input->fd < 0)
        return 0; // the daemon knows that nobody reads, or is about to
    if (size > input->window)
        return -EBADMSG;
    input->window -= (uint32_t)size;
    if (left(input) == 0)
        done = write_some(input, bytes, size);
    if (input->fd < 0)
        return 0;
    if (done < size) {
        // Otherwise each growth of the buffer would move the bytes that are gone.
        if (input->taken > 0)
            buffer_drop(&input->bytes, input->taken);
        input->taken = 0;
        result = buffer_append(&input->bytes, bytes + done, size - done);
        if (result == 0)
            result = loop_change(input->uplink->loop, &input->watch, EPOLLOUT);
    }
    loop_defer(input->uplink->loop, &input->credit);
    return result;
}

void run_input_end(struct run_input *input)
{
    input->has_ended = true;
    if (input->fd >= 0 && left(input) == 0)
        run_input_close(input);
}

void run_input_begin(struct run_input *input)
{
    input->has_begun = true;
    tell_refusal(input);
    give_credit(input);
}

void run_input_open(struct run_input *input, int fd)
{
    input->fd = fd;
    input->window = WIRE_STDIN_WINDOW;
    input->watch = (struct watch){.fd = fd, .on_ready = on_writable, .data = input};
    task_init(&input->credit, give_credit, input);
}
