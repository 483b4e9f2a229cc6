// SPDX-License-Identifier: Apache-2.0
#include "fs_world.h"

#include "child.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

struct world_child world_children[WORLD_CHILDREN];
unsigned world_child_count;
uint64_t world_now_ms;

enum {
    FIRST_PID = 1 << 28, // above any real one
    STDIN_ROOM = 4096,   // a small pipe, which is full soon
    MOST_TURNS = 20000,  // of the loop, while no time passes
    NS_PER_MS = 1000000,
};

static struct {
    struct loop *loop;
    bool is_on;
    uint64_t left_ms;
    unsigned turns;
    int lowest_fd;
    struct buffer trace;
} world;

// --- Events

void world_trace(const char *format, ...)
{
    AUTO_FREE char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    buffer_printf(&world.trace, "%6llu ms  %s\n", (unsigned long long)world_now_ms, text);
}

void world_print_trace(void)
{
    fwrite(world.trace.data, 1, world.trace.length, stderr);
    world.trace.length = 0;
}

// --- Time

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!world.is_on)
        return __real_clock_gettime(clock, now);
    now->tv_sec = (time_t)(1000000 + world_now_ms / 1000);
    now->tv_nsec = (long)(world_now_ms % 1000) * NS_PER_MS;
    return 0;
}

int __real_epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    int ready = __real_epoll_wait(fd, events, count, 0);

    WORLD_CHECK(++world.turns < MOST_TURNS, "the loop spins");
    if (ready != 0 || timeout_ms == 0)
        return ready;
    world.turns = 0;
    if (timeout_ms > 0 && (uint64_t)timeout_ms <= world.left_ms) {
        world_now_ms += (uint64_t)timeout_ms;
        world.left_ms -= (uint64_t)timeout_ms;
        return 0;
    }
    world_now_ms += world.left_ms;
    world.left_ms = 0;
    loop_stop(world.loop);
    return 0;
}

void world_settle(uint64_t ms)
{
    world.left_ms = ms;
    WORLD_CHECK(loop_run(world.loop) == 0, "epoll failed");
}

// --- Children

static struct world_child *child_of_pid(pid_t pid)
{
    unsigned index = (unsigned)(pid - FIRST_PID);
    return pid >= FIRST_PID && index < world_child_count ? &world_children[index] : NULL;
}

static int keep(int fd)
{
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    fcntl(kept, F_SETFL, O_NONBLOCK);
    return kept;
}

void world_fail_child(struct world_child *child)
{
    child->failure = ENOENT;
    world_end_child(child, false, 127, true);
}

static struct world_child *child_of(const struct child *made)
{
    // The latest one: an address may be used again.
    for (unsigned i = world_child_count; i-- > 0;)
        if (world_children[i].made == made)
            return &world_children[i];
    WORLD_CHECK(false, "a child that nobody has made");
    return NULL;
}

struct child *__real_child_create(const struct process_spec *spec, const struct child_gift *gift);
struct child *__wrap_child_create(const struct process_spec *spec, const struct child_gift *gift);
struct child *__wrap_child_create(const struct process_spec *spec, const struct child_gift *gift)
{
    struct world_child *child = &world_children[world_child_count];
    struct buffer words = {0};

    WORLD_CHECK(world_child_count < WORLD_CHILDREN, "too many children");
    for (char *const *word = spec->argv; *word; word++)
        buffer_printf(&words, "[%s]", *word);
    *child = (struct world_child){
        .made = __real_child_create(spec, gift),
        .pid = FIRST_PID + (pid_t)world_child_count++,
        .words = buffer_take_string(&words),
        .uid = spec->identity ? spec->identity->uid : (uid_t)-1,
        .in = keep(gift->in),
        .out = keep(gift->out),
        .err = keep(gift->err),
        .end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .is_late = strcmp(spec->argv[0], "late") == 0,
        .is_stubborn = strcmp(spec->argv[0], "stubborn") == 0,
        .has_escaped = strcmp(spec->argv[0], "escapes") == 0,
        .is_standby = spec->is_standby,
    };
    fcntl(gift->in, F_SETPIPE_SZ, STDIN_ROOM);
    return child->made;
}

pid_t __wrap_child_start(struct child *made, int *pid_fd);
pid_t __wrap_child_start(struct child *made, int *pid_fd)
{
    struct world_child *child = child_of(made);

    child->pid_fd = fcntl(child->end_fd, F_DUPFD_CLOEXEC, 3);
    *pid_fd = child->pid_fd;
    if (strncmp(child->words, "[missing]", 9) == 0)
        world_fail_child(child);
    return child->pid;
}

bool __wrap_child_has_left(const struct child *made);
bool __wrap_child_has_left(const struct child *made)
{
    const struct world_child *child = child_of(made);
    return !child->is_late && !child->failure;
}

int __wrap_child_failure(const struct child *made, enum channel_stage *stage);
int __wrap_child_failure(const struct child *made, enum channel_stage *stage)
{
    *stage = STAGE_EXEC;
    return child_of(made)->failure;
}

// The real function needs a process that the kernel knows.
int __wrap_pipes_guard(int fd, pid_t pid);
int __wrap_pipes_guard(int fd, pid_t pid)
{
    (void)fd;
    WORLD_CHECK(child_of_pid(pid) && child_of_pid(pid)->is_standby, "a guard of %d", (int)pid);
    return 0;
}

void __wrap_pipes_unguard(int fd);
void __wrap_pipes_unguard(int fd)
{
    struct stat pipe;
    struct stat other;

    WORLD_CHECK(fstat(fd, &pipe) == 0, "fstat");
    for (unsigned i = 0; i < world_child_count; i++) {
        struct world_child *child = &world_children[i];
        if (child->in < 0 || fstat(child->in, &other) < 0 || other.st_ino != pipe.st_ino)
            continue;
        WORLD_CHECK(child->is_standby && !child->is_taken, "%s is taken", child->words);
        child->is_taken = true;
        return;
    }
    WORLD_CHECK(false, "a standby was taken that has ended");
}

int __real_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    if (!world.is_on)
        return __real_waitid(type, id, info, options);
    WORLD_CHECK(type == P_PIDFD && options & WNOHANG, "waitid that may wait");
    *info = (siginfo_t){0};
    for (unsigned i = 0; i < world_child_count; i++) {
        struct world_child *child = &world_children[i];
        if (child->pid_fd != (int)id || child->is_reaped)
            continue;
        if (!child->is_ended)
            return 0;
        info->si_pid = child->pid;
        info->si_code = child->is_signaled ? CLD_KILLED : CLD_EXITED;
        info->si_status = child->number;
        child->is_reaped = !(options & WNOWAIT);
        return 0;
    }
    WORLD_CHECK(false, "waitid of descriptor %d", (int)id);
    return -1;
}

int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number)
{
    struct world_child *child = child_of_pid(pid < 0 ? -pid : pid);

    if (!world.is_on)
        return __real_kill(pid, number);
    WORLD_CHECK(child, "kill of %d", (int)pid);
    WORLD_CHECK(!child->is_reaped, "kill of %d, whose number may be another's by now", (int)pid);
    if (number == SIGTERM && child->is_stubborn)
        return 0;
    if (!child->is_ended)
        world_end_child(child, true, number, !child->has_escaped);
    else if (!child->has_escaped)
        world_end_child(child, child->is_signaled, child->number, true);
    return 0;
}

void world_close(int *fd)
{
    close_fd(fd);
}

void world_end_child(struct world_child *child, bool is_signaled, int number, bool closes)
{
    uint64_t one = 1;

    world_close(&child->in);
    if (closes) {
        world_close(&child->out);
        world_close(&child->err);
    }
    if (child->is_ended)
        return;
    child->is_ended = true;
    child->is_signaled = is_signaled;
    child->number = number;
    WORLD_CHECK(write(child->end_fd, &one, sizeof one) == sizeof one, "eventfd");
}

// --- The log: an error in it is one

void __wrap_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void __wrap_log_error(const char *format, ...)
{
    AUTO_FREE char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    WORLD_CHECK(false, "the daemon logs an error: %s", text);
}

void __wrap_log_warning(const char *format, ...);
void __wrap_log_warning(const char *format, ...)
{
    (void)format;
}

void __wrap_log_info(const char *format, ...);
void __wrap_log_info(const char *format, ...)
{
    (void)format;
}

// --- Begin and end

static int lowest_fd(void)
{
    AUTO_CLOSE int fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
    return fd;
}

struct loop *world_begin(void)
{
    struct error err = {0};

    __sanitizer_set_death_callback(world_print_trace);
    world.lowest_fd = lowest_fd();
    world.loop = loop_create(&err);
    FUZZ_CHECK(world.loop, "%s", error_message(&err));
    world.is_on = true;
    world.turns = 0;
    world.trace.length = 0;
    world_now_ms = 0;
    world_child_count = 0;
    return world.loop;
}

void world_end(void)
{
    loop_destroy(world.loop);
    world.is_on = false;
    for (unsigned i = 0; i < world_child_count; i++) {
        struct world_child *child = &world_children[i];
        WORLD_CHECK(child->is_ended && child->is_reaped, "child %u, %s, is left", i, child->words);
        world_close(&child->out);
        world_close(&child->err);
        world_close(&child->end_fd);
        free(child->words);
    }
    WORLD_CHECK(lowest_fd() == world.lowest_fd, "a descriptor was left open");
}
