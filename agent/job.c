// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include "cleanup.h"
#include "descendants.h"
#include "job_input.h"
#include "job_output.h"
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { OUTPUTS = 2 };

enum {
    HURRY_MS = 500, // so long a supervisor may be busy with executing the command
    FIRST_PAUSE_MS = 1,
    LONGEST_PAUSE_MS = 250,
};

struct job {
    struct list link;
    struct list in_bucket;
    struct jobs *jobs;
    uint32_t number;
    pid_t supervisor;
    int control_fd; // -1: the supervisor has said its last, or holds
    struct watch control_watch;
    struct timer hurry; // then a supervisor that cannot listen is killed
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

// A supervisor that holds what its job has left.
struct holder {
    struct list link;
    struct jobs *jobs;
    pid_t supervisor;
    int fd;
    struct watch watch;
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
    if (jobs->is_ending && list_is_empty(&jobs->all) && list_is_empty(&jobs->held))
        jobs->on_none(jobs->data);
}

static void close_streams(struct job *job)
{
    job_input_close(&job->input);
    for (int i = 0; i < OUTPUTS; i++)
        job_output_close(&job->outputs[i]);
}

static void close_control(struct job *job)
{
    loop_unwatch(job->jobs->loop, &job->control_watch);
    close_fd(&job->control_fd);
}

static void destroy(struct job *job)
{
    struct jobs *jobs = job->jobs;

    close_streams(job);
    close_control(job);
    loop_disarm(jobs->loop, &job->hurry);
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

// --- Holders

static void free_holder(struct holder *holder)
{
    struct jobs *jobs = holder->jobs;

    loop_unwatch(jobs->loop, &holder->watch);
    close_fd(&holder->fd);
    list_remove(&holder->link);
    free(holder);
    tell_if_none(jobs);
}

// It has nothing to say but its end.
static void on_holder(void *data, uint32_t events)
{
    (void)events;
    free_holder(data);
}

// Takes the job's socket. Without memory the supervisor is sent away, and what it
// held is ours.
static void hold(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct holder *holder = calloc(1, sizeof *holder);

    if (!holder)
        return;
    loop_unwatch(jobs->loop, &job->control_watch);
    holder->jobs = jobs;
    holder->supervisor = job->supervisor;
    holder->fd = take_fd(&job->control_fd);
    holder->watch = (struct watch){.fd = -1, .on_ready = on_holder, .data = holder};
    list_init(&holder->link);
    list_append(&jobs->held, &holder->link);
    if (loop_watch(jobs->loop, &holder->watch, holder->fd, EPOLLIN) < 0)
        free_holder(holder);
}

// --- What a supervisor has left when it died

struct heirs {
    const struct jobs *jobs;
    bool is_one_left;
};

static bool is_supervisor(const struct jobs *jobs, pid_t pid)
{
    for (struct list *link = jobs->all.next; link != &jobs->all; link = link->next) {
        const struct job *job = LIST_ENTRY(link, struct job, link);
        if (job->supervisor == pid && job->control_fd >= 0)
            return true;
    }
    for (struct list *link = jobs->held.next; link != &jobs->held; link = link->next)
        if (LIST_ENTRY(link, struct holder, link)->supervisor == pid)
            return true;
    return false;
}

static bool kill_heir(void *data, pid_t pid)
{
    struct heirs *heirs = data;

    if (is_supervisor(heirs->jobs, pid))
        return false;
    kill(pid, SIGKILL);
    heirs->is_one_left = true;
    return true;
}

// Among our children are supervisors, the one that is not quite dead yet, and what
// it has left us.
static void on_inherit(void *data)
{
    struct jobs *jobs = data;
    struct heirs heirs = {.jobs = jobs};
    struct list *next;

    descendants_walk(getpid(), kill_heir, &heirs);
    if (heirs.is_one_left) {
        loop_arm(jobs->loop, &jobs->inherit, jobs->inherit_pause_ms);
        if (jobs->inherit_pause_ms < LONGEST_PAUSE_MS)
            jobs->inherit_pause_ms *= 2;
        return;
    }
    for (struct list *link = jobs->all.next; link != &jobs->all; link = next) {
        struct job *job = LIST_ENTRY(link, struct job, link);
        next = link->next;
        if (job->is_lost) {
            job->is_gone = true;
            settle(job);
        }
    }
}

static void lose(struct job *job)
{
    struct jobs *jobs = job->jobs;

    close_control(job);
    job->is_lost = true;
    if (!job->has_ended) {
        if (!job->has_failed && !is_muted(job))
            connection_send_now(jobs->connection, job->number, FRAME_LOST, NULL, 0);
        close_streams(job);
    }
    jobs->inherit_pause_ms = FIRST_PAUSE_MS;
    loop_arm(jobs->loop, &jobs->inherit, 0);
}

// --- The supervisor

static void hear(struct job *job, const struct report *report)
{
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
    if (report->what & REPORT_HOLDS)
        hold(job);
    if (report->what & REPORT_GONE) {
        job->is_gone = true;
        close_control(job);
    }
    if (!job->is_killed && !job->is_released)
        loop_disarm(job->jobs->loop, &job->hurry);
    settle(job);
}

static void on_control(void *data, uint32_t events)
{
    struct job *job = data;
    struct report report;
    ssize_t count = recv(job->control_fd, &report, sizeof report, MSG_DONTWAIT);

    (void)events;
    // An order came too late for it; what it said before comes now.
    if (count < 0 && errno == ECONNRESET)
        count = recv(job->control_fd, &report, sizeof report, MSG_DONTWAIT);
    if (count == sizeof report)
        hear(job, &report);
    else if (count == 0 || (errno != EAGAIN && errno != EINTR))
        lose(job);
}

// For one that does not listen. As long as it has not said its last, and its end of
// the socket is open, it has not been reaped, and the number is its own.
static void kill_supervisor(struct job *job)
{
    char byte;

    if (job->control_fd >= 0 && recv(job->control_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
        errno == EAGAIN)
        kill(job->supervisor, SIGKILL);
}

static void on_hurry(void *data)
{
    struct job *job = data;
    int unread = 0;

    // One that has read its orders may be busy with killing. TIOCOUTQ is what
    // unix(7) has as SIOCOUTQ.
    if (!job->has_started || job->control_fd < 0 || ioctl(job->control_fd, TIOCOUTQ, &unread) < 0 ||
        unread > 0)
        kill_supervisor(job);
}

static void order(struct job *job, enum supervisor_order what)
{
    char byte = (char)what;

    if (job->control_fd < 0 || send(job->control_fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return;
    if (errno == EAGAIN && what != ORDER_TERM)
        kill_supervisor(job);
}

// A supervisor that executes the command from a file system that does not answer, or
// that its job has stopped, cannot hear us.
static void hurry(struct job *job, uint64_t delay_ms)
{
    if (loop_arm(job->jobs->loop, &job->hurry, delay_ms) < 0)
        kill_supervisor(job);
}

static void order_kill(struct job *job)
{
    if (job->is_killed)
        return;
    job->is_killed = true;
    order(job, ORDER_KILL);
    hurry(job, HURRY_MS);
}

static void release(struct job *job)
{
    if (job->is_released)
        return;
    job->is_released = true;
    close_streams(job);
    order(job, ORDER_RELEASE);
    hurry(job, HURRY_MS);
    settle(job);
}

// --- The start

// A command's ends of the pipes and its supervisor's of the socket.
struct far_ends {
    int in;
    int out;
    int err;
    int control;
};

static void close_far_ends(struct far_ends *ends)
{
    close_fd(&ends->in);
    close_fd(&ends->out);
    close_fd(&ends->err);
    close_fd(&ends->control);
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

static int open_ends(struct job *job, struct far_ends *far)
{
    struct loop *loop = job->jobs->loop;
    int near[3] = {-1, -1, -1};
    int control[2] = {-1, -1};
    int result = make_pipe(&near[0], &far->in, true);

    if (result == 0)
        result = make_pipe(&near[1], &far->out, false);
    if (result == 0)
        result = make_pipe(&near[2], &far->err, false);
    if (result == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
        result = -errno;
    job_input_open(&job->input, near[0]);
    for (int i = 0; i < OUTPUTS; i++) {
        int watched = job_output_open(&job->outputs[i], near[1 + i]);
        if (result == 0)
            result = watched;
    }
    job->control_fd = control[0];
    far->control = control[1];
    if (result == 0)
        result = loop_watch(loop, &job->control_watch, job->control_fd, EPOLLIN);
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
    job->control_fd = -1;
    job->control_watch = (struct watch){.fd = -1, .on_ready = on_control, .data = job};
    job->hurry = (struct timer){.on_time = on_hurry, .data = job};
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

static int spawn(struct job *job, const struct frame *frame, const struct far_ends *far)
{
    struct jobs *jobs = job->jobs;
    struct command command = {0};
    struct supervisor_spec spec = {
        .command = &command,
        .time_limit_ms = frame_number(frame->payload),
        .stdin_fd = far->in,
        .stdout_fd = far->out,
        .stderr_fd = far->err,
        .control_fd = far->control,
        .agent = getpid(),
        .descriptors = &jobs->descriptors,
        .forget = jobs->forget,
        .data = jobs->data,
    };
    int result = command_init(&command, frame, jobs->own_env);

    if (result < 0)
        return result;
    job->supervisor = fork();
    if (job->supervisor == 0)
        supervisor_run(&spec);
    if (job->supervisor < 0)
        result = -errno;
    else if (spec.time_limit_ms > 0)
        hurry(job, (uint64_t)spec.time_limit_ms + HURRY_MS);
    command_finish(&command);
    return result;
}

void job_start(struct jobs *jobs, const struct frame *frame)
{
    struct far_ends far = {-1, -1, -1, -1};
    struct job *job = create(jobs, frame->job);
    int result;

    if (!job) {
        connection_break(jobs->connection, ENOMEM);
        return;
    }
    result = open_ends(job, &far);
    if (result == 0)
        result = spawn(job, frame, &far);
    close_far_ends(&far);
    if (result == 0)
        return;
    fail(job, FRAME_AT_RESOURCES, -result);
    close_control(job);
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

void jobs_init(struct jobs *jobs)
{
    list_init(&jobs->all);
    list_init(&jobs->held);
    for (size_t i = 0; i < sizeof jobs->buckets / sizeof jobs->buckets[0]; i++)
        list_init(&jobs->buckets[i]);
    jobs->inherit = (struct timer){.on_time = on_inherit, .data = jobs};
}

static void free_holders(struct jobs *jobs)
{
    while (!list_is_empty(&jobs->held))
        free_holder(LIST_ENTRY(jobs->held.next, struct holder, link));
}

void jobs_end(struct jobs *jobs)
{
    struct list *next;

    jobs->is_ending = true;
    for (struct list *link = jobs->all.next; link != &jobs->all; link = next) {
        struct job *job = LIST_ENTRY(link, struct job, link);
        next = link->next;
        close_streams(job);
        // What a job has left that was let go lives on.
        if (!job->is_released || !job->has_ended || job->is_killed)
            order_kill(job);
        settle(job);
    }
    free_holders(jobs);
    tell_if_none(jobs);
}

void jobs_finish(struct jobs *jobs)
{
    while (!list_is_empty(&jobs->all))
        destroy(LIST_ENTRY(jobs->all.next, struct job, link));
    free_holders(jobs);
    loop_disarm(jobs->loop, &jobs->inherit);
}
