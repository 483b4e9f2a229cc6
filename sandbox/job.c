// SPDX-License-Identifier: Apache-2.0
#include "job_parts.h"

#include "cleanup.h"
#include "log.h"
#include "mode.h"
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>

enum { NS_PER_MS = 1000000 };

void job_announce(struct job *job)
{
    loop_defer(job->loop, &job->change);
}

static void job_free(struct job *job)
{
    loop_undefer(&job->change);
    loop_disarm(job->loop, &job->deadline);
    job_drop_output(job);
    launch_finish(&job->launch);
    request_finish(&job->request);
    routes_unref(job->routes);
    outcome_finish(&job->outcome);
    sandbox_config_unref(job->config);
    free(job->command);
    free(job);
}

static void job_close_channel(struct job *job)
{
    if (job->channel.self)
        job->channel.ops->destroy(take_ptr(&job->channel.self));
    job_charge(job);
}

static void on_announced(void *data)
{
    struct job *job = data;

    if (job->owner.on_change)
        job->owner.on_change(job->owner.data);
    else if (job->state == JOB_DONE)
        job_free(job);
}

// --- Stops: the reason is set before the event, and stays the outcome

void job_stop(struct job *job, enum outcome_kind kind, int code, const char *detail)
{
    if (job->outcome.kind != OUTCOME_NONE || job->state == JOB_DONE || job->state == JOB_DRAINING)
        return;
    outcome_set(&job->outcome, kind, code, detail ? "%s" : NULL, detail);
    job_handle(job, JOB_STOP);
}

static void job_run_out(struct job *job, uint64_t given_ms)
{
    char duration[UNITS_TEXT];
    char detail[UNITS_TEXT + sizeof "after "];

    const struct channel *channel = &job->channel;
    const char *waits_for =
        channel->self && channel->ops->waits_for ? channel->ops->waits_for(channel->self) : NULL;

    duration_format(given_ms, duration);
    stpcpy(stpcpy(detail, "after "), duration);
    // The command never ran.
    if (waits_for)
        job_stop(job, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, waits_for);
    else
        job_stop(job, OUTCOME_TIMEOUT, CODE_TIMEOUT, detail);
}

static void on_timeout(void *data)
{
    struct job *job = data;
    job_run_out(job, job->timeout_ms);
}

static void on_deadline(void *data)
{
    struct job *job = data;
    job_run_out(job, job->deadline_ms);
}

static void on_stop_timer(void *data)
{
    struct job *job = data;
    bool is_grace = job->state == JOB_STOPPING || job->state == JOB_STOPPING_CLOSED ||
                    job->state == JOB_STOPPING_DRAINING;
    job_handle(job, is_grace ? JOB_GRACE_OVER : JOB_DRAIN_OVER);
}

// --- The process's events

static void on_exit_known(void *data, bool is_signaled, int number)
{
    struct job *job = data;

    job->has_exited = true;
    job->is_signaled = is_signaled;
    job->exit_number = number;
    job->is_out_of_memory = is_signaled && number == SIGKILL &&
                            job->channel.ops->ran_out_of_memory &&
                            job->channel.ops->ran_out_of_memory(job->channel.self);
    // The output of the command is in the pipe, and is read before the end, however long
    // that takes. The drain is only for bytes that other processes may still write.
    job_read_rest(job);
    if (!job->channel.self)
        return; // the output was too much, and has ended the job
    // Only a grandchild could still read stdin, and must not.
    job->channel.ops->end_stdin(job->channel.self);
    job_announce(job);
    job_handle(job, JOB_EXIT);
}

static void on_unstarted(void *data, enum channel_stage stage, int errnum)
{
    struct job *job = data;
    static const char *const stages[] = {
        [STAGE_RESOURCES] = "cannot start a process",
        [STAGE_LIMITS] = "cannot limit the command",
        [STAGE_IDENTITY] = "cannot take on the identity of the user",
        [STAGE_WORKDIR] = "cannot enter the working directory",
        [STAGE_EXEC] = "cannot execute",
    };
    int code = stage == STAGE_EXEC && errnum == ENOENT ? CODE_NOT_FOUND : CODE_NOT_EXECUTABLE;

    if (job->outcome.kind != OUTCOME_NONE)
        ; // the job was being stopped already
    else if (job_has_client(job))
        outcome_set(&job->outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s %s: %s",
                    stages[stage], job->launch.argv.items[0], strerror(errnum));
    else if (stage == STAGE_EXEC)
        outcome_set(&job->outcome, OUTCOME_UNSTARTED, code, "%s %s: %s", stages[stage],
                    job->command, strerror(errnum));
    else
        outcome_set(&job->outcome, OUTCOME_UNSTARTED, code, "%s: %s", stages[stage],
                    strerror(errnum));
    job_handle(job, JOB_UNSTARTED);
}

static void on_lost(void *data, const char *reason)
{
    struct job *job = data;

    // A known exit stays true, and the whole output of the command came before it.
    if (job->outcome.kind == OUTCOME_NONE && !job->has_exited)
        outcome_set(&job->outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s", reason);
    job_handle(job, JOB_LOST);
}

static void job_spawn(struct job *job);

// Takes the first route at or after FROM, which fills in the launch.
static int job_take_route(struct job *job, size_t from, const struct request *request,
                          const struct caller *caller, struct error *err)
{
    struct route *route;

    job->route = routes_find(job->routes, from);
    route = routes_at(job->routes, job->route);
    return route->ops->prepare(route, &job->launch, job->config, request, caller, err);
}

// Nothing was started: the next route takes the job.
static void on_declined(void *data)
{
    struct job *job = data;
    static const struct caller nobody; // no later route runs a command as its caller
    struct error err = {0};

    log_debug(DEBUG_JOB, "job %" PRIu64 ": route %zu declines", job->id, job->route + 1);
    job_close_channel(job);
    launch_finish(&job->launch);
    if (job->outcome.kind == OUTCOME_NONE &&
        job_take_route(job, job->route + 1, &job->request, &nobody, &err) < 0)
        outcome_set(&job->outcome, OUTCOME_UNSTARTED, CODE_NOT_EXECUTABLE, "%s",
                    error_message(&err));
    error_finish(&err);
    if (job->outcome.kind == OUTCOME_NONE)
        job_spawn(job);
    else
        job_handle(job, JOB_UNSTARTED);
}

static const struct channel_events channel_events = {
    .on_unstarted = on_unstarted,
    .on_stdin = job_on_stdin,
    .on_output = job_on_output,
    .on_output_lost = job_on_output_lost,
    .on_kept = job_on_kept,
    .on_exit = on_exit_known,
    .on_lost = on_lost,
    .on_declined = on_declined,
};

// --- Actions of the states

// Returns when the far end kills the command by itself if it hears nothing of the daemon. 0: never.
static uint64_t job_last_ns(const struct job *job)
{
    uint64_t end_ns = job->timeout_ms > 0 ? job->start_ns + NS_PER_MS * job->timeout_ms : 0;

    if (job->deadline_ns > 0 && (end_ns == 0 || job->deadline_ns < end_ns))
        end_ns = job->deadline_ns;
    return end_ns > 0 ? end_ns + NS_PER_MS * (job->config->kill_grace_ms + JOB_DRAIN_MS) : 0;
}

static int job_open_channel(struct job *job, struct error *err)
{
    struct route_start start = {
        .launch = &job->launch,
        .deadline_ns = job_last_ns(job),
    };

    return routes_open(job->routes, job->route, &job->channel, &start, &channel_events, job, err);
}

static void job_spawn(struct job *job)
{
    struct error err = {0};

    job->intake.held_back = job_has_client(job) ? job->launch.client->held_back : NULL;
    job->intake.held_back_out = job_has_client(job) ? job->launch.client->held_back_out : NULL;
    if (job->start_ns == 0)
        job->start_ns = loop_now_ns();
    if (job_open_channel(job, &err) < 0) {
        if (job_has_client(job))
            outcome_set(&job->outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s",
                        error_message(&err));
        else
            outcome_set(&job->outcome, OUTCOME_UNSTARTED, CODE_NOT_EXECUTABLE, "%s",
                        error_message(&err));
        error_finish(&err);
        job_handle(job, JOB_UNSTARTED);
        return;
    }
    if (job->is_stdin_ended)
        job->channel.ops->end_stdin(job->channel.self);
    if (job->timeout_ms > 0 && !timer_is_armed(&job->timeout) &&
        loop_arm(job->loop, &job->timeout, job->timeout_ms) < 0)
        job_stop(job, OUTCOME_CANCELLED, CODE_CANCELLED, "no memory for its timeout");
    job_announce(job);
}

static void job_finish(struct job *job)
{
    loop_disarm(job->loop, &job->timeout);
    loop_disarm(job->loop, &job->deadline);
    loop_disarm(job->loop, &job->stop_timer);
    loop_disarm(job->loop, &job->end_timer);
    job->end_ns = loop_now_ns();
    // A stop also kills the processes of the group that have closed the streams.
    if (job->channel.self && job->outcome.kind != OUTCOME_NONE)
        job->channel.ops->signal(job->channel.self, SIGKILL);
    job_close_channel(job);
    job_judge(job);
    job_remove_container(job);
    launch_finish(&job->launch);
    request_finish(&job->request);
    routes_unref(take_ptr(&job->routes));
    job_announce(job);
    job->on_done(job->done_data);
}

static void job_begin_wait(struct job *job, int signal, uint64_t wait_ms)
{
    loop_disarm(job->loop, &job->timeout);
    loop_disarm(job->loop, &job->deadline);
    if (signal)
        job->channel.ops->signal(job->channel.self, signal);
    if (loop_arm(job->loop, &job->stop_timer, wait_ms) < 0)
        on_stop_timer(job); // no memory for a timer: the job goes on without the wait
}

void job_handle(struct job *job, enum job_event event)
{
    struct job_transition transition = job_state_next(job->state, event);

    log_debug(DEBUG_JOB, "job %" PRIu64 ": %s: %s -> %s", job->id, job_event_name(event),
              job_state_name(job->state), job_state_name(transition.next));
    job->state = transition.next;
    switch (transition.action) {
    case JOB_DO_NOTHING:
        break;
    case JOB_DO_SPAWN:
        job_spawn(job);
        break;
    case JOB_DO_TERM:
        job_begin_wait(job, SIGTERM, job->config->kill_grace_ms);
        break;
    case JOB_DO_KILL:
        job_begin_wait(job, SIGKILL, JOB_DRAIN_MS);
        break;
    case JOB_DO_DRAIN:
        job_begin_wait(job, 0, JOB_DRAIN_MS);
        break;
    case JOB_DO_FINISH:
        job_finish(job);
        break;
    }
}

// --- The owner's side

// The request is kept only while another route may have to take the job.
static int job_prepare(struct job *job, struct request *request, const struct caller *caller,
                       struct error *err)
{
    if (job_take_route(job, 0, request, caller, err) < 0)
        return -1;
    if (job->route + 1 < routes_count(job->routes)) {
        job->request = *request;
        *request = (struct request){0};
    }
    return 0;
}

// Counts from the opening of the request: the queue is part of it.
static int job_set_deadline(struct job *job, const struct request_options *options,
                            const struct caller *caller, struct error *err)
{
    uint64_t now_ns = loop_now_ns();
    uint64_t from_ns = caller->opened_ns ? caller->opened_ns : now_ns;

    if (!options->has[REQUEST_DEADLINE])
        return 0;
    job->deadline_ms = options->deadline_ms;
    job->deadline_ns = from_ns + NS_PER_MS * job->deadline_ms;
    if (loop_arm(job->loop, &job->deadline,
                 job->deadline_ns > now_ns ? (job->deadline_ns - now_ns) / NS_PER_MS : 0) < 0)
        return error_set(err, ENOMEM, "no memory for its deadline");
    return 0;
}

struct job *job_create(const struct job_spec *spec, struct request *request, struct error *err)
{
    static uint64_t last_id;
    AUTO(request_finish) struct request taken = *request;
    struct job *job = calloc(1, sizeof *job);

    *request = (struct request){0};
    if (!job) {
        error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    job->id = ++last_id;
    job->loop = spec->loop;
    job->config = sandbox_config_ref(spec->config);
    job->account = account_ref(spec->account);
    job->routes = routes_ref(spec->routes);
    job->timeout_ms =
        taken.options.has[REQUEST_TIMEOUT] ? taken.options.timeout_ms : spec->config->timeout_ms;
    job->intake.keeping = spec->keeping;
    job->intake.limit = spec->config->max_output_bytes;
    job->owner = spec->owner;
    job->on_done = spec->on_done;
    job->done_data = spec->done_data;
    job->timeout = (struct timer){.on_time = on_timeout, .data = job};
    job->deadline = (struct timer){.on_time = on_deadline, .data = job};
    job->stop_timer = (struct timer){.on_time = on_stop_timer, .data = job};
    job->end_timer = (struct timer){.on_time = job_on_end_held, .data = job};
    task_init(&job->change, on_announced, job);
    job->command = strdup(taken.argv.items[0]);
    if (!job->command)
        error_set(err, ENOMEM, "no memory");
    if (!job->command || job_set_deadline(job, &taken.options, spec->caller, err) < 0 ||
        job_prepare(job, &taken, spec->caller, err) < 0) {
        job_free(job);
        return NULL;
    }
    log_debug(DEBUG_JOB, "job %" PRIu64 ": %s, by route %zu of %zu", job->id, job->command,
              job->route + 1, routes_count(job->routes));
    return job;
}

void job_start(struct job *job)
{
    job_handle(job, JOB_START);
}

void job_cancel(struct job *job)
{
    job_stop(job, OUTCOME_CANCELLED, CODE_CANCELLED, NULL);
}

void job_cancel_because(struct job *job, const char *detail)
{
    job_stop(job, OUTCOME_CANCELLED, CODE_CANCELLED, detail);
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
    job_announce(job);
}
