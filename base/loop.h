// SPDX-License-Identifier: Apache-2.0
// One epoll loop: descriptors, timers, and tasks, which are calls put off until the current
// callback has returned. loop_run makes all callbacks, one after the other.
//
// Watches, timers and tasks are embedded in the struct of their owner. Every callback may
// take any of them off the loop and free the owner, also its own.
#pragma once

#include "error.h"
#include "list.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct watch {
    int fd; // not owned
    uint32_t events;
    void (*on_ready)(void *data, uint32_t events); // EPOLLIN, EPOLLHUP, ...
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

// Returns NULL, with ERR set, when there is no memory or no epoll descriptor.
struct loop *loop_create(struct error *err);

// LOOP may be NULL. All watches, timers and tasks must have been taken off before.
void loop_destroy(struct loop *loop);

// Runs callbacks until loop_stop. Returns 0, or -errno when epoll failed.
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

// Starts to watch FD for EVENTS. With 0 nothing is reported, not even EPOLLHUP, until
// loop_change asks for events. Returns 0, -ENOMEM or -ENOSPC.
int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events);

// Changes the events that a watch waits for. Returns 0, -ENOMEM or -ENOSPC.
int loop_change(struct loop *loop, struct watch *watch, uint32_t events);

// Stops to watch. Call it before the descriptor is closed. Harmless for a watch whose fd is
// -1, or that is all zero because it was never used.
void loop_unwatch(struct loop *loop, struct watch *watch);

// (Re)arms TIMER to fire once, DELAY_MS from now. Returns 0 or -ENOMEM.
int loop_arm(struct loop *loop, struct timer *timer, uint64_t delay_ms);
void loop_disarm(struct loop *loop, struct timer *timer);

static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->index > 0;
}

// Runs TASK once after the callbacks of this turn, even if loop_defer is called several
// times. TASK must have been set up with task_init.
void task_init(struct task *task, void (*run)(void *data), void *data);
void loop_defer(struct loop *loop, struct task *task);
void loop_undefer(struct task *task);

// Runs all deferred tasks, and the tasks that these defer. For the end, after loop_run has
// returned.
void loop_run_tasks(struct loop *loop);

// CLOCK_MONOTONIC in nanoseconds.
uint64_t loop_now_ns(void);
