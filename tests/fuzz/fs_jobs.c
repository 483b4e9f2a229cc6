// SPDX-License-Identifier: Apache-2.0
// The model's jobs, and the effects of time on them.
#include "cleanup.h"
#include "fs_model.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

struct model_job model_jobs[MODEL_JOBS];
unsigned model_job_count;

static uint64_t now_ms;

// --- Shares of a sandbox

static unsigned count_jobs(const struct model_dir *sandbox, uid_t uid, enum model_state state)
{
    unsigned count = 0;

    for (unsigned i = 0; i < model_job_count; i++)
        count += model_jobs[i].sandbox == sandbox && model_jobs[i].uid == uid &&
                 model_jobs[i].state == state;
    return count;
}

static bool has_room(uid_t uid, unsigned held, unsigned taken, unsigned maximum)
{
    if (taken >= maximum)
        return false;
    return uid == 0 || uid == geteuid() || held == 0 || held < 3 * (maximum - taken);
}

bool model_may_run(const struct model_dir *sandbox, uid_t uid)
{
    return has_room(uid, count_jobs(sandbox, uid, MODEL_RUNNING), sandbox->running,
                    sandbox->max_running);
}

bool model_has_waiting(const struct model_dir *sandbox, uid_t uid)
{
    for (unsigned i = 0; i < sandbox->queued; i++)
        if (sandbox->queue[i]->uid == uid)
            return true;
    return false;
}

bool model_may_wait(const struct model_dir *sandbox, uid_t uid)
{
    unsigned held = 0;

    for (unsigned i = 0; i < sandbox->queued; i++)
        held += sandbox->queue[i]->uid == uid;
    return has_room(uid, held, sandbox->queued, sandbox->max_queued);
}

void model_add_user(struct model_dir *sandbox, uid_t uid)
{
    for (unsigned i = 0; i < sandbox->user_count; i++)
        if (sandbox->users[i] == uid)
            return;
    sandbox->users[sandbox->user_count++] = uid;
}

static void remove_user(struct model_dir *sandbox, uid_t uid)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < sandbox->user_count; i++)
        if (sandbox->users[i] != uid)
            sandbox->users[kept++] = sandbox->users[i];
    sandbox->user_count = kept;
}

static void finish(struct model_job *job)
{
    struct model_dir *sandbox = job->sandbox;
    unsigned kept = 0;

    if (job->state == MODEL_RUNNING)
        sandbox->running--;
    for (unsigned i = 0; i < sandbox->queued; i++)
        if (sandbox->queue[i] != job)
            sandbox->queue[kept++] = sandbox->queue[i];
    sandbox->queued = kept;
    job->state = MODEL_DONE;
    if (!model_has_waiting(sandbox, job->uid) && !count_jobs(sandbox, job->uid, MODEL_RUNNING))
        remove_user(sandbox, job->uid);
    job->timeout_at = job->deadline_at = job->kill_at = job->drain_at = 0;
    if (!*job->outcome && job->is_signaled) {
        snprintf(job->outcome, MODEL_LINE, "%d signaled %s\n", 128 + job->number,
                 sigabbrev_np(job->number));
        job->error = EIO;
    } else if (!*job->outcome) {
        snprintf(job->outcome, MODEL_LINE, "%d exited\n", job->number);
        job->error = job->number ? EIO : 0;
    }
    model_start_queued(sandbox);
}

// The job of the first user who may have one, in the order of their turns. NULL: none.
static struct model_job *take_next(struct model_dir *sandbox)
{
    for (unsigned turn = 0; turn < sandbox->user_count; turn++) {
        uid_t uid = sandbox->users[turn];
        for (unsigned i = 0; i < sandbox->queued; i++) {
            struct model_job *job = sandbox->queue[i];
            if (job->uid != uid || !model_may_run(sandbox, uid))
                continue;
            sandbox->queued--;
            memmove(sandbox->queue + i, sandbox->queue + i + 1,
                    (sandbox->queued - i) * sizeof sandbox->queue[0]);
            remove_user(sandbox, uid);
            model_add_user(sandbox, uid);
            return job;
        }
    }
    return NULL;
}

void model_start_queued(struct model_dir *sandbox)
{
    struct model_job *next;

    while ((next = take_next(sandbox)))
        model_job_start(next);
}

static bool is_called(const struct model_job *job, const char *command)
{
    size_t length = strlen(command);
    return strncmp(job->words + 1, command, length) == 0 && job->words[1 + length] == ']';
}

static void close_streams(struct model_job *job)
{
    for (int i = 0; i < JOB_STREAMS; i++)
        if (job->is_open[i]) {
            job->is_open[i] = false;
            job->closed_at[i] = now_ms;
        }
}

// The daemon does not read on, and so does not see the end of the stream.
static bool is_paused(const struct model_job *job)
{
    return (job->streams && job->written[JOB_STDOUT] - job->consumed[JOB_STDOUT] >= MODEL_WINDOW) ||
           (job->is_framed && job->written[JOB_STDERR] - job->consumed[JOB_STDERR] >= MODEL_WINDOW);
}

static void finish_if_closed(struct model_job *job)
{
    if (job->state == MODEL_RUNNING && job->is_ended && !job->is_open[JOB_STDOUT] &&
        !job->is_open[JOB_STDERR] && !is_paused(job))
        finish(job);
}

void model_job_consumed(struct model_job *job, enum job_stream stream, size_t size)
{
    job->consumed[stream] += size;
    finish_if_closed(job);
}

static void take_signal(struct model_job *job, int number)
{
    if (number == SIGTERM && is_called(job, "stubborn"))
        return;
    if (!is_called(job, "escapes"))
        close_streams(job);
    if (!job->is_ended)
        model_job_ended(job, true, number);
    else
        finish_if_closed(job);
}

void model_job_start(struct model_job *job)
{
    job->state = MODEL_RUNNING;
    job->sandbox->running++;
    if (job->timeout_ms)
        job->timeout_at = now_ms + job->timeout_ms;
    if (is_called(job, "missing"))
        model_job_unstarted(job);
}

void model_job_unstarted(struct model_job *job)
{
    if (!*job->outcome) {
        strcpy(job->outcome, "127 unstarted ");
        job->error = ENOENT;
    }
    job->is_ended = true;
    job->is_stdin_closed = true;
    close_streams(job);
    finish(job);
}

static void stop(struct model_job *job, const char *outcome, int error)
{
    strcpy(job->outcome, outcome);
    job->error = error;
    job->timeout_at = job->deadline_at = job->drain_at = 0;
    if (job->state == MODEL_QUEUED) {
        finish(job);
        return;
    }
    // The command ends of SIGTERM a little later: other jobs may be stopped before.
    job->has_term = true;
    job->kill_at = now_ms + MODEL_GRACE_MS;
}

void model_job_stop(struct model_job *job, const char *outcome, int error)
{
    // A command that has exited keeps its outcome.
    if (job->state != MODEL_DONE && !*job->outcome && !job->is_ended)
        stop(job, outcome, error);
}

void model_job_ended(struct model_job *job, bool is_signaled, int number)
{
    if (job->is_ended || job->state == MODEL_DONE)
        return;
    job->is_ended = true;
    job->is_signaled = is_signaled;
    job->number = number;
    job->is_stdin_closed = true;
    job->timeout_at = job->deadline_at = 0;
    if (!*job->outcome)
        job->drain_at = now_ms + 500;
    finish_if_closed(job);
}

void model_job_closed(struct model_job *job, enum job_stream stream)
{
    if (!job->is_open[stream] || job->state == MODEL_DONE)
        return;
    job->is_open[stream] = false;
    job->closed_at[stream] = now_ms;
    finish_if_closed(job);
}

void model_job_wrote(struct model_job *job, enum job_stream stream, size_t size)
{
    char outcome[MODEL_LINE];

    if (job->state == MODEL_DONE)
        return;
    job->written[stream] += size;
    if (job->streams || *job->outcome || job->written[stream] <= MODEL_MAX_OUTPUT)
        return;
    snprintf(outcome, sizeof outcome, "141 overflow %s exceeded 16K\n",
             stream == JOB_STDOUT ? "stdout" : "stderr");
    stop(job, outcome, EIO);
}

uint64_t model_visible(const struct model_job *job, enum job_stream stream)
{
    uint64_t written = job->written[stream];
    return job->streams || written < MODEL_MAX_OUTPUT ? written : MODEL_MAX_OUTPUT;
}

int model_has_ended(const struct model_job *job, enum job_stream stream)
{
    if (job->state == MODEL_DONE)
        return 1;
    if (job->is_open[stream])
        return 0;
    // The daemon reports the end 100 ms after this stream or the other one was closed.
    return now_ms > job->closed_at[stream] + 200 ? 1 : -1;
}

char model_output_byte(const struct model_job *job, enum job_stream stream, uint64_t offset)
{
    return (char)(offset * 131 + (offset >> 8) * 7 + (uint64_t)(job - model_jobs) * 17 +
                  (uint64_t)stream * 101);
}

// --- Time

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return b && b < a ? b : a;
}

static void fire(struct model_job *job)
{
    char outcome[MODEL_LINE];

    if (job->timeout_at == now_ms) {
        if (job->timeout_ms % 1000)
            snprintf(outcome, sizeof outcome, "124 timeout after %dms\n", (int)job->timeout_ms);
        else
            snprintf(outcome, sizeof outcome, "124 timeout after %ds\n",
                     (int)(job->timeout_ms / 1000));
        model_job_stop(job, outcome, ETIMEDOUT);
    } else if (job->deadline_at == now_ms)
        model_job_stop(job, "124 timeout after 900ms\n", ETIMEDOUT);
    else if (job->kill_at == now_ms) {
        job->kill_at = 0;
        job->drain_at = now_ms + 500;
        take_signal(job, SIGKILL);
    } else
        finish(job);
}

static void notice_signals(void)
{
    for (unsigned i = 0; i < model_job_count; i++) {
        struct model_job *job = &model_jobs[i];
        if (job->has_term && job->state == MODEL_RUNNING)
            take_signal(job, SIGTERM);
        job->has_term = false;
    }
}

static void find_child(struct model_job *job)
{
    for (unsigned i = 0; i < world_child_count && !job->child; i++) {
        struct world_child *child = &world_children[i];
        if (child->is_linked || strcmp(child->words, job->words) != 0 ||
            (child->is_standby && !child->is_taken))
            continue;
        child->is_linked = true;
        job->child = child;
        uid_t uid = job->sandbox->is_strict ? 0 : job->uid;
        WORLD_CHECK(child->uid == (geteuid() == 0 ? uid : (uid_t)-1),
                    "%s runs with the rights of %d", child->words, (int)child->uid);
    }
    WORLD_CHECK(job->child, "%s was not started", job->words);
}

// A standby runs for no job, and must find neither bytes nor the end in its stdin.
static void check_standby(const struct world_child *child)
{
    struct pollfd in = {.fd = child->in, .events = POLLIN};

    WORLD_CHECK(child->is_standby && !child->is_taken, "%s was started", child->words);
    WORLD_CHECK(child->is_ended || (poll(&in, 1, 0) == 0 && in.revents == 0),
                "%s, which is on standby, has something to read", child->words);
}

void model_catch_up(void)
{
    struct model_job *next;

    notice_signals();
    do {
        uint64_t at = world_now_ms + 1;
        next = NULL;
        for (unsigned i = 0; i < model_job_count; i++) {
            struct model_job *job = &model_jobs[i];
            uint64_t due = earlier(
                earlier(earlier(earlier(at, job->timeout_at), job->deadline_at), job->kill_at),
                job->drain_at);
            if (due < at) {
                at = due;
                next = job;
            }
        }
        now_ms = next ? at : world_now_ms;
        if (next)
            fire(next);
        notice_signals();
    } while (next);
    for (unsigned i = 0; i < model_job_count; i++)
        if (!model_jobs[i].child &&
            (model_jobs[i].state == MODEL_RUNNING || model_jobs[i].is_ended))
            find_child(&model_jobs[i]);
    for (unsigned i = 0; i < world_child_count; i++)
        if (!world_children[i].is_linked)
            check_standby(&world_children[i]);
}

void model_begin_jobs(void)
{
    model_job_count = 0;
    now_ms = 0;
}

void model_finish_jobs(void)
{
    for (unsigned i = 0; i < model_job_count; i++)
        buffer_finish(&model_jobs[i].taken);
}
