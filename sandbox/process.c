// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct stream {
    struct process *process;
    struct watch watch;
    int fd;
};

struct process {
    struct list link; // in `ending` once it was destroyed
    struct loop *loop;
    const struct process_events *events; // NULL: destroyed, and only to be reaped
    void *data;
    pid_t pid;
    int pid_fd;
    int status_fd; // a report from the child before its exec; its end when that worked
    int stdin_fd;
    struct stream streams[PROCESS_STREAMS];
    struct watch exit_watch;
    struct watch status_watch;
    struct watch stdin_watch;
    bool is_reaped;
};

enum { REPORT_FD = STDERR_FILENO + 1 }; // status_fd's number in the child

// What the child says through status_fd. It is smaller than PIPE_BUF, so it
// arrives whole.
struct report {
    enum process_stage stage;
    int errnum;
};

// The descriptors that the child is made with.
struct child_fds {
    int in[2];
    int out[2];
    int err[2];
    int status[2];
    int reserved; // a descriptor's place, kept for the pidfd
};

// Those destroyed before they had ended.
static struct list ending = {&ending, &ending};

static struct rlimit given_limit; // of descriptors; rlim_max 0: not raised

int process_raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    given_limit = limit;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

// --- In the child, between fork and exec

static _Noreturn void fail(int status_fd, enum process_stage stage)
{
    struct report report = {stage, errno};
    ssize_t ignored = write(status_fd, &report, sizeof report);
    (void)ignored;
    _exit(CHAR_MAX);
}

static const char *variable(char *const *env, const char *name)
{
    size_t length = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return *env + length + 1;
    return NULL;
}

// As execvpe, but with the PATH of the new environment, and without handing a
// file that has no known format to a shell. Returns only on failure, with errno.
static void exec_in_path(char *const *argv, char *const *env)
{
    const char *path = variable(env, "PATH");
    char file[PATH_MAX];
    int failure = ENOENT;

    if (strchr(argv[0], '/')) {
        execve(argv[0], argv, env);
        return;
    }
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    while (path) {
        int length = (int)strcspn(path, ":");
        int size = snprintf(file, sizeof file, "%.*s/%s", length, length ? path : ".", argv[0]);
        if (length == 0)
            size = snprintf(file, sizeof file, "./%s", argv[0]);
        if (size < (int)sizeof file)
            execve(file, argv, env);
        else
            errno = ENAMETOOLONG;
        // A file that is there and cannot be executed says more than one that
        // is not there, but a later directory may have the right one.
        if (errno == EACCES)
            failure = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG) {
            failure = errno;
            break;
        }
        path = path[length] ? path + length + 1 : NULL;
    }
    errno = failure;
}

static _Noreturn void run_child(const struct process_spec *spec, const struct child_fds *fds,
                                pid_t parent)
{
    const struct identity *who = spec->identity;
    int status_fd = fds->status[1];
    sigset_t none;

    setsid();
    if (dup2(fds->in[0], STDIN_FILENO) < 0 || dup2(fds->out[1], STDOUT_FILENO) < 0 ||
        dup2(fds->err[1], STDERR_FILENO) < 0)
        fail(status_fd, STAGE_EXEC);
    // Everything is close-on-exec. But the exec may have to wait, for a file
    // system that does not answer, and a copy of a pipe's end would keep another
    // job waiting with it.
    if (status_fd != REPORT_FD && dup3(status_fd, REPORT_FD, O_CLOEXEC) == REPORT_FD)
        status_fd = REPORT_FD;
    close_range((unsigned)status_fd + 1, UINT_MAX, 0);
    if (given_limit.rlim_max > 0)
        setrlimit(RLIMIT_NOFILE, &given_limit);
    if (who && (setgroups(who->group_count, who->groups) < 0 || setgid(who->gid) < 0 ||
                setuid(who->uid) < 0))
        fail(status_fd, STAGE_IDENTITY);
    // Not before the identity: changing that takes it back (prctl(2)).
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(CHAR_MAX);
    if (chdir(spec->workdir ? spec->workdir : "/") < 0)
        fail(status_fd, STAGE_WORKDIR);
    // What we ignore, or were started with ignored, is not the command's concern.
    for (int number = 1; number < SIGRTMIN; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    exec_in_path(spec->argv, spec->env);
    fail(status_fd, STAGE_EXEC);
}

// --- Reports from the loop

// The report, if there is one. Returns whether the command was not executed.
static bool take_report(struct process *process, struct report *report)
{
    ssize_t count;

    if (process->status_fd < 0)
        return false;
    count = read(process->status_fd, report, sizeof *report);
    if (count < 0)
        return false;
    loop_unwatch(process->loop, &process->status_watch);
    close_fd(&process->status_fd);
    return count == sizeof *report;
}

static void on_status(void *data, uint32_t events)
{
    struct process *process = data;
    struct report report;

    (void)events;
    if (take_report(process, &report))
        process->events->on_unstarted(process->data, report.stage, report.errnum);
}

static void on_stdin(void *data, uint32_t events)
{
    struct process *process = data;

    (void)events;
    loop_change(process->loop, &process->stdin_watch, 0);
    process->events->on_stdin(process->data);
}

static void on_output(void *data, uint32_t events)
{
    struct stream *stream = data;
    struct process *process = stream->process;

    (void)events;
    process->events->on_output(process->data, (enum process_stream)(stream - process->streams));
}

static bool reap(struct process *process)
{
    siginfo_t info = {0};
    return waitid(P_PIDFD, (id_t)process->pid_fd, &info, WEXITED | WNOHANG) == 0 &&
           info.si_pid != 0;
}

static void free_process(struct process *process)
{
    list_remove(&process->link);
    loop_unwatch(process->loop, &process->exit_watch);
    close_fd(&process->pid_fd);
    free(process);
}

// The child stays a zombie until process_destroy: as long as it does, its
// process group's number cannot be given to another, and signalling is safe.
static void on_exit_ready(void *data, uint32_t events)
{
    struct process *process = data;
    struct report report;
    siginfo_t info = {0};

    (void)events;
    if (waitid(P_PIDFD, (id_t)process->pid_fd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        info.si_pid == 0)
        return;
    loop_change(process->loop, &process->exit_watch, 0);
    if (!process->events) {
        reap(process);
        free_process(process);
        return;
    }
    // One turn of the loop may bring both; the report has to come first.
    if (take_report(process, &report))
        process->events->on_unstarted(process->data, report.stage, report.errnum);
    else
        process->events->on_exit(process->data, info.si_code != CLD_EXITED, info.si_status);
}

// --- Start

static void close_pair(int pair[2])
{
    close_fd(&pair[0]);
    close_fd(&pair[1]);
}

static void child_fds_close(struct child_fds *fds)
{
    close_pair(fds->in);
    close_pair(fds->out);
    close_pair(fds->err);
    close_pair(fds->status);
    close_fd(&fds->reserved);
}

static int child_fds_open(struct child_fds *fds)
{
    *fds = (struct child_fds){
        {-1, -1},
        {-1, -1},
        {-1, -1},
        {-1, -1},
        -1
    };
    if (pipe2(fds->in, O_CLOEXEC) < 0 || pipe2(fds->out, O_CLOEXEC) < 0 ||
        pipe2(fds->err, O_CLOEXEC) < 0 || pipe2(fds->status, O_CLOEXEC) < 0)
        return -errno;
    // Only our ends: the flag belongs to the open file, and the child's ends
    // must block.
    if (fcntl(fds->in[1], F_SETFL, O_NONBLOCK) < 0 || fcntl(fds->out[0], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(fds->err[0], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(fds->status[0], F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    fds->reserved = fcntl(fds->in[0], F_DUPFD_CLOEXEC, 3);
    return fds->reserved < 0 ? -errno : 0;
}

static void setup_watch(struct watch *watch, void (*on_ready)(void *, uint32_t), void *data)
{
    *watch = (struct watch){.fd = -1, .on_ready = on_ready, .data = data};
}

static int watch_all(struct process *process)
{
    struct loop *loop = process->loop;
    int result;

    setup_watch(&process->exit_watch, on_exit_ready, process);
    setup_watch(&process->status_watch, on_status, process);
    setup_watch(&process->stdin_watch, on_stdin, process);
    result = loop_watch(loop, &process->exit_watch, process->pid_fd, EPOLLIN);
    if (result == 0)
        result = loop_watch(loop, &process->status_watch, process->status_fd, EPOLLIN);
    if (result == 0)
        result = loop_watch(loop, &process->stdin_watch, process->stdin_fd, 0);
    for (int i = 0; i < PROCESS_STREAMS; i++) {
        struct stream *stream = &process->streams[i];
        stream->process = process;
        setup_watch(&stream->watch, on_output, stream);
        if (result == 0)
            result = loop_watch(loop, &stream->watch, stream->fd, EPOLLIN);
    }
    return result;
}

struct process *process_start(struct loop *loop, const struct process_spec *spec,
                              const struct process_events *events, void *data, struct error *err)
{
    struct process *process = calloc(1, sizeof *process);
    struct child_fds fds;
    pid_t parent = getpid();
    int result = child_fds_open(&fds);

    if (!process || result < 0) {
        error_set(err, process ? -result : ENOMEM, "cannot make pipes for a process: %s",
                  strerror(process ? -result : ENOMEM));
        goto fail;
    }
    process->pid = fork();
    if (process->pid == 0)
        run_child(spec, &fds, parent);
    if (process->pid < 0) {
        error_set(err, errno, "cannot fork: %s", strerror(errno));
        goto fail;
    }
    list_init(&process->link);
    process->loop = loop;
    process->events = events;
    process->data = data;
    process->stdin_fd = take_fd(&fds.in[1]);
    process->streams[PROCESS_STDOUT].fd = take_fd(&fds.out[0]);
    process->streams[PROCESS_STDERR].fd = take_fd(&fds.err[0]);
    process->status_fd = take_fd(&fds.status[0]);
    child_fds_close(&fds);
    process->pid_fd = pidfd_open(process->pid, 0);
    result = process->pid_fd < 0 ? -errno : watch_all(process);
    if (result == 0)
        return process;
    error_set(err, -result, "cannot watch a process: %s", strerror(-result));
    // Out of memory in the kernel. The wait is short: nothing can keep a process
    // this young from dying.
    kill(process->pid, SIGKILL);
    waitpid(process->pid, NULL, 0);
    process->is_reaped = true;
    process_destroy(process);
    return NULL;

fail:
    child_fds_close(&fds);
    free(process);
    return NULL;
}

// --- Streams

ssize_t process_write(struct process *process, const char *bytes, size_t size)
{
    size_t done = 0;

    // Until it is full: only then does epoll have something to tell.
    while (process->stdin_fd >= 0 && done < size) {
        ssize_t count = write(process->stdin_fd, bytes + done, size - done);
        if (count >= 0)
            done += (size_t)count;
        else if (errno == EAGAIN)
            return loop_change(process->loop, &process->stdin_watch, EPOLLOUT) < 0 ? -ENOMEM
                                                                                   : (ssize_t)done;
        else if (errno != EINTR)
            process_end_stdin(process);
    }
    return process->stdin_fd >= 0 || size == 0 ? (ssize_t)done : -EPIPE;
}

bool process_is_writable(const struct process *process)
{
    return process->stdin_watch.events == 0;
}

void process_end_stdin(struct process *process)
{
    loop_unwatch(process->loop, &process->stdin_watch);
    close_fd(&process->stdin_fd);
}

ssize_t process_read(struct process *process, enum process_stream which, char *bytes, size_t size)
{
    struct stream *stream = &process->streams[which];
    ssize_t count;

    if (stream->fd < 0)
        return 0;
    count = read(stream->fd, bytes, size);
    if (count > 0)
        return count;
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return -EAGAIN;
    loop_unwatch(process->loop, &stream->watch);
    close_fd(&stream->fd);
    return 0;
}

int process_pause_output(struct process *process, enum process_stream which, bool is_paused)
{
    struct stream *stream = &process->streams[which];

    return stream->fd >= 0 &&
                   loop_change(process->loop, &stream->watch, is_paused ? 0 : EPOLLIN) < 0
               ? -ENOMEM
               : 0;
}

size_t process_output_size(const struct process *process, enum process_stream which)
{
    int size = 0;
    return process->streams[which].fd >= 0 &&
                   ioctl(process->streams[which].fd, FIONREAD, &size) == 0
               ? (size_t)size
               : 0;
}

bool process_has_ended(const struct process *process, enum process_stream which)
{
    return process->streams[which].fd < 0;
}

void process_signal(struct process *process, int signal)
{
    // Right after the fork there is no group of that number yet.
    if (kill(-process->pid, signal) < 0 && errno == ESRCH)
        kill(process->pid, signal);
}

void process_destroy(struct process *process)
{
    process_end_stdin(process);
    for (int i = 0; i < PROCESS_STREAMS; i++) {
        loop_unwatch(process->loop, &process->streams[i].watch);
        close_fd(&process->streams[i].fd);
    }
    loop_unwatch(process->loop, &process->status_watch);
    close_fd(&process->status_fd);
    process->events = NULL;
    if (process->is_reaped || reap(process))
        free_process(process);
    else // exit_watch will see its end
        list_append(&ending, &process->link);
}

void process_finish_all(void)
{
    while (!list_is_empty(&ending)) {
        struct process *process = LIST_ENTRY(ending.next, struct process, link);
        reap(process);
        free_process(process);
    }
}
