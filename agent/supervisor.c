// SPDX-License-Identifier: Apache-2.0
#include "supervisor.h"

#include "cleanup.h"
#include "descendants.h"
#include "loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

enum {
    CONTROL_FD = STDERR_FILENO + 1,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    START_DELAY_MS = 2, // so long a start waits to be told together with the end
    SHORTEST_PAUSE_MS = 1,
    LONGEST_PAUSE_MS = 250,
    CHILD_STACK = 32 * 1024,
};

struct supervisor {
    const struct supervisor_spec *spec;
    pid_t command;
    bool is_running;
    bool is_killing;
    bool is_doomed; // TERM was sent: what is left is not let go
    bool is_released;
    bool is_alone;        // the agent is gone
    uint64_t deadline_ns; // 0: none, or passed
    uint64_t report_ns;   // when the start is told; 0: it has been
    int pause_ms;         // until the next round of killing
    struct report report; // what has not been told yet
};

// --- The command's side of the start

// The child shares our memory and we wait until it has executed the command, or
// failed: that is quicker than a copy, and needs no other way to learn which.
struct child {
    const struct supervisor_spec *spec;
    const struct command *command;
    pid_t parent;
    enum frame_stage stage; // set by the child
    int failure;
};

static char child_stack[CHILD_STACK] __attribute__((aligned(64)));

static int run_child(void *data)
{
    struct child *child = data;
    sigset_t none;

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != child->parent)
        return EXIT_FAILURE;
    setrlimit(RLIMIT_NOFILE, child->spec->descriptors);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    child->stage = command_exec(child->command);
    child->failure = errno;
    return EXIT_FAILURE;
}

static void execute(struct supervisor *supervisor, const struct command *command)
{
    struct child child = {.spec = supervisor->spec, .command = command, .parent = getpid()};
    pid_t pid =
        clone(run_child, child_stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, &child);

    if (pid < 0) {
        child.stage = FRAME_AT_RESOURCES;
        child.failure = errno;
    }
    if (child.failure) {
        supervisor->report =
            (struct report){.what = REPORT_FAILED, .stage = child.stage, .number = child.failure};
        return;
    }
    supervisor->command = pid;
    supervisor->is_running = true;
    supervisor->report.what = REPORT_STARTED;
    supervisor->report_ns = loop_now_ns() + (uint64_t)START_DELAY_MS * NS_PER_MS;
}

static void start_command(struct supervisor *supervisor, const struct frame *start)
{
    uint32_t time_limit_ms = frame_number(start->payload);
    struct command command = {0};

    if (time_limit_ms > 0)
        supervisor->deadline_ns = loop_now_ns() + (uint64_t)time_limit_ms * NS_PER_MS;
    // That the agent dies while we cannot listen is heard afterwards. It must not be our
    // death too: what the command has started by then would be nobody's.
    if (getppid() != supervisor->spec->agent)
        _exit(EXIT_FAILURE);
    if (command_init(&command, start, supervisor->spec->own_env) < 0)
        supervisor->report =
            (struct report){.what = REPORT_FAILED, .stage = FRAME_AT_RESOURCES, .number = ENOMEM};
    else
        execute(supervisor, &command);
    command_finish(&command);
}

// --- Descriptors

static void close_all_from(int first)
{
    struct dirent *entry;
    DIR *open_ones;

    if (syscall(SYS_close_range, (unsigned)first, UINT_MAX, 0) == 0)
        return;
    open_ones = opendir("/proc/self/fd");
    if (!open_ones) {
        struct rlimit limit = {.rlim_cur = 1024};
        getrlimit(RLIMIT_NOFILE, &limit);
        for (int fd = first; (rlim_t)fd < limit.rlim_cur; fd++)
            close(fd);
        return;
    }
    while ((entry = readdir(open_ones))) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (fd >= first && fd != dirfd(open_ones))
            close(fd);
    }
    closedir(open_ones);
}

// The command's streams, our end of the socket, and no more.
static bool arrange_descriptors(const struct supervisor_spec *spec)
{
    if (dup2(spec->streams.in, STDIN_FILENO) < 0 || dup2(spec->streams.out, STDOUT_FILENO) < 0 ||
        dup2(spec->streams.err, STDERR_FILENO) < 0)
        return false;
    if (spec->control_fd != CONTROL_FD && dup3(spec->control_fd, CONTROL_FD, O_CLOEXEC) < 0)
        return false;
    close_all_from(CONTROL_FD + 1);
    return true;
}

// --- Reports and orders

static void tell(struct supervisor *supervisor)
{
    if (supervisor->report.what && !supervisor->is_alone)
        send(CONTROL_FD, &supervisor->report, sizeof supervisor->report, MSG_NOSIGNAL);
    supervisor->report = (struct report){0};
    supervisor->report_ns = 0;
}

static bool is_in_group(void *data, pid_t pid)
{
    const struct supervisor *supervisor = data;

    if (getpgid(pid) == supervisor->command)
        kill(-supervisor->command, SIGTERM);
    return true;
}

// Once the command has been reaped, its group's number is only its group's as
// long as one of its processes is in it.
static void terminate(struct supervisor *supervisor)
{
    supervisor->is_doomed = true;
    if (supervisor->is_running)
        kill(-supervisor->command, SIGTERM);
    else
        descendants_walk(getpid(), is_in_group, supervisor);
}

static void begin_killing(struct supervisor *supervisor)
{
    supervisor->deadline_ns = 0;
    if (supervisor->is_killing)
        return;
    supervisor->is_killing = true;
    supervisor->pause_ms = SHORTEST_PAUSE_MS;
}

static void release(struct supervisor *supervisor)
{
    supervisor->is_released = true;
    if (supervisor->is_running || supervisor->is_killing || supervisor->is_doomed) {
        begin_killing(supervisor);
        return;
    }
    supervisor->deadline_ns = 0;
    supervisor->report.what |= REPORT_GONE | REPORT_HOLDS;
    tell(supervisor);
}

static void obey(struct supervisor *supervisor)
{
    char order;
    ssize_t count = recv(CONTROL_FD, &order, sizeof order, MSG_DONTWAIT);

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        if (supervisor->is_released && !supervisor->is_killing)
            _exit(EXIT_SUCCESS);
        supervisor->is_alone = true;
        begin_killing(supervisor);
    } else if (order == ORDER_TERM) {
        terminate(supervisor);
    } else if (order == ORDER_KILL) {
        begin_killing(supervisor);
    } else if (order == ORDER_RELEASE) {
        release(supervisor);
    }
}

// --- Time and death

// Returns whether there is a child left.
static bool reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != supervisor->command)
            continue;
        supervisor->is_running = false;
        supervisor->report.what |= REPORT_ENDED;
        supervisor->report.is_signaled = WIFSIGNALED(status);
        supervisor->report.number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    }
    return pid == 0;
}

static void sooner(uint64_t *wait_ns, uint64_t now, uint64_t when)
{
    uint64_t wait = when > now ? when - now : 0;

    if (wait < *wait_ns)
        *wait_ns = wait;
}

static void wait_for_something(struct supervisor *supervisor)
{
    struct pollfd control = {.fd = supervisor->is_alone ? -1 : CONTROL_FD, .events = POLLIN};
    uint64_t now = loop_now_ns();
    uint64_t wait_ns = UINT64_MAX;
    struct timespec wait;
    sigset_t all_but_child;

    if (supervisor->deadline_ns)
        sooner(&wait_ns, now, supervisor->deadline_ns);
    if (supervisor->report_ns)
        sooner(&wait_ns, now, supervisor->report_ns);
    if (supervisor->is_killing)
        sooner(&wait_ns, now, now + (uint64_t)supervisor->pause_ms * NS_PER_MS);
    wait.tv_sec = (time_t)(wait_ns / NS_PER_S);
    wait.tv_nsec = (long)(wait_ns % NS_PER_S);
    sigfillset(&all_but_child);
    sigdelset(&all_but_child, SIGCHLD);
    if (ppoll(&control, 1, wait_ns == UINT64_MAX ? NULL : &wait, &all_but_child) > 0)
        obey(supervisor);
    now = loop_now_ns();
    if (supervisor->deadline_ns && now >= supervisor->deadline_ns)
        begin_killing(supervisor);
    if (supervisor->report_ns && now >= supervisor->report_ns)
        tell(supervisor);
}

static void kill_round(struct supervisor *supervisor)
{
    if (supervisor->is_running)
        kill(-supervisor->command, SIGKILL);
    descendants_kill(getpid());
    supervisor->pause_ms *= 2;
    if (supervisor->pause_ms > LONGEST_PAUSE_MS)
        supervisor->pause_ms = LONGEST_PAUSE_MS;
}

// Until nothing is left of the job.
static void supervise(struct supervisor *supervisor)
{
    while (reap(supervisor)) {
        if (supervisor->report.what & REPORT_ENDED)
            tell(supervisor);
        if (supervisor->is_killing)
            kill_round(supervisor);
        wait_for_something(supervisor);
    }
    // The agent has heard the last of what we held.
    if (supervisor->is_released && !supervisor->is_killing)
        _exit(EXIT_SUCCESS);
    supervisor->report.what |= REPORT_GONE;
    tell(supervisor);
}

// Returns with START's payload and the command's streams, or not at all.
static void await_start(struct frame *start)
{
    static const struct streams streams = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    static char order[1 + SUPERVISOR_MAX_START];
    struct iovec whole = {order, sizeof order};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof streams)];
    } control;
    struct msghdr message;
    ssize_t count;

    do {
        message = (struct msghdr){.msg_iov = &whole,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof control};
        count = recvmsg(CONTROL_FD, &message, 0);
        if (count <= 0)
            _exit(EXIT_SUCCESS);
        // What is not a start was meant for the last job, and came too late.
    } while (order[0] != ORDER_START);
    // Descriptors that come take the lowest numbers, and these three are free.
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || message.msg_controllen == 0 ||
        memcmp(CMSG_DATA(&control.header), &streams, sizeof streams) != 0)
        _exit(EXIT_FAILURE);
    *start = (struct frame){.type = FRAME_START, .payload = order + 1, .length = (size_t)count - 1};
}

static void begin(struct supervisor *supervisor, const struct frame *start)
{
    *supervisor = (struct supervisor){.spec = supervisor->spec};
    start_command(supervisor, start);
    // The streams are the command's alone from now on.
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
}

static void on_child(int number)
{
    (void)number; // It ends ppoll, and that is all.
}

_Noreturn void supervisor_run(const struct supervisor_spec *spec)
{
    struct sigaction action = {.sa_handler = on_child};
    struct supervisor supervisor = {.spec = spec};
    struct frame start = *spec->start;
    sigset_t all;

    // Blocked, not ignored: the command starts with none of it.
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigaction(SIGCHLD, &action, NULL);
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!arrange_descriptors(spec))
        _exit(EXIT_FAILURE);
    begin(&supervisor, &start);
    spec->forget(spec->data);
    while (true) {
        supervise(&supervisor);
        await_start(&start);
        begin(&supervisor, &start);
    }
}
