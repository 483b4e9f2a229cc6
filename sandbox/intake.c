// SPDX-License-Identifier: Apache-2.0
#include "intake.h"

#include <errno.h>

int intake_take(struct intake *intake, enum job_stream stream, const char *bytes, size_t size)
{
    struct output *output = &intake->outputs[stream];
    bool is_kept = intake->keeping == JOB_KEEPS;
    ssize_t kept;

    if (intake->keeping == JOB_STREAMS_BOTH && stream == JOB_STDERR)
        output->tail = JOB_STDERR_TAIL; // for the mode's judgement
    kept = output_append(output, bytes, size, is_kept ? intake->limit : UINT64_MAX);
    if (intake->keeping == JOB_STREAMS_OUT && stream == JOB_STDERR &&
        output->bytes.length > (size_t)2 * JOB_STDERR_TAIL)
        buffer_drop(&output->bytes, output->bytes.length - JOB_STDERR_TAIL);
    if (stream == JOB_STDERR && intake->held_back)
        output->held = intake->held_back(output->bytes.data, output->bytes.length);
    // Once a byte has been seen, the rest is no message.
    if (stream == JOB_STDOUT && intake->held_back_out && output->total == output->bytes.length)
        output->held = intake->held_back_out(output->bytes.data, output->bytes.length);
    if (kept < 0)
        return -ENOMEM;
    return (size_t)kept < size ? -EFBIG : 0;
}

// A job that streams only stdout cannot be read before its owner has ended stdin. Until then
// max_output may wait; otherwise each answer that is longer than a few pipes would stop the
// command for ever.
bool intake_is_full(const struct intake *intake, enum job_stream stream, bool is_stdin_ended)
{
    bool is_readable = is_stdin_ended || intake->keeping == JOB_STREAMS_BOTH;
    uint64_t window =
        is_readable || intake->limit < JOB_WINDOW ? (uint64_t)JOB_WINDOW : intake->limit;

    if (intake->keeping == JOB_KEEPS ||
        (intake->keeping == JOB_STREAMS_OUT && stream == JOB_STDERR))
        return false;
    return output_visible(&intake->outputs[stream]) >= window;
}

void intake_finish(struct intake *intake)
{
    for (int i = 0; i < JOB_STREAMS; i++)
        output_finish(&intake->outputs[i]);
}
