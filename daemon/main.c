// SPDX-License-Identifier: Apache-2.0
// hooksfs(8): starts from the command line, serves a mount, and ends.
#include "cleanup.h"
#include "commands.h"
#include "daemon.h"
#include "handle.h"
#include "log.h"
#include "mount.h"
#include "mount_options.h"
#include "options.h"
#include "reload.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

struct server {
    struct fs fs;
    char *config_path; // absolute: a daemon's working directory is /
    struct sandboxes *sandboxes;
    struct session *session;
    int signal_fd;
    struct watch signal_watch;
    struct task ready;
    struct task ended;
    struct timer linger;
    struct reload *reload;
};

// The longest time for which the daemon, at its end, waits for callers who read their last results.
enum { LINGER_MS = 500 };

// --- Ending

// Runs after the jobs' own announcements, so that every caller who waits for a job has been
// answered. The mount stays while files are open, up to LINGER_MS: a caller reads the last
// results to their end before the mount is gone.
static void on_ended(void *data)
{
    struct server *server = data;

    if (handle_count() > 0 && timer_is_armed(&server->linger))
        return; // the timer runs already
    if (handle_count() == 0 || loop_arm(server->fs.loop, &server->linger, LINGER_MS) < 0)
        loop_stop(server->fs.loop);
}

static void on_lingered(void *data)
{
    struct server *server = data;
    loop_stop(server->fs.loop);
}

// A job has ended or a file was closed: perhaps it was the last one.
static void on_idle(void *data)
{
    struct server *server = data;
    if (server->fs.is_ending && sandboxes_busy_count(server->sandboxes) == 0)
        loop_defer(server->fs.loop, &server->ended);
}

static void server_end(struct server *server, const char *why)
{
    if (server->fs.is_ending) {
        log_warning("%s again: ending at once", why);
        loop_stop(server->fs.loop);
        return;
    }
    log_info("ending: %s; %u jobs to cancel", why, sandboxes_busy_count(server->sandboxes));
    daemon_notify("STOPPING=1");
    server->fs.is_ending = true;
    tree_cancel_all();
    sandboxes_cancel_all(server->sandboxes); // jobs whose output nobody can read any more
    on_idle(server);
}

static void on_unmounted(void *data)
{
    const struct server *server = data;

    // If the end has begun already, it goes on as it would without this.
    if (!server->fs.is_ending)
        server_end(data, "the mount is gone");
}

// --- Signals

static void server_begin_reload(struct server *server)
{
    char state[64];

    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)(loop_now_ns() / 1000));
    daemon_notify(state);
    log_debug(DEBUG_CONFIG, "reading %s", server->config_path);
    reload_begin(server->reload);
}

static void on_reloaded(void *data, struct config *config)
{
    struct server *server = data;

    if (config && tree_configure(server->fs.loop, server->sandboxes, config) < 0)
        log_error("no memory for the new configuration; reload it again");
    else if (config)
        log_info("%s was read again: %zu sandboxes", server->config_path, config->count);
    for (size_t i = 0; config && i < config->count; i++)
        log_debug(DEBUG_CONFIG, "read sandbox=%s mode=%s", config->sandboxes[i]->name,
                  config->sandboxes[i]->mode->name);
    daemon_notify("READY=1");
}

static void on_signal(void *data, uint32_t events)
{
    struct server *server = data;
    struct signalfd_siginfo info;

    (void)events;
    while (read(server->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            server_begin_reload(server);
        else
            server_end(server, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
    }
}

static int server_watch_signals(struct server *server, struct error *err)
{
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    server->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    server->signal_watch = (struct watch){.fd = -1, .on_ready = on_signal, .data = server};
    if (server->signal_fd < 0 ||
        loop_watch(server->fs.loop, &server->signal_watch, server->signal_fd, EPOLLIN) < 0)
        return error_set(err, errno, "cannot watch signals: %s", strerror(errno));
    return 0;
}

// --- Start

// The reply to the kernel's first operation has been sent.
static void on_ready(void *data)
{
    char state[64];

    (void)data;
    log_info("serving, with process %d", (int)getpid());
    snprintf(state, sizeof state, "MAINPID=%d\nREADY=1", (int)getpid());
    daemon_notify(state);
    daemon_detach();
}

static void on_init(void *data)
{
    struct server *server = data;
    loop_defer(server->fs.loop, &server->ready);
}

static int server_make_tree(struct server *server, struct error *err)
{
    struct config *config = command_load(server->config_path);
    int result;

    if (!config)
        return error_set(err, EINVAL, "%s has errors", server->config_path);
    if (sandbox_prepare_system(config, err) < 0) {
        config_destroy(config);
        return -1;
    }
    result = node_init_root();
    if (result == 0)
        result = tree_configure(server->fs.loop, server->sandboxes, config);
    config_destroy(config);
    return result < 0 ? error_set(err, ENOMEM, "no memory") : 0;
}

static int server_start(struct server *server, const struct options *options,
                        const char *mountpoint, struct error *err)
{
    server->fs.loop = loop_create(err);
    if (!server->fs.loop || server_watch_signals(server, err) < 0)
        return -1;
    server->sandboxes = sandboxes_create(server->fs.loop, on_idle, server);
    server->reload = reload_create(server->fs.loop, server->config_path, on_reloaded, server);
    if (!server->sandboxes || !server->reload)
        return error_set(err, ENOMEM, "no memory");
    if (server_make_tree(server, err) < 0)
        return -1;
    server->fs.on_init = on_init;
    server->fs.data = server;
    task_init(&server->ready, on_ready, server);
    task_init(&server->ended, on_ended, server);
    server->linger = (struct timer){.on_time = on_lingered, .data = server};
    handle_set_on_close(on_idle, server);
    server->session =
        session_create(&server->fs, server->config_path, mountpoint, options->mount_options,
                       options->debug_modules & 1U << DEBUG_FUSE, on_unmounted, err);
    return server->session ? 0 : -1;
}

static void server_finish(struct server *server)
{
    handle_set_on_close(NULL, NULL);
    if (node_root())
        tree_finish(ENOTCONN);
    session_destroy(server->session);
    if (server->fs.loop) {
        loop_unwatch(server->fs.loop, &server->signal_watch);
        loop_disarm(server->fs.loop, &server->linger);
        reload_destroy(server->reload);
        loop_run_tasks(server->fs.loop); // released jobs free themselves there
        sandboxes_destroy(server->sandboxes);
    }
    close_fd(&server->signal_fd);
    loop_destroy(server->fs.loop);
    free(server->config_path);
}

// Each command has a session of its own. Where the kernel shares the processors out by
// sessions (sched(7), autogroup), the daemon would get one share among those of all commands,
// and the commands would wait for it. So it takes a larger share, but only if no other process
// is in its session.
static void process_take_larger_share(void)
{
    AUTO_CLOSE int fd = -1;

    if (getsid(0) == getpid())
        fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "-10", 3) < 0) {
        // Only root is permitted to do this.
    }
}

// Sets everything that commands inherit, so that it does not depend on the daemon's parent.
static void process_set_up(void)
{
    for (int number = 1; number < SIGRTMIN; number++)
        signal(number, SIG_DFL);
    signal(SIGPIPE, SIG_IGN); // a write then fails with EPIPE
    umask(022);
    process_take_larger_share();
    daemon_notify(""); // takes NOTIFY_SOCKET out of the environment
    if (sandbox_raise_descriptor_limit() < 0)
        log_warning("cannot raise the limit of open files: %s", strerror(errno));
}

// Changes an existing mount. The daemon that serves it runs on.
static int remount(const struct options *options)
{
    struct error err = {0};
    int result = mount_check_hooksfs(options->mountpoint, &err);

    if (result == 0)
        result = mount_options_remount(options->mountpoint, options->mount_options, &err);
    if (result < 0)
        log_error("%s", error_message(&err));
    error_finish(&err);
    return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int server_run(const struct options *options)
{
    // Static: when the daemon ends at once, it does not free its jobs. A leak checker still
    // reaches their memory from here, and does not report it.
    static struct server server = {.signal_fd = -1};
    AUTO_FREE char *mountpoint = NULL;
    struct error err = {0};
    int result = -1;

    log_init(options->debug_modules);
    server.config_path = realpath(options->config, NULL);
    if (!server.config_path)
        error_set(&err, errno, "%s: cannot open it: %s", options->config, strerror(errno));
    else if (mount_check_device(&err) == 0)
        mountpoint = mount_prepare(options->mountpoint, &err);
    if (mountpoint && (options->stays_in_foreground || daemon_fork(&err) == 0)) {
        if (chdir("/") < 0)
            log_warning("cannot change to /: %s", strerror(errno));
        process_set_up();
        result = server_start(&server, options, mountpoint, &err);
    }
    if (result == 0 && !options->stays_in_foreground)
        log_to_syslog();
    if (result == 0) {
        result = loop_run(server.fs.loop);
        if (result < 0)
            error_set(&err, -result, "cannot wait for events: %s; ending", strerror(-result));
    }
    server_finish(&server);
    if (err.code)
        log_error("%s", error_message(&err));
    error_finish(&err);
    return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

// glibc gives a freed block back to the system only if the block is larger than a threshold,
// and each larger block raises the threshold: after some large results the daemon would keep
// hundreds of megabytes. A threshold that was set once stays.
static void process_set_memory_up(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
#endif
}

int main(int argc, char **argv)
{
    struct options options;
    int result;

    process_set_memory_up();
    if (daemon_open_standard_fds() < 0)
        return EXIT_FAILURE;
    options_parse(argc, argv, &options);
    switch (options.action) {
    case ACTION_CHECK:
        result = command_check(options.config);
        break;
    case ACTION_SHOW_ARGV:
        result = command_show_argv(options.config, options.sandbox, options.words);
        break;
    case ACTION_SERVE:
        result = options.is_remount ? remount(&options) : server_run(&options);
        break;
    default:
        result = options.exit_code;
    }
    free(options.mount_options);
    return result;
}
