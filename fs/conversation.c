// SPDX-License-Identifier: Apache-2.0
#include "conversation.h"

#include "call.h"
#include "cleanup.h"

#include <errno.h>

struct conversation {
    struct call call;
    bool has_ended_stdin;
};

struct conversation *conversation_create(struct loop *loop, struct sandbox *sandbox,
                                         const char *name, const struct caller *caller,
                                         void (*on_change)(void *data), void *data)
{
    struct conversation *conversation = calloc(1, sizeof *conversation);
    struct job_owner owner = {.on_change = on_change, .data = data};

    if (!conversation)
        return NULL;
    call_init(&conversation->call, loop, sandbox, name, JOB_STREAMS_OUT, &owner);
    if (call_begin(&conversation->call, caller) == 0)
        return conversation;
    conversation_destroy(conversation);
    return NULL;
}

void conversation_destroy(struct conversation *conversation)
{
    if (!conversation)
        return;
    call_finish(&conversation->call);
    free(conversation);
}

ssize_t conversation_write(struct conversation *conversation, const char *bytes, size_t size)
{
    return conversation->has_ended_stdin ? -EPIPE : call_write(&conversation->call, bytes, size);
}

bool conversation_is_writable(const struct conversation *conversation)
{
    return conversation->has_ended_stdin || call_is_writable(&conversation->call);
}

// Only one outcome is no error: whoever checks for nothing but errors must not
// take anything else for an answer.
static int errno_of(const struct outcome *outcome)
{
    switch (outcome->kind) {
    case OUTCOME_EXITED:
        return outcome->code == 0 ? 0 : EIO;
    case OUTCOME_TIMEOUT:
        return ETIMEDOUT;
    case OUTCOME_UNREACHABLE:
        return EHOSTUNREACH;
    case OUTCOME_UNSTARTED:
        return outcome->code == CODE_NOT_FOUND ? ENOENT : EACCES;
    case OUTCOME_CANCELLED:
        return ECANCELED;
    case OUTCOME_REFUSED:
        return EINVAL;
    default:
        return EIO;
    }
}

static const struct output *output_of(const struct conversation *conversation)
{
    return conversation->call.phase == CALL_JOB ? job_output(conversation->call.job, JOB_STDOUT)
                                                : NULL;
}

bool conversation_is_readable(const struct conversation *conversation)
{
    const struct output *output = output_of(conversation);

    return conversation->call.phase == CALL_EMPTY || call_outcome(&conversation->call) ||
           (output && output_visible(output) > 0);
}

ssize_t conversation_read(struct conversation *conversation, size_t size, const char **bytes)
{
    const struct output *output;
    const struct outcome *outcome;

    if (!conversation->has_ended_stdin) {
        conversation->has_ended_stdin = true;
        call_end(&conversation->call);
    }
    // Nothing was asked: that is no success of anything.
    if (conversation->call.phase == CALL_EMPTY)
        return -EINVAL;
    output = output_of(conversation);
    if (output && output_visible(output) > 0) {
        *bytes = output_bytes(output);
        return (ssize_t)(output_visible(output) < size ? output_visible(output) : size);
    }
    outcome = call_outcome(&conversation->call);
    return outcome ? -errno_of(outcome) : -EAGAIN;
}

void conversation_consume(struct conversation *conversation, size_t size)
{
    job_consume(conversation->call.job, JOB_STDOUT, size);
}

void conversation_cancel(struct conversation *conversation)
{
    call_cancel(&conversation->call);
}
