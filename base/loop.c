// SPDX-License-Identifier: Apache-2.0
#include "loop.h"

#include "cleanup.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <time.h>

enum {
    BATCH = 64, // events taken from the kernel at once
    NS_PER_MS = 1000000,
};

struct loop {
    int epoll_fd;
    bool is_stopped;
    struct epoll_event batch[BATCH];
    int batch_count;
    struct list tasks;
    struct timer **heap; // heap[1] is the earliest
    size_t timer_count;
    size_t heap_size;
    uint64_t timers_armed;
};

uint64_t loop_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

struct loop *loop_create(struct error *err)
{
    struct loop *loop = calloc(1, sizeof *loop);

    if (!loop) {
        error_set(err, ENOMEM, "no memory for the event loop");
        return NULL;
    }
    list_init(&loop->tasks);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        error_set(err, errno, "cannot create an epoll descriptor: %s", strerror(errno));
        loop_destroy(loop);
        return NULL;
    }
    return loop;
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    close_fd(&loop->epoll_fd);
    free(loop->heap);
    free(loop);
}

// --- Descriptors

static int loop_change_epoll(struct loop *loop, int operation, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) < 0 ? -errno : 0;
}

int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events)
{
    watch->fd = fd;
    watch->events = 0;
    return loop_change(loop, watch, events);
}

// A watch without events is removed from epoll. Otherwise epoll would report EPOLLHUP for it
// again and again, and the loop would spin.
int loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
    int operation = EPOLL_CTL_MOD;
    int result;

    if (events == watch->events)
        return 0;
    if (!watch->events)
        operation = EPOLL_CTL_ADD;
    else if (!events)
        operation = EPOLL_CTL_DEL;
    result = loop_change_epoll(loop, operation, watch, events);
    if (result == 0)
        watch->events = events;
    return result;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
    if (!watch->on_ready || watch->fd < 0)
        return;
    loop_change(loop, watch, 0);
    watch->fd = -1;
    for (int i = 0; i < loop->batch_count; i++)
        if (loop->batch[i].data.ptr == watch)
            loop->batch[i].data.ptr = NULL;
}

// --- Timers: a binary heap by deadline

static bool timer_is_earlier(const struct timer *a, const struct timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->order < b->order;
}

static void timer_put(struct loop *loop, struct timer *timer, size_t index)
{
    loop->heap[index] = timer;
    timer->index = index;
}

static void timer_sift_up(struct loop *loop, struct timer *timer, size_t index)
{
    while (index > 1 && timer_is_earlier(timer, loop->heap[index / 2])) {
        timer_put(loop, loop->heap[index / 2], index);
        index /= 2;
    }
    timer_put(loop, timer, index);
}

static void timer_sift_down(struct loop *loop, struct timer *timer, size_t index)
{
    for (size_t child; (child = index * 2) <= loop->timer_count; index = child) {
        if (child < loop->timer_count && timer_is_earlier(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!timer_is_earlier(loop->heap[child], timer))
            break;
        timer_put(loop, loop->heap[child], index);
    }
    timer_put(loop, timer, index);
}

int loop_arm(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
    loop_disarm(loop, timer);
    if (loop->timer_count + 2 > loop->heap_size) {
        size_t size = loop->heap_size ? loop->heap_size * 2 : 16;
        struct timer **heap = realloc(loop->heap, size * sizeof(struct timer *));
        if (!heap)
            return -ENOMEM;
        loop->heap = heap;
        loop->heap_size = size;
    }
    timer->deadline_ns = loop_now_ns() + delay_ms * NS_PER_MS;
    timer->order = ++loop->timers_armed;
    timer_sift_up(loop, timer, ++loop->timer_count);
    return 0;
}

void loop_disarm(struct loop *loop, struct timer *timer)
{
    size_t index = timer->index;
    struct timer *last;

    if (!index)
        return;
    timer->index = 0;
    last = loop->heap[loop->timer_count--];
    if (last == timer)
        return;
    if (index > 1 && timer_is_earlier(last, loop->heap[index / 2]))
        timer_sift_up(loop, last, index);
    else
        timer_sift_down(loop, last, index);
}

static void loop_run_timers(struct loop *loop)
{
    // The time is taken once: a timer that its own callback arms again runs in the next
    // turn, after the descriptors.
    uint64_t now = loop->timer_count ? loop_now_ns() : 0;

    while (loop->timer_count && loop->heap[1]->deadline_ns <= now) {
        struct timer *timer = loop->heap[1];
        loop_disarm(loop, timer);
        timer->on_time(timer->data);
    }
}

static int loop_wait_ms(const struct loop *loop)
{
    uint64_t now;
    uint64_t wait;

    if (!list_is_empty(&loop->tasks))
        return 0;
    if (!loop->timer_count)
        return -1;
    now = loop_now_ns();
    if (loop->heap[1]->deadline_ns <= now)
        return 0;
    // Rounded up. Otherwise the wait would end too early, and the loop would spin until the
    // deadline.
    wait = (loop->heap[1]->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
    return wait > INT_MAX ? INT_MAX : (int)wait;
}

// --- Tasks

void task_init(struct task *task, void (*run)(void *data), void *data)
{
    list_init(&task->link);
    task->run = run;
    task->data = data;
}

void loop_defer(struct loop *loop, struct task *task)
{
    if (list_is_empty(&task->link))
        list_append(&loop->tasks, &task->link);
}

void loop_undefer(struct task *task)
{
    list_remove(&task->link);
}

static void loop_run_due_tasks(struct loop *loop)
{
    struct list due;

    list_init(&due);
    list_move_all(&due, &loop->tasks);
    while (!list_is_empty(&due)) {
        struct task *task = LIST_ENTRY(due.next, struct task, link);
        list_remove(&task->link);
        task->run(task->data);
    }
}

void loop_run_tasks(struct loop *loop)
{
    while (!list_is_empty(&loop->tasks))
        loop_run_due_tasks(loop);
}

int loop_run(struct loop *loop)
{
    loop->is_stopped = false;
    while (!loop->is_stopped) {
        int count = epoll_wait(loop->epoll_fd, loop->batch, BATCH, loop_wait_ms(loop));
        if (count < 0 && errno != EINTR)
            return -errno;
        loop->batch_count = count > 0 ? count : 0;
        for (int i = 0; i < loop->batch_count; i++) {
            struct watch *watch = loop->batch[i].data.ptr;
            if (watch && watch->events)
                watch->on_ready(watch->data, loop->batch[i].events);
        }
        loop->batch_count = 0;
        loop_run_timers(loop);
        loop_run_due_tasks(loop);
    }
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}
