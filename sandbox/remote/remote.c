// SPDX-License-Identifier: Apache-2.0
#include "remote.h"

#include "cleanup.h"
#include "connection.h"

#include <errno.h>
#include <signal.h>

enum {
    STDIN_KEPT = 128 * 1024, // bytes that wait for their turn; fit into the first window
    HIGHEST_SIGNAL = 64,
};

static const enum frame_type credit_types[] = {
    [JOB_STDOUT] = FRAME_STDOUT_CREDIT,
    [JOB_STDERR] = FRAME_STDERR_CREDIT,
};

static bool is_readable(const struct remote_stream *stream)
{
    return !stream->is_paused &&
           (stream->bytes.length > 0 || (stream->is_ended && !stream->is_end_reported));
}

static void tell_output(struct remote *remote)
{
    bool has_stdout = is_readable(&remote->streams[JOB_STDOUT]);
    bool has_stderr = is_readable(&remote->streams[JOB_STDERR]);

    if (has_stdout && has_stderr)
        loop_defer(remote->loop, &remote->task);
    if (has_stdout || has_stderr)
        remote->events->on_output(remote->data, has_stdout ? JOB_STDOUT : JOB_STDERR);
}

// The job may destroy the remote in each of its callbacks: so there is one a turn.
static void on_task(void *data)
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
        tell_output(remote);
}

static void start_over(struct remote *remote)
{
    remote->phase = REMOTE_WAITS;
    remote->connection = NULL;
    remote->id = 0;
    remote->credit = WIRE_STDIN_WINDOW;
    remote->is_end_sent = false;
    for (int i = 0; i < JOB_STREAMS; i++)
        remote->streams[i].window = WIRE_OUTPUT_WINDOW;
}

struct remote *remote_create(struct loop *loop, struct agents *agents,
                             const struct remote_spec *spec, const struct channel_events *events,
                             void *data)
{
    struct remote *remote = calloc(1, sizeof *remote);

    if (!remote)
        return NULL;
    list_init(&remote->link);
    list_init(&remote->turn);
    task_init(&remote->task, on_task, remote);
    remote->loop = loop;
    remote->agents = agents;
    remote->spec = *spec;
    remote->events = events;
    remote->data = data;
    start_over(remote);
    return remote;
}

static void leave(struct remote *remote)
{
    list_remove(&remote->link);
    list_remove(&remote->turn);
    if (remote->connection)
        connection_remove(remote->connection, remote);
    remote->connection = NULL;
}

void remote_reset(struct remote *remote)
{
    leave(remote);
    start_over(remote);
}

void remote_lose(struct remote *remote, const char *reason)
{
    leave(remote);
    buffer_printf(&remote->news.reason, "%s%c", reason, '\0');
    remote->news.is_lost = true;
    loop_defer(remote->loop, &remote->task);
}

void remote_decline(struct remote *remote)
{
    // It had a connection, and comes back with what it was given for stdin.
    if (remote->in.length > 0) {
        remote_lose(remote, agents_reason(remote->agents));
        return;
    }
    leave(remote);
    remote->news.is_declined = true;
    loop_defer(remote->loop, &remote->task);
}

// --- To the agent

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

    if (remote->spec.deadline_ns == 0)
        return 0;
    left = remote->spec.deadline_ns > now ? (remote->spec.deadline_ns - now) / 1000000 : 0;
    return left >= UINT32_MAX ? 0 : (uint32_t)left + 1;
}

// START, and all of stdin that there is, which stays here until it is known to be
// on its way.
static int append_start(struct remote *remote, struct buffer *out)
{
    static char *const nothing[] = {NULL};
    const struct launch *launch = remote->spec.launch;
    size_t size = 0;
    int result =
        frame_append_start(out, remote->id, time_left_ms(remote), launch->workdir,
                           launch->argv.items, launch->env.items ? launch->env.items : nothing);

    if (result == -E2BIG) {
        leave(remote);
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

static void take_more_stdin(struct remote *remote)
{
    if (!remote->is_stdin_full || remote->in.length > STDIN_KEPT / 2)
        return;
    remote->is_stdin_full = false;
    remote->news.has_room = true;
    loop_defer(remote->loop, &remote->task);
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
    take_more_stdin(remote);
    return result;
}

void remote_on_chosen(struct remote *remote)
{
    remote->phase = REMOTE_CHOSEN;
    take_more_stdin(remote);
}

void remote_on_sent(struct remote *remote)
{
    remote->phase = REMOTE_SENT;
    buffer_finish(&remote->in);
    take_more_stdin(remote);
    if (remote->is_stdin_ended && !remote->is_end_sent)
        connection_send(remote->connection, remote);
}

// --- From the agent

static void give_credit(struct remote *remote, enum job_stream which)
{
    struct remote_stream *stream = &remote->streams[which];

    if (stream->owed < WIRE_OUTPUT_WINDOW / 2 || stream->is_ended || !remote->connection)
        return;
    connection_control(remote->connection, remote->id, credit_types[which], stream->owed);
    stream->window += stream->owed;
    stream->owed = 0;
}

// Counts as read: otherwise the agent could not send the end of the command.
static void drop_output(struct remote *remote, enum job_stream which, size_t size)
{
    struct remote_stream *stream = &remote->streams[which];

    stream->owed += (uint32_t)size;
    give_credit(remote, which);
    if (is_readable(stream))
        loop_defer(remote->loop, &remote->task);
}

static int receive_output(struct remote *remote, const struct frame *frame)
{
    enum job_stream which =
        frame->type == FRAME_STDOUT || frame->type == FRAME_STDOUT_END ? JOB_STDOUT : JOB_STDERR;
    struct remote_stream *stream = &remote->streams[which];

    if (stream->is_ended || frame->length > stream->window ||
        (remote->is_over && !remote->has_ended))
        return -EBADMSG;
    stream->window -= (uint32_t)frame->length;
    stream->is_ended = frame->length == 0;
    if (stream->is_cut) {
        drop_output(remote, which, frame->length);
    } else if (buffer_append(&stream->bytes, frame->payload, frame->length) < 0) {
        stream->is_cut = true;
        drop_output(remote, which, frame->length);
        remote->events->on_output_lost(remote->data, which);
    } else if (is_readable(stream)) {
        remote->events->on_output(remote->data, which);
    }
    return 0;
}

static int receive_credit(struct remote *remote, uint32_t count)
{
    if (count > WIRE_STDIN_WINDOW - remote->credit)
        return -EBADMSG;
    remote->credit += count;
    if (remote->in.length > 0)
        connection_send(remote->connection, remote);
    return 0;
}

static void receive_stdin_closed(struct remote *remote)
{
    remote->is_stdin_closed = true;
    if (remote->phase == REMOTE_SENT)
        buffer_finish(&remote->in);
    take_more_stdin(remote);
}

static int receive_failure(struct remote *remote, const struct frame *frame)
{
    static const enum channel_stage stages[] = {
        [FRAME_AT_RESOURCES] = STAGE_RESOURCES,
        [FRAME_AT_WORKDIR] = STAGE_WORKDIR,
        [FRAME_AT_EXEC] = STAGE_EXEC,
    };
    unsigned stage = (unsigned char)frame->payload[0];
    uint32_t errnum = frame_number(frame->payload + 1);

    if (remote->is_started || remote->is_over || stage < FRAME_AT_RESOURCES ||
        stage > FRAME_AT_EXEC || errnum == 0 || errnum > 4095)
        return -EBADMSG;
    remote->is_over = true;
    remote->events->on_unstarted(remote->data, stages[stage], (int)errnum);
    return 0;
}

static int receive_end(struct remote *remote, const struct frame *frame)
{
    unsigned kind = (unsigned char)frame->payload[0];
    unsigned number = (unsigned char)frame->payload[1];

    if (!remote->is_started || remote->is_over || kind > 1 ||
        (kind == 1 && (number == 0 || number > HIGHEST_SIGNAL)))
        return -EBADMSG;
    remote->is_over = true;
    remote->has_ended = true;
    remote->events->on_exit(remote->data, kind == 1, (int)number);
    return 0;
}

// The last of it: what it promises must have been said.
static int receive_gone(struct remote *remote)
{
    bool is_complete = remote->streams[JOB_STDOUT].is_ended && remote->streams[JOB_STDERR].is_ended;

    if (!remote->is_over || (remote->has_ended && !is_complete))
        return -EBADMSG;
    remote->is_gone = true;
    return 0;
}

int remote_receive(struct remote *remote, const struct frame *frame)
{
    if (remote->phase != REMOTE_SENT || remote->is_gone)
        return -EBADMSG;
    switch (frame->type) {
    case FRAME_STARTED:
        if (remote->is_started || remote->is_over)
            return -EBADMSG;
        remote->is_started = true;
        return 0;
    case FRAME_FAILED:
        return receive_failure(remote, frame);
    case FRAME_STDOUT:
    case FRAME_STDERR:
    case FRAME_STDOUT_END:
    case FRAME_STDERR_END:
        return receive_output(remote, frame);
    case FRAME_STDIN_CREDIT:
        return receive_credit(remote, frame_number(frame->payload));
    case FRAME_STDIN_CLOSED:
        receive_stdin_closed(remote);
        return 0;
    case FRAME_ENDED:
        return receive_end(remote, frame);
    case FRAME_LOST:
        if (remote->is_over)
            return -EBADMSG;
        remote->is_over = true;
        remote->events->on_lost(remote->data, "the agent lost its hold on the command");
        return 0;
    case FRAME_GONE:
        return receive_gone(remote);
    default:
        return -EBADMSG;
    }
}

// --- The channel

// What has been taken could not go to another channel, should it be declined.
static size_t room_for_stdin(const struct remote *remote)
{
    if (remote->phase == REMOTE_FRAMED || remote->in.length >= STDIN_KEPT ||
        (remote->phase == REMOTE_WAITS && agents_may_decline(remote->agents)))
        return 0;
    return STDIN_KEPT - remote->in.length;
}

static ssize_t remote_write(void *self, const char *bytes, size_t size)
{
    struct remote *remote = self;
    size_t room = room_for_stdin(remote);
    size_t taken = size < room ? size : room;

    if (remote->is_stdin_closed || remote->is_stdin_ended)
        return size == 0 ? 0 : -EPIPE;
    if (buffer_append(&remote->in, bytes, taken) < 0)
        return -ENOMEM;
    remote->is_stdin_full = taken < size;
    if (remote->connection && taken > 0)
        connection_send(remote->connection, remote);
    return (ssize_t)taken;
}

static bool is_writable(const void *self)
{
    const struct remote *remote = self;
    return !remote->is_stdin_full;
}

static void end_stdin(void *self)
{
    struct remote *remote = self;

    if (remote->is_stdin_ended)
        return;
    remote->is_stdin_ended = true;
    if (remote->connection)
        connection_send(remote->connection, remote);
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
    stream->owed += (uint32_t)count;
    give_credit(remote, which);
    if (is_readable(stream))
        loop_defer(remote->loop, &remote->task);
    return (ssize_t)count;
}

static int pause_output(void *self, enum job_stream which, bool is_paused)
{
    struct remote *remote = self;
    struct remote_stream *stream = &remote->streams[which];

    stream->is_paused = is_paused;
    if (is_readable(stream))
        loop_defer(remote->loop, &remote->task);
    return 0;
}

static size_t available(const void *self, enum job_stream which)
{
    const struct remote *remote = self;
    return remote->streams[which].bytes.length;
}

static bool has_ended(const void *self, enum job_stream which)
{
    const struct remote *remote = self;
    return remote->streams[which].is_end_reported;
}

static void send_signal(void *self, int signal)
{
    struct remote *remote = self;

    if (remote->phase < REMOTE_FRAMED) // nothing runs
        remote_lose(remote, "it was never started");
    else if (remote->connection) {
        remote->is_signaled = true;
        connection_control(remote->connection, remote->id,
                           signal == SIGKILL ? FRAME_KILL : FRAME_TERM, 0);
    }
}

static void destroy(void *self)
{
    struct remote *remote = self;

    if (remote->connection && remote->phase >= REMOTE_FRAMED && !remote->is_gone) {
        if (remote->has_ended) // by itself: there is no hurry
            connection_control_later(remote->connection, remote->id, FRAME_RELEASE);
        else
            connection_control(remote->connection, remote->id, FRAME_RELEASE, 0);
    }
    leave(remote);
    loop_undefer(&remote->task);
    for (int i = 0; i < JOB_STREAMS; i++)
        buffer_finish(&remote->streams[i].bytes);
    buffer_finish(&remote->in);
    buffer_finish(&remote->news.reason);
    free(remote);
}

static const char *waits_for(const void *self)
{
    const struct remote *remote = self;
    return remote->phase < REMOTE_FRAMED ? agents_reason(remote->agents) : NULL;
}

const struct channel_ops remote_ops = {
    .write = remote_write,
    .is_writable = is_writable,
    .end_stdin = end_stdin,
    .read = remote_read,
    .pause = pause_output,
    .available = available,
    .has_ended = has_ended,
    .signal = send_signal,
    .destroy = destroy,
    .waits_for = waits_for,
};
