// SPDX-License-Identifier: Apache-2.0
#include "supervisor.h"

#include "birth.h"
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
    HELD_FD,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    START_DELAY_MS = 2, // the start is reported so much later, perhaps with the end
    SHORTEST_PAUSE_MS = 1,
    LONGEST_PAUSE_MS = 250,
};

struct supervisor {
    const struct supervisor_spec *spec;
    pid_t command;
    struct cgroup *group; // of the job; NULL: it has none of its own
    bool is_running;
    bool is_killing;
    bool is_doomed; // after ORDER_TERM: a release kills the processes that are left
    bool is_released;
    bool is_holding;                 // has HELD_FD
    bool is_alone;                   // the agent is gone
    uint64_t deadline_ns;            // 0: there is none, or it has passed
    uint64_t report_ns;              // when the start is reported; 0: it has been
    int pause_ms;                    // until the next round of killing
    struct supervisor_report report; // events that have not been reported yet
};

// --- The start

// Returns false after a failure, with errno.
static bool supervisor_make_group(struct supervisor *supervisor, const struct cgroup_limits *limits)
{
    struct error err = {0};

    if (delegation_share(cgroup_controllers(limits), &err) == 0)
        supervisor->group = cgroup_create(NULL, limits, &err);
    errno = err.code;
    error_finish(&err);
    return supervisor->group;
}

static void supervisor_execute(struct supervisor *supervisor, const struct program *program)
{
    struct birth_failure failure = {.stage = FRAME_AT_LIMITS};
    pid_t pid = -1;

    if (cgroup_controllers(&program->group) == 0 ||
        supervisor_make_group(supervisor, &program->group))
        pid = birth(program, supervisor->spec->descriptors, supervisor->group, &failure);
    else
        failure.number = errno;
    if (failure.number) {
        supervisor->report = (struct supervisor_report){
            .what = REPORT_FAILED, .stage = failure.stage, .number = failure.number};
        return;
    }
    supervisor->command = pid;
    supervisor->is_running = true;
    supervisor->report.what = REPORT_STARTED;
    supervisor->report_ns = loop_now_ns() + (uint64_t)START_DELAY_MS * NS_PER_MS;
}

static void supervisor_start_program(struct supervisor *supervisor, const struct frame *start)
{
    uint32_t time_limit_ms = frame_number(start->payload);
    struct program program = {0};

    if (time_limit_ms > 0 && time_limit_ms != WIRE_STANDBY)
        supervisor->deadline_ns = loop_now_ns() + (uint64_t)time_limit_ms * NS_PER_MS;
    // From here on until the command is executed the supervisor cannot listen. If the agent dies
    // meanwhile, the supervisor learns of it afterwards, and must not die with it: otherwise nobody
    // would kill the processes that the command has started by then.
    if (getppid() != supervisor->spec->agent_pid)
        _exit(EXIT_FAILURE);
    if (program_init(&program, start, supervisor->spec->own_env) < 0)
        supervisor->report = (struct supervisor_report){
            .what = REPORT_FAILED, .stage = FRAME_AT_RESOURCES, .number = ENOMEM};
    else
        supervisor_execute(supervisor, &program);
    program_finish(&program);
}

// --- Descriptors

static void descriptors_close_from(int first)
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

// Leaves only the streams of the command and the supervisor's end of the socket open.
static bool descriptors_arrange(const struct supervisor_spec *spec)
{
    int held = spec->streams.held;

    // CONTROL_FD may be its number.
    if (held >= 0 && (held = fcntl(held, F_DUPFD_CLOEXEC, HELD_FD)) < 0)
        return false;
    if (dup2(spec->streams.in, STDIN_FILENO) < 0 || dup2(spec->streams.out, STDOUT_FILENO) < 0 ||
        dup2(spec->streams.err, STDERR_FILENO) < 0)
        return false;
    if (spec->control_fd != CONTROL_FD && dup3(spec->control_fd, CONTROL_FD, O_CLOEXEC) < 0)
        return false;
    if (held >= 0 && held != HELD_FD && dup3(held, HELD_FD, O_CLOEXEC) < 0)
        return false;
    descriptors_close_from(held >= 0 ? HELD_FD + 1 : HELD_FD);
    return true;
}

// --- Reports and orders

static void supervisor_tell(struct supervisor *supervisor)
{
    if (supervisor->report.what && !supervisor->is_alone)
        send(CONTROL_FD, &supervisor->report, sizeof supervisor->report, MSG_NOSIGNAL);
    supervisor->report = (struct supervisor_report){0};
    supervisor->report_ns = 0;
}

static bool supervisor_term_group_of(void *data, pid_t pid)
{
    const struct supervisor *supervisor = data;

    if (getpgid(pid) == supervisor->command)
        kill(-supervisor->command, SIGTERM);
    return true;
}

// Once the command has been reaped, the number of its process group may belong to another
// group, unless a descendant of the supervisor is still in it.
static void supervisor_terminate(struct supervisor *supervisor)
{
    supervisor->is_doomed = true;
    if (supervisor->is_running)
        kill(-supervisor->command, SIGTERM);
    else
        descendants_walk(getpid(), supervisor_term_group_of, supervisor);
}

static void supervisor_begin_killing(struct supervisor *supervisor)
{
    supervisor->deadline_ns = 0;
    if (supervisor->is_killing)
        return;
    supervisor->is_killing = true;
    supervisor->pause_ms = SHORTEST_PAUSE_MS;
}

static void supervisor_let_go(struct supervisor *supervisor)
{
    if (supervisor->is_holding)
        close(HELD_FD);
    supervisor->is_holding = false;
}

static void supervisor_release(struct supervisor *supervisor)
{
    supervisor->is_released = true;
    if (supervisor->is_running || supervisor->is_killing || supervisor->is_doomed) {
        supervisor_begin_killing(supervisor);
        return;
    }
    supervisor_let_go(supervisor);
    supervisor->deadline_ns = 0;
    supervisor->report.what |= REPORT_GONE | REPORT_HOLDS;
    supervisor_tell(supervisor);
}

static void supervisor_obey(struct supervisor *supervisor)
{
    char order;
    ssize_t count = recv(CONTROL_FD, &order, sizeof order, MSG_DONTWAIT);

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        if (supervisor->is_released && !supervisor->is_killing)
            _exit(EXIT_SUCCESS);
        supervisor->is_alone = true;
        supervisor_begin_killing(supervisor);
    } else if (order == ORDER_TERM) {
        supervisor_terminate(supervisor);
    } else if (order == ORDER_KILL) {
        supervisor_begin_killing(supervisor);
    } else if (order == ORDER_RELEASE) {
        supervisor_release(supervisor);
    } else if (order == ORDER_LET_GO) {
        supervisor_let_go(supervisor);
    }
}

// --- Time and death

static enum frame_end supervisor_kind_of_end(const struct supervisor *supervisor, int status)
{
    if (!WIFSIGNALED(status))
        return FRAME_EXITED;
    return WTERMSIG(status) == SIGKILL && supervisor->group &&
                   cgroup_ran_out_of_memory(supervisor->group)
               ? FRAME_OUT_OF_MEMORY
               : FRAME_SIGNALED;
}

// Returns true if a child is left.
static bool supervisor_reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != supervisor->command)
            continue;
        supervisor->is_running = false;
        supervisor->report.what |= REPORT_ENDED;
        supervisor->report.kind = supervisor_kind_of_end(supervisor, status);
        supervisor->report.number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    }
    return pid == 0;
}

static void wait_shorten(uint64_t *wait_ns, uint64_t now, uint64_t when)
{
    uint64_t wait = when > now ? when - now : 0;

    if (wait < *wait_ns)
        *wait_ns = wait;
}

static void supervisor_wait(struct supervisor *supervisor)
{
    struct pollfd control = {.fd = supervisor->is_alone ? -1 : CONTROL_FD, .events = POLLIN};
    uint64_t now = loop_now_ns();
    uint64_t wait_ns = UINT64_MAX;
    struct timespec wait;
    sigset_t all_but_child;

    if (supervisor->deadline_ns)
        wait_shorten(&wait_ns, now, supervisor->deadline_ns);
    if (supervisor->report_ns)
        wait_shorten(&wait_ns, now, supervisor->report_ns);
    if (supervisor->is_killing)
        wait_shorten(&wait_ns, now, now + (uint64_t)supervisor->pause_ms * NS_PER_MS);
    wait.tv_sec = (time_t)(wait_ns / NS_PER_S);
    wait.tv_nsec = (long)(wait_ns % NS_PER_S);
    sigfillset(&all_but_child);
    sigdelset(&all_but_child, SIGCHLD);
    if (ppoll(&control, 1, wait_ns == UINT64_MAX ? NULL : &wait, &all_but_child) > 0)
        supervisor_obey(supervisor);
    now = loop_now_ns();
    if (supervisor->deadline_ns && now >= supervisor->deadline_ns)
        supervisor_begin_killing(supervisor);
    if (supervisor->report_ns && now >= supervisor->report_ns)
        supervisor_tell(supervisor);
}

static void supervisor_kill_round(struct supervisor *supervisor)
{
    if (supervisor->is_running)
        kill(-supervisor->command, SIGKILL);
    if (supervisor->group)
        cgroup_kill(supervisor->group);
    descendants_kill(getpid());
    supervisor->pause_ms *= 2;
    if (supervisor->pause_ms > LONGEST_PAUSE_MS)
        supervisor->pause_ms = LONGEST_PAUSE_MS;
}

// Runs until nothing is left of the job.
static void supervisor_supervise(struct supervisor *supervisor)
{
    while (supervisor_reap(supervisor)) {
        if (supervisor->report.what & REPORT_ENDED)
            supervisor_tell(supervisor);
        if (supervisor->is_killing)
            supervisor_kill_round(supervisor);
        supervisor_wait(supervisor);
    }
    cgroup_destroy(supervisor->group);
    supervisor->group = NULL;
    // The processes that lived on after the release have ended too; the agent heard GONE.
    if (supervisor->is_released && !supervisor->is_killing)
        _exit(EXIT_SUCCESS);
    supervisor_let_go(supervisor);
    supervisor->report.what |= REPORT_GONE;
    supervisor_tell(supervisor);
}

static bool supervisor_is_standby(const struct frame *start)
{
    return frame_number(start->payload) == WIRE_STANDBY;
}

// Waits for ORDER_START. Returns with the payload of START, and the streams of the command
// as descriptors 0 to 2, and perhaps HELD_FD; or ends the process.
static void supervisor_await_start(struct frame *start)
{
    static const struct streams streams = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, HELD_FD};
    static char order[1 + SUPERVISOR_MAX_START];
    struct iovec whole = {order, sizeof order};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof streams)];
    } control;
    struct msghdr message;
    ssize_t count;
    size_t size;

    do {
        message = (struct msghdr){.msg_iov = &whole,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof control};
        count = recvmsg(CONTROL_FD, &message, 0);
        if (count <= 0)
            _exit(EXIT_SUCCESS);
        // Any other order was for the last job, and came too late.
    } while (order[0] != ORDER_START);
    // Received descriptors get the lowest free numbers: 0, 1, 2 and HELD_FD.
    *start = (struct frame){.type = FRAME_START, .payload = order + 1, .length = (size_t)count - 1};
    size = sizeof streams.in * (STREAMS_OF_COMMAND + supervisor_is_standby(start));
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || message.msg_controllen == 0 ||
        control.header.cmsg_len != CMSG_LEN(size) ||
        memcmp(CMSG_DATA(&control.header), &streams, size) != 0)
        _exit(EXIT_FAILURE);
    if (supervisor_is_standby(start))
        fcntl(HELD_FD, F_SETFD, FD_CLOEXEC);
}

static void supervisor_begin(struct supervisor *supervisor, const struct frame *start)
{
    *supervisor =
        (struct supervisor){.spec = supervisor->spec, .is_holding = supervisor_is_standby(start)};
    supervisor_start_program(supervisor, start);
    // From now on only the command has its streams.
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
}

static void on_sigchld(int number)
{
    (void)number; // the handler only ends ppoll
}

_Noreturn void supervisor_run(const struct supervisor_spec *spec)
{
    struct sigaction action = {.sa_handler = on_sigchld};
    struct supervisor supervisor = {.spec = spec};
    struct frame start = *spec->start;
    sigset_t all;

    // Blocked, not ignored: a command would inherit an ignored signal, but unblocks all.
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigaction(SIGCHLD, &action, NULL);
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!descriptors_arrange(spec))
        _exit(EXIT_FAILURE);
    supervisor_begin(&supervisor, &start);
    spec->forget(spec->data);
    while (true) {
        supervisor_supervise(&supervisor);
        supervisor_await_start(&start);
        supervisor_begin(&supervisor, &start);
    }
}
