// SPDX-License-Identifier: Apache-2.0
#include "removal.h"

#include "cleanup.h"
#include "log.h"
#include "mode.h"
#include "process.h"

#include <fcntl.h>
#include <signal.h>

struct removal {
    struct list link;
    struct loop *loop;
    struct sandbox_config *config; // a reference
    char *name;
    unsigned attempts;
    struct timer timer;
};

static const unsigned pauses_ms[] = {2000, 8000}; // between the attempts

static struct list removals = {&removals, &removals};

static void removal_free(struct removal *removal)
{
    list_remove(&removal->link);
    loop_disarm(removal->loop, &removal->timer);
    sandbox_config_unref(removal->config);
    free(removal->name);
    free(removal);
}

static void ignore_exit(void *data, bool is_signaled, int number)
{
    (void)data;
    (void)is_signaled;
    (void)number;
}

static void ignore_unstarted(void *data, enum channel_stage stage, int errnum)
{
    (void)data;
    (void)stage;
    (void)errnum;
}

static const struct channel_events nothing = {.on_unstarted = ignore_unstarted,
                                              .on_exit = ignore_exit};

static void removal_attempt(struct removal *removal)
{
    const struct sandbox_config *config = removal->config;
    AUTO(launch_finish) struct launch launch = {0};
    AUTO(error_finish) struct error err = {0};
    struct process *process = NULL;

    if (mode_of(config->mode)
            ->prepare_removal(config->settings, removal->name, removal->attempts == 0, &launch,
                              &err) == 0) {
        struct process_spec spec = {.argv = launch.argv.items, .env = launch.env.items};
        process = process_start(removal->loop, &spec, &nothing, removal, &err);
    }
    if (!process)
        log_warning("sandbox %s: cannot remove the container %s: %s", config->name, removal->name,
                    error_message(&err));
    if (process)
        process_destroy(process); // the client runs on, and is reaped when it ends
}

static void on_time(void *data)
{
    struct removal *removal = data;

    removal_attempt(removal);
    if (removal->attempts >= sizeof pauses_ms / sizeof pauses_ms[0] ||
        loop_arm(removal->loop, &removal->timer, pauses_ms[removal->attempts++]) < 0)
        removal_free(removal);
}

void removal_start(struct loop *loop, struct sandbox_config *config, const char *name)
{
    struct removal *removal = calloc(1, sizeof *removal);

    if (!removal)
        return;
    *removal =
        (struct removal){.loop = loop, .config = sandbox_config_ref(config), .name = strdup(name)};
    removal->timer = (struct timer){.on_time = on_time, .data = removal};
    list_append(&removals, &removal->link);
    // The first attempt comes from the loop, because the caller may be about to kill the client.
    if (!removal->name || loop_arm(loop, &removal->timer, 0) < 0)
        removal_free(removal);
}

// Puts a shell around the client of LAUNCH that starts it three times, after the same pauses as the
// daemon. An engine can still be making the container at the first time.
static int repeat(struct launch *launch)
{
    static const char *const shell[] = {"sh", "-c", "\"$@\"; sleep 2; \"$@\"; sleep 8; exec \"$@\"",
                                        "sh"};

    return words_prepend(&launch->argv, shell, sizeof shell / sizeof shell[0]);
}

// The shell outlives the daemon, and nobody waits for it.
static void removal_leave_behind(struct removal *removal)
{
    const struct sandbox_config *config = removal->config;
    AUTO(launch_finish) struct launch launch = {0};
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null_fd >= 0 &&
        mode_of(config->mode)
                ->prepare_removal(config->settings, removal->name, false, &launch, NULL) == 0 &&
        repeat(&launch) == 0 && fork() == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        setsid();
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
            dup2(null_fd, fd);
        execvpe(launch.argv.items[0], launch.argv.items, launch.env.items);
        _exit(EXIT_FAILURE);
    }
    close_fd(&null_fd);
}

void removal_finish_all(void)
{
    while (!list_is_empty(&removals)) {
        struct removal *removal = LIST_ENTRY(removals.next, struct removal, link);
        removal_leave_behind(removal);
        removal_free(removal);
    }
}
