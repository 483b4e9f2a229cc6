// SPDX-License-Identifier: Apache-2.0
#include "confinement.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

enum { PROCESS = 1 }; // IOPRIO_WHO_PROCESS

// The daemon's own; no other process can change it.
static struct {
    bool is_known;
    uint64_t filters;
    uint64_t bounding_set;
    char user_namespace[64];
} own;

uint64_t confinement_field(const char *status, const char *name, int base, uint64_t missing)
{
    char label[32];
    const char *found;

    snprintf(label, sizeof label, "\n%s:", name);
    found = strstr(status, label);
    return found ? strtoull(found + strlen(label), NULL, base) : missing;
}

// Returns how many seccomp filters there are. Before Linux 5.9 the kernel does not tell the number;
// then the answer is one.
static uint64_t count_filters(const char *status)
{
    uint64_t mode = confinement_field(status, "Seccomp", 10, 0);
    return confinement_field(status, "Seccomp_filters", 10, mode != 0);
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd >= 0 ? read(fd, text, size - 1) : -1;

    if (count < 0)
        return -errno;
    text[count] = '\0';
    return count;
}

// The name of a namespace has its number, which no other namespace has. Returns 0, or -errno.
static int read_user_namespace(const char *path, char name[static sizeof own.user_namespace])
{
    ssize_t length = readlink(path, name, sizeof own.user_namespace - 1);

    if (length < 0)
        return -errno;
    name[length] = '\0';
    return 0;
}

static int learn_own(void)
{
    char status[8192];
    ssize_t count;
    int result;

    if (own.is_known)
        return 0;
    count = read_file("/proc/self/status", status, sizeof status);
    if (count < 0)
        return (int)count;
    result = read_user_namespace("/proc/self/ns/user", own.user_namespace);
    if (result < 0)
        return result;
    own.filters = count_filters(status);
    own.bounding_set = confinement_field(status, "CapBnd", 16, UINT64_MAX);
    own.is_known = true;
    return 0;
}

// Does the user namespace of PID have all ids of the machine, unchanged?
static bool has_plain_ids(pid_t pid)
{
    char path[64];
    char text[256];
    unsigned first = 1;
    unsigned outside = 1;
    unsigned count = 0;

    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
    return read_file(path, text, sizeof text) > 0 &&
           // The kernel writes the numbers, and each fits. NOLINTNEXTLINE(cert-err34-c)
           sscanf(text, "%u %u %u", &first, &outside, &count) == 3 && first == 0 && outside == 0 &&
           count == UINT32_MAX;
}

static int learn_namespace(struct confinement *confinement, pid_t pid)
{
    char path[64];
    char name[sizeof own.user_namespace];
    int result;

    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    result = read_user_namespace(path, name);
    if (result == 0)
        confinement->is_elsewhere = strcmp(name, own.user_namespace) != 0;
    // Without CAP_SYS_PTRACE a process may not look at the namespace of another user's process. But
    // only root can make a namespace with the same ids.
    else if (result == -EACCES && has_plain_ids(getpid())) {
        confinement->is_elsewhere = !has_plain_ids(pid);
        result = 0;
    }
    return result;
}

// Reads the limits from the file that everybody may read: without CAP_SYS_RESOURCE a process may
// not ask the kernel for the limits of another user's process.
static int read_limits(struct confinement *confinement, pid_t pid)
{
    enum { NAME = 26, VALUE = 21 }; // the widths of its columns
    char path[64];
    char text[4096];
    const char *line = text;
    ssize_t count;

    snprintf(path, sizeof path, "/proc/%d/limits", (int)pid);
    count = read_file(path, text, sizeof text);
    if (count < 0)
        return (int)count;
    for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
        struct rlimit *limit = &confinement->limits[resource];

        line = strchr(line, '\n');
        if (!line || strcspn(++line, "\n") < NAME + VALUE)
            return -EPERM;
        limit->rlim_cur = line[NAME] == 'u' ? RLIM_INFINITY : strtoull(line + NAME, NULL, 10);
        limit->rlim_max =
            line[NAME + VALUE] == 'u' ? RLIM_INFINITY : strtoull(line + NAME + VALUE, NULL, 10);
    }
    return 0;
}

static int learn_limits(struct confinement *confinement, pid_t pid)
{
    for (int resource = 0; resource < RLIM_NLIMITS; resource++)
        if (prlimit(pid, (enum __rlimit_resource)resource, NULL, &confinement->limits[resource]) <
            0)
            return errno == EPERM ? read_limits(confinement, pid) : -errno;
    return 0;
}

static int learn_scheduling(struct confinement *confinement, pid_t pid)
{
    struct scheduling attr = {.size = sizeof attr};
    long priority = syscall(SYS_ioprio_get, PROCESS, pid);

    if (priority < 0 || syscall(SYS_sched_getattr, pid, &attr, sizeof attr, 0) < 0)
        return -errno;
    confinement->io_priority = (int)priority;
    confinement->policy = attr.policy;
    confinement->nice = attr.nice;
    return 0;
}

static int learn_oom_score_adj(struct confinement *confinement, pid_t pid)
{
    char path[64];
    char text[32];
    ssize_t count;

    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
    count = read_file(path, text, sizeof text);
    if (count <= 0)
        return count < 0 ? (int)count : -ESRCH;
    confinement->oom_score_adj = (int)strtol(text, NULL, 10);
    return 0;
}

int confinement_learn(struct confinement *confinement, pid_t pid, const char *status)
{
    uint64_t none = 0;
    int result = learn_own();

    *confinement = (struct confinement){0};
    if (result == 0)
        result = learn_namespace(confinement, pid);
    if (result == 0)
        result = learn_limits(confinement, pid);
    if (result == 0)
        result = learn_scheduling(confinement, pid);
    if (result == 0)
        result = learn_oom_score_adj(confinement, pid);
    if (result < 0) // a shortage is an error; otherwise the daemon may not know it
        return result == -EMFILE || result == -ENFILE || result == -ENOMEM ? result : 0;
    confinement->is_filtered = count_filters(status) > own.filters;
    confinement->cannot_gain = confinement_field(status, "NoNewPrivs", 10, 0) != 0;
    confinement->capabilities = confinement_field(status, "CapPrm", 16, none);
    confinement->bounding_set = confinement_field(status, "CapBnd", 16, none);
    confinement->is_known = true;
    return 0;
}

int confinement_learn_own(struct confinement *confinement)
{
    char status[8192];
    ssize_t count = read_file("/proc/self/status", status, sizeof status);

    *confinement = (struct confinement){0};
    if (count < 0)
        return count == -EMFILE || count == -ENFILE || count == -ENOMEM ? (int)count : 0;
    return confinement_learn(confinement, getpid(), status);
}

uint64_t confinement_own_bounding_set(void)
{
    return learn_own() == 0 ? own.bounding_set : UINT64_MAX;
}

bool confinement_is_no_tighter(const struct confinement *from, const struct confinement *to)
{
    for (int resource = 0; resource < RLIM_NLIMITS; resource++)
        if (to->limits[resource].rlim_cur < from->limits[resource].rlim_cur ||
            to->limits[resource].rlim_max < from->limits[resource].rlim_max)
            return false;
    return from->is_known && to->is_known && from->is_filtered == to->is_filtered &&
           from->is_elsewhere == to->is_elsewhere && from->cannot_gain == to->cannot_gain &&
           from->capabilities == to->capabilities && from->bounding_set == to->bounding_set &&
           from->policy == to->policy && from->nice == to->nice &&
           from->io_priority == to->io_priority && from->oom_score_adj == to->oom_score_adj;
}
