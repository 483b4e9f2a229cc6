// SPDX-License-Identifier: Apache-2.0
#include "standby.h"

#include "cleanup.h"
#include "log.h"
#include "mode.h"
#include "standby_line.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    // The time between a client's message about its end and the end. A job that has read this
    // message could not start afresh.
    STDERR_HOLD_MS = 500,
};

void standby_free(struct standby *standby)
{
    loop_disarm(standby->loop, &standby->refusal);
    loop_disarm(standby->loop, &standby->stderr_hold);
    if (standby->inner.self)
        standby->inner.ops->destroy(take_ptr(&standby->inner.self));
    list_remove(&standby->link);
    launch_finish(&standby->launch);
    free(standby);
}

// --- A fresh start

// A job may have to remove the container of its launch. So the launch of the job gets the name of
// the container that runs, and gets its own name back when that container does not run any more.
static void standby_swap_container(struct standby *standby)
{
    char *name = standby->launch.container;

    standby->launch.container = standby->start.launch->container;
    standby->start.launch->container = name;
}

// The command died before it got anything of the request. Starts the same command as if there had
// been no standby. Must be called last.
static void standby_start_afresh(struct standby *standby)
{
    const struct channel_events *events = standby->events;
    bool ends = standby->is_end_asked;
    bool was_refused = standby->is_refused;
    struct error err = {0};

    log_debug(DEBUG_JOB, "a standby has died: its job starts afresh");
    standby_swap_container(standby);
    loop_disarm(standby->loop, &standby->refusal);
    loop_disarm(standby->loop, &standby->stderr_hold);
    standby->inner.ops->signal(standby->inner.self, SIGKILL); // also kills its remaining processes
    standby->inner.ops->destroy(take_ptr(&standby->inner.self));
    standby->is_refused = false;
    standby->is_gated = false;
    standby->has_given = true; // from here on this channel is like others
    if (standby->route->ops->open(standby->route, &standby->inner, &standby->start, events,
                                  standby->data, &err) < 0) {
        standby->inner.self = NULL;
        events->on_lost(standby->data, error_message(&err));
    } else if (was_refused) {
        if (ends)
            standby->inner.ops->end_stdin(standby->inner.self);
        events->on_stdin(standby->data);
    }
    error_finish(&err);
}

static bool standby_may_start_afresh(const struct standby *standby)
{
    return !standby->has_given && !standby->has_output && !standby->is_stopped;
}

static bool standby_has_greeted(const struct standby *standby)
{
    return !standby->is_gated || standby->greeted == sizeof STANDBY_GATE_GREETING - 1;
}

// --- Events of the inner channel

static void standby_fail(struct standby *standby, const char *why)
{
    standby->owner.on_failed(standby->owner.data, standby, why);
}

static void on_unstarted(void *data, enum channel_stage stage, int errnum)
{
    struct standby *standby = data;

    if (standby->events)
        standby->events->on_unstarted(standby->data, stage, errnum);
    else
        standby_fail(standby, strerror(errnum));
}

static void on_stdin(void *data)
{
    struct standby *standby = data;

    if (standby->events)
        standby->events->on_stdin(standby->data);
}

static void on_stderr_held(void *data)
{
    struct standby *standby = data;

    standby->passes_stderr = true;
    if (standby->inner.ops->pause(standby->inner.self, JOB_STDERR, false) < 0)
        standby->events->on_output_lost(standby->data, JOB_STDERR);
}

static bool standby_holds_stderr(struct standby *standby)
{
    return standby->launch.client && !standby->has_given && !standby->passes_stderr &&
           loop_arm(standby->loop, &standby->stderr_hold, STDERR_HOLD_MS) == 0 &&
           standby->inner.ops->pause(standby->inner.self, JOB_STDERR, true) == 0;
}

// A client whose command has greeted is connected. Reads only the greeting, and no byte of the
// command.
static void standby_greet(struct standby *standby)
{
    static const char greeting[] = STANDBY_GATE_GREETING;
    char bytes[sizeof greeting];
    const struct channel_ops *ops = standby->inner.ops;
    ssize_t count =
        ops->read(standby->inner.self, JOB_STDOUT, bytes, sizeof greeting - 1 - standby->greeted);

    if (count <= 0)
        return; // the end of the process comes next
    if (memcmp(bytes, greeting + standby->greeted, (size_t)count) != 0) {
        standby_fail(standby, "something else than the command writes to its output");
        return;
    }
    standby->greeted += (size_t)count;
    if (standby_has_greeted(standby) && ops->pause(standby->inner.self, JOB_STDOUT, true) < 0)
        standby_fail(standby, "no memory");
}

static void on_output(void *data, enum job_stream stream)
{
    struct standby *standby = data;

    if (!standby->events) {
        if (stream == JOB_STDOUT && !standby_has_greeted(standby))
            standby_greet(standby);
        return;
    }
    if (stream != JOB_STDERR || !standby_holds_stderr(standby))
        standby->events->on_output(standby->data, stream);
}

static void on_output_lost(void *data, enum job_stream stream)
{
    struct standby *standby = data;

    if (standby->events)
        standby->events->on_output_lost(standby->data, stream);
    else
        standby_fail(standby, "no memory for its output");
}

// The bytes of a standby without a job belong to no user.
static void on_kept(void *data, enum job_stream stream)
{
    struct standby *standby = data;

    if (standby->events)
        standby->events->on_kept(standby->data, stream);
}

// The end of a standby that no job took, with the last line of its stderr as the reason.
static void standby_fail_with_end(struct standby *standby, bool is_signaled, int number)
{
    char err[1024];
    char why[sizeof err + 64];
    const struct channel_ops *ops = standby->inner.ops;
    ssize_t size = ops->available(standby->inner.self, JOB_STDERR) > 0
                       ? ops->read(standby->inner.self, JOB_STDERR, err, sizeof err)
                       : 0;
    size_t length = size > 0 ? (size_t)size : 0;
    const char *line;

    while (length > 0 && err[length - 1] == '\n')
        length--;
    line = length > 0 ? memrchr(err, '\n', length) : NULL;
    line = line ? line + 1 : err;
    length = length > 0 ? length - (size_t)(line - err) : 0;
    snprintf(why, sizeof why, "%s %d%s%.*s", is_signaled ? "ended by signal" : "ended with", number,
             length > 0 ? ": " : "", (int)length, line);
    standby_fail(standby, why);
}

// A client that ended may have lost its connection: this is not the end of the command. A signal
// from elsewhere to a command that had not begun its work is no end either.
static void on_exit_known(void *data, bool is_signaled, int number)
{
    struct standby *standby = data;

    if (!standby->events)
        standby_fail_with_end(standby, is_signaled, number);
    else if ((is_signaled || standby->launch.client) && standby_may_start_afresh(standby))
        standby_start_afresh(standby);
    else if (standby->launch.client && !standby->has_given && !standby->is_stopped)
        standby->events->on_lost(standby->data, "the client ended before it was given the request");
    else
        standby->events->on_exit(standby->data, is_signaled, number);
}

static void on_lost(void *data, const char *reason)
{
    struct standby *standby = data;

    if (!standby->events)
        standby_fail(standby, reason);
    else if (standby_may_start_afresh(standby))
        standby_start_afresh(standby);
    else
        standby->events->on_lost(standby->data, reason);
}

static void on_declined(void *data)
{
    struct standby *standby = data;

    if (standby->events)
        standby->events->on_declined(standby->data);
    else
        standby->owner.on_declined(standby->owner.data, standby);
}

static const struct channel_events inner_events = {
    .on_unstarted = on_unstarted,
    .on_stdin = on_stdin,
    .on_output = on_output,
    .on_output_lost = on_output_lost,
    .on_kept = on_kept,
    .on_exit = on_exit_known,
    .on_lost = on_lost,
    .on_declined = on_declined,
};

// --- The owner's side

static int standby_pause_all(struct standby *standby, bool is_paused)
{
    int result = 0;

    for (int i = 0; i < JOB_STREAMS && result == 0; i++)
        result = standby->inner.ops->pause(standby->inner.self, (enum job_stream)i, is_paused);
    return result;
}

struct standby *standby_start(struct loop *loop, struct route *route, struct launch *launch,
                              bool is_gated, const struct standby_owner *owner, struct error *err)
{
    struct standby *standby = calloc(1, sizeof *standby);
    struct route_start start = {.launch = standby ? &standby->launch : NULL, .is_standby = true};

    if (!standby) {
        launch_finish(launch);
        error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    standby->loop = loop;
    standby->launch = *launch;
    *launch = (struct launch){0};
    standby->is_gated = is_gated;
    standby->owner = *owner;
    standby->refusal = (struct timer){.on_time = standby_on_refusal_over, .data = standby};
    standby->stderr_hold = (struct timer){.on_time = on_stderr_held, .data = standby};
    list_init(&standby->link);
    if (route->ops->open(route, &standby->inner, &start, &inner_events, standby, err) < 0) {
        standby->inner.self = NULL;
        standby_free(standby);
        return NULL;
    }
    if (standby_pause_all(standby, true) < 0 ||
        (is_gated && standby->inner.ops->pause(standby->inner.self, JOB_STDOUT, false) < 0)) {
        error_set(err, ENOMEM, "no memory");
        standby_drop(standby);
        return NULL;
    }
    return standby;
}

bool standby_is_over(const struct standby *standby)
{
    return standby->inner.ops->is_over && standby->inner.ops->is_over(standby->inner.self);
}

bool standby_is_ready(const struct standby *standby)
{
    return !standby_is_over(standby) && !standby_ops.waits_for(standby) &&
           standby_has_greeted(standby);
}

int standby_hand_over(struct standby *standby, struct route *route, struct channel *channel,
                      const struct route_start *start, const struct channel_events *events,
                      void *data)
{
    if (standby_pause_all(standby, false) < 0)
        return -ENOMEM;
    if (standby->inner.ops->hand_over)
        standby->inner.ops->hand_over(standby->inner.self);
    standby->events = events;
    standby->data = data;
    standby->route = route;
    standby->start = *start;
    standby_swap_container(standby);
    *channel = (struct channel){.ops = &standby_ops, .self = standby};
    return 0;
}

void standby_drop(struct standby *standby)
{
    // Kills before stdin ends: otherwise the command would take the end for an empty request.
    standby->inner.ops->signal(standby->inner.self, SIGKILL);
    standby_free(standby);
}
