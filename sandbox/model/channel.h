// SPDX-License-Identifier: Apache-2.0
// A channel carries the bytes of a job to its command and back. It is the three pipes of a
// local child, or a part of a connection that many jobs share. A job sees only this
// interface.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// The output streams of a job.
enum job_stream { JOB_STDOUT, JOB_STDERR, JOB_STREAMS };

// The step at which the command turned out not to be executable.
enum channel_stage { STAGE_RESOURCES, STAGE_LIMITS, STAGE_IDENTITY, STAGE_WORKDIR, STAGE_EXEC };

// Called from the loop, never from within a call to the channel. A callback may
// destroy the channel.
struct channel_events {
    // The command was not executed; ERRNUM is the reason. No other event than on_exit can
    // follow.
    void (*on_unstarted)(void *data, enum channel_stage stage, int errnum);
    // stdin takes bytes again, or the command has closed it.
    void (*on_stdin)(void *data);
    // read would return bytes, or the end of the stream.
    void (*on_output)(void *data, enum job_stream stream);
    // The command ended, with exit code NUMBER, or by signal NUMBER.
    void (*on_exit)(void *data, bool is_signaled, int number);
    // The connection is gone, for the REASON. No other event follows.
    void (*on_lost)(void *data, const char *reason);
    // The command was not started, and this channel cannot start it: the job must take another
    // route.
    void (*on_declined)(void *data);
    // There was no memory for bytes that the command wrote to STREAM: from here on the
    // output is missing.
    void (*on_output_lost)(void *data, enum job_stream stream);
    // The channel keeps more bytes of STREAM, which is paused, in the daemon's memory. Only from
    // a channel with the function kept.
    void (*on_kept)(void *data, enum job_stream stream);
};

struct channel_ops {
    // Offers SIZE bytes for the command's stdin. Returns how many were taken, -EPIPE
    // when the command has closed it, or -ENOMEM when there is no memory to wait
    // until it takes more. When the number is lower than SIZE, on_stdin follows.
    ssize_t (*write)(void *self, const char *bytes, size_t size);
    // Is there room for a write? Returns false after a write that took fewer than SIZE bytes, until
    // on_stdin.
    bool (*is_writable)(const void *self);
    // The command reads the end of its stdin. A second call does nothing.
    void (*end_stdin)(void *self);
    // Reads up to SIZE bytes that the command wrote. Returns 0 at the end of the
    // stream, -EAGAIN when there is nothing now.
    ssize_t (*read)(void *self, enum job_stream stream, char *bytes, size_t size);
    // Stops or resumes calls of on_output for STREAM. Returns 0 or -ENOMEM.
    int (*pause)(void *self, enum job_stream stream, bool is_paused);
    // Returns how many bytes read would find now.
    size_t (*available)(const void *self, enum job_stream stream);
    // Has read returned the end of the stream?
    bool (*has_ended)(const void *self, enum job_stream stream);
    // SIGTERM goes to the command's process group. SIGKILL goes to every process of the
    // command that can be reached.
    void (*signal)(void *self, int signal);
    // Frees the channel. The command is not killed.
    void (*destroy)(void *self);
    // The reason why the command has not been started yet, in words. NULL: it has been
    // started, as far as is known. A channel without this function never waits.
    const char *(*waits_for)(const void *self);
    // Returns how many bytes of the daemon's memory hold stdin and output of the job. A channel
    // without this function holds none.
    size_t (*kept)(const void *self);

    // Was a process of the command killed because there was no memory? For a command that was
    // killed. NULL: nobody knows.
    bool (*ran_out_of_memory)(const void *self);

    // Only for a channel that was opened for a standby:

    // Has the command ended, or is it lost? The answer is true even before the event was reported.
    bool (*is_over)(const void *self);
    // From this call on the command belongs to a job. Before it, if the daemon dies, the command is
    // killed before it can read the end of its stdin. Called before the first write and before
    // end_stdin.
    void (*hand_over)(void *self);
};

struct channel {
    const struct channel_ops *ops;
    void *self; // NULL: there is none
};
