// SPDX-License-Identifier: Apache-2.0
#include "delegation.h"

#include "buffer.h"
#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define LEAF   "hooksfs-daemon"
#define TAKEN  "hooksfs-job-"
#define SHARED "hooksfs-agent-"

enum {
    READ_SIZE = 4096,
    ROUNDS = 20,    // over the processes of a group
    PATIENCE = 100, // looks at groups that are being swept, LOOK_US apart
    LOOK_US = 2000,
    LOWEST_FD = 16, // of the group that is shared
};

// clang-format off
static const struct {
    unsigned bit;
    const char *name;
} CONTROLLERS[] = {
    {CONTROLLER_CPU, "cpu"},
    {CONTROLLER_MEMORY, "memory"},
    {CONTROLLER_PIDS, "pids"},
};
// clang-format on

enum { CONTROLLER_COUNT = sizeof CONTROLLERS / sizeof CONTROLLERS[0] };

static int own_fd = -1;
static unsigned own_controllers;
static char own_prefix[48];

int delegation_fd(void)
{
    return own_fd;
}

const char *delegation_prefix(void)
{
    return own_prefix;
}

// --- Files

int delegation_write(int dir, const char *name, const char *text)
{
    AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) >= 0 ? 0 : -errno;
}

// Returns the whole file, which the caller frees, or NULL with errno set.
static char *read_file(int dir, const char *name)
{
    AUTO(buffer_finish) struct buffer text = {0};
    AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : 1;

    while (count > 0) {
        if (buffer_reserve(&text, READ_SIZE) < 0) {
            errno = ENOMEM;
            return NULL;
        }
        count = read(fd, text.data + text.length, READ_SIZE);
        text.length += count > 0 ? (size_t)count : 0;
    }
    return count < 0 ? NULL : buffer_take_string(&text);
}

// Is WORD one of the words in TEXT?
static bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);

    while (*text) {
        size_t size = strcspn(text, " \n");
        if (size == length && strncmp(text, word, size) == 0)
            return true;
        text += size;
        text += strspn(text, " \n");
    }
    return false;
}

// Calls VISIT for each process in the group of DIR. Returns how many there were.
static unsigned for_each_process(int dir, void (*visit)(int data, pid_t pid), int data)
{
    AUTO_FREE char *list = read_file(dir, "cgroup.procs");
    unsigned count = 0;
    char *next = list;

    while (next && *next) {
        long pid = strtol(next, &next, 10);
        next += strspn(next, "\n");
        // 0: a process of another process namespace, which has no number here.
        if (pid > 0)
            visit(data, (pid_t)pid);
        count++;
    }
    return count;
}

static void visit_kill(int data, pid_t pid)
{
    (void)data;
    kill(pid, SIGKILL);
}

void delegation_kill(int dir)
{
    // Without cgroup.kill (before Linux 5.14) processes that are being made meanwhile are found
    // in the next round.
    if (delegation_write(dir, "cgroup.kill", "1") < 0)
        for (int i = 0; i < ROUNDS && for_each_process(dir, visit_kill, 0) > 0; i++)
            continue;
}

// --- Finding the group

// Replaces each \OOO of mountinfo by the byte that it stands for.
static void unescape(char *text)
{
    char *to = text;

    for (; *text; text++) {
        if (text[0] == '\\' && text[1] && text[2] && text[3]) {
            *to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 3;
        } else
            *to++ = *text;
    }
    *to = '\0';
}

// Does PATH begin with the whole components of ROOT? Returns the rest, or NULL.
static const char *path_below(const char *path, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

    if (strncmp(path, root, length) != 0 || (path[length] && path[length] != '/'))
        return NULL;
    return path + length;
}

// Returns the directory of the group PATH if LINE of mountinfo mounts the control groups of
// version 2, otherwise NULL.
static char *directory_on(char *line, const char *path)
{
    char *type = strstr(line, " - ");
    char *fields[5] = {0}; // id, parent, device, root, mount point
    char *directory = NULL;
    char *save;
    const char *rest;

    if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
        return NULL;
    fields[0] = strtok_r(line, " ", &save);
    for (int i = 1; i < 5 && fields[i - 1]; i++)
        fields[i] = strtok_r(NULL, " ", &save);
    if (!fields[4])
        return NULL;
    unescape(fields[3]);
    unescape(fields[4]);
    rest = path_below(path, fields[3]);
    if (rest && asprintf(&directory, "%s%s", fields[4], strcmp(rest, "/") == 0 ? "" : rest) < 0)
        directory = NULL;
    return directory;
}

char *delegation_find(const char *groups, const char *mounts, struct error *err)
{
    AUTO_FREE char *copy = strdup(mounts);
    const char *own = strncmp(groups, "0::", 3) == 0 ? groups : strstr(groups, "\n0::");
    AUTO_FREE char *path = NULL;
    char *directory = NULL;
    char *save;

    if (own) {
        own = strchr(own, '/');
        path = own ? strndup(own, strcspn(own, "\n")) : NULL;
    }
    if (!copy || (own && !path)) {
        error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    for (char *line = strtok_r(copy, "\n", &save); line && path && !directory;
         line = strtok_r(NULL, "\n", &save))
        directory = directory_on(line, path);
    if (!directory)
        error_set(err, ENOENT, "there are no control groups of version 2 here");
    return directory;
}

// --- Taking possession

// systemd marks a group that it has delegated. Where there is no systemd, and in the root of the
// groups that a container sees, nobody else manages what is below.
static bool is_delegated(int fd, bool is_root)
{
    char value = 0;

    if (is_root || (fgetxattr(fd, "user.delegate", &value, 1) == 1 && value == '1') ||
        (fgetxattr(fd, "trusted.delegate", &value, 1) == 1 && value == '1'))
        return true;
    return access("/run/systemd/system", F_OK) < 0;
}

static bool is_ours(const char *directory, bool is_root, int *fd)
{
    *fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd >= 0 && faccessat(*fd, "cgroup.procs", W_OK, AT_EACCESS) == 0 &&
           faccessat(*fd, ".", W_OK, AT_EACCESS) == 0 && is_delegated(*fd, is_root);
}

// Opens the group that is delegated: the group of this process, or its parent when a daemon
// before has moved everything into the leaf.
static int open_delegated(char *directory, bool is_root, struct error *err)
{
    char *name = strrchr(directory, '/');
    int fd;

    if (name && strcmp(name, "/" LEAF) == 0)
        *name = '\0';
    if (is_ours(directory, is_root, &fd))
        return fd;
    close_fd(&fd);
    return error_set(err, EACCES,
                     "the control group %s is not delegated to the daemon: set Delegate=yes in its "
                     "unit, or start it with systemd-run --property=Delegate=yes",
                     directory);
}

// Returns a listing of the group FD, with an offset of its own, or NULL.
static DIR *open_listing(int fd)
{
    AUTO_CLOSE int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

    if (dir)
        take_fd(&copy);
    return dir;
}

// The groups of the jobs of a process that is gone.
static void sweep(int fd)
{
    int patience = PATIENCE;
    DIR *dir = open_listing(fd);
    const struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        AUTO_CLOSE int job = -1;
        if (strncmp(entry->d_name, TAKEN, sizeof TAKEN - 1) != 0)
            continue;
        job = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (job < 0)
            continue;
        delegation_kill(job);
        // A process needs a moment to end.
        while (unlinkat(fd, entry->d_name, AT_REMOVEDIR) < 0 && errno == EBUSY && patience-- > 0)
            usleep(LOOK_US);
    }
    closedir(dir);
}

// A process that shares the group has its number in the names of its groups.
static void sweep_shared(int fd)
{
    DIR *dir = open_listing(fd);
    const struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        long pid = strncmp(entry->d_name, SHARED, sizeof SHARED - 1) == 0
                       ? strtol(entry->d_name + sizeof SHARED - 1, NULL, 10)
                       : 0;
        if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
            unlinkat(fd, entry->d_name, AT_REMOVEDIR);
    }
    closedir(dir);
}

// Is the group of GROUPS, a text of /proc/self/cgroup, the highest that this process sees, or the
// leaf there?
static bool is_in_root(const char *groups)
{
    const char *own = strstr(groups, "0::/") + sizeof "0::/" - 1;
    size_t length = strcspn(own, "\n");

    return length == 0 || (length == sizeof LEAF - 1 && strncmp(own, LEAF, length) == 0);
}

static int find_own(struct error *err)
{
    AUTO_FREE char *groups = read_file(AT_FDCWD, "/proc/self/cgroup");
    AUTO_FREE char *mounts = read_file(AT_FDCWD, "/proc/self/mountinfo");
    AUTO_FREE char *directory = NULL;

    if (!groups || !mounts)
        return error_set(err, errno, "cannot read /proc/self/cgroup: %s", strerror(errno));
    directory = delegation_find(groups, mounts, err);
    return directory ? open_delegated(directory, is_in_root(groups), err) : -err->code;
}

static int possess(struct error *err)
{
    AUTO_CLOSE int fd = find_own(err);

    if (fd < 0)
        return -err->code;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, EBUSY, "another daemon uses the control group of this one");
    sweep(fd);
    snprintf(own_prefix, sizeof own_prefix, TAKEN);
    own_fd = take_fd(&fd);
    return 0;
}

static int share(struct error *err)
{
    AUTO_CLOSE int fd = find_own(err);

    if (fd < 0)
        return -err->code;
    sweep_shared(fd);
    snprintf(own_prefix, sizeof own_prefix, SHARED "%d-", (int)getpid());
    // A supervisor expects other descriptors at the lowest numbers.
    own_fd = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
    return own_fd < 0 ? error_set(err, errno, "cannot keep the control group") : 0;
}

static void visit_move(int procs, pid_t pid)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%d", (int)pid);

    if (write(procs, text, (size_t)length) < 0) {
        // It has ended, or belongs to the kernel. The caller sees whether the group is empty.
    }
}

// A group with controllers for groups below must have no process of its own.
static int move_to_leaf(void)
{
    AUTO_CLOSE int leaf = -1;
    AUTO_CLOSE int procs = -1;

    if (mkdirat(own_fd, LEAF, 0755) < 0 && errno != EEXIST)
        return -errno;
    leaf = openat(own_fd, LEAF, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    procs = leaf >= 0 ? openat(leaf, "cgroup.procs", O_WRONLY | O_CLOEXEC) : -1;
    if (procs < 0)
        return -errno;
    // More than once: a process may be starting others.
    for (int i = 0; i < ROUNDS && for_each_process(own_fd, visit_move, procs) > 0; i++)
        continue;
    return 0;
}

static int enable(const char *name)
{
    char text[32];

    snprintf(text, sizeof text, "+%s", name);
    return delegation_write(own_fd, "cgroup.subtree_control", text);
}

static int check_available(unsigned controllers, struct error *err)
{
    AUTO_FREE char *available = read_file(own_fd, "cgroup.controllers");

    if (!available)
        return error_set(err, errno, "cannot read cgroup.controllers: %s", strerror(errno));
    for (int i = 0; i < CONTROLLER_COUNT; i++)
        if (controllers & CONTROLLERS[i].bit && !has_word(available, CONTROLLERS[i].name))
            return error_set(err, ENOTSUP,
                             "the daemon's control group has no controller %s: the system may have "
                             "it in version 1 of the control groups, or Delegate= does not name it",
                             CONTROLLERS[i].name);
    return 0;
}

static int enable_all(unsigned controllers, struct error *err)
{
    unsigned missing = controllers & ~own_controllers;
    int result;

    if (missing == 0)
        return 0;
    if (check_available(missing, err) < 0)
        return -err->code;
    // Without it the kernel takes the controllers cpu and pids, but no memory after them.
    result = move_to_leaf();
    for (int i = 0; i < CONTROLLER_COUNT; i++) {
        if (!(missing & CONTROLLERS[i].bit))
            continue;
        if (result == 0)
            result = enable(CONTROLLERS[i].name);
        if (result < 0)
            return error_set(err, -result, "cannot enable the controller %s: %s",
                             CONTROLLERS[i].name, strerror(-result));
        own_controllers |= CONTROLLERS[i].bit;
    }
    return 0;
}

int delegation_take(unsigned controllers, struct error *err)
{
    return own_fd < 0 && possess(err) < 0 ? -err->code : enable_all(controllers, err);
}

int delegation_share(unsigned controllers, struct error *err)
{
    return own_fd < 0 && share(err) < 0 ? -err->code : enable_all(controllers, err);
}
