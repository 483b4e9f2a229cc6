// SPDX-License-Identifier: Apache-2.0
#include "slot.h"

#include "call.h"
#include "cleanup.h"

#include <errno.h>

struct slot {
    char *name;
    void (*on_change)(void *data);
    void *data;
    struct call call;
    bool has_writer; // request is open for writing
    uint64_t generation;
    struct timespec time;
};

static void on_call_change(void *data)
{
    struct slot *slot = data;

    clock_gettime(CLOCK_REALTIME, &slot->time);
    slot->on_change(slot->data);
}

struct slot *slot_create(struct loop *loop, struct sandbox *sandbox, const char *name,
                         void (*on_change)(void *data), void *data)
{
    struct slot *slot = calloc(1, sizeof *slot);
    struct job_owner owner = {.on_change = on_call_change, .data = slot};

    if (!slot)
        return NULL;
    slot->name = strdup(name);
    if (!slot->name) {
        free(slot);
        return NULL;
    }
    slot->on_change = on_change;
    slot->data = data;
    slot->generation = 1;
    call_init(&slot->call, loop, sandbox, slot->name, false, &owner);
    clock_gettime(CLOCK_REALTIME, &slot->time);
    return slot;
}

void slot_destroy(struct slot *slot)
{
    if (!slot)
        return;
    call_finish(&slot->call);
    free(slot->name);
    free(slot);
}

static void clear(struct slot *slot)
{
    call_clear(&slot->call);
    // A reader of the old results must not go on in the new results.
    slot->generation++;
}

// --- request

bool slot_is_busy(const struct slot *slot)
{
    return (slot->has_writer && !slot->call.is_given_up) || call_is_running(&slot->call);
}

void slot_discard(struct slot *slot)
{
    if (!slot_is_busy(slot))
        clear(slot);
}

int slot_begin(struct slot *slot, const struct caller *caller)
{
    int result;

    if (slot_is_busy(slot))
        return -EBUSY;
    clear(slot);
    result = call_begin(&slot->call, caller);
    slot->has_writer = result == 0;
    return result;
}

ssize_t slot_write(struct slot *slot, const char *bytes, size_t size)
{
    return call_write(&slot->call, bytes, size);
}

struct account *slot_account(const struct slot *slot)
{
    return slot->call.account;
}

bool slot_is_writable(const struct slot *slot)
{
    return call_is_writable(&slot->call);
}

bool slot_drops_stdin(const struct slot *slot)
{
    return call_drops_stdin(&slot->call);
}

void slot_retry(struct slot *slot)
{
    call_retry(&slot->call);
}

void slot_end(struct slot *slot)
{
    slot->has_writer = false;
    call_end(&slot->call);
}

void slot_cancel(struct slot *slot)
{
    // The slot does not wait for a writer who does not close the file either.
    slot->has_writer = false;
    call_cancel(&slot->call);
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

static const struct output *output_of(const struct slot *slot, enum slot_file file)
{
    return job_output(slot->call.job, file == SLOT_STDOUT ? JOB_STDOUT : JOB_STDERR);
}

ssize_t slot_read(const struct slot *slot, enum slot_file file, struct slot_reader *reader,
                  off_t offset, size_t size, const char **bytes)
{
    static char line[OUTCOME_MAX_LINE];
    const struct outcome *outcome = call_outcome(&slot->call);
    const struct output *output;

    // A read from the start begins with the results that are there now.
    if (offset == 0)
        reader->generation = slot->generation;
    else if (reader->generation != slot->generation)
        return -ESTALE;
    if (size == 0 || slot->call.phase == CALL_EMPTY)
        return 0;
    if (file == SLOT_STATUS)
        return outcome ? read_at(line, outcome_format(outcome, line), true, offset, size, bytes)
                       : -EAGAIN;
    if (slot->call.phase != CALL_JOB)
        return slot->call.phase == CALL_WRITING ? -EAGAIN : 0;
    output = output_of(slot, file);
    return read_at(output_bytes(output), output_visible(output), output->is_ended, offset, size,
                   bytes);
}

off_t slot_size(const struct slot *slot, enum slot_file file)
{
    char line[OUTCOME_MAX_LINE];
    const struct outcome *outcome = call_outcome(&slot->call);

    if (!outcome)
        return 0;
    if (file == SLOT_STATUS)
        return (off_t)outcome_format(outcome, line);
    if (slot->call.phase != CALL_JOB || (file != SLOT_STDOUT && file != SLOT_STDERR))
        return 0;
    return (off_t)output_visible(output_of(slot, file));
}

struct timespec slot_time(const struct slot *slot)
{
    return slot->time;
}
