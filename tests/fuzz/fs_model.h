// SPDX-License-Identifier: Apache-2.0
// A model of the promises of hooksfs(5): sandboxes, slots, calls and jobs. It has no line of the
// daemon's code, and knows nothing of FUSE.
#pragma once

#include "fs_world.h"
#include "slot.h"

#include <linux/limits.h>

enum {
    MODEL_JOBS = WORLD_CHILDREN,
    MODEL_DIRS = 64,
    MODEL_MAX_OUTPUT = 16 * 1024, // of every sandbox
    MODEL_GRACE_MS = 300,
    MODEL_TTL_MS = 5000,
    MODEL_WINDOW = 1 << 20,
    MODEL_LINE = 64,
};

enum model_phase { MODEL_EMPTY, MODEL_WRITING, MODEL_REFUSED, MODEL_JOB };
enum model_state { MODEL_QUEUED, MODEL_RUNNING, MODEL_DONE };

struct model_job {
    struct model_dir *sandbox;
    enum model_state state;
    char words[MODEL_LINE]; // each in brackets
    uid_t uid;
    bool streams; // of a conversation
    bool is_framed;
    uint64_t deadline_at; // 0: never
    uint64_t timeout_ms;
    uint64_t timeout_at; // 0: never
    bool has_term;       // SIGTERM was sent, and has not been noticed
    uint64_t kill_at;
    uint64_t drain_at;
    struct world_child *child; // NULL: not seen yet
    bool is_ended;
    bool is_signaled;
    int number;
    bool is_open[JOB_STREAMS]; // the command's end of its streams
    uint64_t closed_at[JOB_STREAMS];
    uint64_t written[JOB_STREAMS];  // by the command
    uint64_t consumed[JOB_STREAMS]; // by the reader of a conversation
    bool is_stdin_ended;            // by the caller
    bool is_stdin_closed;           // by the command
    struct buffer taken;            // bytes of stdin that the daemon has taken
    size_t read;                    // bytes of `taken` that the command has read
    char outcome[MODEL_LINE];       // the status or its beginning; "": none yet
    int error;                      // the error at the end of a conversation
};

struct model_call {
    enum model_phase phase;
    bool streams;
    bool is_framed; // as far as it is known
    uint64_t opened_ms;
    uid_t uid;
    struct model_dir *sandbox;
    char line[MODEL_LINE]; // its command line, which is going to be written
    size_t length;         // with the newline, if it has one
    size_t bad_at;         // the byte that is refused; 0: none
    size_t position;       // bytes that have been written
    int error;             // MODEL_REFUSED
    char outcome[MODEL_LINE];
    struct model_job *job;
};

struct model_dir {
    bool is_sandbox;
    bool is_removed;
    uint64_t removed_ms;
    char name[16];
    struct model_dir *parent; // the sandbox of a slot; NULL for a sandbox
    unsigned hidden;
    uid_t owner;
    mode_t permissions;
    uint64_t id; // of its node; 0: not known yet
    struct model_call call;
    bool has_writer;
    unsigned handles;
    uint64_t generation;
    uint64_t last_use_ms;   // of the last certain use
    uint64_t last_event_ms; // of the last event that may be a use
    // For a sandbox:
    bool is_strict; // it has `allow` and `max_timeout`
    unsigned max_running;
    unsigned max_queued;
    unsigned max_slots;
    unsigned running;
    struct model_job *queue[16];
    unsigned queued;
    uid_t users[2]; // that have a job, in their turn
    unsigned user_count;
};

extern struct model_dir model_dirs[MODEL_DIRS];
extern unsigned model_dir_count;
extern struct model_job model_jobs[MODEL_JOBS];
extern unsigned model_job_count;

void model_begin(void);
void model_begin_jobs(void); // model_begin calls it
void model_finish_jobs(void);

// Brings the model to the world's time, and finds the child of each job.
void model_catch_up(void);

// NULL when the model is full.
struct model_dir *model_add_dir(struct model_dir *parent, const char *name);
struct model_dir *model_child(const struct model_dir *parent, const char *name); // NULL: the root's
void model_remove(struct model_dir *dir, bool cancels);
unsigned model_slots(const struct model_dir *sandbox);

// May a job of UID run now, or wait? Users have shares, and root has not.
bool model_may_run(const struct model_dir *sandbox, uid_t uid);
bool model_may_wait(const struct model_dir *sandbox, uid_t uid);
bool model_has_waiting(const struct model_dir *sandbox, uid_t uid);

// UID has a job now.
void model_add_user(struct model_dir *sandbox, uid_t uid);

// How many slots UID has in all sandboxes, with removed ones that are open.
unsigned model_slots_of(uid_t uid);

// The limits have changed, so jobs that wait may start.
void model_start_queued(struct model_dir *sandbox);

// Does a job run, or is the request being written?
bool model_is_busy(const struct model_dir *dir);

// Begins a call with the command line number KIND of the table in fs_model.c.
void model_call_begin(struct model_call *call, struct model_dir *sandbox, bool streams, uid_t uid,
                      unsigned kind);
void model_call_clear(struct model_call *call);

// Writes the next SIZE bytes of the call. Returns how many of them belong to the command line,
// or -errno.
ssize_t model_call_write(struct model_call *call, size_t size);
void model_call_end(struct model_call *call);
void model_call_cancel(struct model_call *call);

// The same for a slot, which does not wait for a writer any more.
void model_cancel(struct model_dir *dir);
bool model_call_is_running(const struct model_call *call);

// The status or its beginning; NULL: not known.
const char *model_call_outcome(const struct model_call *call);

// The number of bytes of STREAM that can be read, from its start.
uint64_t model_visible(const struct model_job *job, enum job_stream stream);
// Is the end of STREAM known? 1, 0, or -1: perhaps.
int model_has_ended(const struct model_job *job, enum job_stream stream);
char model_output_byte(const struct model_job *job, enum job_stream stream, uint64_t offset);

void model_job_start(struct model_job *job);

// The reader of a conversation has got SIZE bytes of STREAM more.
void model_job_consumed(struct model_job *job, enum job_stream stream, size_t size);

// An act of the command.
void model_job_wrote(struct model_job *job, enum job_stream stream, size_t size);
void model_job_closed(struct model_job *job, enum job_stream stream);
void model_job_ended(struct model_job *job, bool is_signaled, int number);
void model_job_unstarted(struct model_job *job);
void model_job_stop(struct model_job *job, const char *outcome, int error);
