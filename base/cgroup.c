// SPDX-License-Identifier: Apache-2.0
#include "cgroup.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
    NAME_SIZE = 48,
    FIRST_LOOK_MS = 2,
    LONGEST_PAUSE_MS = 1000,
    CPU_PERIOD_US = 100 * 1000,
};

struct cgroup {
    struct list link; // in `ending` after cgroup_destroy
    struct loop *loop;
    struct timer timer; // looks whether the group is empty
    unsigned pause_ms;
    char name[NAME_SIZE];
    int dir;
    int kill_fd; // so that a kill needs no new descriptor; -1 before Linux 5.14
};

// Groups that were given up and had processes.
static struct list ending = {&ending, &ending};

unsigned cgroup_controllers(const struct cgroup_limits *limits)
{
    return (limits->memory_bytes > 0 ? CONTROLLER_MEMORY : 0U) |
           (limits->pids > 0 ? CONTROLLER_PIDS : 0U) |
           (limits->cpu_percent > 0 ? CONTROLLER_CPU : 0U);
}

// --- Making a group

static int cgroup_write(const struct cgroup *group, const char *name, uint64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return delegation_write(group->dir, name, text);
}

static int cgroup_limit_memory(const struct cgroup *group, uint64_t bytes)
{
    int result = cgroup_write(group, "memory.max", bytes);

    if (result == 0)
        result = cgroup_write(group, "memory.swap.max", 0);
    if (result == -ENOENT) // a kernel without swap
        result = 0;
    return result == 0 ? cgroup_write(group, "memory.oom.group", 1) : result;
}

static int cgroup_limit_cpu(const struct cgroup *group, unsigned percent)
{
    char text[64];

    snprintf(text, sizeof text, "%llu %d", (unsigned long long)percent * CPU_PERIOD_US / 100,
             CPU_PERIOD_US);
    return delegation_write(group->dir, "cpu.max", text);
}

static int cgroup_limit(const struct cgroup *group, const struct cgroup_limits *limits)
{
    int result = 0;

    if (limits->memory_bytes > 0)
        result = cgroup_limit_memory(group, limits->memory_bytes);
    if (result == 0 && limits->pids > 0)
        result = cgroup_write(group, "pids.max", limits->pids);
    if (result == 0 && limits->cpu_percent > 0)
        result = cgroup_limit_cpu(group, limits->cpu_percent);
    return result;
}

// A name that is taken belongs to a group that an earlier daemon could not remove.
static int cgroup_make_directory(struct cgroup *group)
{
    static unsigned long long last;
    int result;

    do {
        snprintf(group->name, sizeof group->name, "%s%llu", delegation_prefix(), ++last);
        result = mkdirat(delegation_fd(), group->name, 0755) < 0 ? -errno : 0;
    } while (result == -EEXIST);
    if (result < 0)
        return result;
    group->dir =
        openat(delegation_fd(), group->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return group->dir < 0 ? -errno : 0;
}

static void cgroup_free(struct cgroup *group)
{
    if (group->loop)
        loop_disarm(group->loop, &group->timer);
    list_remove(&group->link);
    close_fd(&group->dir);
    close_fd(&group->kill_fd);
    free(group);
}

static bool cgroup_remove(const struct cgroup *group)
{
    return unlinkat(delegation_fd(), group->name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

static void on_cgroup_time(void *data)
{
    struct cgroup *group = data;

    if (cgroup_remove(group)) {
        cgroup_free(group);
        return;
    }
    if (group->pause_ms < LONGEST_PAUSE_MS)
        group->pause_ms *= 2;
    // Without memory for the timer the group stays until the end of the daemon.
    loop_arm(group->loop, &group->timer, group->pause_ms);
}

struct cgroup *cgroup_create(struct loop *loop, const struct cgroup_limits *limits,
                             struct error *err)
{
    struct cgroup *group = malloc(sizeof *group);
    int result;

    if (!group) {
        error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    *group = (struct cgroup){.loop = loop, .pause_ms = FIRST_LOOK_MS, .dir = -1, .kill_fd = -1};
    group->timer = (struct timer){.on_time = on_cgroup_time, .data = group};
    list_init(&group->link);
    result = cgroup_make_directory(group);
    if (result == 0)
        result = cgroup_limit(group, limits);
    if (result == 0) {
        group->kill_fd = openat(group->dir, "cgroup.kill", O_WRONLY | O_CLOEXEC);
        result = group->kill_fd < 0 && errno != ENOENT ? -errno : 0;
    }
    if (result == 0)
        return group;
    error_set(err, -result, "cannot make a control group: %s", strerror(-result));
    cgroup_remove(group);
    cgroup_free(group);
    return NULL;
}

// --- Processes

// clone3(2); not every C library has this struct.
struct clone_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};

pid_t cgroup_fork(const struct cgroup *group, int *pid_fd)
{
#ifdef SYS_clone3
    int made = -1;
    struct clone_arguments arguments = {
        .flags = 0x200000000 /* CLONE_INTO_CGROUP */ | 0x1000 /* CLONE_PIDFD */,
        .pidfd = (uintptr_t)&made,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)group->dir,
    };
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);

    // E2BIG: the kernel knows a shorter struct.
    if (pid < 0)
        return errno == E2BIG ? -ENOSYS : -errno;
    *pid_fd = made;
    return (pid_t)pid;
#else
    (void)group;
    (void)pid_fd;
    return -ENOSYS;
#endif
}

int cgroup_open_procs(const struct cgroup *group)
{
    int fd = openat(group->dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

void cgroup_kill(struct cgroup *group)
{
    if (group->kill_fd < 0 || write(group->kill_fd, "1", 1) < 0)
        delegation_kill(group->dir);
}

bool cgroup_ran_out_of_memory(const struct cgroup *group)
{
    static const char field[] = "\noom_kill ";
    AUTO_CLOSE int fd = openat(group->dir, "memory.events", O_RDONLY | O_CLOEXEC);
    char text[512];
    ssize_t count = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    const char *at;

    if (count <= 0)
        return false;
    text[count] = '\0';
    at = strstr(text, field);
    return at && strtoul(at + sizeof field - 1, NULL, 10) > 0;
}

void cgroup_destroy(struct cgroup *group)
{
    if (!group)
        return;
    if (cgroup_remove(group) || !group->loop) {
        cgroup_free(group);
        return;
    }
    // The name is enough from here on.
    close_fd(&group->dir);
    close_fd(&group->kill_fd);
    list_append(&ending, &group->link);
    loop_arm(group->loop, &group->timer, group->pause_ms);
}

void cgroup_finish_all(void)
{
    while (!list_is_empty(&ending)) {
        struct cgroup *group = LIST_ENTRY(ending.next, struct cgroup, link);
        cgroup_remove(group);
        cgroup_free(group);
    }
}
