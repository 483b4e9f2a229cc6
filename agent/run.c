// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include "cleanup.h"
#include "run_input.h"
#include "run_output.h"

#include <errno.h>
#include <fcntl.h>

enum { OUTPUTS = 2 };

struct run {
    struct list link;
    struct list in_bucket;
    struct runs *runs;
    uint32_t number;
    struct pool_worker *worker; // NULL: the supervisor has sent its last report of this run
    struct run_input input;
    struct run_output outputs[OUTPUTS];
    bool has_started;
    bool has_failed;
    bool has_ended;
    bool is_end_told[1 + OUTPUTS]; // the end of the command, and of each output
    bool is_held;                  // the supervisor holds stdin open, too
    bool is_killed;                // the supervisor has the order to kill
    bool is_released;
    bool is_lost; // the supervisor died
    bool is_gone;
    struct supervisor_report end;
};

static struct list *runs_bucket(const struct runs *runs, uint32_t number)
{
    const size_t count = sizeof runs->buckets / sizeof runs->buckets[0];
    return (struct list *)&runs->buckets[number % count];
}

struct run *run_find(const struct runs *runs, uint32_t number)
{
    struct list *bucket = runs_bucket(runs, number);

    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct run *run = LIST_ENTRY(link, struct run, in_bucket);
        if (run->number == number)
            return run;
    }
    return NULL;
}

// --- The end of a run

static void runs_tell_if_none(struct runs *runs)
{
    if (runs->is_ending && list_is_empty(&runs->all))
        runs->on_none(runs->data);
}

static void run_close_streams(struct run *run)
{
    run_input_close(&run->input);
    for (int i = 0; i < OUTPUTS; i++)
        run_output_close(&run->outputs[i]);
}

// Closes what the daemon has no use for any more. The stdin of a command that has not ended
// stays open until the command is dead.
static void run_drop_streams(struct run *run)
{
    if (run->has_ended)
        run_input_close(&run->input);
    else
        run_input_keep(&run->input);
    for (int i = 0; i < OUTPUTS; i++)
        run_output_close(&run->outputs[i]);
}

static void run_destroy(struct run *run)
{
    struct runs *runs = run->runs;

    run_close_streams(run);
    if (run->worker)
        pool_leave(run->worker);
    list_remove(&run->link);
    list_remove(&run->in_bucket);
    free(run);
    runs_tell_if_none(runs);
}

static bool run_is_muted(const struct run *run)
{
    return run->is_released || run->runs->is_ending;
}

static void run_tell_output_ends(struct run *run)
{
    static const enum frame_type ends[OUTPUTS] = {FRAME_STDOUT_END, FRAME_STDERR_END};

    for (int i = 0; i < OUTPUTS; i++) {
        if (run->is_end_told[1 + i] || !run->outputs[i].has_ended)
            continue;
        run->is_end_told[1 + i] = true;
        uplink_send(run->runs->uplink, run->number, ends[i], NULL, 0);
    }
}

static void run_tell_end(struct run *run)
{
    char payload[2] = {(char)run->end.kind, (char)run->end.number};

    if (run->is_end_told[0] || !run->has_ended || run->outputs[0].due + run->outputs[1].due > 0)
        return;
    run->is_end_told[0] = true;
    uplink_send_now(run->runs->uplink, run->number, FRAME_ENDED, payload, sizeof payload);
}

// Tells the daemon everything that may be told by now. RUN may be freed afterwards.
static void run_settle(struct run *run)
{
    bool is_complete = run->has_failed || (run->is_lost && !run->has_ended);

    if (!run_is_muted(run) && run->has_started) {
        run_tell_output_ends(run);
        run_tell_end(run);
        if (run->is_end_told[0] && run->is_end_told[1] && run->is_end_told[2])
            is_complete = true;
    }
    if (!run->is_gone || !(is_complete || run_is_muted(run)))
        return;
    if (!run->runs->is_ending)
        uplink_send(run->runs->uplink, run->number, FRAME_GONE, NULL, 0);
    run_destroy(run);
}

static void on_run_output(void *data)
{
    run_settle(data);
}

static void run_begin(void *data)
{
    struct run *run = data;

    if (run->has_started || run_is_muted(run))
        return;
    run->has_started = true;
    uplink_send(run->runs->uplink, run->number, FRAME_STARTED, NULL, 0);
    run_input_begin(&run->input);
}

// Closes the streams: after FAILED only GONE may follow.
static void run_fail(struct run *run, enum frame_stage stage, int errnum)
{
    char payload[5] = {(char)stage};

    frame_put_number(payload + 1, (uint32_t)errnum);
    if (!run_is_muted(run))
        uplink_send_now(run->runs->uplink, run->number, FRAME_FAILED, payload, sizeof payload);
    run->has_failed = true;
    run_close_streams(run);
}

// --- The supervisor

static void run_lose(struct run *run)
{
    run->is_lost = true;
    run->worker = NULL;
    if (run->has_ended)
        return;
    if (!run->has_failed && !run_is_muted(run))
        uplink_send_now(run->runs->uplink, run->number, FRAME_LOST, NULL, 0);
    run_drop_streams(run);
}

// No process is left any more that a dead supervisor had.
static void on_runs_clear(void *data)
{
    struct runs *runs = data;
    struct list *next;

    for (struct list *link = runs->all.next; link != &runs->all; link = next) {
        struct run *run = LIST_ENTRY(link, struct run, link);
        next = link->next;
        if (run->is_lost) {
            run->is_gone = true;
            run_settle(run);
        }
    }
}

static void on_run_report(void *data, const struct supervisor_report *report)
{
    struct run *run = data;

    if (!report) {
        run_lose(run);
        return;
    }
    if (report->what & REPORT_STARTED)
        run_begin(run);
    if (report->what & REPORT_FAILED)
        run_fail(run, (enum frame_stage)report->stage, report->number);
    if (report->what & REPORT_ENDED) {
        run->has_ended = true;
        run->end = *report;
        for (int i = 0; i < OUTPUTS; i++)
            run_output_mark(&run->outputs[i]);
    }
    if (report->what & REPORT_GONE) {
        run->is_gone = true;
        run->worker = NULL;
    }
    run_settle(run);
}

static void run_order(struct run *run, enum supervisor_order what)
{
    if (run->worker)
        pool_order(run->worker, what);
}

static void run_order_kill(struct run *run)
{
    if (run->is_killed)
        return;
    run->is_killed = true;
    run_order(run, ORDER_KILL);
}

static void run_release(struct run *run)
{
    if (run->is_released)
        return;
    run->is_released = true;
    run_drop_streams(run);
    run_order(run, ORDER_RELEASE);
    run_settle(run);
}

// --- The start

static void streams_close(struct streams *streams)
{
    close_fd(&streams->in);
    close_fd(&streams->out);
    close_fd(&streams->err);
}

// Makes a pipe. NEAR, the agent's end, does not block; FAR, the command's end, must block.
static int run_make_pipe(int *near, int *far, bool is_near_writing)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *near = ends[is_near_writing];
    *far = ends[!is_near_writing];
    return fcntl(*near, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

// Makes the pipes. FAR becomes the command's ends.
static int run_open_streams(struct run *run, struct streams *far)
{
    int near[3] = {-1, -1, -1};
    int result = run_make_pipe(&near[0], &far->in, true);

    if (result == 0)
        result = run_make_pipe(&near[1], &far->out, false);
    if (result == 0)
        result = run_make_pipe(&near[2], &far->err, false);
    run_input_open(&run->input, near[0]);
    for (int i = 0; i < OUTPUTS; i++) {
        int watched = run_output_open(&run->outputs[i], near[1 + i]);
        if (result == 0)
            result = watched;
    }
    return result;
}

static struct run *run_create(struct runs *runs, uint32_t number)
{
    static const enum frame_type types[OUTPUTS] = {FRAME_STDOUT, FRAME_STDERR};
    struct run *run = calloc(1, sizeof *run);

    if (!run)
        return NULL;
    run->runs = runs;
    run->number = number;
    run->input = (struct run_input){.uplink = runs->uplink, .job = number, .fd = -1, .kept_fd = -1};
    for (int i = 0; i < OUTPUTS; i++)
        run->outputs[i] = (struct run_output){.uplink = runs->uplink,
                                              .job = number,
                                              .type = types[i],
                                              .fd = -1,
                                              .before_first = run_begin,
                                              .on_change = on_run_output,
                                              .data = run};
    list_init(&run->link);
    list_append(&runs->all, &run->link);
    list_init(&run->in_bucket);
    list_append(runs_bucket(runs, number), &run->in_bucket);
    return run;
}

void run_start(struct runs *runs, const struct frame *frame)
{
    struct streams far = {-1, -1, -1, -1};
    struct run *run = run_create(runs, frame->job);
    int result;

    if (!run) {
        uplink_break(runs->uplink, ENOMEM);
        return;
    }
    result = run_open_streams(run, &far);
    run->is_held = frame_number(frame->payload) == WIRE_STANDBY;
    if (run->is_held)
        far.held = run->input.fd; // not owned
    if (result == 0)
        result = pool_start(&runs->pool, frame, &far, on_run_report, run, &run->worker);
    else
        pool_shed(&runs->pool);
    streams_close(&far);
    if (result == 0)
        return;
    run_fail(run, FRAME_AT_RESOURCES, -result);
    run->is_gone = true;
    run_settle(run);
}

// The standby gets its stdin: from now on only the agent may keep the end of it back.
static void run_let_go(struct run *run)
{
    if (run->is_held)
        run_order(run, ORDER_LET_GO);
    run->is_held = false;
}

int run_receive(struct run *run, const struct frame *frame)
{
    if (frame->type == FRAME_STDIN || frame->type == FRAME_STDIN_END)
        run_let_go(run);
    switch (frame->type) {
    case FRAME_STDIN:
        return run_input_write(&run->input, frame->payload, frame->length);
    case FRAME_STDIN_END:
        run_input_end(&run->input);
        return 0;
    case FRAME_STDOUT_CREDIT:
        return run_output_credit(&run->outputs[0], frame_number(frame->payload));
    case FRAME_STDERR_CREDIT:
        return run_output_credit(&run->outputs[1], frame_number(frame->payload));
    case FRAME_TERM:
        run_order(run, ORDER_TERM);
        return 0;
    case FRAME_KILL:
        run_order_kill(run);
        return 0;
    case FRAME_RELEASE:
        run_release(run);
        return 0;
    default:
        return -EBADMSG;
    }
}

// --- The whole set

static void runs_forget(void *data)
{
    struct runs *runs = data;
    runs->forget(runs->data);
}

void runs_init(struct runs *runs)
{
    list_init(&runs->all);
    for (size_t i = 0; i < sizeof runs->buckets / sizeof runs->buckets[0]; i++)
        list_init(&runs->buckets[i]);
    runs->pool = (struct pool){
        .loop = runs->loop,
        .own_env = runs->own_env,
        .descriptors = runs->descriptors,
        .forget = runs_forget,
        .on_clear = on_runs_clear,
        .data = runs,
    };
    pool_init(&runs->pool);
}

void runs_trim(struct runs *runs)
{
    pool_trim(&runs->pool);
}

void runs_end(struct runs *runs)
{
    struct list *next;

    runs->is_ending = true;
    pool_end(&runs->pool);
    for (struct list *link = runs->all.next; link != &runs->all; link = next) {
        struct run *run = LIST_ENTRY(link, struct run, link);
        next = link->next;
        run_drop_streams(run);
        // The processes of a run that was released after its end live on.
        if (!run->is_released || !run->has_ended || run->is_killed)
            run_order_kill(run);
        run_settle(run);
    }
    runs_tell_if_none(runs);
}

void runs_finish(struct runs *runs)
{
    while (!list_is_empty(&runs->all))
        run_destroy(LIST_ENTRY(runs->all.next, struct run, link));
    pool_finish(&runs->pool);
}
