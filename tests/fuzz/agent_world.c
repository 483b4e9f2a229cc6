// SPDX-License-Identifier: Apache-2.0
#include "agent_world.h"

#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

enum {
    PIPE_SIZE = 1 << 20,
    FAKE_PID = 0x40000000, // higher than any real process number
};

static struct world *current;

// --- Functions that replace functions of the C library

int __real_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags);
int __real_socketpair(int domain, int type, int protocol, int ends[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ends[2]);
int __real_epoll_wait(int fd, struct epoll_event *events, int count, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout);
void __wrap_descendants_walk(pid_t root, bool (*visit)(void *data, pid_t pid), void *data);
pid_t __wrap_fork(void);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_kill(pid_t pid, int number);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static void close_command(struct world_job *job)
{
    close_fd(&job->in_fd);
    close_fd(&job->out_fds[0]);
    close_fd(&job->out_fds[1]);
}

// Keeps an end of the command. No command runs, and this process must not block on the end.
static void keep(int fd)
{
    FUZZ_CHECK(current->far_count < 4, "more than four");
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    current->far[current->far_count++] = fd;
}

// The first pipe of a job is stdin: the command has its reading end.
int __wrap_pipe2(int ends[2], int flags)
{
    int result = __real_pipe2(ends, flags);

    if (result == 0)
        keep(ends[current->far_count > 0]);
    return result;
}

int __wrap_socketpair(int domain, int type, int protocol, int ends[2])
{
    int result = __real_socketpair(domain, type, protocol, ends);

    if (result == 0)
        keep(ends[1]);
    return result;
}

static void take_streams(struct world_job *job, const int ends[3])
{
    job->in_fd = ends[0];
    job->out_fds[0] = ends[1];
    job->out_fds[1] = ends[2];
    current->far_count = 0;
}

static struct world_job *begin_job(int far_count)
{
    struct world_job *job = &current->jobs[current->begun++];

    FUZZ_CHECK(current->begun <= current->started, "a job that nobody started");
    FUZZ_CHECK(current->far_count == far_count, "%d ends", current->far_count);
    return job;
}

static void employ(struct world_supervisor *supervisor, struct world_job *job)
{
    supervisor->job = job;
    job->supervisor = supervisor;
}

pid_t __wrap_fork(void)
{
    struct world_job *job = begin_job(4);

    take_streams(job, current->far);
    if (current->fork_fails) {
        close_command(job);
        close(current->far[3]);
        errno = EAGAIN;
        return -1;
    }
    current->supervisors[current->forked].control_fd = current->far[3];
    employ(&current->supervisors[current->forked], job);
    return FAKE_PID + (pid_t)++current->forked;
}

// Receives one message for SUPERVISOR. Returns its length, or less than 1.
static ssize_t hear_order(const struct world_supervisor *supervisor, char *order, size_t size,
                          int ends[3])
{
    struct iovec part = {order, size};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(3 * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t count = recvmsg(supervisor->control_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (count <= 0 || order[0] != ORDER_START)
        return count;
    FUZZ_CHECK(!(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)), "a START that is too long");
    FUZZ_CHECK(control.header.cmsg_len == CMSG_LEN(3 * sizeof(int)), "not three streams");
    memcpy(ends, CMSG_DATA(&control.header), 3 * sizeof(int));
    return count;
}

static bool is_same(int one, int other)
{
    struct stat stats[2];

    return fstat(one, &stats[0]) == 0 && fstat(other, &stats[1]) == 0 &&
           stats[0].st_ino == stats[1].st_ino;
}

// Returns true if SUPERVISOR, which is idle, has got a START. Orders before it came too late
// for the last job, and are ignored.
static bool hear_start(struct world_supervisor *supervisor)
{
    static char order[2 * SUPERVISOR_MAX_START];
    struct world_job *job;
    int ends[3];
    ssize_t count;

    do
        count = hear_order(supervisor, order, sizeof order, ends);
    while (count > 0 && order[0] != ORDER_START);
    if (count <= 0)
        return false;
    job = begin_job(3);
    FUZZ_CHECK((size_t)count == 1 + job->start_length && count <= 1 + SUPERVISOR_MAX_START,
               "a START of %zd bytes", count);
    for (int i = 0; i < 3; i++) {
        FUZZ_CHECK(is_same(ends[i], current->far[i]), "another job's streams");
        close(current->far[i]);
    }
    take_streams(job, ends);
    employ(supervisor, job);
    return true;
}

// Sends a START to a supervisor that waits for one.
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t result = __real_sendmsg(fd, message, flags);
    int hearers = 0;

    for (uint32_t i = 0; result > 0 && i < current->forked; i++)
        if (current->supervisors[i].control_fd >= 0 && !current->supervisors[i].job)
            hearers += hear_start(&current->supervisors[i]);
    FUZZ_CHECK(hearers == (result > 0), "%d supervisors have it", hearers);
    return result;
}

// Ends the supervisor that is killed.
int __wrap_kill(pid_t pid, int number)
{
    struct world_supervisor *supervisor;

    FUZZ_CHECK(pid > FAKE_PID && pid <= FAKE_PID + (pid_t)current->forked, "kill(%d)", (int)pid);
    FUZZ_CHECK(number == SIGKILL, "signal %d", number);
    supervisor = &current->supervisors[pid - FAKE_PID - 1];
    FUZZ_CHECK(supervisor->control_fd >= 0, "killed after its end");
    FUZZ_CHECK(supervisor->job, "killed though it has no job");
    close_fd(&supervisor->control_fd);
    return 0;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    (void)pid;
    (void)status;
    (void)options;
    errno = ECHILD;
    return -1;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!current)
        return __real_clock_gettime(clock, now);
    now->tv_sec = (time_t)(current->now_ms / 1000);
    now->tv_nsec = (long)(current->now_ms % 1000) * 1000000;
    return 0;
}

// Does nothing: the children of this process are libFuzzer's.
void __wrap_descendants_walk(pid_t root, bool (*visit)(void *data, pid_t pid), void *data)
{
    (void)root;
    (void)visit;
    (void)data;
}

static void note_silence(struct world *world)
{
    if (world->now_ms - world->sent_ms >= WIRE_SILENCE_MS)
        world->is_silent = true;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    int result;

    if (!current->is_ended)
        world_step(current);
    // A step can take time, whether a descriptor is ready or not.
    note_silence(current);
    result = __real_epoll_wait(fd, events, count, 0);
    if (result != 0 || timeout == 0)
        return result;
    // No descriptor is ready: time passes.
    FUZZ_CHECK(timeout > 0 || !current->is_ended, "it waits for ever");
    if (current->is_ended)
        current->now_ms += (uint64_t)timeout;
    note_silence(current);
    return 0;
}

// --- The daemon

unsigned char world_pattern(uint32_t number, size_t offset)
{
    return (unsigned char)(number * 101 + offset * 7 + (offset >> 8));
}

void world_send(struct world *world, const char *bytes, size_t size)
{
    note_silence(world);
    if (size == 0)
        return;
    world->sent_ms = world->now_ms;
    // The pipe is large. A write that does not fit into it ends the connection.
    if (write(world->to_agent, bytes, size) != (ssize_t)size)
        world_end(world);
}

void world_send_ping(struct world *world)
{
    AUTO(buffer_finish) struct buffer out = {0};

    frame_append(&out, 0, FRAME_PING, NULL, 0);
    world_send(world, out.data, out.length);
}

static void hear_output(struct world_job *job, int which, const struct frame *frame)
{
    FUZZ_CHECK(frame->length <= job->window[which], "job %u: beyond its window", job->number);
    FUZZ_CHECK(!job->has_output_ended[which], "job %u: bytes after the end", job->number);
    for (size_t i = 0; i < frame->length; i++)
        FUZZ_CHECK((unsigned char)frame->payload[i] ==
                       world_pattern(job->number, job->received[which] + i),
                   "job %u: a wrong byte", job->number);
    job->received[which] += frame->length;
    FUZZ_CHECK(job->received[which] <= job->written[which], "bytes that nobody wrote");
    job->window[which] -= (uint32_t)frame->length;
    job->owed[which] += (uint32_t)frame->length;
}

static void hear_end(struct world_job *job, const struct frame *frame)
{
    if (frame->type == FRAME_ENDED) {
        FUZZ_CHECK(job->is_started && job->has_reported_end, "an end that was not");
        job->has_ended = true;
    } else {
        FUZZ_CHECK(frame->type != FRAME_FAILED || !job->is_started, "it failed and started");
    }
    FUZZ_CHECK(!job->is_over, "it is over twice");
    job->is_over = true;
}

static void hear_gone(struct world_job *job)
{
    FUZZ_CHECK(job->is_released || job->is_over, "job %u: GONE without an end", job->number);
    FUZZ_CHECK(job->is_released || !job->has_ended ||
                   (job->has_output_ended[0] && job->has_output_ended[1]),
               "job %u: GONE before its outputs", job->number);
    job->is_gone = true;
}

static void hear_job(struct world_job *job, const struct frame *frame)
{
    FUZZ_CHECK(!job->is_gone, "job %u: after GONE", job->number);
    FUZZ_CHECK(!job->is_over || job->has_ended || frame->type == FRAME_GONE, "after the last");
    switch (frame->type) {
    case FRAME_STARTED:
        FUZZ_CHECK(!job->is_started, "started twice");
        job->is_started = true;
        break;
    case FRAME_STDOUT:
    case FRAME_STDERR:
        FUZZ_CHECK(job->is_started, "output before the start");
        hear_output(job, frame->type == FRAME_STDERR, frame);
        break;
    case FRAME_STDOUT_END:
    case FRAME_STDERR_END:
        FUZZ_CHECK(!job->has_output_ended[frame->type == FRAME_STDERR_END], "ended twice");
        job->has_output_ended[frame->type == FRAME_STDERR_END] = true;
        break;
    case FRAME_STDIN_CREDIT:
        job->stdin_window += frame_number(frame->payload);
        FUZZ_CHECK(job->is_stdin_unsure || job->stdin_window <= WIRE_STDIN_WINDOW,
                   "more credit than was used");
        break;
    case FRAME_GONE:
        hear_gone(job);
        break;
    case FRAME_STDIN_CLOSED:
        break;
    default:
        hear_end(job, frame);
    }
}

static void hear(struct world *world, const struct frame *frame)
{
    FUZZ_CHECK(world->has_hello == (frame->type != FRAME_HELLO), "HELLO is the first, and once");
    world->has_hello = true;
    if (frame->job == 0)
        return;
    FUZZ_CHECK(!world->is_legal || frame->job <= world->started, "job %u", frame->job);
    if (frame->job <= world->started)
        hear_job(&world->jobs[frame->job - 1], frame);
}

void world_receive(struct world *world)
{
    static char bytes[WIRE_MAX_PAYLOAD];
    struct buffer *in = &world->received;
    struct frame frame;
    ssize_t length;
    size_t at = 0;

    do {
        length = read(world->from_agent, bytes, sizeof bytes);
        buffer_append(in, bytes, length > 0 ? (size_t)length : 0);
    } while (length > 0);
    if (in->length == 0)
        return;
    while ((length = frame_parse(in->data + at, in->length - at, FROM_AGENT, &frame)) > 0) {
        hear(world, &frame);
        at += (size_t)length;
    }
    FUZZ_CHECK(length == 0, "the agent sent no frame");
    buffer_drop(in, at);
}

// --- Supervisors and commands

static bool is_supervised(const struct world_job *job)
{
    return job->supervisor->job == job && job->supervisor->control_fd >= 0 &&
           !job->supervisor->is_holding;
}

static void report(struct world_job *job, struct supervisor_report what)
{
    if (is_supervised(job))
        send(job->supervisor->control_fd, &what, sizeof what, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void report_start(struct world_job *job)
{
    if (!job->has_reported_start)
        report(job, (struct supervisor_report){.what = REPORT_STARTED});
    job->has_reported_start = true;
}

static void command_write(struct world_job *job, int which, unsigned count)
{
    char bytes[8192];
    size_t size = count % sizeof bytes;
    ssize_t taken;

    if (job->out_fds[which] < 0 || (job->has_reported_end && !job->has_reported_start))
        return;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)world_pattern(job->number, job->written[which] + i);
    taken = write(job->out_fds[which], bytes, size);
    job->written[which] += taken > 0 ? (size_t)taken : 0;
}

static void command_read(struct world_job *job)
{
    char bytes[32768];
    ssize_t count = job->in_fd < 0 ? 0 : read(job->in_fd, bytes, sizeof bytes);

    for (ssize_t i = 0; i < count; i++)
        FUZZ_CHECK((unsigned char)bytes[i] ==
                       world_pattern(job->number, job->stdin_read + (size_t)i),
                   "job %u: a wrong byte of stdin", job->number);
    job->stdin_read += count > 0 ? (size_t)count : 0;
    FUZZ_CHECK(job->stdin_read <= job->stdin_sent, "bytes that nobody sent");
}

// The supervisor is idle now, or dead.
static void leave_supervisor(struct world_job *job, bool is_dead)
{
    job->supervisor->job = NULL;
    if (is_dead)
        close_fd(&job->supervisor->control_fd);
}

static void fail_command(struct world_job *job, bool is_dead)
{
    if (!is_supervised(job) || job->has_reported_start || job->has_reported_end ||
        job->written[0] + job->written[1] > 0)
        return;
    report(job, (struct supervisor_report){
                    .what = REPORT_FAILED | REPORT_GONE, .stage = FRAME_AT_EXEC, .number = ENOENT});
    job->has_reported_end = true;
    close_command(job);
    leave_supervisor(job, is_dead);
}

static void end_command(struct world_job *job, unsigned number)
{
    unsigned char what = REPORT_ENDED | (job->has_reported_start ? 0 : REPORT_STARTED);

    if (job->has_reported_end)
        return;
    job->has_reported_start = job->has_reported_end = true;
    close_fd(&job->in_fd);
    report(job, (struct supervisor_report){.what = what, .number = (int)(number & 0xff)});
}

static void end_job(struct world_job *job, unsigned choice)
{
    bool is_holding = (choice & 2) && job->is_released;

    if (!is_supervised(job) || !job->has_reported_end)
        return;
    report(job, (struct supervisor_report){.what = REPORT_GONE | (is_holding ? REPORT_HOLDS : 0)});
    if (is_holding) {
        job->supervisor->is_holding = true;
        return;
    }
    close_command(job);
    leave_supervisor(job, choice & 1);
}

void world_act(struct world *world, unsigned what, struct world_job *job)
{
    if (!job || !job->supervisor)
        return;
    if (what == 0)
        report_start(job);
    else if (what == 1 || what == 2)
        command_write(job, (int)what - 1, fuzz_number16(&world->input));
    else if (what == 3)
        command_read(job);
    else if (what == 4)
        close_fd(&job->in_fd);
    else if (what == 5)
        close_fd(&job->out_fds[fuzz_byte(&world->input) & 1]);
    else if (what == 6)
        fail_command(job, fuzz_byte(&world->input) & 1);
    else if (what == 7)
        end_command(job, fuzz_byte(&world->input));
    else if (what == 8)
        end_job(job, fuzz_byte(&world->input));
    else
        close_fd(
            &job->supervisor->control_fd); // the supervisor was killed, perhaps while it was idle
}

// --- Beginning and end

void world_end(struct world *world)
{
    world->is_ended = true;
    close_fd(&world->to_agent);
    for (uint32_t i = 0; i < WORLD_JOBS; i++) {
        close_command(&world->jobs[i]);
        close_fd(&world->supervisors[i].control_fd);
    }
}

static void make_pipe(int ends[2])
{
    FUZZ_CHECK(__real_pipe2(ends, O_CLOEXEC) == 0, "no pipe");
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
}

struct world *world_create(const uint8_t *bytes, size_t size)
{
    struct world *world = calloc(1, sizeof *world);
    int in[2];
    int out[2];

    FUZZ_CHECK(world, "no memory");
    signal(SIGPIPE, SIG_IGN);
    make_pipe(in);
    make_pipe(out);
    world->agent_in = in[0];
    world->to_agent = in[1];
    world->from_agent = out[0];
    world->agent_out = out[1];
    world->input = (struct fuzz_input){bytes, size};
    world->is_legal = true;
    world->now_ms = 1000;
    world->sent_ms = 1000;
    for (uint32_t i = 0; i < WORLD_JOBS; i++) {
        world->supervisors[i].control_fd = -1;
        world->jobs[i] = (struct world_job){
            .number = i + 1,
            .in_fd = -1,
            .out_fds = {-1,                 -1                },
            .stdin_window = WIRE_STDIN_WINDOW,
            .window = {WIRE_OUTPUT_WINDOW, WIRE_OUTPUT_WINDOW},
        };
    }
    current = world;
    return world;
}

void world_destroy(struct world *world)
{
    close_fd(&world->agent_in);
    close_fd(&world->agent_out);
    close_fd(&world->from_agent);
    buffer_finish(&world->received);
    current = NULL;
    free(world);
}
