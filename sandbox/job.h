// SPDX-License-Identifier: Apache-2.0
// A job: one run of one request. Bytes go in, bytes come out, and at the end there is an
// outcome. The owner does not see which route the bytes take.
#pragma once

#include "account.h"
#include "config.h"
#include "identity.h"
#include "intake.h"
#include "loop.h"
#include "outcome.h"
#include "request.h"

enum { JOB_DRAIN_MS = 500 };

// The owner of a job. on_change is called from the loop, never from within a call to the
// job: something about the job is different, and the owner has to look again.
struct job_owner {
    void (*on_change)(void *data);
    void *data;
};

struct routes;
struct job;

// The parameters of a new job. They are needed only during the call; but the job takes
// references to CONFIG and ROUTES, and LOOP must outlive it.
struct job_spec {
    struct loop *loop;
    struct sandbox_config *config;
    struct routes *routes; // of a sandbox with this mode
    const struct caller *caller;
    struct account *account; // of the caller; the job takes a reference. NULL: nobody counts
    enum job_keeping keeping;
    struct job_owner owner;
    // Called once, when the outcome is known, before the owner hears of it.
    void (*on_done)(void *data);
    void *done_data;
};

// Makes a job that waits for job_start. Takes over REQUEST, which is empty afterwards,
// whatever happens. NULL with ERR set: EINVAL (the mode cannot run such a command),
// EMFILE, ENFILE or ENOMEM.
struct job *job_create(const struct job_spec *spec, struct request *request, struct error *err);

void job_start(struct job *job);

// Offers SIZE bytes for stdin. Returns how many were taken; when that is fewer,
// on_change will tell when to go on. Bytes that the command will never read are taken
// and dropped.
size_t job_write(struct job *job, const char *bytes, size_t size);

// Is everything dropped that job_write takes, because the command has closed its stdin or
// has ended?
bool job_drops_stdin(const struct job *job);

// Would job_write take a byte now?
bool job_is_writable(const struct job *job);

// No job_write will follow. A second call does nothing.
void job_end_stdin(struct job *job);

// Ends the job, unless it has ended; its outcome is `cancelled`.
void job_cancel(struct job *job);

// The same with a DETAIL of the outcome, which is copied.
void job_cancel_because(struct job *job, const char *detail);

// The first SIZE bytes of STREAM, which is streamed, are not needed any more.
void job_consume(struct job *job, enum job_stream stream, size_t size);

const struct output *job_output(const struct job *job, enum job_stream stream);

bool job_is_done(const struct job *job);

// Only for a job that is done.
const struct outcome *job_outcome(const struct job *job);

// For the log: the command's first word, bytes of stdin taken, and the time
// since its start; 0 for one that was not started.
const char *job_command(const struct job *job);
uint64_t job_input_bytes(const struct job *job);
uint64_t job_duration_ms(const struct job *job);

// The owner gives the job up. The job is cancelled if it has not ended, and frees itself
// after its end. on_change is not called any more; on_done still is. JOB may be NULL.
void job_release(struct job *job);
