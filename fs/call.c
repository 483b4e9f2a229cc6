// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include "cleanup.h"

#include <errno.h>

static void announce(struct call *call)
{
    loop_defer(call->loop, &call->change);
}

void call_init(struct call *call, struct loop *loop, struct sandbox *sandbox, const char *name,
               enum job_keeping keeping, const struct job_owner *owner)
{
    *call = (struct call){
        .loop = loop, .sandbox = sandbox, .name = name, .keeping = keeping, .owner = *owner};
    task_init(&call->change, owner->on_change, owner->data);
}

void call_finish(struct call *call)
{
    call_clear(call);
    loop_undefer(&call->change);
}

void call_clear(struct call *call)
{
    job_release(take_ptr(&call->job));
    request_parser_finish(&call->parser);
    outcome_finish(&call->refusal);
    identity_finish(&call->caller.identity);
    call->phase = CALL_EMPTY;
}

int call_begin(struct call *call, const struct caller *caller)
{
    if (identity_copy(&call->caller.identity, &caller->identity) < 0)
        return -ENOMEM;
    call->caller.pid = caller->pid;
    call->phase = CALL_WRITING;
    announce(call);
    return 0;
}

static int refuse(struct call *call, enum outcome_kind kind, int code, struct error *err)
{
    sandbox_log_refusal(call->sandbox, &call->caller, call->name, err);
    request_parser_finish(&call->parser);
    outcome_set(&call->refusal, kind, code, err->message ? "%s" : NULL, err->message);
    call->refusal_errno = err->code;
    call->phase = CALL_REFUSED;
    error_finish(err);
    announce(call);
    return -call->refusal_errno;
}

// The command line is complete.
static int submit(struct call *call)
{
    struct error err = {0};
    struct job *job = sandbox_submit(call->sandbox, &call->parser.request, &call->caller,
                                     call->name, call->keeping, &call->owner, &err);

    if (!job)
        return refuse(call, OUTCOME_REFUSED, CODE_REFUSED, &err);
    request_parser_finish(&call->parser);
    call->job = job;
    call->phase = CALL_JOB;
    announce(call);
    return 0;
}

ssize_t call_write(struct call *call, const char *bytes, size_t size)
{
    struct error err = {0};
    bool is_complete;
    ssize_t used;

    if (call->phase == CALL_REFUSED)
        return -call->refusal_errno;
    if (call->phase == CALL_JOB)
        return (ssize_t)job_write(call->job, bytes, size);
    used = request_parse(&call->parser, bytes, size, &is_complete, &err);
    if (used < 0)
        return refuse(call, OUTCOME_REFUSED, CODE_REFUSED, &err);
    if (is_complete && submit(call) < 0)
        return -call->refusal_errno;
    if ((size_t)used < size)
        used += (ssize_t)job_write(call->job, bytes + used, size - (size_t)used);
    return used;
}

bool call_is_writable(const struct call *call)
{
    return call->phase != CALL_JOB || job_is_writable(call->job);
}

void call_end(struct call *call)
{
    struct error err = {0};

    if (call->phase == CALL_JOB)
        job_end_stdin(call->job);
    else if (call->phase == CALL_WRITING && request_is_empty(&call->parser))
        call_clear(call);
    else if (call->phase == CALL_WRITING && request_parse_end(&call->parser, &err) < 0)
        refuse(call, OUTCOME_REFUSED, CODE_REFUSED, &err);
    else if (call->phase == CALL_WRITING && submit(call) == 0)
        job_end_stdin(call->job);
    announce(call);
}

void call_cancel(struct call *call)
{
    struct error err = {.code = ECANCELED};

    if (call->phase == CALL_JOB)
        job_cancel(call->job);
    if (call->phase == CALL_WRITING)
        refuse(call, OUTCOME_CANCELLED, CODE_CANCELLED, &err);
}

bool call_is_running(const struct call *call)
{
    return call->phase == CALL_JOB && !job_is_done(call->job);
}

const struct outcome *call_outcome(const struct call *call)
{
    if (call->phase == CALL_REFUSED)
        return &call->refusal;
    return call->phase == CALL_JOB && job_is_done(call->job) ? job_outcome(call->job) : NULL;
}
