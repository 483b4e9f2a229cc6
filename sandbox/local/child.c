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
    STACK_SIZE = 16 * 1024, // far more than run needs: no libc, no signal handlers
    GIFT_FILENO = STDERR_FILENO + 1,
};

// The child's message when it cannot execute its command.
struct report {
    enum channel_stage stage;
    int errnum; // 0: nothing
};

struct child {
    struct words argv;
    struct words env;
    const char *path; // to be searched for the command, in env; NULL: it is a path itself
    char *workdir;
    struct identity identity;
    bool has_identity;
    bool is_other; // user than we are
    struct bounds bounds;
    uint64_t signals; // that are not handled as they are by default
    struct child_gift gift;
    struct rlimit descriptors;
    pid_t parent;
    char *stack;
    pid_t is_here; // not 0 as long as the child uses this memory; the kernel clears it
    struct report own_report;
    struct report *report; // own_report, or one that is shared when the memory is not
    char file[PATH_MAX];   // that the child tries to execute
};

// --- In the child

static _Noreturn void fail(const struct child *child, enum channel_stage stage, long result)
{
    child->report->stage = stage;
    child->report->errnum = (int)-result;
    raw_exit(CHAR_MAX);
}

static void take_gift(const struct child *child)
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
        fail(child, STAGE_EXEC, result);
    // Everything is close-on-exec. But the exec may have to wait, for a file
    // system that does not answer, and a copy of a pipe's end would keep another
    // job waiting with it.
    raw_close_from(gift->file >= 0 ? GIFT_FILENO + 1 : GIFT_FILENO);
    if (gift->descriptors)
        raw_limit(RLIMIT_NOFILE, &child->descriptors, NULL);
}

static void take_identity(const struct child *child)
{
    const struct identity *who = &child->identity;
    long result = bounds_begin(&child->bounds);

    if (result >= 0 && child->has_identity)
        result = raw_setgroups(who->group_count, who->groups);
    if (result >= 0 && child->has_identity)
        result = raw_setgid(who->gid);
    if (result >= 0 && child->has_identity)
        result = raw_setuid(who->uid);
    // Another user may send signals to the process now. A core dump would have our memory
    // in it; until here no signal has come through.
    if (result >= 0 && child->is_other)
        result = raw_prctl(PR_SET_DUMPABLE, 0);
    if (result >= 0)
        result = bounds_end(&child->bounds);
    if (result < 0)
        fail(child, STAGE_IDENTITY, result);
}

// Writes what the command is in the first directory of PATH, which ends with a colon, into
// child->file. Returns what follows the colon, or NULL. One at a time: together they are as
// long as the caller's PATH has colons, times the caller's command.
static const char *name_file(struct child *child, const char *path, bool *is_too_long)
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

// As execvpe, but with the PATH of the new environment, and without handing a
// file that has no known format to a shell. Returns only on failure, -errno.
static long execute(struct child *child)
{
    long failure = -ENOENT;
    const char *path = child->path;

    if (!path)
        return raw_execve(child->argv.items[0], child->argv.items, child->env.items);
    while (path) {
        bool is_too_long;
        long result;

        path = name_file(child, path, &is_too_long);
        if (is_too_long)
            continue;
        result = raw_execve(child->file, child->argv.items, child->env.items);
        // A file that is there and cannot be executed says more than one that
        // is not there, but a later directory may have the right one.
        if (result == -EACCES)
            failure = result;
        else if (result != -ENOENT && result != -ENOTDIR && result != -ENAMETOOLONG)
            return result;
    }
    return failure;
}

static int run(void *data)
{
    struct child *child = data;
    long result;

    raw_block_signals(UINT64_MAX);
    raw_setsid();
    take_gift(child);
    take_identity(child);
    // Not before the identity: changing that takes it back (prctl(2)).
    raw_prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (raw_getppid() != child->parent)
        raw_exit(CHAR_MAX);
    result = raw_chdir(child->workdir);
    if (result < 0)
        fail(child, STAGE_WORKDIR, result);
    // A signal that the daemon ignores, or was started with ignored, must not be ignored in the
    // command.
    raw_reset_signals(child->signals);
    raw_block_signals(0);
    fail(child, STAGE_EXEC, execute(child));
}

// --- Preparation

static int copy_words(struct words *to, char *const *from)
{
    int result = 0;

    for (; *from && result == 0; from++)
        result = words_append(to, *from);
    return result;
}

static const char *search_path(const struct words *env)
{
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], "PATH=", 5) == 0)
            return env->items[i] + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

// The signals that are ignored, or handled. That stays as it is from the start.
static uint64_t unusual_signals(void)
{
    static uint64_t mask;
    static bool is_known;

    for (int number = 1; !is_known && number <= 64; number++)
        if (raw_is_unusual(number))
            mask |= (uint64_t)1 << (number - 1);
    is_known = true;
    return mask;
}

struct child *child_create(const struct process_spec *spec, const struct child_gift *gift)
{
    struct child *child = malloc(sizeof *child);
    int result;

    if (!child)
        return NULL;
    memset(child, 0, offsetof(struct child, file));
    child->gift = *gift;
    if (gift->descriptors)
        child->descriptors = *gift->descriptors;
    child->parent = getpid();
    child->is_here = 1;
    child->report = &child->own_report;
    child->workdir = strdup(spec->workdir ? spec->workdir : "/");
    child->stack = malloc(STACK_SIZE);
    result = child->workdir && child->stack ? copy_words(&child->argv, spec->argv) : -ENOMEM;
    if (result == 0)
        result = copy_words(&child->env, spec->env);
    child->path = strchr(spec->argv[0], '/') ? NULL : search_path(&child->env);
    child->has_identity = spec->identity != NULL;
    child->is_other = child->has_identity && spec->identity->uid != geteuid();
    child->signals = unusual_signals();
    bounds_prepare(&child->bounds, spec);
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

// Until Linux 5.16 the core dump of a process ended all others with its memory.
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

// With 1 in /proc/sys/fs/suid_dumpable a user may look into a process that has just
// become theirs, and with it into what it shares.
static bool is_memory_ours_alone(void)
{
    char value = '1';
    AUTO_CLOSE int fd = open("/proc/sys/fs/suid_dumpable", O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, &value, 1) == 1 && value != '1';
}

// Could a child of another user's share our memory? Asked once.
static bool is_safe_for_others(void)
{
    static enum { UNKNOWN, SAFE, UNSAFE } answer;

    if (answer == UNKNOWN)
        answer = is_core_dump_alone() && is_memory_ours_alone() ? SAFE : UNSAFE;
    return answer == SAFE;
}

// AddressSanitizer and valgrind keep a record of each byte, which a child would
// change; valgrind refuses to make one like that anyway.
static bool can_share_memory(const struct child *child)
{
    if (!RAW_CALLS || IS_SANITIZED || RUNNING_ON_VALGRIND)
        return false;
    if (bounds_need_memory(&child->bounds))
        return false;
    return !child->is_other || is_safe_for_others();
}

static pid_t start_sharing(struct child *child, int *pid_fd)
{
    pid_t pid = clone(run, child->stack + STACK_SIZE,
                      CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID | SIGCHLD, child, pid_fd, NULL,
                      &child->is_here);
    return pid < 0 ? -errno : pid;
}

// As fork and pidfd_open, in one call: valgrind 3.19 does not know the latter. And
// not as clone(3): AddressSanitizer does not know a stack of our own.
static pid_t fork_with_fd(int *pid_fd)
{
#ifdef __s390__ // clone(2): there the first two change places
    return (pid_t)syscall(SYS_clone, NULL, CLONE_PIDFD | SIGCHLD, pid_fd, NULL, NULL);
#else
    return (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pid_fd, NULL, NULL);
#endif
}

static pid_t start_copy(struct child *child, int *pid_fd)
{
    pid_t pid;
    void *report = mmap(NULL, sizeof *child->report, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (report == MAP_FAILED)
        return -ENOMEM;
    child->report = report;
    pid = fork_with_fd(pid_fd);
    if (pid == 0)
        run(child);
    return pid < 0 ? -errno : pid;
}

pid_t child_start(struct child *child, int *pid_fd)
{
    return can_share_memory(child) ? start_sharing(child, pid_fd) : start_copy(child, pid_fd);
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
