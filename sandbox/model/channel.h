// SPDX-License-Identifier: Apache-2.0
// The way of a job's bytes to its command and back: the pipes of a local child,
// or one stream of a connection that many jobs share. A job knows no more of it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// The output streams of a job.
enum job_stream { JOB_STDOUT, JOB_STDERR, JOB_STREAMS };

// What was being done when it turned out that the command cannot be executed.
enum channel_stage { STAGE_RESOURCES, STAGE_IDENTITY, STAGE_WORKDIR, STAGE_EXEC };

// Called from the loop, never from within a call to the channel. A callback may
// destroy the channel.
struct channel_events {
    // The command was not executed; ERRNUM is the reason. Nothing but on_exit
    // can follow.
    void (*on_unstarted)(void *data, enum channel_stage stage, int errnum);
    // stdin takes bytes again, or the command has closed it.
    void (*on_stdin)(void *data);
    // read has something to say.
    void (*on_output)(void *data, enum job_stream stream);
    // The command ended, with exit code NUMBER, or by signal NUMBER.
    void (*on_exit)(void *data, bool is_signaled, int number);
    // The connection is gone, for the REASON: nothing more will be known.
    void (*on_lost)(void *data, const char *reason);
    // Nothing was started, and this way there is none: take another one.
    void (*on_declined)(void *data);
    // There was no memory for what the command wrote to STREAM: from here on its output is
    // missing.
    void (*on_output_lost)(void *data, enum job_stream stream);
};

struct channel_ops {
    // Offers SIZE bytes for the command's stdin. Returns how many were taken, -EPIPE
    // when the command has closed it, or -ENOMEM when that cannot be waited for. When
    // they are fewer than SIZE, on_stdin follows.
    ssize_t (*write)(void *self, const char *bytes, size_t size);
    // False from a write that took fewer bytes than it was given until on_stdin.
    bool (*is_writable)(const void *self);
    // The command reads the end of its stdin. Harmless when done already.
    void (*end_stdin)(void *self);
    // Reads up to SIZE bytes that the command wrote. Returns 0 at the end of the
    // stream, -EAGAIN when there is nothing now.
    ssize_t (*read)(void *self, enum job_stream stream, char *bytes, size_t size);
    // Stops, or goes on, to call on_output for a stream. 0 or -ENOMEM.
    int (*pause)(void *self, enum job_stream stream, bool is_paused);
    // How many bytes read would find now.
    size_t (*available)(const void *self, enum job_stream stream);
    // Has read said so?
    bool (*has_ended)(const void *self, enum job_stream stream);
    // SIGTERM goes to the command's process group, SIGKILL to as much of what it
    // started as can be reached.
    void (*signal)(void *self, int signal);
    // Nothing more is wanted of it. It is not killed.
    void (*destroy)(void *self);
    // Why the command has not been started yet; NULL: it has, as far as is known.
    // NULL in the place of the function: there is never anything to wait for.
    const char *(*waits_for)(const void *self);
};

struct channel {
    const struct channel_ops *ops;
    void *self; // NULL: there is none
};
