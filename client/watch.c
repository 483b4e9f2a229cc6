// SPDX-License-Identifier: Apache-2.0
#include "watch.h"

#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { ALARM_INTERVAL_US = 10000 };

static const int ending_signals[] = {SIGTERM, SIGINT, SIGHUP};
static uint64_t start_us;
static uint64_t deadline_us; // 0: none
static volatile sig_atomic_t caught;

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

// Repeated, because a single signal can arrive just before the system call that it is to end.
static void arm(uint64_t first_us)
{
    const struct itimerval timer = {
        .it_interval = {.tv_usec = ALARM_INTERVAL_US                },
        .it_value = { .tv_sec = (time_t)(first_us / 1000000),
                        .tv_usec = (suseconds_t)(first_us % 1000000)},
    };

    setitimer(ITIMER_REAL, &timer, NULL);
}

static void on_signal(int signal)
{
    if (signal == SIGALRM || caught)
        return;
    caught = signal;
    arm(1000);
}

static void handle(int signal, void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler}; // no SA_RESTART

    sigaction(signal, &action, NULL);
}

void watch_begin(void)
{
    start_us = now_us();
    for (size_t i = 0; i < sizeof ending_signals / sizeof *ending_signals; i++) {
        struct sigaction action;

        if (sigaction(ending_signals[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            handle(ending_signals[i], on_signal);
    }
    handle(SIGALRM, on_signal);
    handle(SIGPIPE, SIG_IGN);
}

void watch_set_deadline(uint64_t ms)
{
    uint64_t now = now_us();

    deadline_us = ms ? start_us + ms * 1000 : 0;
    if (ms)
        arm(deadline_us > now ? deadline_us - now + 1000 : 1000);
}

int watch_left_ms(void)
{
    uint64_t now = now_us(), left;

    if (deadline_us == 0)
        return -1;
    if (now >= deadline_us)
        return 0;
    left = (deadline_us - now + 999) / 1000;
    return left > INT_MAX ? INT_MAX : (int)left;
}

uint64_t watch_elapsed_us(void)
{
    return now_us() - start_us;
}

int watch_signal(void)
{
    return caught;
}

_Noreturn void watch_die_of(int signal)
{
    sigset_t set;

    handle(signal, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), signal);
    _exit(128 + signal);
}
