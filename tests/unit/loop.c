// SPDX-License-Identifier: Apache-2.0
// base/loop.c: the order of callbacks, and what a callback may take off the loop.
#include "unit.h"

#include "loop.h"

#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static struct loop *loop;
static char trace[200];

static void setup(void)
{
    loop = loop_create(NULL);
    ck_assert_ptr_nonnull(loop);
    trace[0] = '\0';
}

static void note(char what)
{
    size_t length = strlen(trace);
    ck_assert_uint_lt(length, sizeof trace - 1);
    trace[length] = what;
    trace[length + 1] = '\0';
}

// --- Timers

static void on_time(void *data)
{
    note(*(const char *)data);
}

static void on_last(void *data)
{
    (void)data;
    loop_stop(loop);
}

static struct timer timer_of(const char *name)
{
    return (struct timer){.on_time = on_time, .data = (void *)(uintptr_t)name};
}

START_TEST(fires_in_order)
{
    struct timer a = timer_of("a");
    struct timer b = timer_of("b");
    struct timer c = timer_of("c");
    struct timer d = timer_of("d");
    struct timer last = {.on_time = on_last};

    setup();
    // So far apart that a busy machine does not change the order.
    ck_assert_int_eq(loop_arm(loop, &last, 400), 0);
    loop_arm(loop, &c, 200);
    loop_arm(loop, &a, 0);
    loop_arm(loop, &d, 300);
    loop_arm(loop, &b, 100);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_str_eq(trace, "abcd");
    ck_assert_uint_eq(a.index + b.index + c.index + d.index + last.index, 0);
    loop_destroy(loop);
}
END_TEST

START_TEST(fires_equal_ones_in_the_order_of_arming)
{
    struct timer a = timer_of("a");
    struct timer b = timer_of("b");
    struct timer c = timer_of("c");
    struct timer last = {.on_time = on_last};

    setup();
    loop_arm(loop, &b, 0);
    loop_arm(loop, &c, 0);
    loop_arm(loop, &a, 0);
    loop_arm(loop, &b, 0); // armed again, it comes after the others
    loop_arm(loop, &last, 0);
    loop_run(loop);
    ck_assert_str_eq(trace, "cab");
    loop_destroy(loop);
}
END_TEST

enum { MANY = 500 };
static struct timer many[MANY];
static uint64_t latest_ns;
static unsigned fired;

static void on_many(void *data)
{
    const struct timer *timer = data;

    if (timer->deadline_ns < latest_ns)
        ck_abort_msg("a timer fired after a later one");
    if (loop_now_ns() < timer->deadline_ns)
        ck_abort_msg("a timer fired too early");
    latest_ns = timer->deadline_ns;
    fired++;
}

START_TEST(keeps_many_in_order)
{
    struct timer last = {.on_time = on_last};
    unsigned seed = 1;
    unsigned armed = 0;

    setup();
    for (int i = 0; i < MANY; i++) {
        many[i] = (struct timer){.on_time = on_many, .data = &many[i]};
        loop_arm(loop, &many[i], (uint64_t)rand_r(&seed) % 20);
    }
    for (int i = 0; i < MANY; i++)
        if (rand_r(&seed) % 3 == 0)
            loop_disarm(loop, &many[i]);
        else if (rand_r(&seed) % 3 == 0)
            loop_arm(loop, &many[i], (uint64_t)rand_r(&seed) % 20);
    for (int i = 0; i < MANY; i++)
        armed += many[i].index > 0;
    loop_arm(loop, &last, 40);
    loop_run(loop);
    ck_assert_uint_eq(fired, armed);
    loop_destroy(loop);
}
END_TEST

static struct timer first;
static struct timer second;

static void on_first(void *data)
{
    (void)data;
    note('1');
    loop_disarm(loop, &second);
    loop_disarm(loop, &first);
}

START_TEST(disarms_in_a_callback)
{
    struct timer last = {.on_time = on_last};

    setup();
    first = (struct timer){.on_time = on_first};
    second = timer_of("2");
    loop_arm(loop, &first, 0);
    loop_arm(loop, &second, 0);
    loop_arm(loop, &last, 1);
    loop_run(loop);
    ck_assert_str_eq(trace, "1");
    loop_disarm(loop, &second);
    loop_destroy(loop);
}
END_TEST

static void on_again(void *data)
{
    struct timer *timer = data;

    note('x');
    if (strlen(trace) < 5)
        loop_arm(loop, timer, 0);
    else
        loop_stop(loop);
}

START_TEST(arms_again_in_its_own_callback)
{
    struct timer timer = {.on_time = on_again, .data = &timer};

    setup();
    loop_arm(loop, &timer, 0);
    loop_run(loop);
    ck_assert_str_eq(trace, "xxxxx");
    loop_destroy(loop);
}
END_TEST

static void on_free(void *data)
{
    note('f');
    free(data);
    loop_stop(loop);
}

START_TEST(lets_a_timer_be_freed_in_its_callback)
{
    struct timer *timer = calloc(1, sizeof *timer);

    setup();
    *timer = (struct timer){.on_time = on_free, .data = timer};
    loop_arm(loop, timer, 0);
    loop_run(loop);
    ck_assert_str_eq(trace, "f");
    loop_destroy(loop);
}
END_TEST

// --- Watches

struct source {
    int fds[2];
    struct watch watch;
    char name;
    void (*action)(struct source *source);
};

static struct source sources[4];

static void on_ready(void *data, uint32_t events)
{
    struct source *source = data;

    ck_assert(events & (EPOLLIN | EPOLLHUP));
    note(source->name);
    if (source->action)
        source->action(source);
}

static void make_source(struct source *source, char name, void (*action)(struct source *))
{
    ck_assert_int_eq(pipe(source->fds), 0);
    ck_assert_int_eq(write(source->fds[1], "x", 1), 1);
    source->name = name;
    source->action = action;
    source->watch = (struct watch){.fd = -1, .on_ready = on_ready, .data = source};
    ck_assert_int_eq(loop_watch(loop, &source->watch, source->fds[0], EPOLLIN), 0);
}

static void end_source(struct source *source)
{
    loop_unwatch(loop, &source->watch);
    loop_unwatch(loop, &source->watch); // harmless
    close(source->fds[0]);
    close(source->fds[1]);
}

static void consume(struct source *source)
{
    char byte;
    ck_assert_int_eq(read(source->fds[0], &byte, 1), 1);
}

static void run_for(uint64_t ms)
{
    struct timer last = {.on_time = on_last};
    loop_arm(loop, &last, ms);
    loop_run(loop);
}

START_TEST(calls_who_is_ready)
{
    setup();
    make_source(&sources[0], 'a', consume);
    make_source(&sources[1], 'b', consume);
    run_for(1);
    ck_assert_uint_eq(strlen(trace), 2);
    ck_assert_ptr_nonnull(strchr(trace, 'a'));
    ck_assert_ptr_nonnull(strchr(trace, 'b'));
    ck_assert_int_eq(write(sources[1].fds[1], "x", 1), 1);
    run_for(1);
    ck_assert_str_eq(trace + 2, "b");
    end_source(&sources[0]);
    end_source(&sources[1]);
    loop_destroy(loop);
}
END_TEST

static void unwatch_all(struct source *source)
{
    (void)source;
    for (int i = 0; i < 4; i++)
        loop_unwatch(loop, &sources[i].watch);
}

// All are ready in one turn. The first callback takes all of them off the loop.
START_TEST(does_not_call_who_was_unwatched)
{
    setup();
    for (int i = 0; i < 4; i++)
        make_source(&sources[i], (char)('a' + i), unwatch_all);
    run_for(1);
    ck_assert_uint_eq(strlen(trace), 1);
    for (int i = 0; i < 4; i++)
        end_source(&sources[i]);
    loop_destroy(loop);
}
END_TEST

static struct source *heap[4];

static void free_all(struct source *source)
{
    (void)source;
    for (int i = 0; i < 4; i++) {
        end_source(heap[i]);
        free(heap[i]);
    }
}

START_TEST(lets_watches_be_freed_in_a_callback)
{
    setup();
    for (int i = 0; i < 4; i++) {
        heap[i] = calloc(1, sizeof *heap[i]);
        make_source(heap[i], (char)('a' + i), free_all);
    }
    run_for(1);
    ck_assert_uint_eq(strlen(trace), 1);
    loop_destroy(loop);
}
END_TEST

// The first callback watches another descriptor, which is not ready, with the second watch.
// The second watch must not get the event of the descriptor before.
static void replace_other(struct source *source)
{
    struct source *other = source == &sources[0] ? &sources[1] : &sources[0];

    consume(source);
    consume(other);
    loop_unwatch(loop, &other->watch);
    ck_assert_int_eq(loop_watch(loop, &other->watch, other->fds[0], EPOLLIN), 0);
}

START_TEST(forgets_what_an_earlier_watch_was_ready_for)
{
    setup();
    make_source(&sources[0], 'a', replace_other);
    make_source(&sources[1], 'b', replace_other);
    run_for(1);
    ck_assert_uint_eq(strlen(trace), 1);
    end_source(&sources[0]);
    end_source(&sources[1]);
    loop_destroy(loop);
}
END_TEST

static void pause_other(struct source *source)
{
    struct source *other = source == &sources[0] ? &sources[1] : &sources[0];

    consume(source);
    ck_assert_int_eq(loop_change(loop, &other->watch, 0), 0);
}

START_TEST(does_not_call_who_was_paused)
{
    setup();
    make_source(&sources[0], 'a', pause_other);
    make_source(&sources[1], 'b', pause_other);
    run_for(1);
    ck_assert_uint_eq(strlen(trace), 1);
    end_source(&sources[0]);
    end_source(&sources[1]);
    loop_destroy(loop);
}
END_TEST

static void stop_watching(struct source *source)
{
    loop_unwatch(loop, &source->watch);
}

START_TEST(asks_for_nothing_not_even_a_hangup)
{
    setup();
    make_source(&sources[0], 'a', stop_watching);
    consume(&sources[0]);
    close(sources[0].fds[1]);
    sources[0].fds[1] = -1;
    ck_assert_int_eq(loop_change(loop, &sources[0].watch, 0), 0);
    run_for(5);
    ck_assert_str_eq(trace, "");
    ck_assert_int_eq(loop_change(loop, &sources[0].watch, EPOLLIN), 0);
    run_for(1);
    ck_assert_str_eq(trace, "a");
    end_source(&sources[0]);
    loop_destroy(loop);
}
END_TEST

// A watch without events has a hangup. The loop must sleep all the same.
START_TEST(sleeps_while_paused)
{
    struct timespec before;
    struct timespec after;

    setup();
    make_source(&sources[0], 'a', NULL);
    consume(&sources[0]);
    close(sources[0].fds[1]);
    sources[0].fds[1] = -1;
    loop_change(loop, &sources[0].watch, 0);
    uint64_t start = loop_now_ns();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    run_for(100);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    uint64_t cpu = (uint64_t)(after.tv_sec - before.tv_sec) * 1000000000 + (uint64_t)after.tv_nsec -
                   (uint64_t)before.tv_nsec;
    ck_assert_uint_lt(cpu, (loop_now_ns() - start) / 2);
    end_source(&sources[0]);
    loop_destroy(loop);
}
END_TEST

START_TEST(unwatches_what_never_was)
{
    struct watch zero = {0};
    struct watch unused = {.fd = -1, .on_ready = on_ready};

    setup();
    loop_unwatch(loop, &zero);
    loop_unwatch(loop, &unused);
    loop_destroy(loop);
    loop_destroy(NULL);
}
END_TEST

// --- Tasks

static struct task tasks[3];

static void run_a(void *data)
{
    (void)data;
    note('a');
    loop_undefer(&tasks[1]);
}

static void run_b(void *data)
{
    (void)data;
    note('b');
}

static void run_c(void *data)
{
    (void)data;
    note('c');
    if (strlen(trace) < 6)
        loop_defer(loop, &tasks[2]);
}

START_TEST(runs_a_task_once)
{
    setup();
    task_init(&tasks[1], run_b, NULL);
    loop_defer(loop, &tasks[1]);
    loop_defer(loop, &tasks[1]);
    run_for(0);
    run_for(0);
    ck_assert_str_eq(trace, "b");
    loop_defer(loop, &tasks[1]);
    loop_undefer(&tasks[1]);
    loop_undefer(&tasks[1]);
    run_for(0);
    ck_assert_str_eq(trace, "b");
    loop_destroy(loop);
}
END_TEST

START_TEST(takes_a_task_away_in_another)
{
    setup();
    task_init(&tasks[0], run_a, NULL);
    task_init(&tasks[1], run_b, NULL);
    task_init(&tasks[2], run_c, NULL);
    loop_defer(loop, &tasks[0]);
    loop_defer(loop, &tasks[1]);
    loop_defer(loop, &tasks[2]);
    loop_run_tasks(loop);
    ck_assert_str_eq(trace, "accccc"); // with the tasks that a task deferred
    loop_destroy(loop);
}
END_TEST

static void run_free(void *data)
{
    note('f');
    free(data);
}

START_TEST(lets_a_task_be_freed_when_it_runs)
{
    struct task *task = malloc(sizeof *task);

    setup();
    task_init(task, run_free, task);
    loop_defer(loop, task);
    loop_run_tasks(loop);
    ck_assert_str_eq(trace, "f");
    loop_destroy(loop);
}
END_TEST

static void defer_and_stop(struct source *source)
{
    consume(source);
    loop_defer(loop, &tasks[1]);
    note('s');
    loop_stop(loop);
}

// Tasks come after the callbacks, and in the same turn, also in the last one.
START_TEST(runs_tasks_after_the_callbacks)
{
    setup();
    task_init(&tasks[1], run_b, NULL);
    make_source(&sources[0], 'x', defer_and_stop);
    loop_run(loop);
    ck_assert_str_eq(trace, "xsb");
    end_source(&sources[0]);
    loop_destroy(loop);
}
END_TEST

static void run_stop(void *data)
{
    (void)data;
    note('s');
    loop_stop(loop);
}

// A task that is put off does not wait for a descriptor.
START_TEST(does_not_sleep_on_a_task)
{
    setup();
    task_init(&tasks[0], run_stop, NULL);
    loop_defer(loop, &tasks[0]);
    loop_run(loop);
    ck_assert_str_eq(trace, "s");
    loop_destroy(loop);
}
END_TEST

int main(void)
{
    UNIT_RUN("loop", ONCE(fires_in_order), ONCE(fires_equal_ones_in_the_order_of_arming),
             ONCE(keeps_many_in_order), ONCE(disarms_in_a_callback),
             ONCE(arms_again_in_its_own_callback), ONCE(lets_a_timer_be_freed_in_its_callback),
             ONCE(calls_who_is_ready), ONCE(does_not_call_who_was_unwatched),
             ONCE(lets_watches_be_freed_in_a_callback),
             ONCE(forgets_what_an_earlier_watch_was_ready_for), ONCE(does_not_call_who_was_paused),
             ONCE(asks_for_nothing_not_even_a_hangup), ONCE(sleeps_while_paused),
             ONCE(unwatches_what_never_was), ONCE(runs_a_task_once),
             ONCE(takes_a_task_away_in_another), ONCE(lets_a_task_be_freed_when_it_runs),
             ONCE(runs_tasks_after_the_callbacks), ONCE(does_not_sleep_on_a_task));
}
