// SPDX-License-Identifier: Apache-2.0
// System calls for a child that still runs in its parent's memory (child.h). Each
// returns -errno on failure, as the kernel does, and touches no memory but what it
// is given. libc's would not do: they set an errno that is the parent's as well,
// and its setuid tells threads that the child does not have.
//
// On processors that are not known here libc's are used, and RAW_CALLS is 0: a
// child needs memory of its own then.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))

#define RAW_CALLS 1
// The system call NUMBER, with four arguments; LIBC is the same of libc's.
#define RAW(libc, number, a, b, c, d) raw_call(number, a, b, c, d)

#ifdef __x86_64__
static inline long raw_call(long number, long a, long b, long c, long d)
{
    register long fourth __asm__("r10") = d;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
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

    __asm__ volatile("svc #0"
                     : "+r"(first)
                     : "r"(place), "r"(second), "r"(third), "r"(fourth)
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

static inline long raw_limit_descriptors(const struct rlimit *limit)
{
    return RAW(setrlimit(RLIMIT_NOFILE, limit), SYS_prlimit64, 0, RLIMIT_NOFILE, (intptr_t)limit,
               0);
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

static inline long raw_die_with_parent(void)
{
    return RAW(prctl(PR_SET_PDEATHSIG, SIGKILL), SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
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

// Gives each signal its default handling, and blocks none.
static inline void raw_reset_signals(void)
{
#if RAW_CALLS
    // As much as the kernel's struct sigaction, and its set of signals.
    static const uint64_t zero[8];
    enum { SIGNALS = 31 }; // those that libc has no names for keep theirs

    for (int number = 1; number <= SIGNALS; number++)
        raw_call(SYS_rt_sigaction, number, (intptr_t)zero, 0, sizeof zero[0]);
    raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (intptr_t)zero, 0, sizeof zero[0]);
#else
    sigset_t none;

    for (int number = 1; number < SIGRTMIN; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
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
