// SPDX-License-Identifier: Apache-2.0
#include "child.h"

#include "bounds.h"
#include "cleanup.h"
#include "raw.h"
#include "settings.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#ifdef HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

enum {
    STACK_SIZE = 16 * 1024, // far more than the child needs: no libc, no signal handlers
    GIFT_FILENO = STDERR_FILENO + 1,
};

// The child's message when it cannot execute its command.
struct report {
    enum channel_stage stage;
    int errnum; // 0: no failure
};

struct child {
    struct words argv;
    struct words env;
    const char *path; // PATH of env, searched for the command; NULL: the command is a path
    char *workdir;
    struct identity identity;
    bool has_identity; // false: the child keeps the daemon's
    bool is_other;     // the command's user is not the daemon's
    struct bounds bounds;
    uint64_t signals; // signals that have not their default handling
    struct child_gift gift;
    int group_procs; // to which the child writes itself; -1: nothing to do
    struct rlimit descriptors;
    pid_t parent;
    char *stack;
    pid_t is_here; // not 0 as long as the child uses this memory; the kernel clears it
    struct report own_report;
    struct report *report; // own_report, or shared memory if the child has memory of its own
    char file[PATH_MAX];   // the file that the child tries to execute
};

// --- In the child

static _Noreturn void child_fail(const struct child *child, enum channel_stage stage, long result)
{
    child->report->stage = stage;
    child->report->errnum = (int)-result;
    raw_exit(CHAR_MAX);
}

static void child_take_gift(const struct child *child)
{
    const struct child_gift *gift = &child->gift;
    long result = raw_dup2(gift->in, STDIN_FILENO);

    if (result >= 0)
        result = raw_dup2(gift->out, STDOUT_FILENO);
    if (result >= 0)
        result = raw_dup2(gift->err, STDERR_FILENO);
    if (result >= 0 && gift->file >= 0)
        result = gift->file == GIFT_FILENO ? raw_keep_over_exec(GIFT_FILENO)
                                           : raw_dup2(gift->file, GIFT_FILENO);
    if (result < 0)
        child_fail(child, STAGE_EXEC, result);
    // Every descriptor is close-on-exec. But the exec may wait for a file system that does not
    // answer. Meanwhile a copy of the end of another job's pipe would keep that job waiting, too.
    raw_close_from(gift->file >= 0 ? GIFT_FILENO + 1 : GIFT_FILENO);
    if (gift->descriptors)
        raw_limit(RLIMIT_NOFILE, &child->descriptors, NULL);
}

// While the child is root, or whom else the group belongs to.
static void child_join_group(const struct child *child)
{
    long result = child->group_procs < 0 ? 0 : raw_write(child->group_procs, "0", 1);

    if (result < 0)
        child_fail(child, STAGE_RESOURCES, result);
}

static void child_take_identity(const struct child *child)
{
    const struct identity *who = &child->identity;
    long result = bounds_begin(&child->bounds);

    if (result >= 0 && child->has_identity)
        result = raw_setgroups(who->group_count, who->groups);
    if (result >= 0 && child->has_identity)
        result = raw_setgid(who->gid);
    if (result >= 0 && child->has_identity)
        result = raw_setuid(who->uid);
    // From here on, another user may send signals to the process. A core dump would contain the
    // daemon's memory; all signals have been blocked until here.
    if (result >= 0 && child->is_other)
        result = raw_prctl(PR_SET_DUMPABLE, 0);
    if (result >= 0)
        result = bounds_end(&child->bounds);
    if (result < 0)
        child_fail(child, STAGE_IDENTITY, result);
}

// Writes the path of the command in the first directory of PATH, which ends with a colon, into
// child->file. Returns the rest of PATH after the colon, or NULL. There is one path at a time:
// all paths together would take the length of the command for each colon of PATH, and the
// caller chooses both.
static const char *child_name_file(struct child *child, const char *path, bool *is_too_long)
{
    size_t length = 0;
    const char *end = path;
    bool is_done = false;

    // A directory without a name is the working directory.
    if (!*path || *path == ':')
        child->file[length++] = '.';
    for (; *end && *end != ':'; end++)
        if (length < sizeof child->file)
            child->file[length++] = *end;
    if (length < sizeof child->file)
        child->file[length++] = '/';
    for (const char *byte = child->argv.items[0]; length < sizeof child->file && !is_done; byte++) {
        child->file[length++] = *byte;
        is_done = !*byte;
    }
    *is_too_long = !is_done;
    return *end ? end + 1 : NULL;
}

// Works like execvpe, but with the PATH of the new environment. A file of unknown format is not
// handed to a shell. Returns only on failure, -errno.
static long child_execute(struct child *child)
{
    long failure = -ENOENT;
    const char *path = child->path;

    if (!path)
        return raw_execve(child->argv.items[0], child->argv.items, child->env.items);
    while (path) {
        bool is_too_long;
        long result;

        path = child_name_file(child, path, &is_too_long);
        if (is_too_long)
            continue;
        result = raw_execve(child->file, child->argv.items, child->env.items);
        // The error of a file that exists and cannot be executed says more than the error of a
        // missing file. But a later directory may have the right file.
        if (result == -EACCES)
            failure = result;
        else if (result != -ENOENT && result != -ENOTDIR && result != -ENAMETOOLONG)
            return result;
    }
    return failure;
}

static int child_run(void *data)
{
    struct child *child = data;
    long result;

    raw_block_signals(UINT64_MAX);
    raw_setsid();
    child_join_group(child);
    child_take_gift(child);
    child_take_identity(child);
    // Not before the identity: a change of identity undoes this setting (prctl(2)).
    raw_prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (raw_getppid() != child->parent)
        raw_exit(CHAR_MAX);
    result = raw_chdir(child->workdir);
    if (result < 0)
        child_fail(child, STAGE_WORKDIR, result);
    // A signal that the daemon ignores, perhaps since its start, must not be ignored in the
    // command.
    raw_reset_signals(child->signals);
    raw_block_signals(0);
    child_fail(child, STAGE_EXEC, child_execute(child));
}

// --- Preparation

static const char *env_search_path(const struct words *env)
{
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], "PATH=", 5) == 0)
            return env->items[i] + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

// Returns the signals that are ignored or handled. They stay the same after the daemon's start.
static uint64_t signals_unusual(void)
{
    static uint64_t mask;
    static bool is_known;

    for (int number = 1; !is_known && number <= 64; number++)
        if (raw_is_unusual(number))
            mask |= (uint64_t)1 << (number - 1);
    is_known = true;
    return mask;
}

// Returns the daemon's user and groups, which stay the same after its start; NULL if its real, its
// effective and its saved ids differ, or if it has too many groups.
static const struct identity *daemon_identity(void)
{
    static gid_t groups[32];
    static struct identity own = {.groups = groups};
    static enum { UNKNOWN, PLAIN, OTHER } answer;
    uid_t uids[3];
    gid_t gids[3];

    if (answer == UNKNOWN) {
        int count = getgroups(sizeof groups / sizeof *groups, groups);
        bool is_known = count >= 0 && getresuid(&uids[0], &uids[1], &uids[2]) == 0 &&
                        getresgid(&gids[0], &gids[1], &gids[2]) == 0;

        answer = is_known && uids[0] == uids[1] && uids[0] == uids[2] && gids[0] == gids[1] &&
                         gids[0] == gids[2]
                     ? PLAIN
                     : OTHER;
        if (answer == PLAIN) {
            own.uid = uids[0];
            own.gid = gids[0];
            own.group_count = (size_t)count;
        }
    }
    return answer == PLAIN ? &own : NULL;
}

// Each change of identity makes the kernel copy the credentials, even if nothing changes.
static bool must_change_identity(const struct identity *wanted)
{
    const struct identity *own = daemon_identity();
    return wanted && !(own && identity_equal(own, wanted));
}

struct child *child_create(const struct process_spec *spec, const struct child_gift *gift)
{
    struct child *child = malloc(sizeof *child);
    int result;

    if (!child)
        return NULL;
    memset(child, 0, offsetof(struct child, file));
    child->gift = *gift;
    child->group_procs = -1;
    if (gift->descriptors)
        child->descriptors = *gift->descriptors;
    child->parent = getpid();
    child->is_here = 1;
    child->report = &child->own_report;
    child->workdir = strdup(spec->workdir ? spec->workdir : "/");
    child->stack = malloc(STACK_SIZE);
    result = child->workdir && child->stack ? words_append_all(&child->argv, spec->argv) : -ENOMEM;
    if (result == 0)
        result = words_append_all(&child->env, spec->env);
    child->path = strchr(spec->argv[0], '/') ? NULL : env_search_path(&child->env);
    child->has_identity = must_change_identity(spec->identity);
    child->is_other = spec->identity && spec->identity->uid != geteuid();
    child->signals = signals_unusual();
    bounds_prepare(&child->bounds, spec, gift->descriptors);
    if (result == 0 && child->has_identity)
        result = identity_copy(&child->identity, spec->identity);
    if (result == 0)
        return child;
    child_destroy(child);
    return NULL;
}

void child_destroy(struct child *child)
{
    if (!child)
        return;
    if (child->report != &child->own_report)
        munmap(child->report, sizeof *child->report);
    words_finish(&child->argv);
    words_finish(&child->env);
    identity_finish(&child->identity);
    free(child->workdir);
    free(child->stack);
    free(child);
}

// --- Start

// Until Linux 5.16 a core dump of one process ended all processes that share its memory.
static bool is_core_dump_alone(void)
{
    struct utsname name;
    unsigned long major;
    unsigned long minor;
    char *end;

    if (uname(&name) < 0)
        return false;
    major = strtoul(name.release, &end, 10);
    minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major > 5 || (major == 5 && minor >= 16);
}

// With 1 in /proc/sys/fs/suid_dumpable a user may look into a process that has just changed to
// this user, and so into memory that the process shares.
static bool memory_is_daemon_alone(void)
{
    char value = '1';
    AUTO_CLOSE int fd = open("/proc/sys/fs/suid_dumpable", O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, &value, 1) == 1 && value != '1';
}

// May a child of another user share the daemon's memory? The answer is found once.
static bool memory_is_safe_to_share(void)
{
    static enum { UNKNOWN, SAFE, UNSAFE } answer;

    if (answer == UNKNOWN)
        answer = is_core_dump_alone() && memory_is_daemon_alone() ? SAFE : UNSAFE;
    return answer == SAFE;
}

// AddressSanitizer and valgrind keep a record of each byte, which a child that shares the memory
// would change; valgrind also refuses to start such a child.
static bool child_can_share_memory(const struct child *child)
{
    if (!RAW_CALLS || IS_SANITIZED || RUNNING_ON_VALGRIND)
        return false;
    if (bounds_need_memory(&child->bounds))
        return false;
    // The OOM killer kills each process that shares the memory of its victim. In a group with too
    // little memory for the exec the victim is the child.
    if (child->gift.group)
        return false;
    return !child->is_other || memory_is_safe_to_share();
}

static pid_t child_start_sharing(struct child *child, int *pid_fd)
{
    pid_t pid = clone(child_run, child->stack + STACK_SIZE,
                      CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID | SIGCHLD, child, pid_fd, NULL,
                      &child->is_here);
    return pid < 0 ? -errno : pid;
}

// Does the work of fork and pidfd_open in one call, because valgrind 3.19 does not know
// pidfd_open. Does not use clone(3), because AddressSanitizer does not know the child's own stack.
static pid_t fork_with_fd(int *pid_fd)
{
#ifdef __s390__ // clone(2): on s390 the first two arguments are exchanged
    long pid = syscall(SYS_clone, NULL, CLONE_PIDFD | SIGCHLD, pid_fd, NULL, NULL);
#else
    long pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pid_fd, NULL, NULL);
#endif
    return pid < 0 ? -errno : (pid_t)pid;
}

// The child is in its group from the beginning, or moves itself there: see group_procs.
static pid_t child_fork(struct child *child, int *pid_fd)
{
    AUTO_CLOSE int procs = -1;
    pid_t pid;

    if (!child->gift.group)
        return fork_with_fd(pid_fd);
    pid = RUNNING_ON_VALGRIND ? -ENOSYS : cgroup_fork(child->gift.group, pid_fd);
    if (pid != -ENOSYS)
        return pid;
    procs = cgroup_open_procs(child->gift.group);
    if (procs < 0)
        return procs;
    child->group_procs = procs;
    return fork_with_fd(pid_fd);
}

static pid_t start_copy(struct child *child, int *pid_fd)
{
    pid_t pid;
    void *report = mmap(NULL, sizeof *child->report, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (report == MAP_FAILED)
        return -ENOMEM;
    child->report = report;
    pid = child_fork(child, pid_fd);
    if (pid == 0)
        child_run(child);
    return pid;
}

pid_t child_start(struct child *child, int *pid_fd)
{
    return child_can_share_memory(child) ? child_start_sharing(child, pid_fd)
                                         : start_copy(child, pid_fd);
}

bool child_has_left(const struct child *child)
{
    return __atomic_load_n(&child->is_here, __ATOMIC_ACQUIRE) == 0;
}

int child_failure(const struct child *child, enum channel_stage *stage)
{
    *stage = child->report->stage;
    return child->report->errnum;
}
