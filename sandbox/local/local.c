// SPDX-License-Identifier: Apache-2.0
#include "local.h"

static ssize_t local_write(void *self, const char *bytes, size_t size)
{
    return process_write(self, bytes, size);
}

static bool is_writable(const void *self)
{
    return process_is_writable(self);
}

static void end_stdin(void *self)
{
    process_end_stdin(self);
}

static ssize_t local_read(void *self, enum job_stream stream, char *bytes, size_t size)
{
    return process_read(self, stream, bytes, size);
}

static int pause_output(void *self, enum job_stream stream, bool is_paused)
{
    return process_pause_output(self, stream, is_paused);
}

static size_t available(const void *self, enum job_stream stream)
{
    return process_output_size(self, stream);
}

static bool has_ended(const void *self, enum job_stream stream)
{
    return process_has_ended(self, stream);
}

static void send_signal(void *self, int signal)
{
    process_signal(self, signal);
}

static bool ran_out_of_memory(const void *self)
{
    return process_ran_out_of_memory(self);
}

static void destroy(void *self)
{
    process_destroy(self);
}

static bool is_over(const void *self)
{
    return process_is_over(self);
}

static void hand_over(void *self)
{
    process_hand_over(self);
}

static const struct channel_ops ops = {
    .write = local_write,
    .is_writable = is_writable,
    .end_stdin = end_stdin,
    .read = local_read,
    .pause = pause_output,
    .available = available,
    .has_ended = has_ended,
    .signal = send_signal,
    .ran_out_of_memory = ran_out_of_memory,
    .destroy = destroy,
    .is_over = is_over,
    .hand_over = hand_over,
};

int local_open(struct channel *channel, struct loop *loop, const struct process_spec *spec,
               const struct channel_events *events, void *data, struct error *err)
{
    *channel = (struct channel){
        .ops = &ops,
        .self = process_start(loop, spec, events, data, err),
    };
    return channel->self ? 0 : -err->code;
}
