// SPDX-License-Identifier: Apache-2.0
// Frames to the agent about one job.
#include "remote_parts.h"

#include <errno.h>

void remote_send(struct remote *remote)
{
    if (remote->line)
        remote->line->ops->send(remote->line, remote);
}

static int append_stdin(struct remote *remote, struct buffer *out, size_t offset, size_t *size)
{
    *size = remote->in.length - offset;
    if (*size > remote->credit)
        *size = remote->credit;
    if (*size > WIRE_MAX_PAYLOAD)
        *size = WIRE_MAX_PAYLOAD;
    remote->credit -= (uint32_t)*size;
    return *size == 0 ? 0
                      : frame_append(out, remote->id, FRAME_STDIN, remote->in.data + offset, *size);
}

static int append_end(struct remote *remote, struct buffer *out, size_t unsent)
{
    if (unsent > 0 || !remote->is_stdin_ended || remote->is_end_sent)
        return 0;
    remote->is_end_sent = true;
    return frame_append(out, remote->id, FRAME_STDIN_END, NULL, 0);
}

static uint32_t time_left_ms(const struct remote *remote)
{
    uint64_t now = loop_now_ns();
    uint64_t left;

    if (remote->spec.is_standby)
        return WIRE_STANDBY;
    if (remote->spec.deadline_ns == 0)
        return 0;
    left = remote->spec.deadline_ns > now ? (remote->spec.deadline_ns - now) / 1000000 : 0;
    return left + 1 >= WIRE_STANDBY ? 0 : (uint32_t)left + 1;
}

// Stores the limits of the job in LIMITS, and returns how many they are.
static size_t collect_limits(const struct launch *launch,
                             struct frame_limit limits[FRAME_MAX_LIMITS])
{
    const struct frame_limit of_group[] = {
        {FRAME_LIMIT_MEMORY, launch->limits.memory_bytes},
        {FRAME_LIMIT_PIDS,   launch->limits.pids        },
        {FRAME_LIMIT_CPU,    launch->limits.cpu_percent },
    };
    size_t count = 0;

    for (uint32_t i = 0; i < FRAME_RLIMITS; i++)
        if (launch->rlimits.of[i].is_set)
            limits[count++] = (struct frame_limit){.kind = i, .value = launch->rlimits.of[i].value};
    for (size_t i = 0; i < sizeof of_group / sizeof of_group[0]; i++)
        if (of_group[i].value > 0)
            limits[count++] = of_group[i];
    return count;
}

// Appends START and all bytes for stdin so far. These bytes are kept, because REMOTE may
// still go to another line before the START is written.
static int append_start(struct remote *remote, struct buffer *out)
{
    static char *const nothing[] = {NULL};
    const struct launch *launch = remote->spec.launch;
    struct frame_limit limits[FRAME_MAX_LIMITS];
    struct frame_command command = {
        .workdir = launch->workdir,
        .argv = launch->argv.items,
        .env = launch->env.items ? launch->env.items : nothing,
        .limits = limits,
        .limit_count = collect_limits(launch, limits),
    };
    size_t size = 0;
    int result = frame_append_start(out, remote->id, time_left_ms(remote), &command);

    if (result == -E2BIG) {
        remote_leave(remote);
        remote->news.is_too_long = true;
        loop_defer(remote->loop, &remote->task);
        return 0;
    }
    for (size_t offset = 0; result == 0 && offset < remote->in.length; offset += size)
        result = append_stdin(remote, out, offset, &size);
    if (result == 0)
        result = append_end(remote, out, 0);
    remote->phase = REMOTE_FRAMED;
    return result;
}

int remote_fill(struct remote *remote, struct buffer *out)
{
    size_t size;
    int result;

    if (remote->phase == REMOTE_CHOSEN)
        return append_start(remote, out);
    if (remote->phase != REMOTE_SENT || remote->is_stdin_closed)
        return 0;
    result = append_stdin(remote, out, 0, &size);
    buffer_drop(&remote->in, size);
    if (remote->in.length == 0)
        buffer_finish(&remote->in);
    if (result == 0)
        result = append_end(remote, out, remote->in.length);
    if (result == 0)
        result = remote->in.length > 0 && remote->credit > 0;
    remote_make_room(remote);
    return result;
}

void remote_on_sent(struct remote *remote)
{
    remote->phase = REMOTE_SENT;
    buffer_finish(&remote->in);
    remote_make_room(remote);
    if (remote->is_stdin_ended && !remote->is_end_sent)
        remote_send(remote);
}
