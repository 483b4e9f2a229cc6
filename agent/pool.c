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
    MAX_JOBS = 256, // of one supervisor, which has the memory that the agent had at its fork
    HURRY_MS = 500, // so long a supervisor may be busy with executing the command
    FIRST_PAUSE_MS = 1,
    LONGEST_PAUSE_MS = 250,
};

struct worker {
    struct list link;
    struct list in_idle;
    struct pool *pool;
    pid_t pid;
    int fd; // our end of the socket
    struct watch watch;
    struct timer hurry; // then one that cannot listen is killed
    unsigned jobs;      // that it has done
    bool is_killed;
    bool has_reported;
    bool is_to_end;          // the order to kill, or to let go, was given
    on_report_fn *on_report; // NULL: it has no job, or holds what its job has left
    void *data;
};

static void leave_idle(struct worker *worker)
{
    struct pool *pool = worker->pool;

    list_remove(&worker->in_idle);
    pool->idle_count--;
    if (pool->idle_count < pool->least_idle)
        pool->least_idle = pool->idle_count;
}

static void free_worker(struct worker *worker)
{
    struct pool *pool = worker->pool;

    if (!list_is_empty(&worker->in_idle))
        leave_idle(worker);
    list_remove(&worker->link);
    loop_disarm(pool->loop, &worker->hurry);
    loop_unwatch(pool->loop, &worker->watch);
    close_fd(&worker->fd);
    free(worker);
}

// --- What a supervisor has left when it died

struct heirs {
    const struct pool *pool;
    bool is_one_left;
};

static bool is_ours(const struct pool *pool, pid_t pid)
{
    for (struct list *link = pool->all.next; link != &pool->all; link = link->next)
        if (LIST_ENTRY(link, struct worker, link)->pid == pid)
            return true;
    return false;
}

static bool kill_heir(void *data, pid_t pid)
{
    struct heirs *heirs = data;

    if (is_ours(heirs->pool, pid))
        return false;
    kill(pid, SIGKILL);
    heirs->is_one_left = true;
    return true;
}

// Among our children are supervisors, the one that is not quite dead yet, and what
// it has left us.
static void on_inherit(void *data)
{
    struct pool *pool = data;
    struct heirs heirs = {.pool = pool};

    descendants_walk(getpid(), kill_heir, &heirs);
    if (!heirs.is_one_left) {
        pool->on_clear(pool->data);
        return;
    }
    loop_arm(pool->loop, &pool->inherit, pool->inherit_pause_ms);
    if (pool->inherit_pause_ms < LONGEST_PAUSE_MS)
        pool->inherit_pause_ms *= 2;
}

// --- Reports and orders

static void tell(struct worker *worker, const struct report *report)
{
    on_report_fn *on_report = worker->on_report;

    if (!report || report->what & REPORT_GONE)
        worker->on_report = NULL;
    if (on_report)
        on_report(worker->data, report);
}

static void lose(struct worker *worker)
{
    struct pool *pool = worker->pool;

    if (worker->on_report) {
        pool->inherit_pause_ms = FIRST_PAUSE_MS;
        loop_arm(pool->loop, &pool->inherit, 0);
        tell(worker, NULL);
    }
    free_worker(worker);
}

static void rest(struct worker *worker)
{
    struct pool *pool = worker->pool;

    if (++worker->jobs == MAX_JOBS || pool->idle_count == MAX_IDLE) {
        free_worker(worker);
        return;
    }
    list_append(&pool->idle, &worker->in_idle);
    pool->idle_count++;
}

static void hear(struct worker *worker, const struct report *report)
{
    struct pool *pool = worker->pool;

    worker->has_reported = true;
    if (!worker->is_to_end || report->what & REPORT_GONE)
        loop_disarm(pool->loop, &worker->hurry);
    tell(worker, report);
    if (!(report->what & REPORT_GONE))
        return;
    if (pool->is_ending)
        free_worker(worker);
    else if (!(report->what & REPORT_HOLDS)) // else it has nothing to say but its end
        rest(worker);
    if (report->what & REPORT_FAILED && report->stage == FRAME_AT_RESOURCES)
        pool_shed(pool);
}

static void on_readable(void *data, uint32_t events)
{
    struct worker *worker = data;
    struct report report;
    ssize_t count = recv(worker->fd, &report, sizeof report, MSG_DONTWAIT);

    (void)events;
    // An order came too late for it; what it said before comes now.
    if (count < 0 && errno == ECONNRESET)
        count = recv(worker->fd, &report, sizeof report, MSG_DONTWAIT);
    if (count == sizeof report)
        hear(worker, &report);
    else if (count >= 0 || (errno != EAGAIN && errno != EINTR))
        lose(worker);
}

// For one that does not listen. As long as it has not said its last, and its end of
// the socket is open, it has not been reaped, and the number is its own. But once it was
// killed, a command that is being executed may still have that end.
static void kill_worker(struct worker *worker)
{
    char byte;

    if (worker->is_killed || recv(worker->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
        errno != EAGAIN)
        return;
    worker->is_killed = true;
    kill(worker->pid, SIGKILL);
}

static void on_hurry(void *data)
{
    struct worker *worker = data;
    int unread = 0;

    // One that has read its orders may be busy with killing. TIOCOUTQ is what
    // unix(7) has as SIOCOUTQ.
    if (!worker->has_reported || ioctl(worker->fd, TIOCOUTQ, &unread) < 0 || unread > 0)
        kill_worker(worker);
}

static void hurry(struct worker *worker, uint64_t delay_ms)
{
    if (loop_arm(worker->pool->loop, &worker->hurry, delay_ms) < 0)
        kill_worker(worker);
}

void worker_order(struct worker *worker, enum supervisor_order what)
{
    char byte = (char)what;

    if (send(worker->fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EAGAIN &&
        what != ORDER_TERM)
        kill_worker(worker);
    if (what == ORDER_TERM)
        return;
    worker->is_to_end = true;
    hurry(worker, HURRY_MS);
}

void worker_leave(struct worker *worker)
{
    free_worker(worker);
}

// --- The start

// Whether an idle one has been given the job. From then on the job is lost if it dies:
// nobody knows whether it had read that.
static bool hand_over(struct worker *worker, const struct frame *start,
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
        .header = {.cmsg_len = CMSG_LEN(sizeof *streams),
                   .cmsg_level = SOL_SOCKET,
                   .cmsg_type = SCM_RIGHTS}
    };
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = sizeof parts / sizeof parts[0],
                             .msg_control = &control,
                             .msg_controllen = sizeof control};

    memcpy(CMSG_DATA(&control.header), streams, sizeof *streams);
    return sendmsg(worker->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

// NULL: there is none that would take it.
static struct worker *reuse(struct pool *pool, const struct frame *start,
                            const struct streams *streams)
{
    while (start->length <= SUPERVISOR_MAX_START && !list_is_empty(&pool->idle)) {
        struct worker *worker = LIST_ENTRY(pool->idle.previous, struct worker, in_idle);
        if (!hand_over(worker, start, streams)) {
            free_worker(worker);
            continue;
        }
        leave_idle(worker);
        return worker;
    }
    return NULL;
}

static int spawn(struct worker *worker, const struct frame *start, const struct streams *streams)
{
    const struct pool *pool = worker->pool;
    const pid_t agent = getpid();
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
            .agent = agent,
            .descriptors = &pool->descriptors,
            .forget = pool->forget,
            .data = pool->data,
        });
    return worker->pid < 0 ? -errno : 0;
}

static int create(struct pool *pool, const struct frame *start, const struct streams *streams,
                  struct worker **created)
{
    struct worker *worker = calloc(1, sizeof *worker);
    int result;

    if (!worker)
        return -ENOMEM;
    worker->pool = pool;
    worker->fd = -1;
    worker->watch = (struct watch){.fd = -1, .on_ready = on_readable, .data = worker};
    worker->hurry = (struct timer){.on_time = on_hurry, .data = worker};
    list_init(&worker->in_idle);
    list_init(&worker->link);
    list_append(&pool->all, &worker->link);
    result = spawn(worker, start, streams);
    if (result < 0)
        free_worker(worker);
    else
        *created = worker;
    return result;
}

int pool_start(struct pool *pool, const struct frame *start, const struct streams *streams,
               on_report_fn *on_report, void *data, struct worker **started)
{
    uint32_t time_limit_ms = frame_number(start->payload);
    struct worker *worker = reuse(pool, start, streams);
    int result = worker ? 0 : create(pool, start, streams, &worker);

    if (result < 0) {
        pool_shed(pool);
        return result;
    }
    worker->has_reported = false;
    worker->is_to_end = false;
    worker->on_report = on_report;
    worker->data = data;
    if (time_limit_ms > 0)
        hurry(worker, (uint64_t)time_limit_ms + HURRY_MS);
    *started = worker;
    return 0;
}

// --- All of them

void pool_init(struct pool *pool)
{
    list_init(&pool->all);
    list_init(&pool->idle);
    pool->inherit = (struct timer){.on_time = on_inherit, .data = pool};
}

static void send_away(struct pool *pool, size_t count)
{
    for (; count > 0; count--)
        free_worker(LIST_ENTRY(pool->idle.next, struct worker, in_idle));
}

void pool_trim(struct pool *pool)
{
    send_away(pool, pool->least_idle);
    pool->least_idle = pool->idle_count;
}

void pool_shed(struct pool *pool)
{
    send_away(pool, pool->idle_count);
}

static void free_workers(struct pool *pool, bool is_for_all)
{
    struct list *next;

    for (struct list *link = pool->all.next; link != &pool->all; link = next) {
        struct worker *worker = LIST_ENTRY(link, struct worker, link);
        next = link->next;
        if (is_for_all || !worker->on_report)
            free_worker(worker);
    }
}

void pool_end(struct pool *pool)
{
    pool->is_ending = true;
    free_workers(pool, false);
}

void pool_finish(struct pool *pool)
{
    free_workers(pool, true);
    loop_disarm(pool->loop, &pool->inherit);
}
