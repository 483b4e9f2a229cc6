// SPDX-License-Identifier: Apache-2.0
// The acts of commands, on their pipes and on the model.
#include "cleanup.h"
#include "fs_kernel.h"

#include <signal.h>
#include <sys/ioctl.h>

static struct model_job *pick_job(struct fuzz_input *input)
{
    unsigned start = fuzz_byte(input);

    for (unsigned i = 0; i < model_job_count; i++) {
        struct model_job *job = &model_jobs[(start + i) % model_job_count];
        // A command that has ended may have left a process that holds its streams.
        if (job->child && job->state == MODEL_RUNNING)
            return job;
    }
    return NULL;
}

static void command_writes(struct model_job *job, enum job_stream stream, size_t size)
{
    int fd = stream == JOB_STDOUT ? job->child->out : job->child->err;
    AUTO_FREE char *bytes = malloc(size);
    ssize_t count;

    // Bytes that are written after the exit are lost when the daemon has no room to read them.
    if (fd < 0 || (job->is_ended && job->streams))
        return;
    for (size_t i = 0; i < size; i++)
        bytes[i] = model_output_byte(job, stream, job->written[stream] + i);
    count = write(fd, bytes, size);
    world_trace("%s writes %zd bytes to stream %d", job->words, count, stream);
    if (count > 0)
        model_job_wrote(job, stream, (size_t)count);
}

// Writes more bytes than may wait for a reader.
static void command_floods(struct model_job *job)
{
    for (int i = 0; i < 20 && job->state == MODEL_RUNNING; i++) {
        command_writes(job, job->is_framed && job->read % 2 ? JOB_STDERR : JOB_STDOUT, 60000);
        kernel_settle(0);
    }
}

static void command_reads(struct model_job *job, size_t size)
{
    AUTO_FREE char *bytes = malloc(size);
    ssize_t count;

    if (job->child->in < 0)
        return;
    count = read(job->child->in, bytes, size);
    world_trace("%s reads %zd bytes", job->words, count);
    if (count == 0)
        WORLD_CHECK(job->is_stdin_ended, "%s reads the end of stdin", job->words);
    if (count < 0)
        WORLD_CHECK(!job->is_stdin_ended, "%s waits for the end of stdin", job->words);
    if (count <= 0)
        return;
    WORLD_CHECK(job->read + (size_t)count <= job->taken.length &&
                    memcmp(job->taken.data + job->read, bytes, (size_t)count) == 0,
                "%s reads what nobody has written", job->words);
    job->read += (size_t)count;
}

static void command_closes(struct model_job *job, unsigned which)
{
    world_trace("%s closes %u", job->words, which);
    if (which == 0) {
        world_close(&job->child->in);
        job->is_stdin_closed = true;
        return;
    }
    world_close(which == 1 ? &job->child->out : &job->child->err);
    model_job_closed(job, which == 1 ? JOB_STDOUT : JOB_STDERR);
}

// Has the command been a standby, and neither got anything nor said anything?
static bool is_untouched(const struct model_job *job)
{
    return job->child->is_standby && job->taken.length == 0 && !job->is_stdin_ended &&
           job->written[JOB_STDOUT] == 0 && job->written[JOB_STDERR] == 0 && !*job->outcome;
}

static bool has_closed_something(const struct model_job *job)
{
    return job->is_stdin_closed || !job->is_open[JOB_STDOUT] || !job->is_open[JOB_STDERR];
}

static void command_ends(struct model_job *job, unsigned choice)
{
    bool leaves_somebody = choice & 0x40;
    bool is_signaled = choice & 0x20 && !(is_untouched(job) && has_closed_something(job));
    int number = is_signaled ? SIGSEGV : (int)(choice % 3);

    if (job->is_ended)
        return;
    world_trace("%s ends with %d%s", job->words, number, leaves_somebody ? ", and leaves one" : "");
    if (is_signaled && is_untouched(job)) { // its job starts afresh
        world_end_child(job->child, is_signaled, number, !leaves_somebody);
        job->child = NULL;
        return;
    }
    if (!leaves_somebody)
        for (int i = 0; i < JOB_STREAMS; i++)
            model_job_closed(job, (enum job_stream)i);
    world_end_child(job->child, is_signaled, number, !leaves_somebody);
    model_job_ended(job, is_signaled, number);
}

// A command that is late is executed now, or its execution fails.
static void command_begins(struct model_job *job, bool succeeds)
{
    if (!job->child->is_late || job->is_ended)
        return;
    world_trace("%s is executed: %d", job->words, succeeds);
    if (succeeds) {
        job->child->is_late = false;
        return;
    }
    world_fail_child(job->child);
    model_job_unstarted(job);
}

void commands_do(struct fuzz_input *input)
{
    struct model_job *job = pick_job(input);
    unsigned what = fuzz_byte(input);
    size_t size = fuzz_number16(input) + 1;
    unsigned choice = fuzz_byte(input);

    if (!job)
        return;
    command_begins(job, choice % 4);
    if (job->state == MODEL_DONE)
        return;
    if (what % 32 == 31)
        command_floods(job);
    else if (what % 8 < 3)
        command_writes(job, what % 8 == 2 ? JOB_STDERR : JOB_STDOUT,
                       what & 0x80 ? size : size % 64);
    else if (what % 8 < 5)
        command_reads(job, size);
    else if (what % 8 == 5)
        command_closes(job, choice % 3);
    // The command often ends at once after its last act.
    if (what % 8 == 6 || what & 0x40)
        command_ends(job, choice);
}
