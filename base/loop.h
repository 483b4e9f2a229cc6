// SPDX-License-Identifier: Apache-2.0
// One epoll loop: descriptors, timers, and calls put off until the current
// callback has returned. Everything is called from loop_run, one at a time.
//
// Watches, timers and tasks are embedded in what they belong to. Any of them
// may be taken off the loop, and its owner freed, from any callback, its own
// included.
#pragma once

#include "error.h"
#include "list.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct watch {
    int fd; // not owned
    uint32_t events;
    void (*on_ready)(void *data, uint32_t events); // EPOLLIN and its kin
    void *data;
};

struct timer {
    uint64_t deadline_ns; // CLOCK_MONOTONIC
    uint64_t order;       // equal deadlines fire in the order they were armed
    size_t index;         // in the loop's heap, from 1; 0: not armed
    void (*on_time)(void *data);
    void *data;
};

struct task {
    struct list link;
    void (*run)(void *data);
    void *data;
};

// NULL, with ERR set, when epoll cannot be had.
struct loop *loop_create(struct error *err);

// May be NULL. Everything must have been taken off before.
void loop_destroy(struct loop *loop);

// Runs callbacks until loop_stop. Returns 0, or -errno when epoll failed.
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

// Starts to watch FD for EVENTS; 0 keeps it known but asks for nothing, not
// even for EPOLLHUP. Returns 0, -ENOMEM or -ENOSPC.
int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events);

// Changes what a watch waits for. Returns as loop_watch.
int loop_change(struct loop *loop, struct watch *watch, uint32_t events);

// Harmless for a watch whose fd is -1 or that is all zero and never watched.
// Call it before the descriptor is closed.
void loop_unwatch(struct loop *loop, struct watch *watch);

// (Re)arms TIMER to fire once, DELAY_MS from now. Returns 0 or -ENOMEM.
int loop_arm(struct loop *loop, struct timer *timer, uint64_t delay_ms);
void loop_disarm(struct loop *loop, struct timer *timer);

static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->index > 0;
}

// Runs TASK after the callbacks of this turn; once, however often it is asked
// for. A task must have been set up with task_init.
void task_init(struct task *task, void (*run)(void *data), void *data);
void loop_defer(struct loop *loop, struct task *task);
void loop_undefer(struct task *task);

// Runs the tasks that are due, and those that they put off; for the end, when
// the loop runs no more.
void loop_run_tasks(struct loop *loop);

// CLOCK_MONOTONIC in nanoseconds.
uint64_t loop_now_ns(void);
