// SPDX-License-Identifier: Apache-2.0
#include "descendants.h"

#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

enum { DEEPEST = 16 }; // levels; each has two descriptors open

struct walk {
    bool (*visit)(void *data, pid_t pid);
    void *data;
};

static void walk_below(const struct walk *walk, pid_t pid, int depth);

static void visit(const struct walk *walk, pid_t pid, int depth)
{
    if (walk->visit(walk->data, pid) && depth < DEEPEST)
        walk_below(walk, pid, depth + 1);
}

// Visits the processes that FD lists. FD is a file `children`: numbers, each with a space
// behind it.
static void walk_list(const struct walk *walk, int fd, int depth)
{
    char text[1024];
    ssize_t length;
    pid_t pid = 0;

    while ((length = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < length; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid > 0) {
                visit(walk, pid, depth);
                pid = 0;
            }
        }
    }
}

// The kernel lists a child with the thread that made it.
static void walk_below(const struct walk *walk, pid_t pid, int depth)
{
    char path[64];
    struct dirent *thread;
    DIR *threads;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    threads = opendir(path);
    if (!threads)
        return;
    while ((thread = readdir(threads))) {
        AUTO_CLOSE int fd = -1;
        if (thread->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, thread->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            walk_list(walk, fd, depth);
    }
    closedir(threads);
}

// Returns 0 if PID has gone.
static pid_t parent_of(pid_t pid)
{
    char text[512]; // enough: the name is short, and the parent comes soon after it
    char path[32];
    AUTO_CLOSE int fd = -1;
    const char *name_end;
    ssize_t length;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    // ") S 123": the last parenthesis ends the name.
    name_end = strrchr(text, ')');
    return name_end && strlen(name_end) > 4 ? (pid_t)strtol(name_end + 4, NULL, 10) : 0;
}

static void scan(const struct walk *walk, pid_t root)
{
    struct dirent *entry;
    DIR *processes = opendir("/proc");

    if (!processes)
        return;
    while ((entry = readdir(processes))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && parent_of(pid) == root)
            walk->visit(walk->data, pid);
    }
    closedir(processes);
}

void descendants_walk(pid_t root, bool (*visit_one)(void *data, pid_t pid), void *data)
{
    const struct walk walk = {visit_one, data};
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)root, (int)root);
    if (access(path, F_OK) == 0)
        walk_below(&walk, root, 0);
    else
        scan(&walk, root);
}

struct killing {
    pid_t own_group;
    pid_t last_group;
};

// The kernel kills a group in one step, so that no process of it can fork meanwhile. A
// group of a descendant has only descendants in it, because each job is a session of its
// own.
static bool kill_one(void *data, pid_t pid)
{
    struct killing *killing = data;
    pid_t group = getpgid(pid);

    if (group > 1 && group != killing->own_group && group != killing->last_group) {
        kill(-group, SIGKILL);
        killing->last_group = group;
    }
    kill(pid, SIGKILL);
    return true;
}

void descendants_kill(pid_t root)
{
    struct killing killing = {.own_group = getpgrp()};

    descendants_walk(root, kill_one, &killing);
}
