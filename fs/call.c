// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include "cleanup.h"
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void call_announce(struct call *call)
{
    loop_defer(call->loop, &call->change);
}

static void on_too_late(void *data);

void call_init(struct call *call, struct loop *loop, struct sandbox *sandbox, const char *name,
               bool is_conversation, const struct job_owner *owner)
{
    *call = (struct call){.loop = loop,
                          .sandbox = sandbox,
                          .name = name,
                          .is_conversation = is_conversation,
                          .owner = *owner};
    call->too_late = (struct timer){.on_time = on_too_late, .data = call};
    task_init(&call->change, owner->on_change, owner->data);
}

void call_finish(struct call *call)
{
    call_clear(call);
    loop_undefer(&call->change);
}

static const struct sandbox_config *call_config(const struct call *call)
{
    return sandbox_config(call->sandbox);
}

static void call_give_back(struct call *call)
{
    if (!call->account)
        return;
    account_give_back(call->account, ACCOUNT_BYTES, call->charged);
    account_give_back(call->account, ACCOUNT_CALLS, 1);
    account_unref(take_ptr(&call->account));
    call->charged = 0;
}

void call_clear(struct call *call)
{
    job_release(take_ptr(&call->job));
    request_parser_finish(&call->parser);
    outcome_finish(&call->refusal);
    identity_finish(&call->caller.identity);
    loop_disarm(call->loop, &call->too_late);
    call_give_back(call);
    call->is_given_up = false;
    call->phase = CALL_EMPTY;
    call->answer = ANSWER_PLAIN;
    call->has_count = false;
    call->stdin_left = 0;
}

static int call_open_account(struct call *call, uid_t uid)
{
    call->account = sandbox_open_account(call->sandbox, uid);
    if (!call->account)
        return -ENOMEM;
    return account_take(call->account, ACCOUNT_CALLS, 1, call_config(call)->max_user_calls)
               ? 0
               : -EDQUOT;
}

int call_begin(struct call *call, const struct caller *caller)
{
    uint64_t write_timeout_ms = call_config(call)->write_timeout_ms;
    int result = call_open_account(call, caller->identity.uid);

    if (result == 0)
        result = identity_copy(&call->caller.identity, &caller->identity);
    if (result == 0 && write_timeout_ms > 0)
        result = loop_arm(call->loop, &call->too_late, write_timeout_ms);
    if (result < 0) {
        call_clear(call);
        return result;
    }
    call->caller.pid = caller->pid;
    call->caller.opened_ns = caller->opened_ns;
    call->phase = CALL_WRITING;
    call_announce(call);
    return 0;
}

static int call_refuse(struct call *call, enum outcome_kind kind, int code, struct error *err)
{
    sandbox_log_refusal(call->sandbox, &call->caller, call->name, err);
    request_parser_finish(&call->parser);
    loop_disarm(call->loop, &call->too_late);
    outcome_set(&call->refusal, kind, code, err->message ? "%s" : NULL, err->message);
    call->refusal_errno = err->code;
    call->phase = CALL_REFUSED;
    error_finish(err);
    call_announce(call);
    return -call->refusal_errno;
}

static enum job_keeping call_keeping(const struct call *call)
{
    static const enum job_keeping keepings[] = {[ANSWER_PLAIN] = JOB_STREAMS_OUT,
                                                [ANSWER_FRAMES] = JOB_STREAMS_BOTH,
                                                [ANSWER_JSON] = JOB_KEEPS};
    return call->is_conversation ? keepings[call->answer] : JOB_KEEPS;
}

static void on_too_late(void *data)
{
    struct call *call = data;
    struct error err = {0};
    char duration[UNITS_TEXT];

    duration_format(call_config(call)->write_timeout_ms, duration);
    error_set(&err, ETIMEDOUT, "there was no whole command line after %s", duration);
    call->is_given_up = true;
    call_refuse(call, OUTCOME_REFUSED, CODE_REFUSED, &err);
}

// Has the account count the command line so far: its bytes and its words, twice, because the job
// has them too. Returns 0, or -EDQUOT with ERR set.
static int call_charge(struct call *call, struct error *err)
{
    enum { WORD_BYTES = 48 };
    const struct request *request = &call->parser.request;
    uint64_t now =
        2 * (call->parser.length + WORD_BYTES * (request->argv.count + request->env.count));
    uint64_t more = now - call->charged;

    call->charged = now;
    return account_take(call->account, ACCOUNT_BYTES, more, call_config(call)->max_user_bytes)
               ? 0
               : error_set(err, EDQUOT, "the user has more under way than one user may have");
}

// STDIN_SIZE bytes came together with the command line. IS_END: nothing more will come.
static int call_check_options(const struct call *call, size_t stdin_size, bool is_end,
                              struct error *err)
{
    const struct request_options *options = &call->parser.request.options;

    if (options->has[REQUEST_ANSWER] && !call->is_conversation)
        return error_set(err, EINVAL, "--answer is for call: a slot has a file for each of them");
    if (options->has[REQUEST_STDIN] && stdin_size > options->stdin_bytes)
        return error_set(err, EINVAL, "more bytes than --stdin=%" PRIu64 " follow",
                         options->stdin_bytes);
    if (options->has[REQUEST_STDIN] && is_end && options->stdin_bytes > 0)
        return error_set(err, EINVAL, "--stdin=%" PRIu64 ", and nothing follows",
                         options->stdin_bytes);
    return 0;
}

// The command line is complete.
static int call_submit(struct call *call, size_t stdin_size, bool is_end)
{
    struct error err = {0};
    struct job *job = NULL;

    call->has_count = call->parser.request.options.has[REQUEST_STDIN];
    call->stdin_left = call->parser.request.options.stdin_bytes;
    if (call_check_options(call, stdin_size, is_end, &err) == 0)
        job = sandbox_submit(call->sandbox, &call->parser.request, &call->caller, call->account,
                             call->name, call_keeping(call), &call->owner, &err);
    if (!job)
        return call_refuse(call, OUTCOME_REFUSED, CODE_REFUSED, &err);
    request_parser_finish(&call->parser);
    loop_disarm(call->loop, &call->too_late);
    call->job = job;
    call->phase = CALL_JOB;
    if (is_end || (call->has_count && call->stdin_left == 0))
        job_end_stdin(job);
    call_announce(call);
    return 0;
}

static ssize_t call_write_stdin(struct call *call, const char *bytes, size_t size)
{
    size_t taken;

    if (!call->has_count)
        return (ssize_t)job_write(call->job, bytes, size);
    if (size > call->stdin_left) {
        job_cancel_because(call->job, "more stdin than --stdin said");
        return -EINVAL;
    }
    taken = job_write(call->job, bytes, size);
    call->stdin_left -= taken;
    if (taken > 0 && call->stdin_left == 0)
        job_end_stdin(call->job);
    return (ssize_t)taken;
}

ssize_t call_write(struct call *call, const char *bytes, size_t size)
{
    struct error err = {0};
    bool is_complete;
    ssize_t used;

    if (call->phase == CALL_REFUSED)
        return -call->refusal_errno;
    if (call->phase == CALL_JOB)
        return call_write_stdin(call, bytes, size);
    used = request_parse(&call->parser, bytes, size, &is_complete, &err);
    call->answer = call->parser.request.options.answer;
    if (used >= 0 && call_charge(call, &err) < 0)
        used = -EDQUOT;
    if (used < 0)
        return call_refuse(call, OUTCOME_REFUSED, CODE_REFUSED, &err);
    if (is_complete && call_submit(call, size - (size_t)used, false) < 0)
        return -call->refusal_errno;
    if ((size_t)used < size)
        used += call_write_stdin(call, bytes + used, size - (size_t)used);
    return used;
}

bool call_drops_stdin(const struct call *call)
{
    return call->phase == CALL_JOB && job_drops_stdin(call->job);
}

void call_retry(struct call *call)
{
    call_announce(call);
}

bool call_is_writable(const struct call *call)
{
    return call->phase != CALL_JOB || job_is_writable(call->job);
}

// If stdin has fewer bytes than --stdin says, the job is cancelled: otherwise the command would
// take a part of its input for the whole.
static int call_end_stdin(struct call *call)
{
    char detail[64];

    if (call->has_count && call->stdin_left > 0 && !job_is_done(call->job)) {
        snprintf(detail, sizeof detail, "stdin ended %" PRIu64 " bytes before --stdin said",
                 call->stdin_left);
        job_cancel_because(call->job, detail);
        return -EINVAL;
    }
    job_end_stdin(call->job);
    return 0;
}

static int call_end_line(struct call *call)
{
    struct error err = {0};
    int result = request_parse_end(&call->parser, &err);

    call->answer = call->parser.request.options.answer;
    return result < 0 ? call_refuse(call, OUTCOME_REFUSED, CODE_REFUSED, &err)
                      : call_submit(call, 0, true);
}

int call_end(struct call *call)
{
    int result = 0;

    if (call->phase == CALL_JOB)
        result = call_end_stdin(call);
    else if (call->phase == CALL_REFUSED)
        result = -call->refusal_errno;
    else if (call->phase == CALL_WRITING && request_is_empty(&call->parser))
        call_clear(call);
    else if (call->phase == CALL_WRITING)
        result = call_end_line(call);
    call_announce(call);
    return result;
}

void call_cancel(struct call *call)
{
    struct error err = {.code = ECANCELED};

    if (call->phase == CALL_JOB)
        job_cancel(call->job);
    if (call->phase == CALL_WRITING)
        call_refuse(call, OUTCOME_CANCELLED, CODE_CANCELLED, &err);
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

uint64_t call_held_bytes(const struct call *call)
{
    if (call->phase == CALL_JOB)
        return output_visible(job_output(call->job, JOB_STDOUT)) +
               output_visible(job_output(call->job, JOB_STDERR));
    return call->phase == CALL_WRITING ? call->parser.length : 0;
}
