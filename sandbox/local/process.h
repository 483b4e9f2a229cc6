// SPDX-License-Identifier: Apache-2.0
// A local child process with three pipes, in a session and process group of its own. No
// function waits. The loop also reports whether the command could be executed, because the exec
// may need an answer from the daemon itself.
#pragma once

#include "cgroup.h"
#include "channel.h"
#include "error.h"
#include "identity.h"
#include "loop.h"
#include "rlimits.h"

#include <sys/types.h>

struct process_spec {
    char *const *argv;
    char *const *env;
    const char *workdir;                   // NULL: "/"
    const struct identity *identity;       // NULL: the daemon's own
    bool is_command;                       // of a caller; false: a client of the daemon's
    const struct confinement *confinement; // of the caller; NULL: the command is not confined
    const struct rlimits *rlimits;         // of the configuration; NULL: none
    const char *file;                      // bytes that the child can read from descriptor 3
    size_t file_size;                      // 0: the child has no such file
    const struct cgroup_limits *limits;    // of the process's own control group; NULL: it has none
    bool is_standby;                       // waits for process_hand_over
};

struct process;

// Starts a child. SPEC is needed only during the call; EVENTS and LOOP outlive
// the process. on_lost and on_declined are never called. Returns NULL with ERR set: EMFILE,
// ENFILE, EAGAIN, ENOMEM, or another error when there is no control group with the limits.
struct process *process_start(struct loop *loop, const struct process_spec *spec,
                              const struct channel_events *events, void *data, struct error *err);

// Writes to the child's stdin. Returns how many bytes the pipe took, -EPIPE when the child has
// closed its stdin, or -ENOMEM when there is no memory for the bytes or for the wait. When the
// number is lower than SIZE, on_stdin follows.
ssize_t process_write(struct process *process, const char *bytes, size_t size);

// The number of bytes that the child's stdin has taken in all, also in a write that then
// failed.
uint64_t process_written(const struct process *process);

// Is there room for a write? Returns false after a process_write that took fewer than SIZE
// bytes, until on_stdin.
bool process_is_writable(const struct process *process);

// Ends the child's stdin: the child reads the end of the file. A second call does nothing.
void process_end_stdin(struct process *process);

// Has a standby ended? The answer is true even before the event has been reported.
bool process_is_over(const struct process *process);

// From this call on a standby belongs to a job. Before it, the kernel kills the standby before
// the standby can read the end of its stdin, even if the daemon dies. Nothing may be written to
// stdin before this call.
void process_hand_over(struct process *process);

// Reads up to SIZE bytes that the child wrote. Returns 0 at the end of the
// stream, -EAGAIN when there is nothing now.
ssize_t process_read(struct process *process, enum job_stream which, char *bytes, size_t size);

// Stops or resumes calls of on_output for a stream. Returns 0 or -ENOMEM.
int process_pause_output(struct process *process, enum job_stream which, bool is_paused);

// Returns how many bytes process_read would find now.
size_t process_output_size(const struct process *process, enum job_stream which);

// Has process_read returned the end of the stream?
bool process_has_ended(const struct process *process, enum job_stream which);

// Signals the whole process group. SIGKILL goes to the whole control group, too.
void process_signal(struct process *process, int signal);

// Has the kernel killed a process of the control group because there was no memory?
bool process_ran_out_of_memory(const struct process *process);

// Closes the pipes and frees the process. The child is not killed. It is reaped when it has
// ended, even if that is later.
void process_destroy(struct process *process);

// How many processes of UID were destroyed and have not ended: not even SIGKILL ends a process
// that waits for a file system that does not answer.
unsigned process_ending_count(uid_t uid);

// Frees the processes that were destroyed and have not ended yet, without waiting. Only for
// the end of the daemon, when the loop runs no more.
void process_finish_all(void);

// For the start of the daemon. Raises the daemon's limit of descriptors as far as the system
// allows. Children start with the limit that the daemon was given. Returns 0 or -errno.
int process_raise_descriptor_limit(void);
