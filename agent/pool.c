// SPDX-License-Identifier: Apache-2.0
#include "pool.h"

#include "cleanup.h"
#include "descendants.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    MAX_IDLE = 32,
    MAX_JOBS = 256, // of a supervisor, which holds the memory that the agent had at the fork
    HURRY_MS = 500, // the time that a supervisor may take to execute the command
    FIRST_PAUSE_MS = 1,
    LONGEST_PAUSE_MS = 250,
};

struct pool_worker {
    struct list link;
    struct list in_idle;
    struct pool *pool;
    pid_t pid;
    int fd; // the agent's end of the socket
    struct watch watch;
    struct timer hurry; // at its end a supervisor that does not listen is killed
    unsigned jobs;      // the number of jobs that it has done
    bool is_killed;
    bool has_reported;
    bool is_to_end;          // it was given ORDER_KILL or ORDER_RELEASE
    on_report_fn *on_report; // NULL: it has no job, or only processes that its job has left
    void *data;
};

static void worker_leave_idle(struct pool_worker *worker)
{
    struct pool *pool = worker->pool;

    list_remove(&worker->in_idle);
    pool->idle_count--;
    if (pool->idle_count < pool->least_idle)
        pool->least_idle = pool->idle_count;
}

static void worker_free(struct pool_worker *worker)
{
    struct pool *pool = worker->pool;

    if (!list_is_empty(&worker->in_idle))
        worker_leave_idle(worker);
    list_remove(&worker->link);
    loop_disarm(pool->loop, &worker->hurry);
    loop_unwatch(pool->loop, &worker->watch);
    close_fd(&worker->fd);
    free(worker);
}

// --- Processes that a dead supervisor has left

struct heirs {
    const struct pool *pool;
    bool is_one_left;
};

static bool pool_has(const struct pool *pool, pid_t pid)
{
    for (struct list *link = pool->all.next; link != &pool->all; link = link->next)
        if (LIST_ENTRY(link, struct pool_worker, link)->pid == pid)
            return true;
    return false;
}

static bool heirs_kill_one(void *data, pid_t pid)
{
    struct heirs *heirs = data;

    if (pool_has(heirs->pool, pid))
        return false;
    kill(pid, SIGKILL);
    heirs->is_one_left = true;
    return true;
}

// The agent's children are the supervisors, perhaps a supervisor that is dying, and the processes
// that a dead supervisor has left.
static void on_pool_inherit(void *data)
{
    struct pool *pool = data;
    struct heirs heirs = {.pool = pool};

    descendants_walk(getpid(), heirs_kill_one, &heirs);
    if (!heirs.is_one_left) {
        pool->on_clear(pool->data);
        return;
    }
    loop_arm(pool->loop, &pool->inherit, pool->inherit_pause_ms);
    if (pool->inherit_pause_ms < LONGEST_PAUSE_MS)
        pool->inherit_pause_ms *= 2;
}

// --- Reports and orders

static void worker_tell(struct pool_worker *worker, const struct supervisor_report *report)
{
    on_report_fn *on_report = worker->on_report;

    if (!report || report->what & REPORT_GONE)
        worker->on_report = NULL;
    if (on_report)
        on_report(worker->data, report);
}

static void worker_lose(struct pool_worker *worker)
{
    struct pool *pool = worker->pool;

    if (worker->on_report) {
        pool->inherit_pause_ms = FIRST_PAUSE_MS;
        loop_arm(pool->loop, &pool->inherit, 0);
        worker_tell(worker, NULL);
    }
    worker_free(worker);
}

static void worker_rest(struct pool_worker *worker)
{
    struct pool *pool = worker->pool;

    if (++worker->jobs == MAX_JOBS || pool->idle_count == MAX_IDLE) {
        worker_free(worker);
        return;
    }
    list_append(&pool->idle, &worker->in_idle);
    pool->idle_count++;
}

static void worker_hear(struct pool_worker *worker, const struct supervisor_report *report)
{
    struct pool *pool = worker->pool;

    worker->has_reported = true;
    if (!worker->is_to_end || report->what & REPORT_GONE)
        loop_disarm(pool->loop, &worker->hurry);
    worker_tell(worker, report);
    if (!(report->what & REPORT_GONE))
        return;
    if (pool->is_ending)
        worker_free(worker);
    else if (!(report->what & REPORT_HOLDS)) // otherwise only its end will be heard
        worker_rest(worker);
    if (report->what & REPORT_FAILED && report->stage == FRAME_AT_RESOURCES)
        pool_shed(pool);
}

static void on_worker_readable(void *data, uint32_t events)
{
    struct pool_worker *worker = data;
    struct supervisor_report report;
    ssize_t count = recv(worker->fd, &report, sizeof report, MSG_DONTWAIT);

    (void)events;
    // The supervisor had ended before it read an order; its last reports come now.
    if (count < 0 && errno == ECONNRESET)
        count = recv(worker->fd, &report, sizeof report, MSG_DONTWAIT);
    if (count == sizeof report)
        worker_hear(worker, &report);
    else if (count >= 0 || (errno != EAGAIN && errno != EINTR))
        worker_lose(worker);
}

// Kills a supervisor that does not listen. While its last report has not come and its end
// of the socket is open, it has not been reaped, so that the pid is still its own. There is
// no second kill: after the first, a process that is just executing the command may be the
// one that holds that end open.
static void worker_kill(struct pool_worker *worker)
{
    char byte;

    if (worker->is_killed || recv(worker->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
        errno != EAGAIN)
        return;
    worker->is_killed = true;
    kill(worker->pid, SIGKILL);
}

static void on_worker_hurry(void *data)
{
    struct pool_worker *worker = data;
    int unread = 0;

    // A supervisor that has read its orders may be busy killing. unix(7) calls TIOCOUTQ
    // SIOCOUTQ.
    if (!worker->has_reported || ioctl(worker->fd, TIOCOUTQ, &unread) < 0 || unread > 0)
        worker_kill(worker);
}

static void worker_hurry(struct pool_worker *worker, uint64_t delay_ms)
{
    if (loop_arm(worker->pool->loop, &worker->hurry, delay_ms) < 0)
        worker_kill(worker);
}

void pool_order(struct pool_worker *worker, enum supervisor_order what)
{
    char byte = (char)what;

    if (send(worker->fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EAGAIN &&
        what != ORDER_TERM)
        worker_kill(worker);
    if (what == ORDER_TERM || what == ORDER_LET_GO)
        return;
    worker->is_to_end = true;
    worker_hurry(worker, HURRY_MS);
}

void pool_leave(struct pool_worker *worker)
{
    worker_free(worker);
}

// --- The start

// Gives the job to an idle supervisor. Returns true if that succeeded. If the supervisor
// dies from then on, the job is lost: nobody knows whether it has read the order.
static bool worker_hand_over(struct pool_worker *worker, const struct frame *start,
                             const struct streams *streams)
{
    char order = ORDER_START;
    struct iovec parts[] = {
        {&order,                 sizeof order },
        {(char *)start->payload, start->length}
    };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof *streams)];
    } control = {
        .header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}
    };
    size_t size = sizeof streams->in * (STREAMS_OF_COMMAND + (streams->held >= 0));
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = sizeof parts / sizeof parts[0],
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(size)};

    control.header.cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(&control.header), streams, size);
    return sendmsg(worker->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

// Returns an idle supervisor that has taken the job, or NULL.
static struct pool_worker *pool_reuse(struct pool *pool, const struct frame *start,
                                      const struct streams *streams)
{
    while (start->length <= SUPERVISOR_MAX_START && !list_is_empty(&pool->idle)) {
        struct pool_worker *worker = LIST_ENTRY(pool->idle.previous, struct pool_worker, in_idle);
        if (!worker_hand_over(worker, start, streams)) {
            worker_free(worker);
            continue;
        }
        worker_leave_idle(worker);
        return worker;
    }
    return NULL;
}

static int worker_spawn(struct pool_worker *worker, const struct frame *start,
                        const struct streams *streams)
{
    const struct pool *pool = worker->pool;
    const pid_t agent_pid = getpid();
    AUTO_CLOSE int far = -1;
    int control[2];
    int result;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
        return -errno;
    worker->fd = control[0];
    far = control[1];
    result = loop_watch(pool->loop, &worker->watch, worker->fd, EPOLLIN);
    if (result < 0)
        return result;
    worker->pid = fork();
    if (worker->pid == 0)
        supervisor_run(&(struct supervisor_spec){
            .start = start,
            .own_env = pool->own_env,
            .streams = *streams,
            .control_fd = far,
            .agent_pid = agent_pid,
            .descriptors = &pool->descriptors,
            .forget = pool->forget,
            .data = pool->data,
        });
    return worker->pid < 0 ? -errno : 0;
}

static int worker_create(struct pool *pool, const struct frame *start,
                         const struct streams *streams, struct pool_worker **created)
{
    struct pool_worker *worker = calloc(1, sizeof *worker);
    int result;

    if (!worker)
        return -ENOMEM;
    worker->pool = pool;
    worker->fd = -1;
    worker->watch = (struct watch){.fd = -1, .on_ready = on_worker_readable, .data = worker};
    worker->hurry = (struct timer){.on_time = on_worker_hurry, .data = worker};
    list_init(&worker->in_idle);
    list_init(&worker->link);
    list_append(&pool->all, &worker->link);
    result = worker_spawn(worker, start, streams);
    if (result < 0)
        worker_free(worker);
    else
        *created = worker;
    return result;
}

int pool_start(struct pool *pool, const struct frame *start, const struct streams *streams,
               on_report_fn *on_report, void *data, struct pool_worker **started)
{
    uint32_t time_limit_ms = frame_number(start->payload);
    struct pool_worker *worker = pool_reuse(pool, start, streams);
    int result = worker ? 0 : worker_create(pool, start, streams, &worker);

    if (result < 0) {
        pool_shed(pool);
        return result;
    }
    worker->has_reported = false;
    worker->is_to_end = false;
    worker->on_report = on_report;
    worker->data = data;
    if (time_limit_ms > 0 && time_limit_ms != WIRE_STANDBY)
        worker_hurry(worker, (uint64_t)time_limit_ms + HURRY_MS);
    *started = worker;
    return 0;
}

// --- The whole pool

void pool_init(struct pool *pool)
{
    list_init(&pool->all);
    list_init(&pool->idle);
    pool->inherit = (struct timer){.on_time = on_pool_inherit, .data = pool};
}

static void pool_send_away(struct pool *pool, size_t count)
{
    for (; count > 0; count--)
        worker_free(LIST_ENTRY(pool->idle.next, struct pool_worker, in_idle));
}

void pool_trim(struct pool *pool)
{
    pool_send_away(pool, pool->least_idle);
    pool->least_idle = pool->idle_count;
}

void pool_shed(struct pool *pool)
{
    pool_send_away(pool, pool->idle_count);
}

static void pool_free_workers(struct pool *pool, bool is_for_all)
{
    struct list *next;

    for (struct list *link = pool->all.next; link != &pool->all; link = next) {
        struct pool_worker *worker = LIST_ENTRY(link, struct pool_worker, link);
        next = link->next;
        if (is_for_all || !worker->on_report)
            worker_free(worker);
    }
}

void pool_end(struct pool *pool)
{
    pool->is_ending = true;
    pool_free_workers(pool, false);
}

void pool_finish(struct pool *pool)
{
    pool_free_workers(pool, true);
    loop_disarm(pool->loop, &pool->inherit);
}
