// SPDX-License-Identifier: Apache-2.0
#include "bounds.h"

#include "cleanup.h"
#include "raw.h"

#include <sys/wait.h>

enum { NS_PER_S = 1000000000 };

// --- In the process

// Sets the limits that differ from the daemon's.
static long bounds_take_limits(const struct bounds *bounds)
{
    long result = 0;

    for (int resource = 0; resource < RLIM_NLIMITS && result >= 0; resource++)
        if (bounds->lowered >> resource & 1)
            result = raw_limit(resource, &bounds->limits[resource], NULL);
    return result;
}

enum {
    POLICY_BATCH = 3,
    POLICY_IDLE = 5,
    IO_CLASS_SHIFT = 13,
    IO_REALTIME = 1,
};

// Gives the process the scheduling of the caller, but never better than usual.
static void bounds_take_scheduling(const struct bounds *bounds)
{
    const struct confinement *from = &bounds->confinement;
    struct scheduling own = {.size = sizeof own};
    struct scheduling wanted = {.size = sizeof wanted};
    int io_priority = bounds->is_confined ? from->io_priority : 0;
    bool is_lower =
        bounds->is_confined && (from->policy == POLICY_BATCH || from->policy == POLICY_IDLE);

    if (io_priority >> IO_CLASS_SHIFT == IO_REALTIME)
        io_priority = 0;
    wanted.policy = is_lower ? from->policy : 0;
    wanted.nice = bounds->is_confined && from->nice > 0 ? from->nice : 0;
    // A daemon that is not root cannot lower its nice value again, and has no value better than
    // usual that a command could inherit.
    if (raw_get_scheduling(&own) < 0 || own.policy != wanted.policy || own.nice != wanted.nice)
        raw_set_scheduling(&wanted);
    if (raw_get_io_priority() != io_priority)
        raw_set_io_priority(io_priority);
}

// Drops the capabilities that programs of the command must not gain.
static long bounds_take_bounding_set(const struct bounds *bounds)
{
    bool can_gain = !bounds->confinement.cannot_gain;

    for (unsigned long capability = 0; capability < 64 && bounds->dropped >> capability;
         capability++) {
        long result =
            bounds->dropped >> capability & 1 ? raw_prctl(PR_CAPBSET_DROP, capability) : 0;
        if (result == -EINVAL)
            break; // the kernel knows no further capability
        // The daemon may not be allowed to drop a capability. Then no_new_privs helps: with it
        // programs gain no capability at all.
        if (result < 0)
            can_gain = false;
    }
    return can_gain ? 0 : raw_prctl(PR_SET_NO_NEW_PRIVS, 1);
}

// Drops capabilities of the daemon. The command of another user keeps none; a command of root
// keeps the capabilities that its caller has, too. No capability is inheritable, and so none is
// ambient.
static long bounds_take_capabilities(const struct bounds *bounds)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}, {0}};
    uint64_t kept = bounds->is_confined ? bounds->confinement.capabilities : UINT64_MAX;
    long result = bounds->is_root ? raw_get_capabilities(&header, sets) : 0;
    bool is_same = bounds->is_root;

    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++, kept >>= 32) {
        uint32_t permitted = sets[i].permitted & (uint32_t)kept;

        is_same &= permitted == sets[i].permitted && permitted == sets[i].effective &&
                   sets[i].inheritable == 0;
        sets[i].permitted = permitted;
        sets[i].effective = permitted;
        sets[i].inheritable = 0;
    }
    return result < 0 || is_same ? result : raw_set_capabilities(&header, sets);
}

// Sets how soon the OOM killer takes the command. Only for a process with memory of its own:
// otherwise the value changes for the daemon, too.
static long bounds_take_oom_score_adj(const struct bounds *bounds)
{
    char text[sizeof "-1000"];
    size_t at = sizeof text;
    int value = bounds->confinement.oom_score_adj;
    unsigned rest = value < 0 ? -(unsigned)value : (unsigned)value;
    long fd = raw_open("/proc/self/oom_score_adj", O_WRONLY);
    long result = fd;

    do
        text[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        text[--at] = '-';
    if (fd >= 0)
        result = raw_write((int)fd, text + at, sizeof text - at);
    if (fd >= 0)
        raw_close((int)fd);
    return result;
}

long bounds_begin(const struct bounds *bounds)
{
    long result = 0;

    if (bounds->is_command)
        bounds_take_scheduling(bounds);
    if (bounds->is_freer)
        result = bounds_take_oom_score_adj(bounds);
    // Otherwise the commands of all users would share one keyring, and see each other's keys.
    if (result >= 0 && bounds->has_own_keyring)
        result = raw_join_session_keyring();
    // A container may forbid keyrings.
    if (bounds->has_own_keyring && (result == -EPERM || result == -ENOSYS))
        result = 0;
    // Not earlier: a descriptor was needed until here.
    if (result >= 0)
        result = bounds_take_limits(bounds);
    return result >= 0 && bounds->is_confined ? bounds_take_bounding_set(bounds) : result;
}

long bounds_end(const struct bounds *bounds)
{
    return bounds->is_command ? bounds_take_capabilities(bounds) : 0;
}

// --- In the daemon

static int daemon_oom_score_adj_fd = -1;
static struct rlimit daemon_descriptors; // as it was given; rlim_max 0: it was not raised

void bounds_set_up(void)
{
    if (getrlimit(RLIMIT_NOFILE, &daemon_descriptors) < 0)
        daemon_descriptors.rlim_max = 0;
    daemon_oom_score_adj_fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
}

int bounds_learn_own(struct confinement *confinement)
{
    int result = confinement_learn_own(confinement);

    if (daemon_descriptors.rlim_max > 0)
        confinement->limits[RLIMIT_NOFILE] = daemon_descriptors;
    return result;
}

// An administrator may change these while the daemon runs (prlimit(1), choom(1)).
struct daemon_state {
    struct rlimit limits[RLIM_NLIMITS];
    int oom_score_adj;
};

static int daemon_oom_score_adj(void)
{
    int fd = daemon_oom_score_adj_fd;
    char text[32] = "";

    return fd >= 0 && pread(fd, text, sizeof text - 1, 0) > 0 ? (int)strtol(text, NULL, 10) : 0;
}

// Returns that with which children of the daemon begin. The daemon looks again after a second.
static const struct daemon_state *daemon_state(void)
{
    static struct daemon_state state;
    static uint64_t next_look_ns;
    uint64_t now = loop_now_ns();

    if (now < next_look_ns)
        return &state;
    for (int resource = 0; resource < RLIM_NLIMITS; resource++)
        getrlimit((enum __rlimit_resource)resource, &state.limits[resource]);
    state.oom_score_adj = daemon_oom_score_adj();
    next_look_ns = now + NS_PER_S;
    return &state;
}

// Has the daemon a session keyring, which its commands would inherit? A process without a
// session keyring has the keyring of its user. But the question itself would give the daemon
// this keyring, so a child asks. A command of the daemon's own user (IS_DAEMON_USER) can give the
// daemon a keyring later (KEYCTL_SESSION_TO_PARENT).
static bool daemon_shares_keyring(bool is_daemon_user)
{
    static enum { UNKNOWN, NO, YES } answer;
    int status = 0;
    pid_t pid;

    if (answer == UNKNOWN) {
        pid = fork();
        if (pid == 0) {
            long own = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
            _exit(own ==
                  syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0));
        }
        answer = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
                         WEXITSTATUS(status) == 1
                     ? NO
                     : YES;
    }
    if (is_daemon_user)
        answer = YES;
    return answer == YES;
}

// Makes each limit as low as the lowest of the daemon's, the caller's and the configuration's.
static void bounds_prepare_limits(struct bounds *bounds, const struct process_spec *spec,
                                  const struct rlimit *descriptors)
{
    const struct rlimit *own = daemon_state()->limits;

    for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
        struct rlimit *limit = &bounds->limits[resource];
        bool is_lower = false;

        *limit = resource == RLIMIT_NOFILE && descriptors ? *descriptors : own[resource];
        if (bounds->is_confined)
            is_lower |= rlimit_lower(limit, &bounds->confinement.limits[resource]);
        if (spec->rlimits)
            is_lower |= rlimits_lower(spec->rlimits, resource, limit);
        bounds->lowered |= (uint32_t)is_lower << resource;
    }
}

// Returns the capabilities that programs of the command may get: no more than the caller's
// programs can. A root user gains all of them with each exec, so for root these are the caller's
// own.
static uint64_t bounds_kept(const struct bounds *bounds)
{
    const struct confinement *from = &bounds->confinement;

    if (from->is_elsewhere)
        return 0;
    return bounds->is_root ? from->bounding_set & from->capabilities : from->bounding_set;
}

void bounds_prepare(struct bounds *bounds, const struct process_spec *spec,
                    const struct rlimit *descriptors)
{
    const struct confinement *from = spec->confinement;
    uid_t uid = spec->identity ? spec->identity->uid : geteuid();

    *bounds = (struct bounds){.is_command = spec->is_command, .is_root = uid == 0};
    if (!spec->is_command)
        return;
    bounds->has_own_keyring = daemon_shares_keyring(uid == geteuid()) && uid != geteuid();
    if (from) {
        bounds->is_confined = true;
        bounds->confinement = *from;
        bounds->is_freer = from->oom_score_adj > daemon_state()->oom_score_adj;
        bounds->dropped = confinement_own_bounding_set() & ~bounds_kept(bounds);
    }
    bounds_prepare_limits(bounds, spec, descriptors);
}

bool bounds_need_memory(const struct bounds *bounds)
{
    return bounds->is_freer;
}
