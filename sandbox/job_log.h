// SPDX-License-Identifier: Apache-2.0
// The line that the log has for each job, and for each request that was refused.
#pragma once

#include "job.h"

// The fields of the line that do not come from the job.
struct job_log {
    const char *sandbox;
    const char *slot;
    uid_t uid;
    pid_t pid;
};

// Logs JOB, which is done.
void job_log_end(const struct job_log *log, const struct job *job);

// Logs that a request was refused with ERR.
void job_log_refusal(const struct job_log *log, const struct error *err);
