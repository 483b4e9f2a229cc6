// SPDX-License-Identifier: Apache-2.0
// The bytes that pass through a job: stdin to the channel, output from it; and the outcome,
// which may be in these bytes.
#include "job_parts.h"

#include "cleanup.h"
#include "mode.h"
#include "removal.h"
#include "units.h"

#include <errno.h>

enum {
    CHUNK = 256 * 1024, // bytes read from a stream at once
    // For so long the end of a stream is kept from readers when the command has not exited
    // yet. Commands nearly always exit at once, and a reader that has seen the end can then
    // rely on the job being done.
    END_HOLD_MS = 100,
};

bool job_has_client(const struct job *job)
{
    return job->launch.client != NULL;
}

static bool job_stream_has_ended(const struct job *job, enum job_stream stream)
{
    return job->channel.ops->has_ended(job->channel.self, stream);
}

// Unlike other stops, an overflow counts even when the command has exited.
static void job_overflow(struct job *job, enum job_stream stream, int why)
{
    const char *name = stream == JOB_STDOUT ? "stdout" : "stderr";
    char size[UNITS_TEXT];

    if (job->outcome.kind != OUTCOME_NONE)
        return;
    size_format(job->config->max_output_bytes, size);
    if (why == -ENOMEM)
        outcome_set(&job->outcome, OUTCOME_OVERFLOW, CODE_OVERFLOW, "%s exceeded the memory", name);
    else if (why == -EDQUOT)
        outcome_set(&job->outcome, OUTCOME_OVERFLOW, CODE_OVERFLOW,
                    "%s exceeded what one user may have kept", name);
    else
        outcome_set(&job->outcome, OUTCOME_OVERFLOW, CODE_OVERFLOW, "%s exceeded %s", name, size);
    job_handle(job, JOB_OVERFLOW);
}

// --- Output

void job_on_stdin(void *data)
{
    job_announce(data);
}

void job_on_end_held(void *data)
{
    struct job *job = data;

    // The last bytes of a client's stderr, and all of its stdout that is held back, may turn
    // out to be the client's own message: job_judge ends these streams.
    if (job_stream_has_ended(job, JOB_STDOUT) && job->intake.outputs[JOB_STDOUT].held == 0)
        output_end(&job->intake.outputs[JOB_STDOUT], 0);
    if (job_stream_has_ended(job, JOB_STDERR) && !job_has_client(job))
        output_end(&job->intake.outputs[JOB_STDERR], 0);
    job_announce(job);
}

static void job_pause_or_resume(struct job *job, enum job_stream stream)
{
    bool is_full = intake_is_full(&job->intake, stream, job->is_stdin_ended);

    if (!job->channel.self || is_full == job->is_paused[stream])
        return;
    job->is_paused[stream] = is_full;
    if (job->channel.ops->pause(job->channel.self, stream, is_full) < 0)
        job_overflow(job, stream, -ENOMEM);
}

bool job_charge(struct job *job)
{
    uint64_t held = 0;
    bool is_within = true;

    if (!job->account)
        return true;
    for (int i = 0; i < JOB_STREAMS; i++)
        held += job->intake.outputs[i].bytes.capacity;
    if (job->channel.self && job->channel.ops->kept)
        held += job->channel.ops->kept(job->channel.self);
    if (held > job->charged)
        is_within = account_take(job->account, ACCOUNT_BYTES, held - job->charged,
                                 job->config->max_user_bytes);
    else
        account_give_back(job->account, ACCOUNT_BYTES, job->charged - held);
    job->charged = held;
    return is_within;
}

void job_drop_output(struct job *job)
{
    intake_finish(&job->intake);
    job_charge(job);
    account_unref(take_ptr(&job->account));
}

static void job_keep_output(struct job *job, enum job_stream stream, const char *bytes, size_t size)
{
    int result = intake_take(&job->intake, stream, bytes, size);

    if (!job_charge(job) && result == 0)
        result = -EDQUOT;
    job_pause_or_resume(job, stream);
    job_announce(job);
    // A job whose output is not whole must not look like a success.
    if (result < 0)
        job_overflow(job, stream, result);
}

static char chunk[CHUNK];

void job_on_output(void *data, enum job_stream stream)
{
    struct job *job = data;
    ssize_t count = job->channel.ops->read(job->channel.self, stream, chunk, sizeof chunk);

    if (count > 0)
        job_keep_output(job, stream, chunk, (size_t)count);
    if (count != 0)
        return;
    if (loop_arm(job->loop, &job->end_timer, END_HOLD_MS) < 0)
        job_on_end_held(job);
    if (job_stream_has_ended(job, JOB_STDOUT) && job_stream_has_ended(job, JOB_STDERR))
        job_handle(job, JOB_CLOSE);
}

void job_on_kept(void *data, enum job_stream stream)
{
    if (!job_charge(data))
        job_overflow(data, stream, -EDQUOT);
}

void job_on_output_lost(void *data, enum job_stream stream)
{
    job_overflow(data, stream, -ENOMEM);
}

static void job_read_available(struct job *job, enum job_stream stream)
{
    size_t left = job->channel.ops->available(job->channel.self, stream);
    ssize_t count;

    for (; left > 0 && job->channel.self; left -= (size_t)count) {
        count =
            job->channel.ops->read(job->channel.self, stream, chunk, left < CHUNK ? left : CHUNK);
        if (count <= 0)
            return;
        job_keep_output(job, stream, chunk, (size_t)count);
    }
}

void job_read_rest(struct job *job)
{
    for (int i = 0; i < JOB_STREAMS && job->channel.self; i++)
        job_read_available(job, (enum job_stream)i);
}

// --- The owner's side

size_t job_write(struct job *job, const char *bytes, size_t size)
{
    ssize_t count;

    if (job->state == JOB_QUEUED)
        return 0;
    count = job->channel.self ? job->channel.ops->write(job->channel.self, bytes, size) : -EPIPE;
    if (count == -ENOMEM)
        job_stop(job, OUTCOME_CANCELLED, CODE_CANCELLED, "no memory for its stdin");
    if (count < 0) {
        job->is_stdin_closed = true;
        return size;
    }
    job->input_bytes += (size_t)count;
    job_charge(job); // beyond the limit the next request is refused
    return (size_t)count;
}

bool job_drops_stdin(const struct job *job)
{
    return job->is_stdin_closed;
}

bool job_is_writable(const struct job *job)
{
    return job->state != JOB_QUEUED &&
           (!job->channel.self || job->channel.ops->is_writable(job->channel.self));
}

void job_end_stdin(struct job *job)
{
    job->is_stdin_ended = true;
    job_pause_or_resume(job, JOB_STDOUT);
    if (job->channel.self)
        job->channel.ops->end_stdin(job->channel.self);
}

void job_consume(struct job *job, enum job_stream stream, size_t size)
{
    output_consume(&job->intake.outputs[stream], size);
    job_charge(job);
    job_pause_or_resume(job, stream);
}

const struct output *job_output(const struct job *job, enum job_stream stream)
{
    return &job->intake.outputs[stream];
}

// --- The end of both

void job_judge(struct job *job)
{
    const struct output *out = &job->intake.outputs[JOB_STDOUT];
    const struct buffer *err = &job->intake.outputs[JOB_STDERR].bytes;
    struct ending ending = {
        .is_signaled = job->is_signaled,
        .number = job->exit_number,
        .err = err->data ? err->data : "",
        .err_length = err->length,
        .out = output_bytes(out),
        .out_length = output_visible(out) + out->held,
        .has_env = job->launch.has_env,
    };
    size_t stripped[JOB_STREAMS] = {0};

    if (job->outcome.kind == OUTCOME_NONE && job_has_client(job)) {
        stripped[JOB_STDERR] = job->launch.client->judge(&ending, &job->outcome);
        // It is the engine's message then, and not the command's.
        if (job->outcome.kind == OUTCOME_UNSTARTED || job->outcome.kind == OUTCOME_UNREACHABLE)
            stripped[JOB_STDOUT] = out->held;
    } else if (job->outcome.kind == OUTCOME_NONE)
        outcome_set_ending(&job->outcome, job->is_signaled, job->exit_number);
    if (job->is_out_of_memory && job->outcome.kind == OUTCOME_SIGNALED)
        outcome_set(&job->outcome, OUTCOME_SIGNALED, job->outcome.code, "%s out of memory",
                    outcome_detail(&job->outcome));
    for (int i = 0; i < JOB_STREAMS; i++)
        if (!job->intake.outputs[i].is_ended)
            output_end(&job->intake.outputs[i], stripped[i]);
}

void job_remove_container(const struct job *job)
{
    enum outcome_kind kind = job->outcome.kind;

    if (job->launch.container && job->start_ns > 0 && kind != OUTCOME_EXITED &&
        kind != OUTCOME_UNSTARTED)
        removal_start(job->loop, job->config, job->launch.container);
}
