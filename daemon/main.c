// SPDX-License-Identifier: Apache-2.0
// hooksfs(8): from the command line to a served mount, and its end.
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

// How long the end waits for those who read their last results.
enum { LINGER_MS = 500 };

// --- Ending

// Runs after the jobs' own announcements, so that whoever waits for one of them
// has been answered. Whoever reads the last results still has to find their end,
// and not a mount that is gone.
static void on_ended(void *data)
{
    struct server *server = data;

    if (handle_count() > 0 && timer_is_armed(&server->linger))
        return; // it is waited for already
    if (handle_count() == 0 || loop_arm(server->fs.loop, &server->linger, LINGER_MS) < 0)
        loop_stop(server->fs.loop);
}

static void on_lingered(void *data)
{
    struct server *server = data;
    loop_stop(server->fs.loop);
}

// A job, or a file, was the last one, perhaps.
static void on_idle(void *data)
{
    struct server *server = data;
    if (server->fs.is_ending && sandboxes_busy_count(server->sandboxes) == 0)
        loop_defer(server->fs.loop, &server->ended);
}

static void end(struct server *server, const char *why)
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
    sandboxes_cancel_all(server->sandboxes); // those that nobody can read any more
    on_idle(server);
}

static void on_unmounted(void *data)
{
    const struct server *server = data;

    // An end that has begun goes on, job by job: nobody is in a hurry.
    if (!server->fs.is_ending)
        end(data, "the mount is gone");
}

// --- Signals

static void begin_reload(struct server *server)
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
            begin_reload(server);
        else
            end(server, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
    }
}

static int watch_signals(struct server *server, struct error *err)
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

static int make_tree(struct server *server, struct error *err)
{
    struct config *config = command_load(server->config_path);
    int result;

    if (!config)
        return error_set(err, EINVAL, "%s has errors", server->config_path);
    result = node_init_root();
    if (result == 0)
        result = tree_configure(server->fs.loop, server->sandboxes, config);
    config_destroy(config);
    return result < 0 ? error_set(err, ENOMEM, "no memory") : 0;
}

static int start(struct server *server, const struct options *options, const char *mountpoint,
                 struct error *err)
{
    server->fs.loop = loop_create(err);
    if (!server->fs.loop || watch_signals(server, err) < 0)
        return -1;
    server->sandboxes = sandboxes_create(server->fs.loop, on_idle, server);
    server->reload = reload_create(server->fs.loop, server->config_path, on_reloaded, server);
    if (!server->sandboxes || !server->reload)
        return error_set(err, ENOMEM, "no memory");
    if (make_tree(server, err) < 0)
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

static void finish(struct server *server)
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

// Each command is a session of its own. Where the kernel shares the processors out
// by sessions (sched(7), autogroup), ours would get one share among those of all
// commands, and they would wait for us. Only a session that is ours alone.
static void take_larger_share(void)
{
    AUTO_CLOSE int fd = -1;

    if (getsid(0) == getpid())
        fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "-10", 3) < 0) {
        // Only root may.
    }
}

// What hooks inherit should not depend on who started the daemon.
static void set_process_up(void)
{
    for (int number = 1; number < SIGRTMIN; number++)
        signal(number, SIG_DFL);
    signal(SIGPIPE, SIG_IGN); // a write says EPIPE instead
    umask(022);
    take_larger_share();
    daemon_notify(""); // takes it out of the environment
    if (sandbox_raise_descriptor_limit() < 0)
        log_warning("cannot raise the limit of open files: %s", strerror(errno));
}

// The daemon that serves it runs on.
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

static int serve(const struct options *options)
{
    // Static: an end that does not wait for jobs leaves their memory to the system, and
    // whoever looks for leaks still finds it.
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
        set_process_up();
        result = start(&server, options, mountpoint, &err);
    }
    if (result == 0 && !options->stays_in_foreground)
        log_to_syslog();
    if (result == 0) {
        result = loop_run(server.fs.loop);
        if (result < 0)
            error_set(&err, -result, "cannot wait for events: %s; ending", strerror(-result));
    }
    finish(&server);
    if (err.code)
        log_error("%s", error_message(&err));
    error_finish(&err);
    return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

// glibc raises the size from which it gives memory back when it is freed, with
// each larger piece that is: after some large results it would keep hundreds of
// megabytes. A fixed size stays.
static void set_memory_up(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
#endif
}

int main(int argc, char **argv)
{
    struct options options;
    int result;

    set_memory_up();
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
        result = options.is_remount ? remount(&options) : serve(&options);
        break;
    default:
        result = options.exit_code;
    }
    free(options.mount_options);
    return result;
}
