// SPDX-License-Identifier: Apache-2.0
// The answers that reads, writes and polls must get, and when.
#include "cleanup.h"
#include "fs_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

// --- Poll

// Is there something of stderr that has not been read?
static bool has_stderr(const struct model_call *call)
{
    return call->phase == MODEL_JOB && call->job->is_framed &&
           model_visible(call->job, JOB_STDERR) > call->job->consumed[JOB_STDERR];
}

unsigned answers_events(struct file *file, unsigned *perhaps)
{
    static const unsigned in = POLLIN | POLLRDNORM;
    static const unsigned out = POLLOUT | POLLWRNORM;
    const struct model_call *call = kernel_call_of(file);
    bool is_job = call->phase == MODEL_JOB;
    const struct model_job *job = call->job;
    unsigned events = 0;
    int left = 0;

    *perhaps = 0;
    if (file->is_conversation || file->file == SLOT_REQUEST || file->file == SLOT_CTL) {
        if (is_job && job->child && job->child->in >= 0)
            ioctl(job->child->in, FIONREAD, &left);
        if (!is_job || file->has_read || job->state == MODEL_DONE ||
            (job->state == MODEL_RUNNING && (job->is_stdin_closed || left == 0)))
            events |= out;
        else if (job->state == MODEL_RUNNING)
            *perhaps |= out;
    }
    if (file->is_conversation &&
        (call->phase == MODEL_EMPTY || model_call_outcome(call) ||
         (is_job && model_visible(job, JOB_STDOUT) > job->consumed[JOB_STDOUT]) ||
         has_stderr(call)))
        events |= in;
    if (file->is_writer && file->flags == O_RDWR)
        events |= in;
    if (file->is_conversation || file->file == SLOT_REQUEST || file->file == SLOT_CTL)
        return events;
    uint64_t from = file->generation == file->dir->generation ? file->read_to : 0;
    enum job_stream stream = file->file == SLOT_STDOUT ? JOB_STDOUT : JOB_STDERR;
    if (call->phase == MODEL_EMPTY || model_call_outcome(call))
        return in;
    if (!is_job || file->file == SLOT_STATUS)
        return 0;
    if (model_visible(job, stream) > from || model_has_ended(job, stream) == 1)
        return in;
    if (model_has_ended(job, stream) < 0)
        *perhaps = in;
    return 0;
}

static void check_poll(struct file *file)
{
    unsigned perhaps;
    unsigned events;

    if (!file->is_open || !file->is_polled)
        return;
    events = answers_events(file, &perhaps);
    WORLD_CHECK(!(events & ~perhaps & ~file->seen_events),
                "nobody is told that %llx has events %x, and not only %x",
                (unsigned long long)file->inode->id, events, file->seen_events);
}

// --- Answers of reads

enum wish { MUST_WAIT, MAY_WAIT, MUST_ANSWER };

struct expected {
    enum wish wish;
    int error;
    size_t size;
    // The source of the bytes: a text, or a stream.
    const char *text;
    const struct model_job *job;
    enum job_stream stream;
    uint64_t offset;
    bool is_beginning; // the text is only the beginning of the file
    bool is_framed;
};

static void expect_text(struct expected *expected, const char *text, uint64_t offset, size_t size)
{
    size_t length = strlen(text);

    expected->wish = MUST_ANSWER;
    expected->text = text;
    expected->offset = offset;
    expected->size = offset < length ? length - offset : 0;
    if (expected->size > size)
        expected->size = size;
    expected->is_beginning = length > 0 && text[length - 1] != '\n';
}

static void expect_stream(struct expected *expected, const struct model_job *job,
                          enum job_stream stream, uint64_t offset, size_t size)
{
    uint64_t visible = model_visible(job, stream);

    expected->job = job;
    expected->stream = stream;
    expected->offset = offset;
    if (offset < visible) {
        expected->wish = MUST_ANSWER;
        expected->size = visible - offset < size ? visible - offset : size;
    } else
        expected->wish = (enum wish)(model_has_ended(job, stream) == 0  ? MUST_WAIT
                                     : model_has_ended(job, stream) < 0 ? MAY_WAIT
                                                                        : MUST_ANSWER);
}

static void expect_conversation(struct expected *expected, const struct file *file, size_t size)
{
    const struct model_call *call = &file->call;

    if (call->is_framed && call->phase != MODEL_EMPTY) {
        expected->is_framed = true;
        expected->wish =
            (enum wish)(model_call_outcome(call) || has_stderr(call) ||
                                (call->phase == MODEL_JOB && model_visible(call->job, JOB_STDOUT) >
                                                                 call->job->consumed[JOB_STDOUT])
                            ? MUST_ANSWER
                            : MUST_WAIT);
        return;
    }
    if (call->phase == MODEL_JOB) {
        expect_stream(expected, call->job, JOB_STDOUT, call->job->consumed[JOB_STDOUT], size);
        if (expected->size > 0)
            return;
        expected->wish = call->job->state == MODEL_DONE ? MUST_ANSWER : MUST_WAIT;
        expected->error = call->job->error;
        return;
    }
    expected->wish = MUST_ANSWER;
    expected->error = call->phase == MODEL_REFUSED && call->error == ECANCELED ? ECANCELED : EINVAL;
}

static void expect_read(struct expected *expected, const struct pending *pending)
{
    struct file *file = pending->file;
    struct model_dir *dir = file->dir;
    const char *outcome = model_call_outcome(&dir->call);

    *expected = (struct expected){.wish = MUST_ANSWER};
    if (pending->error)
        expected->error = pending->error;
    else if (pending->is_later_part)
        return;
    else if (file->is_conversation)
        expect_conversation(expected, file, pending->size);
    else if (pending->offset > 0 && file->generation != dir->generation)
        expected->error = ESTALE;
    else {
        file->generation = dir->generation;
        if (dir->call.phase == MODEL_EMPTY)
            return;
        if (file->file == SLOT_STATUS && outcome)
            expect_text(expected, outcome, pending->offset, pending->size);
        else if (file->file == SLOT_STATUS || dir->call.phase == MODEL_WRITING)
            expected->wish = MUST_WAIT;
        else if (dir->call.phase == MODEL_JOB)
            expect_stream(expected, dir->call.job,
                          file->file == SLOT_STDOUT ? JOB_STDOUT : JOB_STDERR, pending->offset,
                          pending->size);
    }
}

static void check_bytes(const struct expected *expected, const struct pending *pending)
{
    const struct reply *reply = &pending->reply;

    if (expected->is_beginning)
        WORLD_CHECK(reply->size >= expected->size && reply->size <= pending->size,
                    "%zu bytes, not %zu", reply->size, expected->size);
    else
        WORLD_CHECK(reply->size == expected->size, "%zu bytes, not %zu", reply->size,
                    expected->size);
    for (size_t i = 0; i < expected->size; i++) {
        uint64_t at = expected->offset + i;
        char byte = expected->text ? expected->text[at]
                                   : model_output_byte(expected->job, expected->stream, at);
        WORLD_CHECK(reply->bytes[i] == byte, "byte %llu is %d, not %d", (unsigned long long)at,
                    reply->bytes[i], byte);
    }
}

// A byte of a frame's body is what the command wrote next, or the status says.
static void check_body_byte(struct file *file, uint64_t taken[JOB_STREAMS], char byte)
{
    const struct model_call *call = &file->call;
    const char *outcome = model_call_outcome(call);
    enum job_stream stream = file->header[0] == 1 ? JOB_STDOUT : JOB_STDERR;

    if (file->header[0] == 3) {
        WORLD_CHECK(outcome, "a status that is not known");
        WORLD_CHECK(file->status_size >= strlen(outcome) || outcome[file->status_size] == byte,
                    "another status");
        file->status_size++;
        return;
    }
    WORLD_CHECK(call->phase == MODEL_JOB, "output of no job");
    uint64_t at = call->job->consumed[stream] + taken[stream]++;
    WORLD_CHECK(at < model_visible(call->job, stream) &&
                    byte == model_output_byte(call->job, stream, at),
                "byte %llu of stream %d", (unsigned long long)at, stream);
}

static void begin_frame(struct file *file)
{
    const unsigned char *header = file->header;

    WORLD_CHECK(header[0] >= 1 && header[0] <= 3 && !header[1] && !header[2] && !header[3],
                "a header of kind %d", header[0]);
    WORLD_CHECK(!file->has_status, "a frame after the last one");
    file->has_status = header[0] == 3;
    file->frame_left =
        (size_t)header[4] << 24 | (size_t)header[5] << 16 | (size_t)header[6] << 8 | header[7];
    WORLD_CHECK(file->frame_left > 0, "an empty frame");
}

static void check_frames(const struct pending *pending)
{
    struct file *file = pending->file;
    struct file before = *file;
    uint64_t taken[JOB_STREAMS] = {0};
    bool is_end = file->has_status && file->frame_left == 0;

    WORLD_CHECK((pending->reply.size == 0) == is_end, "%zu bytes", pending->reply.size);
    for (size_t i = 0; i < pending->reply.size; i++) {
        if (file->frame_left > 0) {
            check_body_byte(file, taken, pending->reply.bytes[i]);
            file->frame_left--;
            if (file->frame_left == 0)
                file->header_size = 0;
            continue;
        }
        file->header[file->header_size++] = (unsigned char)pending->reply.bytes[i];
        if (file->header_size == sizeof file->header)
            begin_frame(file);
    }
    if (pending->is_gone) {
        *file = before; // it has not come so far
        return;
    }
    for (int i = 0; i < JOB_STREAMS; i++)
        if (taken[i] > 0)
            model_job_consumed(file->call.job, (enum job_stream)i, taken[i]);
}

// Returns true if the read has been answered.
static bool check_read(const struct pending *pending)
{
    struct expected expected;
    int error = pending->reply.error;
    bool is_early = pending->ends_stdin && ((pending->is_nonblocking && error == EAGAIN) ||
                                            (pending->is_interrupted && error == EINTR));

    expect_read(&expected, pending);
    if (expected.wish == MUST_WAIT || (expected.wish == MAY_WAIT && error) || is_early) {
        if (!pending->is_nonblocking && !pending->is_interrupted) {
            WORLD_CHECK(!pending->reply.is_there, "a read that has to wait gets %d, %zu bytes",
                        error, pending->reply.size);
            return false;
        }
        expected.error = pending->is_nonblocking ? EAGAIN : EINTR;
    }
    if (expected.wish == MAY_WAIT && !pending->reply.is_there)
        return false;
    WORLD_CHECK(pending->reply.is_there, "a read of %llx that need not wait gets no answer",
                (unsigned long long)pending->file->inode->id);
    WORLD_CHECK(error == expected.error, "a read of %llx gets %d, not %d",
                (unsigned long long)pending->file->inode->id, error, expected.error);
    if (!expected.error && expected.is_framed) {
        check_frames(pending);
        return true;
    }
    if (!expected.error)
        check_bytes(&expected, pending);
    if (expected.error == EAGAIN || expected.error == EINTR || pending->error)
        return true;
    pending->file->read_to = expected.error ? 0 : pending->offset + pending->reply.size;
    // The place of the next read is another one now, and no poll is told of that.
    if (!pending->file->is_conversation)
        pending->file->seen_events |= POLLIN | POLLRDNORM;
    if (pending->file->is_conversation && !pending->is_gone && !expected.error && expected.job)
        model_job_consumed(pending->file->call.job, JOB_STDOUT, pending->reply.size);
    return true;
}

// --- Answers of writes

// Shares out the bytes that the daemon has passed to the command since the last call of this
// function: the writes that wait get them, in order.
static void share_out(struct model_job *job)
{
    int left = 0;
    size_t count;

    if (!job->child || job->child->in < 0 || job->is_stdin_closed)
        return;
    ioctl(job->child->in, FIONREAD, &left);
    count = job->read + (size_t)left - job->taken.length;
    for (unsigned i = 0; i < kernel_pending_count; i++) {
        struct pending *pending = &kernel_pending[i];
        struct model_call *call = kernel_call_of(pending->file);
        if (!pending->is_write || call->phase != MODEL_JOB || call->job != job || pending->error)
            continue;
        for (; count > 0 && pending->hole_left > 0; count--, pending->hole_left--)
            buffer_append(&job->taken, "", 1);
        for (; count > 0 && pending->left > 0; count--, pending->left--) {
            char byte = files_byte(pending, pending->size - pending->left);
            buffer_append(&job->taken, &byte, 1);
        }
    }
    WORLD_CHECK(count == 0, "%s is given %zu bytes that nobody has written", job->words, count);
}

static bool check_write(struct pending *pending)
{
    const struct model_call *call = kernel_call_of(pending->file);
    struct model_job *job = call->phase == MODEL_JOB ? call->job : NULL;
    const struct reply *reply = &pending->reply;
    struct fuse_write_out out = {0};
    size_t taken;
    int error = pending->error;

    if (job && !error && job->state != MODEL_QUEUED &&
        (job->is_stdin_closed || job->state == MODEL_DONE))
        pending->hole_left = pending->left = 0; // dropped
    taken = error ? 0 : pending->size - pending->left;
    if (!error && pending->hole_left + pending->left > 0) {
        // A read has ended stdin, or the caller does not want to wait.
        if (pending->file->has_read)
            error = EPIPE;
        else if (pending->is_nonblocking)
            error = EAGAIN;
        else if (pending->is_interrupted)
            error = EINTR;
        else {
            WORLD_CHECK(!reply->is_there,
                        "a write of %zu bytes to %s, of which %zu are left, gets %d", pending->size,
                        job ? job->words : "no job", pending->left, reply->error);
            WORLD_CHECK(job && (job->state == MODEL_QUEUED || job->read < job->taken.length),
                        "a write waits, and the command has read everything");
            return false;
        }
    }
    WORLD_CHECK(reply->is_there, "a write that need not wait gets no answer");
    if (taken > 0)
        error = 0;
    WORLD_CHECK(reply->error == error, "a write gets %d, not %d", reply->error, error);
    if (!pending->error)
        pending->file->written += pending->hole - pending->hole_left + taken;
    if (error)
        return true;
    memcpy(&out, reply->bytes, sizeof out);
    WORLD_CHECK(out.size == taken, "%u bytes were written, not %zu", out.size, taken);
    return true;
}

// Checks, in order, the requests for which IS_WANTED is true, or all of them if it is NULL.
static void check_pending(bool (*is_wanted)(const struct pending *pending))
{
    unsigned kept = 0;

    for (unsigned i = 0; i < kernel_pending_count; i++) {
        struct pending *pending = &kernel_pending[i];
        if ((!is_wanted || is_wanted(pending)) &&
            (pending->is_write ? check_write(pending) : check_read(pending)))
            free(pending->reply.bytes);
        else
            kernel_pending[kept++] = *pending;
    }
    kernel_pending_count = kept;
}

// Has a reader taken bytes? That makes room for more output: a job may end, and another begin.
static bool has_consumed(const struct pending *pending)
{
    return !pending->is_write && pending->file->is_conversation && pending->reply.size > 0;
}

void answers_check(void)
{
    check_pending(has_consumed);
    model_catch_up();
    for (unsigned i = 0; i < model_job_count; i++)
        share_out(&model_jobs[i]);
    check_pending(NULL);
    for (unsigned i = 0; i < kernel_file_count; i++)
        check_poll(&kernel_files[i]);
}
