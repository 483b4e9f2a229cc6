// SPDX-License-Identifier: Apache-2.0
// A call: a request as it is written, and the job that comes of it. What slots
// and conversations have in common.
#pragma once

#include "sandbox.h"

// In the order a call goes through them.
enum call_phase {
    CALL_EMPTY,   // there is none
    CALL_WRITING, // its command line is not complete
    CALL_REFUSED, // there will be no job; `refusal` says why
    CALL_JOB,     // `job` waits, runs, or is done
};

struct call {
    struct loop *loop;
    struct sandbox *sandbox;
    const char *name; // for the log; not owned
    enum call_phase phase;
    bool is_conversation;       // one descriptor, and not a slot
    enum request_answer answer; // that the command line asks for, as far as it is known
    bool has_count;             // --stdin was given:
    uint64_t stdin_left;        // so much is still to come
    struct caller caller;
    struct account *account; // of the caller, a reference; NULL: EMPTY
    uint64_t charged;        // bytes that the account has for the command line
    struct timer too_late;   // for a whole command line
    bool is_given_up;        // there was none in time: nobody waits for the writer
    struct request_parser parser;
    struct job *job;
    struct outcome refusal;
    int refusal_errno; // what a writer gets
    struct job_owner owner;
    struct task change;
};

// Sets up an empty call; an embedded struct. LOOP, SANDBOX and NAME have to live
// as long as the call. OWNER hears, from the loop, whenever something about the
// call is different. IS_CONVERSATION: the answer may have the form that the request asks
// for, and is not kept where it can be streamed.
void call_init(struct call *call, struct loop *loop, struct sandbox *sandbox, const char *name,
               bool is_conversation, const struct job_owner *owner);

// Ends what runs and frees everything.
void call_finish(struct call *call);

// Makes it empty. The job, if it runs, is cancelled.
void call_clear(struct call *call);

// Begins a new one, after call_clear. 0, -ENOMEM, or -EDQUOT: its caller has too many.
int call_begin(struct call *call, const struct caller *caller);

// Takes bytes of the request. Returns how many; when that is fewer than SIZE the
// rest has to wait for a change. Negative: the request is refused, with -EINVAL,
// -E2BIG, -EACCES, -EAGAIN, -ECANCELED, -EDQUOT, -ETIMEDOUT, -EMFILE, -ENFILE or -ENOMEM, and so is
// every later write.
ssize_t call_write(struct call *call, const char *bytes, size_t size);

// Would call_write take something now?
bool call_is_writable(const struct call *call);

// Will nothing that is written be read any more?
bool call_drops_stdin(const struct call *call);

// The owner hears of a change, though there is none.
void call_retry(struct call *call);

// The end of the request, and of stdin. A call of which nothing has been written
// is empty again. Harmless when said already. Returns 0, the error of a refused request, or
// -EINVAL when there was less stdin than --stdin said: then the job is cancelled.
int call_end(struct call *call);

// Ends the request that is being written, or the job; harmless when there is
// none.
void call_cancel(struct call *call);

// Does its job wait or run?
bool call_is_running(const struct call *call);

// How many bytes of memory the call holds by what callers chose: of its command line, and
// of output that nobody has read.
uint64_t call_held_bytes(const struct call *call);

// How it ended, or NULL when that is not known (yet).
const struct outcome *call_outcome(const struct call *call);
