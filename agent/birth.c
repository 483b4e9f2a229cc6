// SPDX-License-Identifier: Apache-2.0
#include "birth.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

enum { CHILD_STACK = 32 * 1024 };

struct newborn {
    const struct program *program;
    const struct rlimit *descriptors;
    pid_t parent;
    int group_procs; // to which the child writes itself; -1: nothing to do
    struct birth_failure failure;
};

static char child_stack[CHILD_STACK] __attribute__((aligned(64)));

static void newborn_fail(struct newborn *newborn, enum frame_stage stage, int number)
{
    newborn->failure = (struct birth_failure){.stage = stage, .number = number};
}

static int newborn_run(void *data)
{
    struct newborn *newborn = data;
    enum frame_stage stage;
    sigset_t none;

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != newborn->parent)
        return EXIT_FAILURE;
    if (newborn->group_procs >= 0 && write(newborn->group_procs, "0", 1) < 0) {
        newborn_fail(newborn, FRAME_AT_LIMITS, errno);
        return EXIT_FAILURE;
    }
    setrlimit(RLIMIT_NOFILE, newborn->descriptors);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    stage = program_exec(newborn->program);
    newborn_fail(newborn, stage, errno);
    return EXIT_FAILURE;
}

// The child shares this process's memory, and this process waits. That is quicker than a copy of
// the memory, and a failure needs no pipe to be known.
static pid_t birth_sharing(struct newborn *newborn)
{
    pid_t pid =
        clone(newborn_run, child_stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, newborn);

    if (pid < 0)
        newborn_fail(newborn, FRAME_AT_RESOURCES, errno);
    return pid;
}

// The child moves itself to its group. Returns -errno on failure.
static pid_t birth_outside(struct newborn *newborn, const struct cgroup *group)
{
    pid_t pid;

    newborn->group_procs = cgroup_open_procs(group);
    if (newborn->group_procs < 0)
        return newborn->group_procs;
    pid = fork();
    return pid < 0 ? -errno : pid;
}

// The OOM killer kills each process that shares its victim's memory. So a child in a group with
// limits has a copy, and tells its failure through a pipe.
static pid_t birth_in_group(struct newborn *newborn, const struct cgroup *group)
{
    int tell[2];
    int pid_fd = -1;
    pid_t pid;

    if (pipe2(tell, O_CLOEXEC) < 0) {
        newborn_fail(newborn, FRAME_AT_RESOURCES, errno);
        return -1;
    }
    pid = cgroup_fork(group, &pid_fd);
    if (pid == -ENOSYS)
        pid = birth_outside(newborn, group);
    if (pid == 0) {
        newborn_run(newborn);
        _exit(write(tell[1], &newborn->failure, sizeof newborn->failure) < 0);
    }
    close_fd(&tell[1]);
    close_fd(&pid_fd);
    close_fd(&newborn->group_procs);
    // Without a failure there is only the end of the pipe, which the execve has closed.
    if (pid < 0)
        newborn_fail(newborn, FRAME_AT_LIMITS, -pid);
    else if (read(tell[0], &newborn->failure, sizeof newborn->failure) <= 0)
        newborn->failure.number = 0;
    close_fd(&tell[0]);
    return pid;
}

pid_t birth(const struct program *program, const struct rlimit *descriptors,
            const struct cgroup *group, struct birth_failure *failure)
{
    struct newborn newborn = {
        .program = program, .descriptors = descriptors, .parent = getpid(), .group_procs = -1};
    pid_t pid = group ? birth_in_group(&newborn, group) : birth_sharing(&newborn);

    *failure = newborn.failure;
    return pid;
}
