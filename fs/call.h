// SPDX-License-Identifier: Apache-2.0
// A call: a request as it is written, and its job. Slots and conversations both have calls.
#pragma once

#include "sandbox.h"

// The states of a call, in order.
enum call_phase {
    CALL_EMPTY,   // there is no request
    CALL_WRITING, // its command line is not complete
    CALL_REFUSED, // there will be no job; `refusal` has the reason
    CALL_JOB,     // `job` waits, runs, or is done
};

struct call {
    struct loop *loop;
    struct sandbox *sandbox;
    const char *name; // for the log; not owned
    enum call_phase phase;
    bool is_conversation;       // false: the call of a slot
    enum request_answer answer; // the form that the command line asks for, once it is known
    bool has_count;             // --stdin was given
    uint64_t stdin_left;        // then: bytes that are still to come
    struct caller caller;
    struct account *account; // of the caller, a reference; NULL: the call is empty
    uint64_t charged;        // bytes that the account counts for the command line
    struct timer too_late;   // fires if the command line is not whole in time
    bool is_given_up;        // it was not whole in time: nobody waits for the writer
    struct request_parser parser;
    struct job *job;
    struct outcome refusal;
    int refusal_errno; // the error of a write
    struct job_owner owner;
    struct task change;
};

// Sets up an empty call, an embedded struct. LOOP, SANDBOX and NAME must live as long as the
// call. OWNER is told, from the loop, whenever the call has changed. IS_CONVERSATION: the answer
// may have the form that the request asks for, and is not kept if it can be streamed.
void call_init(struct call *call, struct loop *loop, struct sandbox *sandbox, const char *name,
               bool is_conversation, const struct job_owner *owner);

// Cancels the job if it runs, and frees everything.
void call_finish(struct call *call);

// Makes the call empty. The job, if it runs, is cancelled.
void call_clear(struct call *call);

// Begins a new request, after call_clear. Returns 0, -ENOMEM, or -EDQUOT when the caller has too
// many calls.
int call_begin(struct call *call, const struct caller *caller);

// Takes bytes of the request. Returns how many; if there are fewer than SIZE, the rest must wait
// for a change. Negative: the request is refused, with -EINVAL,
// -E2BIG, -EACCES, -EAGAIN, -ECANCELED, -EDQUOT, -ETIMEDOUT, -EMFILE, -ENFILE or -ENOMEM, and so is
// every later write.
ssize_t call_write(struct call *call, const char *bytes, size_t size);

// Would call_write take bytes now?
bool call_is_writable(const struct call *call);

// Are all further bytes dropped, because the command reads no more?
bool call_drops_stdin(const struct call *call);

// Tells the owner of a change, although there is none.
void call_retry(struct call *call);

// Ends the request, and stdin. A call without a byte of a request is empty again. A second call
// of this function does nothing. Returns 0, the error of a refused request, or -EINVAL when stdin
// had fewer bytes than --stdin says: then the job is cancelled.
int call_end(struct call *call);

// Ends the request that is being written, or the job. Does nothing when there is neither.
void call_cancel(struct call *call);

// Does the call's job wait or run?
bool call_is_running(const struct call *call);

// Returns how many bytes of memory the call holds because of its caller: of its command line, and
// of output that nobody has read.
uint64_t call_held_bytes(const struct call *call);

// Returns the outcome of the job, or NULL while there is none.
const struct outcome *call_outcome(const struct call *call);
