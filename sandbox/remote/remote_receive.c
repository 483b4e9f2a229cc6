// SPDX-License-Identifier: Apache-2.0
// Frames from the agent about one job. frame_parse has checked the shape of each frame;
// here it is checked that the frame may come now.
#include "remote_parts.h"

#include <errno.h>
#include <signal.h>

enum { HIGHEST_SIGNAL = 64, HIGHEST_ERRNO = 4095 };

// Bytes that are dropped count as read: otherwise the window would fill up, and the agent
// could not send the end of the command.
static void drop_output(struct remote *remote, enum job_stream which, size_t size)
{
    remote_count_read(remote, which, size);
    remote_tell_later(remote, which);
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
    } else if (remote_is_readable(stream)) {
        remote->events->on_output(remote->data, which);
    } else if (frame->length > 0) {
        remote->events->on_kept(remote->data, which);
    }
    return 0;
}

static int receive_credit(struct remote *remote, uint32_t count)
{
    if (count == 0 || count > WIRE_STDIN_WINDOW - remote->credit)
        return -EBADMSG;
    remote->credit += count;
    if (remote->in.length > 0)
        remote_send(remote);
    return 0;
}

static int receive_stdin_closed(struct remote *remote)
{
    if (remote->is_stdin_closed)
        return -EBADMSG;
    remote->is_stdin_closed = true;
    buffer_finish(&remote->in);
    remote_make_room(remote);
    return 0;
}

static int receive_start(struct remote *remote)
{
    if (remote->is_started || remote->is_over)
        return -EBADMSG;
    remote->is_started = true;
    return 0;
}

static int receive_failure(struct remote *remote, const struct frame *frame)
{
    static const enum channel_stage stages[] = {
        [FRAME_AT_RESOURCES] = STAGE_RESOURCES,
        [FRAME_AT_WORKDIR] = STAGE_WORKDIR,
        [FRAME_AT_EXEC] = STAGE_EXEC,
        [FRAME_AT_LIMITS] = STAGE_LIMITS,
    };
    unsigned stage = (unsigned char)frame->payload[0];
    uint32_t errnum = frame_number(frame->payload + 1);

    if (remote->is_started || remote->is_over || stage < FRAME_AT_RESOURCES ||
        stage > FRAME_AT_LIMITS || errnum == 0 || errnum > HIGHEST_ERRNO)
        return -EBADMSG;
    remote->is_over = true;
    remote->events->on_unstarted(remote->data, stages[stage], (int)errnum);
    return 0;
}

static int receive_end(struct remote *remote, const struct frame *frame)
{
    unsigned kind = (unsigned char)frame->payload[0];
    unsigned number = (unsigned char)frame->payload[1];

    if (!remote->is_started || remote->is_over || kind > FRAME_OUT_OF_MEMORY ||
        (kind == FRAME_SIGNALED && (number == 0 || number > HIGHEST_SIGNAL)) ||
        (kind == FRAME_OUT_OF_MEMORY && number != SIGKILL))
        return -EBADMSG;
    remote->is_over = true;
    remote->has_ended = true;
    remote->is_out_of_memory = kind == FRAME_OUT_OF_MEMORY;
    remote->events->on_exit(remote->data, kind != FRAME_EXITED, (int)number);
    return 0;
}

static int receive_loss(struct remote *remote)
{
    if (remote->is_over)
        return -EBADMSG;
    remote->is_over = true;
    remote->events->on_lost(remote->data, "the agent lost its hold on the command");
    return 0;
}

// GONE is the last frame about a job: the ends that it stands for must have come before.
static int receive_gone(struct remote *remote)
{
    bool is_complete = remote->streams[JOB_STDOUT].is_ended && remote->streams[JOB_STDERR].is_ended;

    if (!remote->is_over || (remote->has_ended && !is_complete))
        return -EBADMSG;
    remote->is_gone = true;
    return 0;
}

// Each frame of output has a byte at least, and each credit is for a byte that was sent.
uint64_t remote_late_frames(const struct remote *remote)
{
    enum { OTHERS = 6 }; // STARTED, STDIN_CLOSED, the ends of both streams, ENDED or LOST, and GONE

    return (uint64_t)remote->streams[JOB_STDOUT].window + remote->streams[JOB_STDERR].window +
           (WIRE_STDIN_WINDOW - remote->credit) + OTHERS;
}

int remote_receive(struct remote *remote, const struct frame *frame)
{
    if (remote->phase != REMOTE_SENT || remote->is_gone)
        return -EBADMSG;
    switch (frame->type) {
    case FRAME_STARTED:
        return receive_start(remote);
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
        return receive_stdin_closed(remote);
    case FRAME_ENDED:
        return receive_end(remote, frame);
    case FRAME_LOST:
        return receive_loss(remote);
    case FRAME_GONE:
        return receive_gone(remote);
    default:
        return -EBADMSG;
    }
}
