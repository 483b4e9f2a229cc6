// SPDX-License-Identifier: Apache-2.0
// Faults on purpose. This file is linked into a second build of the daemon, hooksfs-faulty. Its
// functions stand in front of the C library's functions that can fail, for the daemon's own
// code and for libfuse. The variable HOOKSFS_FAULTS names a file that says which of them fail,
// when, and how often; faults.py writes the file while the daemon runs. Without the variable
// no call fails.
//
// With HOOKSFS_FAULTS_TRACE set, each fault prints its stack on stderr.
#undef _FILE_OFFSET_BITS // open is open, and open64 is another
#undef _FORTIFY_SOURCE

#include "faulty.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FUSE_MAJOR = 10, FUSE_MINOR = 229, FRAMES = 24 };

static struct faults *faults; // NULL: none
static pid_t daemon_pid;
static bool is_traced;

// Finds the next function of this name: the C library's, or a sanitizer's.
#define NEXT(function)                                                                             \
    static __typeof__(function) *next;                                                             \
    if (!next)                                                                                     \
    *(void **)(void *)&next = dlsym(RTLD_NEXT, #function)

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("HOOKSFS_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *frames[1];
    void *map;

    if (!path)
        return;
    map = fd >= 0 ? mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                  : MAP_FAILED;
    if (map == MAP_FAILED) {
        perror(path);
        _exit(2);
    }
    close(fd);
    daemon_pid = getpid();
    is_traced = getenv("HOOKSFS_FAULTS_TRACE") != NULL;
    if (is_traced)
        backtrace(frames, 1); // loads what it needs, now
    // Commands must not inherit the variables.
    unsetenv("HOOKSFS_FAULTS");
    unsetenv("HOOKSFS_FAULTS_TRACE");
    faults = map;
}

static void trace(enum fault_call call)
{
    void *frames[FRAMES];
    char line[64];
    int length = snprintf(line, sizeof line, "fault %d:\n", (int)call);

    if (write(STDERR_FILENO, line, (size_t)length) == length)
        backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
}

// The same numbers for the same seed, from 0 to a million.
static uint32_t next_chance(void)
{
    uint64_t x = faults->seed | 1;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    faults->seed = x;
    return (uint32_t)(x >> 32) % FAULT_CERTAIN;
}

// Counts one call, and says whether it has to fail; then errno is set.
static bool has_to_fail(enum fault_call call)
{
    struct fault *fault;

    // Calls of a child before its exec do not fail and do not count.
    if (!faults || getpid() != daemon_pid)
        return false;
    fault = &faults->calls[call];
    fault->called++;
    if (fault->times == 0)
        return false;
    if (fault->after > 0) {
        fault->after--;
        return false;
    }
    if (fault->chance < FAULT_CERTAIN && next_chance() >= fault->chance)
        return false;
    fault->times--;
    fault->injected++;
    if (is_traced) {
        struct faults *all = faults;
        faults = NULL;
        trace(call);
        faults = all;
    }
    errno = fault->error;
    return true;
}

// --- Memory

static void count_blocks(int64_t change)
{
    if (faults && getpid() == daemon_pid)
        faults->blocks += change;
}

void *malloc(size_t size)
{
    void *block;
    NEXT(malloc);
    if (has_to_fail(FAULT_MEMORY))
        return NULL;
    block = next(size);
    count_blocks(block != NULL);
    return block;
}

void *calloc(size_t count, size_t size)
{
    void *block;
    NEXT(calloc);
    if (has_to_fail(FAULT_MEMORY))
        return NULL;
    block = next(count, size);
    count_blocks(block != NULL);
    return block;
}

void *realloc(void *old, size_t size)
{
    void *block;
    NEXT(realloc);
    if (has_to_fail(FAULT_MEMORY))
        return NULL;
    block = next(old, size);
    count_blocks((!old && block) - (old && size == 0));
    return block;
}

void free(void *block)
{
    static void (*next)(void *);
    static bool is_looked_up;
    int saved_errno = errno;

    // dlsym frees the message of the failure before, if there was one: just once.
    if (!next && is_looked_up)
        return;
    is_looked_up = true;
    if (!next)
        *(void **)(void *)&next = dlsym(RTLD_NEXT, "free");
    count_blocks(-(block != NULL));
    next(block);
    errno = saved_errno;
}

// --- Processes

pid_t fork(void)
{
    NEXT(fork);
    return has_to_fail(FAULT_FORK) ? -1 : next();
}

int clone(int (*function)(void *), void *stack, int flags, void *data, ...)
{
    va_list args;
    NEXT(clone);
    va_start(args, data);
    pid_t *parent_tid = va_arg(args, pid_t *); // rubbish if it was not given, and then not used
    void *tls = va_arg(args, void *);
    pid_t *child_tid = va_arg(args, pid_t *);
    va_end(args);
    return has_to_fail(FAULT_FORK) ? -1
                                   : next(function, stack, flags, data, parent_tid, tls, child_tid);
}

// The daemon makes a process with a copy of its memory by the system call itself.
long syscall(long number, ...)
{
    long values[6];
    va_list args;
    NEXT(syscall);
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        values[i] = va_arg(args, long); // rubbish if it was not given, and then not used
    va_end(args);
    if (number == SYS_clone && has_to_fail(FAULT_FORK))
        return -1;
    return next(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

int pidfd_open(pid_t pid, unsigned int flags)
{
    NEXT(pidfd_open);
    return has_to_fail(FAULT_PIDFD_OPEN) ? -1 : next(pid, flags);
}

// An error of 0: the child cannot be reaped yet.
int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    NEXT(waitid);
    if (!has_to_fail(FAULT_WAITID))
        return next(type, id, info, options);
    memset(info, 0, sizeof *info);
    return errno ? -1 : 0;
}

// --- Descriptors

int pipe2(int fds[2], int flags)
{
    NEXT(pipe2);
    return has_to_fail(FAULT_PIPE2) ? -1 : next(fds, flags);
}

int memfd_create(const char *name, unsigned int flags)
{
    NEXT(memfd_create);
    return has_to_fail(FAULT_OPEN) ? -1 : next(name, flags);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
    NEXT(socketpair);
    return has_to_fail(FAULT_SOCKET) ? -1 : next(domain, type, protocol, fds);
}

int socket(int domain, int type, int protocol)
{
    NEXT(socket);
    return has_to_fail(FAULT_SOCKET) ? -1 : next(domain, type, protocol);
}

// EPOLL_CTL_DEL needs nothing, and cannot fail.
int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    NEXT(epoll_ctl);
    return operation != EPOLL_CTL_DEL && has_to_fail(FAULT_EPOLL_CTL)
               ? -1
               : next(epoll_fd, operation, fd, event);
}

int epoll_wait(int epoll_fd, struct epoll_event *events, int size, int timeout)
{
    NEXT(epoll_wait);
    return has_to_fail(FAULT_EPOLL_WAIT) ? -1 : next(epoll_fd, events, size, timeout);
}

#define FCNTL(name)                                                                                \
    int name(int fd, int command, ...)                                                             \
    {                                                                                              \
        va_list args;                                                                              \
        void *argument;                                                                            \
        NEXT(name);                                                                                \
        va_start(args, command);                                                                   \
        argument = va_arg(args, void *);                                                           \
        va_end(args);                                                                              \
        return command == F_DUPFD_CLOEXEC && has_to_fail(FAULT_FCNTL)                              \
                   ? -1                                                                            \
                   : next(fd, command, argument);                                                  \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
        NEXT(name);                                                                                \
        va_start(args, flags);                                                                     \
        mode = va_arg(args, mode_t);                                                               \
        va_end(args);                                                                              \
        return has_to_fail(FAULT_OPEN) ? -1 : next(path, flags, mode);                             \
    }
OPEN(open)
OPEN(open64)

FILE *fopen(const char *path, const char *mode)
{
    NEXT(fopen);
    return has_to_fail(FAULT_OPEN) ? NULL : next(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    NEXT(fopen64);
    return has_to_fail(FAULT_OPEN) ? NULL : next(path, mode);
}

// --- Reading and writing

static bool is_device(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
           st.st_rdev == makedev(FUSE_MAJOR, FUSE_MINOR);
}

static ssize_t next_write(int fd, const void *bytes, size_t size)
{
    NEXT(write);
    return next(fd, bytes, size);
}

// Answers the caller with EIO, as the kernel does when it cannot copy a request out or a reply
// in (fuse_dev_do_read and fuse_dev_do_write in its fs/fuse/dev.c).
static void end_request(int fd, uint64_t unique)
{
    struct fuse_out_header header = {.len = sizeof header, .error = -EIO, .unique = unique};
    int saved_errno = errno;

    if (next_write(fd, &header, sizeof header) < 0) {
        // Nobody waits for it any more.
    }
    errno = saved_errno;
}

// Can this request be lost? Not if it gets no answer, or if the daemon could not recover from
// the loss.
static bool can_be_lost(const struct fuse_in_header *request)
{
    return request->opcode != FUSE_FORGET && request->opcode != FUSE_BATCH_FORGET &&
           request->opcode != FUSE_INTERRUPT && request->opcode != FUSE_RELEASE &&
           request->opcode != FUSE_RELEASEDIR && request->opcode != FUSE_INIT &&
           request->opcode != FUSE_DESTROY;
}

ssize_t read(int fd, void *bytes, size_t size)
{
    struct fuse_in_header request;
    ssize_t count;
    NEXT(read);

    if (!faults || !is_device(fd))
        return next(fd, bytes, size);
    if (has_to_fail(FAULT_DEVICE))
        return -1;
    count = next(fd, bytes, size);
    if (count < (ssize_t)sizeof request)
        return count;
    memcpy(&request, bytes, sizeof request);
    if (!can_be_lost(&request) || !has_to_fail(FAULT_DEVICE_READ))
        return count;
    end_request(fd, request.unique);
    return -1;
}

// A notification, which has no number, is lost.
static bool is_reply_lost(int fd, const void *bytes, size_t size)
{
    struct fuse_out_header reply;

    if (!faults || size < sizeof reply || !is_device(fd))
        return false;
    memcpy(&reply, bytes, sizeof reply);
    if (!has_to_fail(FAULT_DEVICE_WRITE))
        return false;
    if (reply.unique)
        end_request(fd, reply.unique);
    return true;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    NEXT(writev);
    return is_reply_lost(fd, parts[0].iov_base, parts[0].iov_len) ? -1 : next(fd, parts, count);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    if (is_reply_lost(fd, bytes, size) ||
        has_to_fail(fd == STDERR_FILENO ? FAULT_LOG : FAULT_WRITE))
        return -1;
    return next_write(fd, bytes, size);
}
