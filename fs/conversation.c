// SPDX-License-Identifier: Apache-2.0
#include "conversation.h"

#include "cleanup.h"

#include <errno.h>

struct conversation {
    struct call call;
    bool has_ended_stdin; // by a read or a sync
    int end_result;       // the result of that end
    struct answer answer;
};

struct conversation *conversation_create(struct loop *loop, struct sandbox *sandbox,
                                         const char *name, const struct caller *caller,
                                         void (*on_change)(void *data), void *data, int *errnum)
{
    struct conversation *conversation = calloc(1, sizeof *conversation);
    struct job_owner owner = {.on_change = on_change, .data = data};

    *errnum = ENOMEM;
    if (!conversation)
        return NULL;
    call_init(&conversation->call, loop, sandbox, name, true, &owner);
    *errnum = -call_begin(&conversation->call, caller);
    if (*errnum == 0)
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

bool conversation_drops_stdin(const struct conversation *conversation)
{
    return call_drops_stdin(&conversation->call);
}

void conversation_retry(struct conversation *conversation)
{
    call_retry(&conversation->call);
}

bool conversation_is_readable(const struct conversation *conversation)
{
    return answer_is_ready(&conversation->answer, &conversation->call);
}

int conversation_end(struct conversation *conversation)
{
    if (!conversation->has_ended_stdin) {
        conversation->has_ended_stdin = true;
        conversation->end_result = call_end(&conversation->call);
        if (conversation->call.phase == CALL_EMPTY)
            conversation->end_result = -EINVAL;
    }
    return conversation->end_result;
}

ssize_t conversation_read(struct conversation *conversation, size_t size,
                          struct answer_pieces *pieces)
{
    // With frames, reads and writes go on side by side: a read does not end stdin.
    if (conversation->call.answer != ANSWER_FRAMES)
        conversation_end(conversation);
    return answer_find(&conversation->answer, &conversation->call, size, pieces);
}

void conversation_take(struct conversation *conversation, const struct answer_pieces *pieces,
                       size_t size)
{
    answer_take(&conversation->answer, &conversation->call, pieces, size);
}

void conversation_cancel(struct conversation *conversation)
{
    call_cancel(&conversation->call);
}

struct account *conversation_account(const struct conversation *conversation)
{
    return conversation->call.account;
}

const struct identity *conversation_beginner(const struct conversation *conversation)
{
    return conversation->call.phase == CALL_WRITING ? &conversation->call.caller.identity : NULL;
}
