// SPDX-License-Identifier: Apache-2.0
// System calls for a child that still runs in its parent's memory (child.h). Each function
// returns -errno on failure, as the kernel does, and touches only the memory of its arguments.
// The functions of libc cannot be used: they set errno, which is the parent's as well, and the
// setuid of libc signals threads that the child does not have.
//
// For processors that are not known here, libc's functions are used, and RAW_CALLS is 0. A child
// then needs memory of its own.
#pragma once

#include "confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))

#define RAW_CALLS 1
// The system call NUMBER, with four arguments, and 0 as the fifth. LIBC is the same call by
// libc.
#define RAW(libc, number, a, b, c, d) raw_call(number, a, b, c, d)

#ifdef __x86_64__
static inline long raw_call(long number, long a, long b, long c, long d)
{
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = 0;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
}
#else
static inline long raw_call(long number, long a, long b, long c, long d)
{
    register long place __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    register long fifth __asm__("x4") = 0;

    __asm__ volatile("svc #0"
                     : "+r"(first)
                     : "r"(place), "r"(second), "r"(third), "r"(fourth), "r"(fifth)
                     : "memory");
    return first;
}
#endif

#else

#define RAW_CALLS                     0
#define RAW(libc, number, a, b, c, d) raw_result(libc)

static inline long raw_result(long result)
{
    return result < 0 ? -errno : result;
}

#endif

static inline long raw_setsid(void)
{
    return RAW(setsid(), SYS_setsid, 0, 0, 0, 0);
}

static inline long raw_getppid(void)
{
    return RAW(getppid(), SYS_getppid, 0, 0, 0, 0);
}

static inline long raw_dup2(int from, int to)
{
    return RAW(dup3(from, to, 0), SYS_dup3, from, to, 0, 0);
}

static inline long raw_keep_over_exec(int fd)
{
    return RAW(fcntl(fd, F_SETFD, 0), SYS_fcntl, fd, F_SETFD, 0, 0);
}

static inline long raw_close_from(int fd)
{
    return RAW(close_range((unsigned)fd, UINT_MAX, 0), SYS_close_range, fd, UINT_MAX, 0, 0);
}

// SET and GET may be NULL.
static inline long raw_limit(int resource, const struct rlimit *set, struct rlimit *get)
{
    return RAW(prlimit(0, (enum __rlimit_resource)resource, set, get), SYS_prlimit64, 0, resource,
               (intptr_t)set, (intptr_t)get);
}

static inline long raw_prctl(int what, unsigned long value)
{
    return RAW(prctl(what, value, 0, 0, 0), SYS_prctl, what, (long)value, 0, 0);
}

// Makes a new session keyring, which no other process has.
static inline long raw_join_session_keyring(void)
{
    return RAW(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL), SYS_keyctl,
               KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0);
}

static inline long raw_get_capabilities(struct __user_cap_header_struct *header,
                                        struct __user_cap_data_struct *sets)
{
    return RAW(syscall(SYS_capget, header, sets), SYS_capget, (intptr_t)header, (intptr_t)sets, 0,
               0);
}

static inline long raw_set_capabilities(struct __user_cap_header_struct *header,
                                        const struct __user_cap_data_struct *sets)
{
    return RAW(syscall(SYS_capset, header, sets), SYS_capset, (intptr_t)header, (intptr_t)sets, 0,
               0);
}

static inline long raw_set_scheduling(const struct scheduling *attr)
{
    return RAW(syscall(SYS_sched_setattr, 0, attr, 0), SYS_sched_setattr, 0, (intptr_t)attr, 0, 0);
}

static inline long raw_get_scheduling(struct scheduling *attr)
{
    return RAW(syscall(SYS_sched_getattr, 0, attr, sizeof *attr, 0), SYS_sched_getattr, 0,
               (intptr_t)attr, sizeof *attr, 0);
}

// For the calling process: IOPRIO_WHO_PROCESS is 1.
static inline long raw_get_io_priority(void)
{
    return RAW(syscall(SYS_ioprio_get, 1, 0), SYS_ioprio_get, 1, 0, 0, 0);
}

static inline long raw_set_io_priority(int priority)
{
    return RAW(syscall(SYS_ioprio_set, 1, 0, priority), SYS_ioprio_set, 1, 0, priority, 0);
}

// Blocks every signal, or only the signals of MASK.
static inline void raw_block_signals(uint64_t mask)
{
#if RAW_CALLS
    raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (intptr_t)&mask, 0, sizeof mask);
#else
    sigset_t set;

    (mask ? sigfillset : sigemptyset)(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
#endif
}

static inline long raw_setgroups(size_t count, const gid_t *groups)
{
    return RAW(setgroups(count, groups), SYS_setgroups, (long)count, (intptr_t)groups, 0, 0);
}

static inline long raw_setgid(gid_t gid)
{
    return RAW(setgid(gid), SYS_setgid, gid, 0, 0, 0);
}

static inline long raw_setuid(uid_t uid)
{
    return RAW(setuid(uid), SYS_setuid, uid, 0, 0, 0);
}

static inline long raw_open(const char *path, int flags)
{
    return RAW(open(path, flags), SYS_openat, AT_FDCWD, (intptr_t)path, flags, 0);
}

static inline long raw_close(int fd)
{
    return RAW(close(fd), SYS_close, fd, 0, 0, 0);
}

static inline long raw_write(int fd, const char *bytes, size_t size)
{
    return RAW(write(fd, bytes, size), SYS_write, fd, (intptr_t)bytes, (long)size, 0);
}

static inline long raw_chdir(const char *path)
{
    return RAW(chdir(path), SYS_chdir, (intptr_t)path, 0, 0, 0);
}

static inline long raw_execve(const char *file, char *const *argv, char *const *env)
{
    return RAW(execve(file, argv, env), SYS_execve, (intptr_t)file, (intptr_t)argv, (intptr_t)env,
               0);
}

// Has the signal NUMBER another handling than the default?
static inline bool raw_is_unusual(int number)
{
#if RAW_CALLS
    uint64_t action[8] = {0}; // the kernel's struct begins with the handler

    return raw_call(SYS_rt_sigaction, number, 0, (intptr_t)action, sizeof action[0]) == 0 &&
           action[0] != 0;
#else
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL;
#endif
}

// Gives the signals of MASK, of which the lowest bit is signal 1, their default handling.
static inline void raw_reset_signals(uint64_t mask)
{
#if RAW_CALLS
    // The size of the kernel's struct sigaction, and of its set of signals.
    static const uint64_t zero[8];

    for (int number = 1; mask; number++, mask >>= 1)
        if (mask & 1)
            raw_call(SYS_rt_sigaction, number, (intptr_t)zero, 0, sizeof zero[0]);
#else
    for (int number = 1; mask; number++, mask >>= 1)
        if (mask & 1)
            signal(number, SIG_DFL);
#endif
}

static inline _Noreturn void raw_exit(int code)
{
    for (;;) {
#if RAW_CALLS
        raw_call(SYS_exit_group, code, 0, 0, 0);
#else
        _exit(code);
#endif
    }
}
