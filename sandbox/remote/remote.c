// SPDX-License-Identifier: Apache-2.0
#include "remote_parts.h"

#include "cleanup.h"

#include <errno.h>
#include <signal.h>

enum { STDIN_KEPT = 128 * 1024 }; // bytes that may wait here; they fit into the first window

static const enum frame_type credit_types[] = {
    [JOB_STDOUT] = FRAME_STDOUT_CREDIT,
    [JOB_STDERR] = FRAME_STDERR_CREDIT,
};

// --- News for the job

static void remote_tell_output(struct remote *remote)
{
    bool has_stdout = remote_is_readable(&remote->streams[JOB_STDOUT]);
    bool has_stderr = remote_is_readable(&remote->streams[JOB_STDERR]);

    if (has_stdout && has_stderr)
        loop_defer(remote->loop, &remote->task);
    if (has_stdout || has_stderr)
        remote->events->on_output(remote->data, has_stdout ? JOB_STDOUT : JOB_STDERR);
}

// The job may destroy the remote in each callback: so there is one callback a turn.
static void on_remote_task(void *data)
{
    struct remote *remote = data;
    const char *reason = remote->news.reason.data;

    if (remote->news.is_lost)
        remote->events->on_lost(remote->data, reason ? reason : "no memory");
    else if (remote->news.is_declined)
        remote->events->on_declined(remote->data);
    else if (remote->news.is_too_long)
        remote->events->on_unstarted(remote->data, STAGE_EXEC, E2BIG);
    else if (remote->news.has_room) {
        remote->news.has_room = false;
        loop_defer(remote->loop, &remote->task);
        remote->events->on_stdin(remote->data);
    } else
        remote_tell_output(remote);
}

void remote_tell_later(struct remote *remote, enum job_stream which)
{
    if (remote_is_readable(&remote->streams[which]))
        loop_defer(remote->loop, &remote->task);
}

void remote_make_room(struct remote *remote)
{
    if (!remote->is_stdin_full || remote->in.length > STDIN_KEPT / 2)
        return;
    remote->is_stdin_full = false;
    remote->news.has_room = true;
    loop_defer(remote->loop, &remote->task);
}

// --- Its life

static void remote_start_over(struct remote *remote)
{
    remote->phase = REMOTE_WAITS;
    remote->line = NULL;
    remote->id = 0;
    remote->credit = WIRE_STDIN_WINDOW;
    remote->is_end_sent = false;
    for (int i = 0; i < JOB_STREAMS; i++)
        remote->streams[i].window = WIRE_OUTPUT_WINDOW;
}

struct remote *remote_create(struct loop *loop, struct lines *lines, const struct remote_spec *spec,
                             const struct channel_events *events, void *data)
{
    struct remote *remote = calloc(1, sizeof *remote);

    if (!remote)
        return NULL;
    list_init(&remote->link);
    list_init(&remote->turn);
    task_init(&remote->task, on_remote_task, remote);
    remote->loop = loop;
    remote->lines = lines;
    remote->spec = *spec;
    remote->events = events;
    remote->data = data;
    remote_start_over(remote);
    return remote;
}

void remote_on_chosen(struct remote *remote, struct line *line)
{
    remote->line = line;
    remote->phase = REMOTE_CHOSEN;
    remote_make_room(remote);
}

void remote_leave(struct remote *remote)
{
    list_remove(&remote->link);
    list_remove(&remote->turn);
    if (remote->line)
        remote->line->ops->leave(remote->line, remote);
    remote->line = NULL;
}

void remote_reset(struct remote *remote)
{
    remote_leave(remote);
    remote_start_over(remote);
}

void remote_lose(struct remote *remote, const char *reason)
{
    remote_leave(remote);
    buffer_printf(&remote->news.reason, "%s%c", reason, '\0');
    remote->news.is_lost = true;
    loop_defer(remote->loop, &remote->task);
}

void remote_decline(struct remote *remote)
{
    // It comes back from a line, and has taken bytes for stdin that another route would lack.
    if (remote->in.length > 0) {
        remote_lose(remote, remote->lines->why_none(remote->lines));
        return;
    }
    remote_leave(remote);
    remote->news.is_declined = true;
    loop_defer(remote->loop, &remote->task);
}

// --- The channel

// A remote that may still be declined takes no bytes: they could not go to another channel.
static size_t remote_room(const struct remote *remote)
{
    if (remote->phase == REMOTE_FRAMED || remote->in.length >= STDIN_KEPT ||
        (remote->phase == REMOTE_WAITS && remote->lines->may_decline))
        return 0;
    return STDIN_KEPT - remote->in.length;
}

static ssize_t remote_write(void *self, const char *bytes, size_t size)
{
    struct remote *remote = self;
    size_t room = remote_room(remote);
    size_t taken = size < room ? size : room;

    if (remote->is_stdin_closed || remote->is_stdin_ended)
        return size == 0 ? 0 : -EPIPE;
    if (buffer_append(&remote->in, bytes, taken) < 0)
        return -ENOMEM;
    remote->is_stdin_full = taken < size;
    if (taken > 0)
        remote_send(remote);
    return (ssize_t)taken;
}

static bool remote_is_writable(const void *self)
{
    const struct remote *remote = self;
    return !remote->is_stdin_full;
}

static void remote_end_stdin(void *self)
{
    struct remote *remote = self;

    if (remote->is_stdin_ended)
        return;
    remote->is_stdin_ended = true;
    remote_send(remote);
}

void remote_count_read(struct remote *remote, enum job_stream which, size_t size)
{
    struct remote_stream *stream = &remote->streams[which];

    stream->owed += (uint32_t)size;
    if (stream->owed < WIRE_OUTPUT_WINDOW / 2 || stream->is_ended || !remote->line)
        return;
    remote->line->ops->control(remote->line, remote->id, credit_types[which], stream->owed);
    stream->window += stream->owed;
    stream->owed = 0;
}

static ssize_t remote_read(void *self, enum job_stream which, char *bytes, size_t size)
{
    struct remote *remote = self;
    struct remote_stream *stream = &remote->streams[which];
    size_t count = stream->bytes.length < size ? stream->bytes.length : size;

    if (count == 0 && size > 0) {
        stream->is_end_reported |= stream->is_ended;
        return stream->is_ended ? 0 : -EAGAIN;
    }
    memcpy(bytes, stream->bytes.data, count);
    if (count == stream->bytes.length)
        buffer_finish(&stream->bytes);
    else
        buffer_drop(&stream->bytes, count);
    remote_count_read(remote, which, count);
    remote_tell_later(remote, which);
    return (ssize_t)count;
}

static int remote_pause(void *self, enum job_stream which, bool is_paused)
{
    struct remote *remote = self;

    remote->streams[which].is_paused = is_paused;
    remote_tell_later(remote, which);
    return 0;
}

static size_t remote_available(const void *self, enum job_stream which)
{
    const struct remote *remote = self;
    return remote->streams[which].bytes.length;
}

static bool remote_has_ended(const void *self, enum job_stream which)
{
    const struct remote *remote = self;
    return remote->streams[which].is_end_reported;
}

static void remote_signal(void *self, int signal)
{
    struct remote *remote = self;

    if (remote->phase < REMOTE_FRAMED) // nothing runs
        remote_lose(remote, "the command was never started");
    else if (remote->line) {
        remote->is_signaled = true;
        remote->line->ops->control(remote->line, remote->id,
                                   signal == SIGKILL ? FRAME_KILL : FRAME_TERM, 0);
    }
}

static void remote_release(struct remote *remote)
{
    if (!remote->line || remote->phase < REMOTE_FRAMED || remote->is_gone)
        return;
    if (remote->has_ended) // by itself: there is no hurry
        remote->line->ops->control_later(remote->line, remote->id, FRAME_RELEASE);
    else
        remote->line->ops->control(remote->line, remote->id, FRAME_RELEASE, 0);
}

static bool remote_ran_out_of_memory(const void *self)
{
    const struct remote *remote = self;
    return remote->is_out_of_memory;
}

static void remote_destroy(void *self)
{
    struct remote *remote = self;
    struct lines *lines = remote->lines;

    remote_release(remote);
    remote_leave(remote);
    loop_undefer(&remote->task);
    for (int i = 0; i < JOB_STREAMS; i++)
        buffer_finish(&remote->streams[i].bytes);
    buffer_finish(&remote->in);
    buffer_finish(&remote->news.reason);
    free(remote);
    if (lines && lines->on_remote_gone)
        lines->on_remote_gone(lines);
}

static const char *remote_waits_for(const void *self)
{
    const struct remote *remote = self;
    return remote->phase < REMOTE_FRAMED ? remote->lines->why_none(remote->lines) : NULL;
}

static size_t remote_kept(const void *self)
{
    const struct remote *remote = self;
    size_t kept = remote->in.capacity;

    for (int i = 0; i < JOB_STREAMS; i++)
        kept += remote->streams[i].bytes.capacity;
    return kept;
}

static bool remote_is_over(const void *self)
{
    const struct remote *remote = self;

    return remote->is_over || remote->news.is_lost || remote->news.is_declined ||
           remote->news.is_too_long;
}

const struct channel_ops remote_ops = {
    .write = remote_write,
    .is_writable = remote_is_writable,
    .end_stdin = remote_end_stdin,
    .read = remote_read,
    .pause = remote_pause,
    .available = remote_available,
    .has_ended = remote_has_ended,
    .signal = remote_signal,
    .ran_out_of_memory = remote_ran_out_of_memory,
    .destroy = remote_destroy,
    .waits_for = remote_waits_for,
    .kept = remote_kept,
    .is_over = remote_is_over,
};
