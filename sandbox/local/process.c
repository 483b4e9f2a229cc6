// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include "bounds.h"
#include "child.h"
#include "cleanup.h"
#include "pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct stream {
    struct process *process;
    struct watch watch;
    int fd;
    bool is_wide;
};

struct process {
    struct list link; // in `ending` after process_destroy
    uid_t uid;
    struct loop *loop;
    const struct channel_events *events; // NULL: destroyed, and only to be reaped
    void *data;
    pid_t pid;
    int pid_fd;
    struct cgroup *group; // NULL: it has none of its own
    struct child *child;  // NULL after it has left the daemon's memory
    struct timer settling;
    unsigned settle_ms;
    int stdin_fd;
    int guard_fd;     // of a standby: the other end of stdin, with pipes_guard; else -1
    uint64_t written; // bytes, to its stdin
    bool is_stdin_wide;
    bool is_stdin_full;
    struct stream streams[JOB_STREAMS];
    struct watch exit_watch;
    struct watch stdin_watch;
    bool is_reaped;
};

// Most commands have begun after SETTLE_MS, and the memory that was prepared for the child
// can be freed. A child that takes longer is looked at again, after twice the time.
enum { SETTLE_MS = 10, MAX_SETTLE_MS = 10 * 1000 };

// Processes that were destroyed before they had ended.
static struct list ending = {&ending, &ending};

static struct rlimit given_limit; // of descriptors; rlim_max 0: not raised

int process_raise_descriptor_limit(void)
{
    struct rlimit limit;

    bounds_set_up();
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    given_limit = limit;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

// --- Reports from the loop

static void on_settled(void *data)
{
    struct process *process = data;
    enum channel_stage stage;

    if (child_has_left(process->child)) {
        // A failure of the child is reported with its end.
        if (!child_failure(process->child, &stage))
            child_destroy(take_ptr(&process->child));
        return;
    }
    if (process->settle_ms < MAX_SETTLE_MS)
        process->settle_ms *= 2;
    // Without memory for the timer, the end of the child frees everything.
    loop_arm(process->loop, &process->settling, process->settle_ms);
}

static void on_stdin(void *data, uint32_t events)
{
    struct process *process = data;

    (void)events;
    if (!process->is_stdin_full)
        return; // the reader of stdin has gone; the next write returns EPIPE
    process->is_stdin_full = false;
    process->events->on_stdin(process->data);
}

static void on_output(void *data, uint32_t events)
{
    struct stream *stream = data;
    struct process *process = stream->process;

    (void)events;
    process->events->on_output(process->data, (enum job_stream)(stream - process->streams));
}

static bool process_reap(struct process *process)
{
    siginfo_t info = {0};
    return waitid(P_PIDFD, (id_t)process->pid_fd, &info, WEXITED | WNOHANG) == 0 &&
           info.si_pid != 0;
}

static void process_free(struct process *process)
{
    list_remove(&process->link);
    loop_unwatch(process->loop, &process->exit_watch);
    loop_disarm(process->loop, &process->settling);
    child_destroy(process->child);
    close_fd(&process->pid_fd);
    cgroup_destroy(process->group);
    free(process);
}

// The child stays a zombie until process_destroy. So long the number of its process group
// cannot be given to another group, and signalling it is safe.
static void on_exit_ready(void *data, uint32_t events)
{
    struct process *process = data;
    enum channel_stage stage;
    int failure;
    siginfo_t info = {0};

    (void)events;
    if (waitid(P_PIDFD, (id_t)process->pid_fd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        info.si_pid == 0)
        return;
    if (!process->events) {
        if (process_reap(process))
            process_free(process);
        return;
    }
    loop_change(process->loop, &process->exit_watch, 0);
    failure = process->child ? child_failure(process->child, &stage) : 0;
    if (failure)
        process->events->on_unstarted(process->data, stage, failure);
    else
        process->events->on_exit(process->data, info.si_code != CLD_EXITED, info.si_status);
}

// --- Start

static void process_setup_watch(struct watch *watch, void (*on_ready)(void *, uint32_t), void *data)
{
    *watch = (struct watch){.fd = -1, .on_ready = on_ready, .data = data};
}

static int process_watch_all(struct process *process)
{
    struct loop *loop = process->loop;
    int result;

    process_setup_watch(&process->exit_watch, on_exit_ready, process);
    process_setup_watch(&process->stdin_watch, on_stdin, process);
    result = loop_watch(loop, &process->exit_watch, process->pid_fd, EPOLLIN);
    if (result == 0)
        result = loop_watch(loop, &process->stdin_watch, process->stdin_fd, 0);
    for (int i = 0; i < JOB_STREAMS; i++) {
        struct stream *stream = &process->streams[i];
        stream->process = process;
        process_setup_watch(&stream->watch, on_output, stream);
        if (result == 0)
            result = loop_watch(loop, &stream->watch, stream->fd, EPOLLIN);
    }
    return result;
}

// Makes the child with its ends of PIPES, and takes the daemon's ends. Returns 0 or -errno.
static int process_start_child(struct process *process, const struct process_spec *spec,
                               struct pipes *pipes)
{
    AUTO_CLOSE int file = -1;
    int result = pipes_memory_file(spec->file, spec->file_size, &file);
    struct child_gift gift = {
        .in = pipes->in[0],
        .out = pipes->out[1],
        .err = pipes->err[1],
        .file = file,
        .group = process->group,
        .descriptors = given_limit.rlim_max > 0 ? &given_limit : NULL,
    };

    if (result < 0)
        return result;
    if (spec->identity && spec->identity->uid != geteuid())
        pipes_open_by_name(pipes);
    process->uid = spec->identity ? spec->identity->uid : geteuid();
    process->child = child_create(spec, &gift);
    process->pid = process->child ? child_start(process->child, &process->pid_fd) : -ENOMEM;
    if (process->pid < 0)
        return process->pid;
    if (spec->is_standby)
        process->guard_fd = take_fd(&pipes->in[0]);
    process->stdin_fd = take_fd(&pipes->in[1]);
    process->streams[JOB_STDOUT].fd = take_fd(&pipes->out[0]);
    process->streams[JOB_STDERR].fd = take_fd(&pipes->err[0]);
    return 0;
}

static void process_init(struct process *process, struct loop *loop,
                         const struct channel_events *events, void *data)
{
    list_init(&process->link);
    process->guard_fd = -1;
    process->loop = loop;
    process->events = events;
    process->data = data;
    process->settling = (struct timer){.on_time = on_settled, .data = process};
    process->settle_ms = SETTLE_MS;
}

// Frees a process that was not started.
static void process_abandon(struct process *process)
{
    child_destroy(process->child);
    cgroup_destroy(process->group);
    free(process);
}

struct process *process_start(struct loop *loop, const struct process_spec *spec,
                              const struct channel_events *events, void *data, struct error *err)
{
    struct process *process = calloc(1, sizeof *process);
    struct pipes pipes;
    int result = pipes_open(&pipes);

    if (!process || result < 0) {
        error_set(err, process ? -result : ENOMEM, "cannot make pipes for a process: %s",
                  strerror(process ? -result : ENOMEM));
        goto fail;
    }
    process_init(process, loop, events, data);
    if (spec->limits && !(process->group = cgroup_create(loop, spec->limits, err)))
        goto fail;
    result = process_start_child(process, spec, &pipes);
    if (result < 0) {
        error_set(err, -result, "cannot make a process: %s", strerror(-result));
        goto fail;
    }
    pipes_close(&pipes);
    result = process_watch_all(process);
    if (result == 0 && spec->is_standby)
        result = pipes_guard(process->guard_fd, process->pid);
    if (result == 0)
        result = loop_arm(loop, &process->settling, process->settle_ms);
    if (result == 0)
        return process;
    error_set(err, -result, "cannot watch a process: %s", strerror(-result));
    // The kernel is out of memory. The wait is short: nothing can keep so young a process
    // from dying.
    kill(process->pid, SIGKILL);
    waitpid(process->pid, NULL, 0);
    process->is_reaped = true;
    process_destroy(process);
    return NULL;

fail:
    pipes_close(&pipes);
    if (process)
        process_abandon(process);
    return NULL;
}

// --- Streams

// With EPOLLET epoll reports once that a full pipe has room again.
static int process_await_room(struct process *process)
{
    process->is_stdin_full = true;
    return loop_change(process->loop, &process->stdin_watch, EPOLLOUT | EPOLLET);
}

ssize_t process_write(struct process *process, const char *bytes, size_t size)
{
    size_t done = 0;

    // Until the pipe is full: only then does epoll have an event to report.
    while (process->stdin_fd >= 0 && done < size) {
        ssize_t count = write(process->stdin_fd, bytes + done, size - done);
        if (count >= 0) {
            done += (size_t)count;
            process->written += (size_t)count;
        } else if (errno == EAGAIN && pipe_widen(process->stdin_fd, &process->is_stdin_wide))
            continue;
        else if (errno == EAGAIN)
            return process_await_room(process) < 0 ? -ENOMEM : (ssize_t)done;
        else if (errno == EPIPE)
            process_end_stdin(process);
        else if (errno != EINTR) // the kernel had no page for the bytes
            return -ENOMEM;
    }
    return process->stdin_fd >= 0 || size == 0 ? (ssize_t)done : -EPIPE;
}

uint64_t process_written(const struct process *process)
{
    return process->written;
}

bool process_is_writable(const struct process *process)
{
    return !process->is_stdin_full;
}

void process_end_stdin(struct process *process)
{
    loop_unwatch(process->loop, &process->stdin_watch);
    close_fd(&process->stdin_fd);
    process->is_stdin_full = false;
}

ssize_t process_read(struct process *process, enum job_stream which, char *bytes, size_t size)
{
    struct stream *stream = &process->streams[which];
    ssize_t count;

    if (stream->fd < 0)
        return 0;
    count = read(stream->fd, bytes, size);
    if (count >= PIPE_USUAL_WIDTH)
        pipe_widen(stream->fd, &stream->is_wide);
    if (count > 0)
        return count;
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return -EAGAIN;
    loop_unwatch(process->loop, &stream->watch);
    close_fd(&stream->fd);
    return 0;
}

int process_pause_output(struct process *process, enum job_stream which, bool is_paused)
{
    struct stream *stream = &process->streams[which];

    return stream->fd >= 0 &&
                   loop_change(process->loop, &stream->watch, is_paused ? 0 : EPOLLIN) < 0
               ? -ENOMEM
               : 0;
}

size_t process_output_size(const struct process *process, enum job_stream which)
{
    int size = 0;
    return process->streams[which].fd >= 0 &&
                   ioctl(process->streams[which].fd, FIONREAD, &size) == 0
               ? (size_t)size
               : 0;
}

bool process_has_ended(const struct process *process, enum job_stream which)
{
    return process->streams[which].fd < 0;
}

bool process_is_over(const struct process *process)
{
    siginfo_t info = {0};

    return waitid(P_PIDFD, (id_t)process->pid_fd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
           info.si_pid != 0;
}

void process_hand_over(struct process *process)
{
    if (process->guard_fd >= 0)
        pipes_unguard(process->guard_fd);
    close_fd(&process->guard_fd);
}

bool process_ran_out_of_memory(const struct process *process)
{
    return process->group && cgroup_ran_out_of_memory(process->group);
}

void process_signal(struct process *process, int signal)
{
    if (process->group && signal == SIGKILL)
        cgroup_kill(process->group);
    // Right after the fork the process group does not exist yet.
    if (kill(-process->pid, signal) < 0 && errno == ESRCH)
        kill(process->pid, signal);
}

void process_destroy(struct process *process)
{
    process_end_stdin(process);
    close_fd(&process->guard_fd);
    for (int i = 0; i < JOB_STREAMS; i++) {
        loop_unwatch(process->loop, &process->streams[i].watch);
        close_fd(&process->streams[i].fd);
    }
    process->events = NULL;
    if (process->is_reaped || process_reap(process))
        process_free(process);
    else {
        // on_exit_ready may have switched the watch off when it saw the exit.
        loop_change(process->loop, &process->exit_watch, EPOLLIN);
        list_append(&ending, &process->link);
    }
}

unsigned process_ending_count(uid_t uid)
{
    unsigned count = 0;

    for (struct list *link = ending.next; link != &ending; link = link->next)
        count += LIST_ENTRY(link, struct process, link)->uid == uid;
    return count;
}

void process_finish_all(void)
{
    for (struct list *link = ending.next, *next; link != &ending; link = next) {
        struct process *process = LIST_ENTRY(link, struct process, link);
        next = link->next;
        // A child that has not left still needs the memory that was prepared for it.
        if (process_reap(process) || !process->child || child_has_left(process->child))
            process_free(process);
    }
}
