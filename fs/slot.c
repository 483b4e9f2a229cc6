// SPDX-License-Identifier: Apache-2.0
#include "slot.h"

#include "cleanup.h"

#include <errno.h>

// Where a request is, in the order it goes through them. EMPTY, REFUSED and a
// JOB that is done may have a writer or none; WRITING always has one.
enum phase {
    EMPTY,
    WRITING, // the command line is not complete
    REFUSED, // `refusal` says why
    JOB,     // `job` runs, or is done
};

struct slot {
    struct loop *loop;
    struct sandbox *sandbox;
    char *name;
    void (*on_change)(void *data);
    void *data;
    enum phase phase;
    bool has_writer; // request is open for writing
    uint64_t generation;
    struct caller caller; // who opened request last
    struct request_parser parser;
    struct job *job;
    struct outcome refusal;
    int refusal_errno; // what a writer gets
    struct timespec time;
    struct task change;
};

static void announce(struct slot *slot)
{
    clock_gettime(CLOCK_REALTIME, &slot->time);
    loop_defer(slot->loop, &slot->change);
}

static const struct outcome *known_outcome(const struct slot *slot)
{
    if (slot->phase == REFUSED)
        return &slot->refusal;
    return slot->phase == JOB && job_is_done(slot->job) ? job_outcome(slot->job) : NULL;
}

static void on_announced(void *data)
{
    struct slot *slot = data;
    slot->on_change(slot->data);
}

static void on_job_change(void *data)
{
    struct slot *slot = data;

    clock_gettime(CLOCK_REALTIME, &slot->time);
    slot->on_change(slot->data);
}

struct slot *slot_create(struct loop *loop, struct sandbox *sandbox, const char *name,
                         void (*on_change)(void *data), void *data)
{
    struct slot *slot = calloc(1, sizeof *slot);

    if (!slot)
        return NULL;
    *slot = (struct slot){
        .loop = loop, .sandbox = sandbox, .on_change = on_change, .data = data, .generation = 1};
    clock_gettime(CLOCK_REALTIME, &slot->time);
    task_init(&slot->change, on_announced, slot);
    slot->name = strdup(name);
    if (slot->name)
        return slot;
    free(slot);
    return NULL;
}

// Makes it empty. The job, if it runs, is cancelled.
static void clear(struct slot *slot)
{
    job_release(take_ptr(&slot->job));
    request_parser_finish(&slot->parser);
    outcome_finish(&slot->refusal);
    identity_finish(&slot->caller.identity);
    slot->phase = EMPTY;
    // Whoever read the old results must not go on in new ones.
    slot->generation++;
}

void slot_destroy(struct slot *slot)
{
    if (!slot)
        return;
    clear(slot);
    loop_undefer(&slot->change);
    free(slot->name);
    free(slot);
}

// --- request

bool slot_is_busy(const struct slot *slot)
{
    return slot->has_writer || (slot->phase == JOB && !job_is_done(slot->job));
}

void slot_discard(struct slot *slot)
{
    if (!slot_is_busy(slot))
        clear(slot);
}

int slot_begin(struct slot *slot, const struct caller *caller)
{
    struct identity identity;

    if (slot_is_busy(slot))
        return -EBUSY;
    if (identity_copy(&identity, &caller->identity) < 0)
        return -ENOMEM;
    clear(slot);
    slot->caller = (struct caller){.identity = identity, .pid = caller->pid};
    slot->has_writer = true;
    slot->phase = WRITING;
    announce(slot);
    return 0;
}

static int refuse(struct slot *slot, struct error *err)
{
    sandbox_log_refusal(slot->sandbox, &slot->caller, slot->name, err);
    request_parser_finish(&slot->parser);
    outcome_set(&slot->refusal, OUTCOME_REFUSED, CODE_REFUSED, "%s", error_message(err));
    slot->refusal_errno = err->code;
    slot->phase = REFUSED;
    error_finish(err);
    announce(slot);
    return -slot->refusal_errno;
}

// The command line is complete.
static int submit(struct slot *slot)
{
    struct job_owner owner = {.on_change = on_job_change, .data = slot};
    struct error err = {0};
    struct job *job = sandbox_submit(slot->sandbox, &slot->parser.request, &slot->caller,
                                     slot->name, &owner, &err);

    if (!job)
        return refuse(slot, &err);
    request_parser_finish(&slot->parser);
    slot->job = job;
    slot->phase = JOB;
    announce(slot);
    return 0;
}

ssize_t slot_write(struct slot *slot, const char *bytes, size_t size)
{
    struct error err = {0};
    bool is_complete;
    ssize_t used;

    if (slot->phase == REFUSED)
        return -slot->refusal_errno;
    if (slot->phase == JOB)
        return (ssize_t)job_write(slot->job, bytes, size);
    used = request_parse(&slot->parser, bytes, size, &is_complete, &err);
    if (used < 0)
        return refuse(slot, &err);
    if (is_complete && submit(slot) < 0)
        return -slot->refusal_errno;
    // Nothing may be written to stdin before the command runs: what is left is
    // offered at once.
    if ((size_t)used < size)
        used += (ssize_t)job_write(slot->job, bytes + used, size - (size_t)used);
    return used;
}

bool slot_is_writable(const struct slot *slot)
{
    return slot->phase != JOB || job_is_writable(slot->job);
}

void slot_end(struct slot *slot)
{
    struct error err = {0};

    slot->has_writer = false;
    if (slot->phase == JOB)
        job_end_stdin(slot->job);
    if (slot->phase == WRITING && request_is_empty(&slot->parser))
        clear(slot);
    else if (slot->phase == WRITING && request_parse_end(&slot->parser, &err) < 0)
        refuse(slot, &err);
    else if (slot->phase == WRITING && submit(slot) == 0)
        job_end_stdin(slot->job);
    announce(slot);
}

void slot_cancel(struct slot *slot)
{
    if (slot->phase == JOB)
        job_cancel(slot->job);
    if (slot->phase != WRITING)
        return;
    sandbox_log_refusal(slot->sandbox, &slot->caller, slot->name,
                        &(struct error){.code = ECANCELED});
    request_parser_finish(&slot->parser);
    outcome_set(&slot->refusal, OUTCOME_CANCELLED, CODE_CANCELLED, NULL);
    slot->refusal_errno = ECANCELED;
    slot->phase = REFUSED;
    announce(slot);
}

// --- Results

void slot_reader_init(const struct slot *slot, struct slot_reader *reader)
{
    reader->generation = slot->generation;
}

static ssize_t read_at(const char *content, size_t length, bool is_ended, off_t offset, size_t size,
                       const char **bytes)
{
    if ((uint64_t)offset >= length)
        return is_ended ? 0 : -EAGAIN;
    *bytes = content + offset;
    length -= (size_t)offset;
    return (ssize_t)(length < size ? length : size);
}

ssize_t slot_read(const struct slot *slot, enum slot_file file, struct slot_reader *reader,
                  off_t offset, size_t size, const char **bytes)
{
    static char line[OUTCOME_MAX_LINE];
    const struct outcome *outcome = known_outcome(slot);
    const struct output *output;

    // From the start is a new reading, of whatever is there now.
    if (offset == 0)
        reader->generation = slot->generation;
    else if (reader->generation != slot->generation)
        return -ESTALE;
    if (size == 0 || slot->phase == EMPTY)
        return 0;
    if (file == SLOT_STATUS)
        return outcome ? read_at(line, outcome_format(outcome, line), true, offset, size, bytes)
                       : -EAGAIN;
    if (slot->phase != JOB)
        return slot->phase == WRITING ? -EAGAIN : 0;
    output = job_output(slot->job, file == SLOT_STDOUT ? JOB_STDOUT : JOB_STDERR);
    return read_at(output->bytes.data, output_visible(output), output->is_ended, offset, size,
                   bytes);
}

off_t slot_size(const struct slot *slot, enum slot_file file)
{
    char line[OUTCOME_MAX_LINE];
    const struct outcome *outcome = known_outcome(slot);

    if (!outcome)
        return 0;
    if (file == SLOT_STATUS)
        return (off_t)outcome_format(outcome, line);
    if (slot->phase != JOB || (file != SLOT_STDOUT && file != SLOT_STDERR))
        return 0;
    return (off_t)output_visible(
        job_output(slot->job, file == SLOT_STDOUT ? JOB_STDOUT : JOB_STDERR));
}

struct timespec slot_time(const struct slot *slot)
{
    return slot->time;
}
