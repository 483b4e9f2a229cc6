// SPDX-License-Identifier: Apache-2.0
// A sandbox: one section of the configuration, as the file system sees it. It decides
// whether a request is accepted, keeps the limits and the queue, and logs each job.
#pragma once

#include "job.h"

struct sandbox;

// --- All sandboxes of a daemon

struct sandboxes;

// on_idle is called with DATA each time the last job of all sandboxes has ended; it may be
// NULL. LOOP outlives the result. NULL when there is no memory.
struct sandboxes *sandboxes_create(struct loop *loop, void (*on_idle)(void *data), void *data);

// How many jobs have not ended, in all sandboxes.
unsigned sandboxes_busy_count(const struct sandboxes *sandboxes);

// The end: cancels every job of all sandboxes, queued or running, and ends their standbys.
void sandboxes_cancel_all(struct sandboxes *sandboxes);

// Frees what outlived its sandbox, without waiting; for the end, when the loop runs
// no more. Sandboxes whose jobs have not ended, and SANDBOXES with them, are left to the
// end of the program. May be NULL.
void sandboxes_destroy(struct sandboxes *sandboxes);

// --- One sandbox

// The caller gets a reference. NULL when there is no memory.
struct sandbox *sandbox_create(struct sandboxes *sandboxes, struct sandbox_config *config);

// One reference more, or less; SANDBOX of sandbox_unref may be NULL. A sandbox is freed
// when it has no reference and its last job has ended: jobs run on.
struct sandbox *sandbox_ref(struct sandbox *sandbox);
void sandbox_unref(struct sandbox *sandbox);

// Sets the configuration for the next jobs. Running jobs keep the one they have.
void sandbox_configure(struct sandbox *sandbox, struct sandbox_config *config);
const struct sandbox_config *sandbox_config(const struct sandbox *sandbox);

// The account of UID, which all sandboxes share. The caller gets a reference. NULL when there
// is no memory.
struct account *sandbox_open_account(const struct sandbox *sandbox, uid_t uid);

// Is a command of SANDBOX confined as its caller is? Then the struct caller of a request must have
// the confinement of the process.
bool sandbox_confines(const struct sandbox *sandbox);

// The sandbox was removed from the configuration. Its routes are kept only for its present jobs.
void sandbox_retire(struct sandbox *sandbox);

// Accepts REQUEST, which is taken over and empty afterwards, whatever happens.
// ACCOUNT counts what is kept of the output, and may be NULL. SLOT is the slot's name for the log.
// Returns the job, which the caller gives back with job_release, or NULL with ERR set: EINVAL (the
// mode cannot run such a command line), EACCES (not allowed), EAGAIN (the queue is full), EMFILE,
// ENFILE, ENOMEM.
struct job *sandbox_submit(struct sandbox *sandbox, struct request *request,
                           const struct caller *caller, struct account *account, const char *slot,
                           enum job_keeping keeping, const struct job_owner *owner,
                           struct error *err);

// Logs that a request was refused with ERR.
void sandbox_log_refusal(const struct sandbox *sandbox, const struct caller *caller,
                         const char *slot, const struct error *err);

// Lets the daemon have as many descriptors as the system allows; commands start with
// the limit that the daemon was given. Returns 0 or -errno.
int sandbox_raise_descriptor_limit(void);

// Prepares what the jobs of CONFIG need of the system: their control groups. Returns 0, or -errno
// with ERR set when a job would run without its limits.
int sandbox_prepare_system(const struct config *config, struct error *err);

// Loads the configuration at PATH, as config_load does, with every mode.
struct config *sandbox_load_config(const char *path, struct users *users, struct buffer *problems);

// Fills ARGV with the argument list that a request with the command line WORDS would start. Returns
// 0, or -errno with ERR set.
int sandbox_show_argv(struct sandbox_config *config, char *const *words, struct words *argv,
                      struct error *err);
