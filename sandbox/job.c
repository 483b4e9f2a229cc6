// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include "agents.h"
#include "cleanup.h"
#include "job_state.h"
#include "local.h"
#include "mode.h"
#include "units.h"

#include <errno.h>
#include <signal.h>

enum {
    CHUNK = 256 * 1024, // bytes read from a stream at once
    // How long the end of a stream is kept from readers when the command has not
    // exited yet. It nearly always does so at once, and a reader that has seen
    // the end may then count on the job's being done.
    END_HOLD_MS = 100,
};

struct job {
    struct loop *loop;
    struct sandbox_config *config;
    const struct mode *mode;
    struct launch launch;
    struct agents *agents;  // NULL: no agent
    struct request request; // while it may have to be prepared once more
    char *command;
    bool is_paused;      // stdout is not read: there is enough of it
    uint64_t timeout_ms; // 0: none
    enum job_state state;
    struct channel channel; // while the command is, or may be, running
    bool is_stdin_ended;    // the owner said so
    uint64_t input_bytes;
    struct intake intake;
    bool has_exited;
    bool is_signaled; // how
    int exit_number;
    struct outcome outcome; // also the reason for a stop, while it stops
    uint64_t start_ns;      // 0: not started
    uint64_t end_ns;
    struct timer timeout;
    struct timer stop_timer; // grace, then drain
    struct timer end_timer;  // of the hold of a stream's end
    struct task change;
    struct job_owner owner; // on_change NULL: released
    void (*on_done)(void *data);
    void *done_data;
};

static void handle(struct job *job, enum job_event event);

static void announce(struct job *job)
{
    loop_defer(job->loop, &job->change);
}

static void free_job(struct job *job)
{
    loop_undefer(&job->change);
    intake_finish(&job->intake);
    launch_finish(&job->launch);
    request_finish(&job->request);
    agents_unref(job->agents);
    outcome_finish(&job->outcome);
    sandbox_config_unref(job->config);
    free(job->command);
    free(job);
}

// Whose process it is that we started, when it is not the command itself.
static const char *client(const struct job *job)
{
    return job->launch.is_remote ? NULL : job->mode->client;
}

static bool has_ended(const struct job *job, enum job_stream stream)
{
    return job->channel.ops->has_ended(job->channel.self, stream);
}

static void close_channel(struct job *job)
{
    if (job->channel.self)
        job->channel.ops->destroy(take_ptr(&job->channel.self));
}

static void on_announced(void *data)
{
    struct job *job = data;

    if (job->owner.on_change)
        job->owner.on_change(job->owner.data);
    else if (job->state == JOB_DONE)
        free_job(job);
}

// --- Stops: the reason is set before the event, and stays the outcome

static void stop(struct job *job, enum outcome_kind kind, int code, const char *detail)
{
    if (job->outcome.kind != OUTCOME_NONE || job->state == JOB_DONE || job->state == JOB_DRAINING)
        return;
    outcome_set(&job->outcome, kind, code, detail ? "%s" : NULL, detail);
    handle(job, JOB_STOP);
}

static void on_timeout(void *data)
{
    struct job *job = data;
    char duration[UNITS_TEXT];
    char detail[UNITS_TEXT + sizeof "after "];

    const struct channel *channel = &job->channel;
    const char *waits_for =
        channel->self && channel->ops->waits_for ? channel->ops->waits_for(channel->self) : NULL;

    duration_format(job->timeout_ms, duration);
    stpcpy(stpcpy(detail, "after "), duration);
    // It never ran.
    if (waits_for)
        stop(job, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, waits_for);
    else
        stop(job, OUTCOME_TIMEOUT, CODE_TIMEOUT, detail);
}

// Not a stop like the others: it counts even when the command has exited.
static void overflow(struct job *job, enum job_stream stream, int why)
{
    const char *name = stream == JOB_STDOUT ? "stdout" : "stderr";
    char size[UNITS_TEXT];

    if (job->outcome.kind != OUTCOME_NONE)
        return;
    size_format(job->config->max_output_bytes, size);
    if (why == -ENOMEM)
        outcome_set(&job->outcome, OUTCOME_OVERFLOW, CODE_OVERFLOW, "%s exceeded the memory", name);
    else
        outcome_set(&job->outcome, OUTCOME_OVERFLOW, CODE_OVERFLOW, "%s exceeded %s", name, size);
    handle(job, JOB_OVERFLOW);
}

static void on_stop_timer(void *data)
{
    struct job *job = data;
    bool is_grace = job->state == JOB_STOPPING || job->state == JOB_STOPPING_CLOSED ||
                    job->state == JOB_STOPPING_DRAINING;
    handle(job, is_grace ? JOB_GRACE_OVER : JOB_DRAIN_OVER);
}

// --- The process's events

static void on_stdin(void *data)
{
    announce(data);
}

static void on_end_held(void *data)
{
    struct job *job = data;

    // The last bytes of a client's stderr may turn out to be its own: judge ends
    // that stream.
    if (has_ended(job, JOB_STDOUT))
        output_end(&job->intake.outputs[JOB_STDOUT], 0);
    if (has_ended(job, JOB_STDERR) && !client(job))
        output_end(&job->intake.outputs[JOB_STDERR], 0);
    announce(job);
}

static void pause_or_resume(struct job *job)
{
    bool is_full = intake_is_full(&job->intake, job->is_stdin_ended);

    if (!job->channel.self || is_full == job->is_paused)
        return;
    job->is_paused = is_full;
    if (job->channel.ops->pause(job->channel.self, JOB_STDOUT, is_full) < 0)
        overflow(job, JOB_STDOUT, -ENOMEM);
}

static void keep_output(struct job *job, enum job_stream stream, const char *bytes, size_t size)
{
    int result = intake_take(&job->intake, stream, bytes, size);

    pause_or_resume(job);
    announce(job);
    // A job whose output is not whole must not look like one.
    if (result < 0)
        overflow(job, stream, result);
}

static char chunk[CHUNK];

static void on_output(void *data, enum job_stream stream)
{
    struct job *job = data;
    ssize_t count = job->channel.ops->read(job->channel.self, stream, chunk, sizeof chunk);

    if (count > 0)
        keep_output(job, stream, chunk, (size_t)count);
    if (count != 0)
        return;
    if (loop_arm(job->loop, &job->end_timer, END_HOLD_MS) < 0)
        on_end_held(job);
    if (has_ended(job, JOB_STDOUT) && has_ended(job, JOB_STDERR))
        handle(job, JOB_CLOSE);
}

static void on_output_lost(void *data, enum job_stream stream)
{
    overflow(data, stream, -ENOMEM);
}

static void read_what_is_there(struct job *job, enum job_stream stream)
{
    size_t left = job->channel.ops->available(job->channel.self, stream);
    ssize_t count;

    for (; left > 0 && job->channel.self; left -= (size_t)count) {
        count =
            job->channel.ops->read(job->channel.self, stream, chunk, left < CHUNK ? left : CHUNK);
        if (count <= 0)
            return;
        keep_output(job, stream, chunk, (size_t)count);
    }
}

static void on_exit_known(void *data, bool is_signaled, int number)
{
    struct job *job = data;

    job->has_exited = true;
    job->is_signaled = is_signaled;
    job->exit_number = number;
    // What it wrote is in the pipe, and comes before the end, however long the
    // reader takes: the drain is for what others may still write.
    for (int i = 0; i < JOB_STREAMS && job->channel.self; i++)
        read_what_is_there(job, (enum job_stream)i);
    if (!job->channel.self)
        return; // that was too much, and is dealt with
    // Nobody is left to read it, but perhaps a grandchild that should not.
    job->channel.ops->end_stdin(job->channel.self);
    announce(job);
    handle(job, JOB_EXIT);
}

static void on_unstarted(void *data, enum channel_stage stage, int errnum)
{
    struct job *job = data;
    static const char *const stages[] = {
        [STAGE_RESOURCES] = "cannot start a process",
        [STAGE_IDENTITY] = "cannot take on the identity of the user",
        [STAGE_WORKDIR] = "cannot enter the working directory",
        [STAGE_EXEC] = "cannot execute",
    };
    int code = stage == STAGE_EXEC && errnum == ENOENT ? CODE_NOT_FOUND : CODE_NOT_EXECUTABLE;

    if (job->outcome.kind != OUTCOME_NONE)
        ; // it was being stopped already
    else if (client(job))
        outcome_set(&job->outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s %s: %s",
                    stages[stage], job->launch.argv.items[0], strerror(errnum));
    else if (stage == STAGE_EXEC)
        outcome_set(&job->outcome, OUTCOME_UNSTARTED, code, "%s %s: %s", stages[stage],
                    job->command, strerror(errnum));
    else
        outcome_set(&job->outcome, OUTCOME_UNSTARTED, code, "%s: %s", stages[stage],
                    strerror(errnum));
    handle(job, JOB_UNSTARTED);
}

static void on_lost(void *data, const char *reason)
{
    struct job *job = data;

    // What the command said of its end stays true, and all that it wrote came
    // before.
    if (job->outcome.kind == OUTCOME_NONE && !job->has_exited)
        outcome_set(&job->outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s", reason);
    handle(job, JOB_LOST);
}

static void spawn(struct job *job);

static void on_declined(void *data)
{
    struct job *job = data;
    static const struct caller nobody; // a client is always the daemon's
    struct error err = {0};

    close_channel(job);
    launch_finish(&job->launch);
    if (job->outcome.kind == OUTCOME_NONE &&
        launch_prepare(&job->launch, job->config, &job->request, &nobody, &err) < 0)
        outcome_set(&job->outcome, OUTCOME_UNSTARTED, CODE_NOT_EXECUTABLE, "%s",
                    error_message(&err));
    error_finish(&err);
    if (job->outcome.kind == OUTCOME_NONE)
        spawn(job);
    else
        handle(job, JOB_UNSTARTED);
}

static const struct channel_events channel_events = {
    .on_unstarted = on_unstarted,
    .on_stdin = on_stdin,
    .on_output = on_output,
    .on_output_lost = on_output_lost,
    .on_exit = on_exit_known,
    .on_lost = on_lost,
    .on_declined = on_declined,
};

// --- What the states ask for

static int open_channel(struct job *job, struct error *err)
{
    const struct launch *launch = &job->launch;
    struct process_spec spec = {
        .argv = launch->argv.items,
        .env = launch->env.items,
        .workdir = launch->workdir,
        .identity = launch->has_identity ? &launch->identity : NULL,
        .file = launch->file.data,
        .file_size = launch->file.length,
    };
    struct remote_spec remote = {
        .launch = launch,
        .deadline_ns = job->timeout_ms == 0
                           ? 0
                           : job->start_ns + 1000000 * (job->timeout_ms +
                                                        job->config->kill_grace_ms + JOB_DRAIN_MS),
    };

    return launch->is_remote
               ? agents_open(job->agents, &job->channel, &remote, &channel_events, job, err)
               : local_open(&job->channel, job->loop, &spec, &channel_events, job, err);
}

static void spawn(struct job *job)
{
    struct error err = {0};

    job->intake.held_back = client(job) ? job->mode->held_back : NULL;
    if (job->start_ns == 0)
        job->start_ns = loop_now_ns();
    if (open_channel(job, &err) < 0) {
        if (client(job))
            outcome_set(&job->outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s",
                        error_message(&err));
        else
            outcome_set(&job->outcome, OUTCOME_UNSTARTED, CODE_NOT_EXECUTABLE, "%s",
                        error_message(&err));
        error_finish(&err);
        handle(job, JOB_UNSTARTED);
        return;
    }
    if (!job->launch.is_remote) {
        words_finish(&job->launch.env); // the child has its own; a job may last
        buffer_finish(&job->launch.file);
    }
    if (job->is_stdin_ended)
        job->channel.ops->end_stdin(job->channel.self);
    if (job->timeout_ms > 0 && !job->timeout.place &&
        loop_arm(job->loop, &job->timeout, job->timeout_ms) < 0)
        stop(job, OUTCOME_CANCELLED, CODE_CANCELLED, "no memory for its timeout");
    announce(job);
}

static void judge(struct job *job)
{
    const struct output *out = &job->intake.outputs[JOB_STDOUT];
    const struct buffer *err = &job->intake.outputs[JOB_STDERR].bytes;
    struct ending ending = {
        .is_signaled = job->is_signaled,
        .number = job->exit_number,
        .err = err->data ? err->data : "",
        .err_length = err->length,
        .out = output_bytes(out),
        .out_length = output_visible(out),
        .has_env = job->launch.has_env,
    };
    size_t stripped = 0;

    if (job->outcome.kind == OUTCOME_NONE && job->launch.is_remote)
        outcome_set_ending(&job->outcome, job->is_signaled, job->exit_number);
    else if (job->outcome.kind == OUTCOME_NONE)
        stripped = job->mode->judge(&ending, &job->outcome);
    for (int i = 0; i < JOB_STREAMS; i++)
        if (!job->intake.outputs[i].is_ended)
            output_end(&job->intake.outputs[i], i == JOB_STDERR ? stripped : 0);
}

static void finish(struct job *job)
{
    loop_disarm(job->loop, &job->timeout);
    loop_disarm(job->loop, &job->stop_timer);
    loop_disarm(job->loop, &job->end_timer);
    job->end_ns = loop_now_ns();
    // Who was stopped takes its group along, also what closed its streams.
    if (job->channel.self && job->outcome.kind != OUTCOME_NONE)
        job->channel.ops->signal(job->channel.self, SIGKILL);
    close_channel(job);
    judge(job);
    launch_finish(&job->launch);
    request_finish(&job->request);
    agents_unref(take_ptr(&job->agents));
    announce(job);
    job->on_done(job->done_data);
}

static void begin(struct job *job, int signal, uint64_t wait_ms)
{
    loop_disarm(job->loop, &job->timeout);
    if (signal)
        job->channel.ops->signal(job->channel.self, signal);
    if (loop_arm(job->loop, &job->stop_timer, wait_ms) < 0)
        on_stop_timer(job); // no memory: it goes on without the wait
}

static void handle(struct job *job, enum job_event event)
{
    struct job_transition transition = job_state_next(job->state, event);

    job->state = transition.next;
    switch (transition.action) {
    case JOB_DO_NOTHING:
        break;
    case JOB_DO_SPAWN:
        spawn(job);
        break;
    case JOB_DO_TERM:
        begin(job, SIGTERM, job->config->kill_grace_ms);
        break;
    case JOB_DO_KILL:
        begin(job, SIGKILL, JOB_DRAIN_MS);
        break;
    case JOB_DO_DRAIN:
        begin(job, 0, JOB_DRAIN_MS);
        break;
    case JOB_DO_FINISH:
        finish(job);
        break;
    }
}

// --- The owner's side

static int prepare(struct job *job, struct request *request, const struct caller *caller,
                   struct error *err)
{
    if (!job->agents || (agents_may_decline(job->agents) && agents_is_declined(job->agents)))
        return launch_prepare(&job->launch, job->config, request, caller, err);
    if (launch_prepare_remote(&job->launch, job->config, request, err) < 0)
        return -1;
    if (agents_may_decline(job->agents)) {
        job->request = *request;
        *request = (struct request){0};
    }
    return 0;
}

struct job *job_create(struct loop *loop, struct sandbox_config *config, struct agents *agents,
                       struct request *request, const struct caller *caller,
                       enum job_keeping keeping, const struct job_owner *owner,
                       void (*on_done)(void *data), void *data, struct error *err)
{
    AUTO(request_finish) struct request taken = *request;
    struct job *job = calloc(1, sizeof *job);

    *request = (struct request){0};
    if (!job) {
        error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    job->loop = loop;
    job->config = sandbox_config_ref(config);
    job->agents = agents ? agents_ref(agents) : NULL;
    job->mode = mode_of(config->mode);
    job->timeout_ms = taken.has_timeout ? taken.timeout_ms : config->timeout_ms;
    job->intake.keeping = keeping;
    job->intake.limit = config->max_output_bytes;
    job->owner = *owner;
    job->on_done = on_done;
    job->done_data = data;
    job->timeout = (struct timer){.on_time = on_timeout, .data = job};
    job->stop_timer = (struct timer){.on_time = on_stop_timer, .data = job};
    job->end_timer = (struct timer){.on_time = on_end_held, .data = job};
    task_init(&job->change, on_announced, job);
    job->command = strdup(taken.argv.items[0]);
    if (!job->command)
        error_set(err, ENOMEM, "no memory");
    if (!job->command || prepare(job, &taken, caller, err) < 0) {
        free_job(job);
        return NULL;
    }
    return job;
}

void job_start(struct job *job)
{
    handle(job, JOB_START);
}

size_t job_write(struct job *job, const char *bytes, size_t size)
{
    ssize_t count;

    if (job->state == JOB_QUEUED)
        return 0;
    count = job->channel.self ? job->channel.ops->write(job->channel.self, bytes, size) : -EPIPE;
    if (count == -ENOMEM)
        stop(job, OUTCOME_CANCELLED, CODE_CANCELLED, "no memory for its stdin");
    if (count < 0)
        return size;
    job->input_bytes += (size_t)count;
    return (size_t)count;
}

bool job_is_writable(const struct job *job)
{
    return job->state != JOB_QUEUED &&
           (!job->channel.self || job->channel.ops->is_writable(job->channel.self));
}

void job_end_stdin(struct job *job)
{
    job->is_stdin_ended = true;
    pause_or_resume(job);
    if (job->channel.self)
        job->channel.ops->end_stdin(job->channel.self);
}

void job_cancel(struct job *job)
{
    stop(job, OUTCOME_CANCELLED, CODE_CANCELLED, NULL);
}

void job_consume(struct job *job, size_t size)
{
    output_consume(&job->intake.outputs[JOB_STDOUT], size);
    pause_or_resume(job);
}

const struct output *job_output(const struct job *job, enum job_stream stream)
{
    return &job->intake.outputs[stream];
}

bool job_is_done(const struct job *job)
{
    return job->state == JOB_DONE;
}

const struct outcome *job_outcome(const struct job *job)
{
    return &job->outcome;
}

const char *job_command(const struct job *job)
{
    return job->command;
}

uint64_t job_input_bytes(const struct job *job)
{
    return job->input_bytes;
}

uint64_t job_duration_ms(const struct job *job)
{
    return job->start_ns ? (job->end_ns - job->start_ns) / 1000000 : 0;
}

void job_release(struct job *job)
{
    if (!job)
        return;
    job->owner.on_change = NULL;
    job_cancel(job);
    announce(job);
}
