// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include "cleanup.h"
#include "job_input.h"
#include "job_output.h"

#include <errno.h>
#include <fcntl.h>

enum { OUTPUTS = 2 };

struct job {
    struct list link;
    struct list in_bucket;
    struct jobs *jobs;
    uint32_t number;
    struct worker *worker; // NULL: its supervisor has said its last of it
    struct job_input input;
    struct job_output outputs[OUTPUTS];
    bool has_started;
    bool has_failed;
    bool has_ended;
    bool is_end_told[1 + OUTPUTS]; // that of the command, those of its outputs
    bool is_killed;                // the order has been given
    bool is_released;
    bool is_lost; // the supervisor died
    bool is_gone;
    struct report end;
};

static struct list *bucket_of(const struct jobs *jobs, uint32_t number)
{
    const size_t count = sizeof jobs->buckets / sizeof jobs->buckets[0];
    return (struct list *)&jobs->buckets[number % count];
}

struct job *job_find(const struct jobs *jobs, uint32_t number)
{
    struct list *bucket = bucket_of(jobs, number);

    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct job *job = LIST_ENTRY(link, struct job, in_bucket);
        if (job->number == number)
            return job;
    }
    return NULL;
}

// --- The end of a job

static void tell_if_none(struct jobs *jobs)
{
    if (jobs->is_ending && list_is_empty(&jobs->all))
        jobs->on_none(jobs->data);
}

static void close_streams(struct job *job)
{
    job_input_close(&job->input);
    for (int i = 0; i < OUTPUTS; i++)
        job_output_close(&job->outputs[i]);
}

static void destroy(struct job *job)
{
    struct jobs *jobs = job->jobs;

    close_streams(job);
    if (job->worker)
        worker_leave(job->worker);
    list_remove(&job->link);
    list_remove(&job->in_bucket);
    free(job);
    tell_if_none(jobs);
}

static bool is_muted(const struct job *job)
{
    return job->is_released || job->jobs->is_ending;
}

static void tell_output_ends(struct job *job)
{
    static const enum frame_type ends[OUTPUTS] = {FRAME_STDOUT_END, FRAME_STDERR_END};

    for (int i = 0; i < OUTPUTS; i++) {
        if (job->is_end_told[1 + i] || !job->outputs[i].has_ended)
            continue;
        job->is_end_told[1 + i] = true;
        connection_send(job->jobs->connection, job->number, ends[i], NULL, 0);
    }
}

static void tell_end(struct job *job)
{
    char payload[2] = {(char)job->end.is_signaled, (char)job->end.number};

    if (job->is_end_told[0] || !job->has_ended || job->outputs[0].due + job->outputs[1].due > 0)
        return;
    job->is_end_told[0] = true;
    connection_send_now(job->jobs->connection, job->number, FRAME_ENDED, payload, sizeof payload);
}

// Says what can be said by now. The job may be gone afterwards.
static void settle(struct job *job)
{
    bool is_complete = job->has_failed || (job->is_lost && !job->has_ended);

    if (!is_muted(job) && job->has_started) {
        tell_output_ends(job);
        tell_end(job);
        if (job->is_end_told[0] && job->is_end_told[1] && job->is_end_told[2])
            is_complete = true;
    }
    if (!job->is_gone || !(is_complete || is_muted(job)))
        return;
    if (!job->jobs->is_ending)
        connection_send(job->jobs->connection, job->number, FRAME_GONE, NULL, 0);
    destroy(job);
}

static void on_output_change(void *data)
{
    settle(data);
}

static void begin(void *data)
{
    struct job *job = data;

    if (job->has_started || is_muted(job))
        return;
    job->has_started = true;
    connection_send(job->jobs->connection, job->number, FRAME_STARTED, NULL, 0);
    job_input_begin(&job->input);
}

// The rest is not told: FAILED and LOST are the last but GONE.
static void fail(struct job *job, enum frame_stage stage, int errnum)
{
    char payload[5] = {(char)stage};

    frame_put_number(payload + 1, (uint32_t)errnum);
    if (!is_muted(job))
        connection_send_now(job->jobs->connection, job->number, FRAME_FAILED, payload,
                            sizeof payload);
    job->has_failed = true;
    close_streams(job);
}

// --- The supervisor

static void lose(struct job *job)
{
    job->is_lost = true;
    job->worker = NULL;
    if (job->has_ended)
        return;
    if (!job->has_failed && !is_muted(job))
        connection_send_now(job->jobs->connection, job->number, FRAME_LOST, NULL, 0);
    close_streams(job);
}

// Nothing is left any more of what dead supervisors had.
static void on_clear(void *data)
{
    struct jobs *jobs = data;
    struct list *next;

    for (struct list *link = jobs->all.next; link != &jobs->all; link = next) {
        struct job *job = LIST_ENTRY(link, struct job, link);
        next = link->next;
        if (job->is_lost) {
            job->is_gone = true;
            settle(job);
        }
    }
}

static void on_report(void *data, const struct report *report)
{
    struct job *job = data;

    if (!report) {
        lose(job);
        return;
    }
    if (report->what & REPORT_STARTED)
        begin(job);
    if (report->what & REPORT_FAILED)
        fail(job, (enum frame_stage)report->stage, report->number);
    if (report->what & REPORT_ENDED) {
        job->has_ended = true;
        job->end = *report;
        for (int i = 0; i < OUTPUTS; i++)
            job_output_mark(&job->outputs[i]);
    }
    if (report->what & REPORT_GONE) {
        job->is_gone = true;
        job->worker = NULL;
    }
    settle(job);
}

static void order(struct job *job, enum supervisor_order what)
{
    if (job->worker)
        worker_order(job->worker, what);
}

static void order_kill(struct job *job)
{
    if (job->is_killed)
        return;
    job->is_killed = true;
    order(job, ORDER_KILL);
}

static void release(struct job *job)
{
    if (job->is_released)
        return;
    job->is_released = true;
    close_streams(job);
    order(job, ORDER_RELEASE);
    settle(job);
}

// --- The start

static void close_all(struct streams *streams)
{
    close_fd(&streams->in);
    close_fd(&streams->out);
    close_fd(&streams->err);
}

// A pipe of which NEAR, our end, does not block; the other must.
static int make_pipe(int *near, int *far, bool is_near_writing)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *near = ends[is_near_writing];
    *far = ends[!is_near_writing];
    return fcntl(*near, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

// FAR: the command's ends.
static int open_streams(struct job *job, struct streams *far)
{
    int near[3] = {-1, -1, -1};
    int result = make_pipe(&near[0], &far->in, true);

    if (result == 0)
        result = make_pipe(&near[1], &far->out, false);
    if (result == 0)
        result = make_pipe(&near[2], &far->err, false);
    job_input_open(&job->input, near[0]);
    for (int i = 0; i < OUTPUTS; i++) {
        int watched = job_output_open(&job->outputs[i], near[1 + i]);
        if (result == 0)
            result = watched;
    }
    return result;
}

static struct job *create(struct jobs *jobs, uint32_t number)
{
    static const enum frame_type types[OUTPUTS] = {FRAME_STDOUT, FRAME_STDERR};
    struct job *job = calloc(1, sizeof *job);

    if (!job)
        return NULL;
    job->jobs = jobs;
    job->number = number;
    job->input = (struct job_input){.connection = jobs->connection, .job = number, .fd = -1};
    for (int i = 0; i < OUTPUTS; i++)
        job->outputs[i] = (struct job_output){.connection = jobs->connection,
                                              .job = number,
                                              .type = types[i],
                                              .fd = -1,
                                              .before_first = begin,
                                              .on_change = on_output_change,
                                              .data = job};
    list_init(&job->link);
    list_append(&jobs->all, &job->link);
    list_init(&job->in_bucket);
    list_append(bucket_of(jobs, number), &job->in_bucket);
    return job;
}

void job_start(struct jobs *jobs, const struct frame *frame)
{
    struct streams far = {-1, -1, -1};
    struct job *job = create(jobs, frame->job);
    int result;

    if (!job) {
        connection_break(jobs->connection, ENOMEM);
        return;
    }
    result = open_streams(job, &far);
    if (result == 0)
        result = pool_start(&jobs->pool, frame, &far, on_report, job, &job->worker);
    else
        pool_shed(&jobs->pool);
    close_all(&far);
    if (result == 0)
        return;
    fail(job, FRAME_AT_RESOURCES, -result);
    job->is_gone = true;
    settle(job);
}

int job_receive(struct job *job, const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_STDIN:
        return job_input_write(&job->input, frame->payload, frame->length);
    case FRAME_STDIN_END:
        job_input_end(&job->input);
        return 0;
    case FRAME_STDOUT_CREDIT:
        return job_output_credit(&job->outputs[0], frame_number(frame->payload));
    case FRAME_STDERR_CREDIT:
        return job_output_credit(&job->outputs[1], frame_number(frame->payload));
    case FRAME_TERM:
        order(job, ORDER_TERM);
        return 0;
    case FRAME_KILL:
        order_kill(job);
        return 0;
    case FRAME_RELEASE:
        release(job);
        return 0;
    default:
        return -EBADMSG;
    }
}

// --- All of them

static void forget(void *data)
{
    struct jobs *jobs = data;
    jobs->forget(jobs->data);
}

void jobs_init(struct jobs *jobs)
{
    list_init(&jobs->all);
    for (size_t i = 0; i < sizeof jobs->buckets / sizeof jobs->buckets[0]; i++)
        list_init(&jobs->buckets[i]);
    jobs->pool = (struct pool){
        .loop = jobs->loop,
        .own_env = jobs->own_env,
        .descriptors = jobs->descriptors,
        .forget = forget,
        .on_clear = on_clear,
        .data = jobs,
    };
    pool_init(&jobs->pool);
}

void jobs_trim(struct jobs *jobs)
{
    pool_trim(&jobs->pool);
}

void jobs_end(struct jobs *jobs)
{
    struct list *next;

    jobs->is_ending = true;
    pool_end(&jobs->pool);
    for (struct list *link = jobs->all.next; link != &jobs->all; link = next) {
        struct job *job = LIST_ENTRY(link, struct job, link);
        next = link->next;
        close_streams(job);
        // What a job has left that was let go lives on.
        if (!job->is_released || !job->has_ended || job->is_killed)
            order_kill(job);
        settle(job);
    }
    tell_if_none(jobs);
}

void jobs_finish(struct jobs *jobs)
{
    while (!list_is_empty(&jobs->all))
        destroy(LIST_ENTRY(jobs->all.next, struct job, link));
    pool_finish(&jobs->pool);
}
