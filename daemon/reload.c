// SPDX-License-Identifier: Apache-2.0
#include "reload.h"

#include "cleanup.h"
#include "commands.h"
#include "log.h"
#include "sandbox.h"
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    ANSWER_MS = 60 * 1000,          // the time that all look-ups together may take
    MAX_ROUNDS = 5,                 // the file may change while names are looked up
    MAX_ANSWERS = 16 * 1024 * 1024, // bytes
    READ_SIZE = 16 * 1024,
};

// A process that asks the user database. After it was killed, it stays in the list of askers
// until it has ended, but the reload does not wait for it any more.
struct asker {
    struct list link;
    struct reload *reload;
    pid_t pid;
    int fd; // the end of the pipe from which its answers come
    struct watch watch;
    struct buffer answers;
};

struct reload {
    struct loop *loop;
    const char *path;
    void (*on_done)(void *data, struct config *config);
    void *data;
    struct users *users; // NULL: no reload has begun
    unsigned rounds;
    struct asker *asker; // NULL: nobody asks
    struct timer timeout;
    struct list askers;
};

static void reload_try(struct reload *reload);

static void reload_fail(struct reload *reload, const char *reason)
{
    log_error("%s; the configuration of before stays", reason);
    users_destroy(take_ptr(&reload->users));
    reload->on_done(reload->data, NULL);
}

// --- The process that asks

static _Noreturn void asker_run(const struct users *users, int fd)
{
    // This process must keep no descriptor of the daemon open. With /dev/fuse the mount would
    // outlive the daemon; with the pipes of commands, a command would never see the end of
    // its stdin.
    int kept = dup2(fd, STDERR_FILENO + 1);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (kept < 0 || syscall(SYS_close_range, (unsigned)kept + 1, UINT_MAX, 0) < 0)
        _exit(EXIT_FAILURE);
    _exit(users_ask(users, kept) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void asker_destroy(struct asker *asker)
{
    struct reload *reload = asker->reload;

    loop_unwatch(reload->loop, &asker->watch);
    close_fd(&asker->fd);
    buffer_finish(&asker->answers);
    list_remove(&asker->link);
    free(asker);
}

// Kills the process and does not wait for its end, because it may hang in the kernel.
static void reload_kill_asker(struct reload *reload)
{
    loop_disarm(reload->loop, &reload->timeout);
    if (reload->asker)
        kill(reload->asker->pid, SIGKILL);
    reload->asker = NULL;
}

static void reload_take_answers(struct reload *reload, const struct buffer *answers)
{
    int result = users_take(reload->users, answers->data, answers->length);

    if (result == -ENOMEM)
        reload_fail(reload, "no memory for the names of users and groups");
    else if (result < 0)
        reload_fail(reload, "the look-up of users and groups broke off");
    else
        reload_try(reload);
}

// Reads more answers. Returns 1, 0 at the end, -EAGAIN, or another -errno when no usable answer
// will come any more.
static int asker_read(struct asker *asker)
{
    struct buffer *answers = &asker->answers;
    ssize_t count;

    if (answers->length > MAX_ANSWERS)
        return -EFBIG;
    if (buffer_reserve(answers, READ_SIZE) < 0)
        return -ENOMEM;
    count = read(asker->fd, answers->data + answers->length, READ_SIZE);
    if (count < 0)
        return -errno;
    answers->length += (size_t)count;
    return count > 0;
}

// The process has closed its end of the pipe, which happens when it exits. So waitpid waits
// only for the kernel to finish the exit.
static void asker_end(struct asker *asker)
{
    struct reload *reload = asker->reload;
    AUTO(buffer_finish) struct buffer answers = asker->answers;
    bool is_wanted = asker == reload->asker;

    asker->answers = (struct buffer){0};
    waitpid(asker->pid, NULL, 0);
    asker_destroy(asker);
    if (!is_wanted)
        return;
    reload->asker = NULL;
    loop_disarm(reload->loop, &reload->timeout);
    reload_take_answers(reload, &answers);
}

static void on_answers(void *data, uint32_t events)
{
    struct asker *asker = data;
    struct reload *reload = asker->reload;
    int result;

    (void)events;
    do
        result = asker_read(asker);
    while (result > 0);
    if (result == 0)
        asker_end(asker);
    if (result == 0 || result == -EAGAIN || result == -EINTR)
        return;
    // There is no room for the answers. The process is reaped with the next reload.
    kill(asker->pid, SIGKILL);
    loop_unwatch(reload->loop, &asker->watch);
    if (asker == reload->asker) {
        reload_kill_asker(reload);
        reload_fail(reload, "no memory for the names of users and groups");
    }
}

static void on_timeout(void *data)
{
    struct reload *reload = data;

    reload_kill_asker(reload);
    reload_fail(reload, "the user database does not answer");
}

// Starts the process that asks. Returns 0 or -errno.
static int asker_start(struct asker *asker)
{
    struct reload *reload = asker->reload;
    AUTO_CLOSE int write_fd = -1;
    int fds[2];
    int result;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    asker->fd = fds[0];
    write_fd = fds[1];
    result = fcntl(asker->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    if (result == 0)
        result = loop_watch(reload->loop, &asker->watch, asker->fd, EPOLLIN);
    if (result == 0)
        result = loop_arm(reload->loop, &reload->timeout, ANSWER_MS);
    if (result < 0)
        return result;
    asker->pid = fork();
    if (asker->pid == 0)
        asker_run(reload->users, write_fd);
    return asker->pid < 0 ? -errno : 0;
}

static void reload_ask(struct reload *reload)
{
    struct asker *asker = calloc(1, sizeof *asker);
    int result = -ENOMEM;

    if (asker) {
        *asker = (struct asker){.reload = reload, .fd = -1};
        asker->watch = (struct watch){.fd = -1, .on_ready = on_answers, .data = asker};
        list_append(&reload->askers, &asker->link);
        result = asker_start(asker);
    }
    if (result == 0) {
        reload->asker = asker;
        return;
    }
    loop_disarm(reload->loop, &reload->timeout);
    if (asker)
        asker_destroy(asker);
    log_error("cannot look up users and groups: %s", strerror(-result));
    reload_fail(reload, "the configuration was not read");
}

// --- The reload

// Loads the configuration with the answers that are there, and asks for the missing answers.
static void reload_try(struct reload *reload)
{
    AUTO(buffer_finish) struct buffer problems = {0};
    AUTO(error_finish) struct error err = {0};
    struct config *config = sandbox_load_config(reload->path, reload->users, &problems);

    if (!users_is_complete(reload->users)) {
        config_destroy(config);
        if (reload->rounds++ < MAX_ROUNDS)
            reload_ask(reload);
        else
            reload_fail(reload, "the configuration changes while it is read");
        return;
    }
    if (!config) {
        command_report(&problems, true);
        log_error("%s has errors; the configuration of before stays", reload->path);
    }
    if (config && sandbox_prepare_system(config, &err) < 0) {
        log_error("%s; the configuration of before stays", error_message(&err));
        config_destroy(config);
        config = NULL;
    }
    users_destroy(take_ptr(&reload->users));
    reload->on_done(reload->data, config);
    config_destroy(config);
}

struct reload *reload_create(struct loop *loop, const char *path,
                             void (*on_done)(void *data, struct config *config), void *data)
{
    struct reload *reload = calloc(1, sizeof *reload);

    if (!reload)
        return NULL;
    *reload = (struct reload){.loop = loop, .path = path, .on_done = on_done, .data = data};
    reload->timeout = (struct timer){.on_time = on_timeout, .data = reload};
    list_init(&reload->askers);
    return reload;
}

void reload_destroy(struct reload *reload)
{
    if (!reload)
        return;
    while (!list_is_empty(&reload->askers)) {
        struct asker *asker = LIST_ENTRY(reload->askers.next, struct asker, link);
        kill(asker->pid, SIGKILL); // init reaps it
        asker_destroy(asker);
    }
    loop_disarm(reload->loop, &reload->timeout);
    users_destroy(reload->users);
    free(reload);
}

// Reaps processes that were killed and whose pipes are not watched any more.
static void reload_reap(struct reload *reload)
{
    for (struct list *link = reload->askers.next; link != &reload->askers;) {
        struct asker *asker = LIST_ENTRY(link, struct asker, link);
        link = link->next;
        if (waitpid(asker->pid, NULL, WNOHANG) != 0)
            asker_destroy(asker);
    }
}

void reload_begin(struct reload *reload)
{
    reload_kill_asker(reload);
    reload_reap(reload);
    users_destroy(reload->users);
    reload->rounds = 0;
    reload->users = users_create();
    if (reload->users)
        reload_try(reload);
    else
        reload_fail(reload, "no memory for a new configuration");
}
