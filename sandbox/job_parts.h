// SPDX-License-Identifier: Apache-2.0
// The struct that job.c (the life of a job) and job_streams.c (the bytes that pass through
// it) share. All other files use job.h.
#pragma once

#include "job.h"

#include "channel.h"
#include "job_state.h"
#include "launch.h"
#include "route.h"

struct job {
    uint64_t id; // counts the daemon's jobs; for the debug log
    struct loop *loop;
    struct sandbox_config *config;
    struct routes *routes; // a reference; NULL once the job is done
    size_t route;          // the index in routes of the route that was taken
    struct launch launch;
    struct request request; // while another route may have to be taken
    char *command;
    uint64_t timeout_ms;  // 0: none
    uint64_t deadline_ms; // since the request was opened
    uint64_t deadline_ns; // 0: none
    enum job_state state;
    struct channel channel;      // while the command runs, or may run
    bool is_stdin_closed;        // by the command
    bool is_stdin_ended;         // the owner said so
    bool is_paused[JOB_STREAMS]; // the stream is not read: there is enough of it
    uint64_t input_bytes;
    struct intake intake;
    struct account *account; // of its user, a reference; may be NULL
    uint64_t charged;        // bytes that the account has for this job
    bool has_exited;
    bool is_signaled; // how
    int exit_number;
    bool is_out_of_memory;  // the kernel killed it for this reason
    struct outcome outcome; // while the job is being stopped: the reason
    uint64_t start_ns;      // 0: not started
    uint64_t end_ns;
    struct timer timeout;
    struct timer deadline;
    struct timer stop_timer; // grace, then drain
    struct timer end_timer;  // of the hold of a stream's end
    struct task change;
    struct job_owner owner; // on_change NULL: released
    void (*on_done)(void *data);
    void *done_data;
};

// The state moves on with EVENT, and does what the table asks for. The job may be done
// afterwards, and its channel gone.
void job_handle(struct job *job, enum job_event event);

// The owner hears of a change, from the loop.
void job_announce(struct job *job);

// Ends the job with this outcome, unless it has one or has exited. DETAIL may be NULL.
void job_stop(struct job *job, enum outcome_kind kind, int code, const char *detail);

// --- job_streams.c

// The events of a channel that are about bytes; DATA is the job.
void job_on_stdin(void *data);
void job_on_output(void *data, enum job_stream stream);
void job_on_output_lost(void *data, enum job_stream stream);
void job_on_kept(void *data, enum job_stream stream);

// The time has passed for which the end of a stream is kept from readers; DATA is the
// job.
void job_on_end_held(void *data);

// Reads all that the command has written up to now. Too much of it, or no memory for it,
// may end the job.
void job_read_rest(struct job *job);

// Has the account count what is kept of the output, here and in the channel. Returns whether that
// is within the user's share.
bool job_charge(struct job *job);

// Frees what is kept of the output, and the reference to the account.
void job_drop_output(struct job *job);

// Is a client's stderr read, whose last bytes may be the client's own message?
bool job_has_client(const struct job *job);

// Sets the outcome, unless it is known, by how the process ended, and ends both streams.
void job_judge(struct job *job);

// Removes the container of a job whose client was stopped, or has lost the container, which
// may run on.
void job_remove_container(const struct job *job);
