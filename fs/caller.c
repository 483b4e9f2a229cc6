// SPDX-License-Identifier: Apache-2.0
#include "caller.h"

#include "buffer.h"
#include "cleanup.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { USUAL_SIZE = 4096 }; // of /proc/PID/status

void caller_fail(fuse_req_t req, int errnum)
{
    static struct log_budget budget = {.what = "callers who were turned away"};
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    if ((errnum == ENOMEM || errnum == EMFILE || errnum == ENFILE) && log_take(&budget))
        log_error("a caller was turned away: uid=%u pid=%d error=%s", (unsigned)ctx->uid,
                  (int)ctx->pid, strerrorname_np(errnum));
    fuse_reply_err(req, errnum);
}

// Does /proc belong to the daemon's own process namespace? In another namespace, the same number is
// another process.
static bool is_proc_ours(void)
{
    static enum { UNKNOWN, OURS, FOREIGN } answer;
    char number[32] = "";

    if (answer == UNKNOWN) {
        if (readlink("/proc/self", number, sizeof number - 1) < 0)
            return false; // a later call may succeed
        answer = strtol(number, NULL, 10) == getpid() ? OURS : FOREIGN;
        if (answer == FOREIGN)
            log_warning("/proc is of another process namespace: commands get no "
                        "supplementary groups");
    }
    return answer == OURS;
}

// Reads the status of the thread PID into TEXT, which then ends with a NUL. TEXT is empty if the
// daemon sees no such thread. Returns 0, or -errno when there is no memory or no descriptor for
// this.
//
// The kernel makes the whole file for each read from its start. So the file is read at once, which
// libfuse's fuse_req_getgroups does not do.
static int read_status(pid_t pid, struct buffer *text)
{
    static const char last[] = "\nvoluntary_ctxt_switches:";
    char path[64];
    AUTO_CLOSE int fd = -1;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    // A shortage is an error: otherwise the command would run with fewer groups this time, and a
    // member of a group would have only the permissions of all others.
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        return -errno;
    while (fd >= 0) {
        size_t seen = text->length > sizeof last ? text->length - sizeof last : 0;
        ssize_t count;

        if (buffer_reserve(text, USUAL_SIZE) < 0)
            return -ENOMEM;
        count = read(fd, text->data + text->length, text->capacity - text->length - 1);
        if (count < 0 && errno == ENOMEM)
            return -ENOMEM;
        if (count <= 0)
            break;
        text->length += (size_t)count;
        text->data[text->length] = '\0';
        if (strstr(text->data + seen, last))
            break;
    }
    return 0;
}

// Does STATUS belong to the process of CTX? The file system ids must be the same, because a thread
// can work with ids that are not its own (a personality of io_uring).
static bool is_of(const char *status, const struct fuse_ctx *ctx)
{
    unsigned uid;
    unsigned gid;
    const char *uids = strstr(status, "\nUid:");
    const char *gids = strstr(status, "\nGid:");

    // The kernel writes the numbers, and each fits. NOLINTBEGIN(cert-err34-c)
    return uids && gids && sscanf(uids, "\nUid: %*u %*u %*u %u", &uid) == 1 &&
           sscanf(gids, "\nGid: %*u %*u %*u %u", &gid) == 1 && uid == ctx->uid && gid == ctx->gid;
    // NOLINTEND(cert-err34-c)
}

static int add_group(struct identity *identity, size_t *capacity, gid_t group)
{
    gid_t *groups = identity->groups;

    if (identity->group_count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 8;
        groups = realloc(groups, *capacity * sizeof *groups);
        if (!groups)
            return -ENOMEM;
        identity->groups = groups;
    }
    groups[identity->group_count++] = group;
    return 0;
}

static int add_groups(struct identity *identity, const char *status)
{
    const char *groups = strstr(status, "\nGroups:");
    size_t capacity = 0;
    int result = 0;

    if (groups)
        groups += sizeof "\nGroups:" - 1;
    while (groups && result == 0) {
        char *end;
        unsigned long group;

        groups += strspn(groups, " \t");
        group = strtoul(groups, &end, 10);
        if (*groups == '\n' || end == groups)
            break;
        result = add_group(identity, &capacity, (gid_t)group);
        groups = end;
    }
    return result;
}

int caller_learn(fuse_req_t req, bool is_confined, struct caller *caller)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    AUTO(buffer_finish) struct buffer text = {0};
    struct identity *identity = &caller->identity;
    int result = 0;

    *caller = (struct caller){
        .identity = {.uid = ctx->uid, .gid = ctx->gid},
          .pid = ctx->pid
    };
    if (is_confined && !(identity->confinement = calloc(1, sizeof *identity->confinement)))
        return -ENOMEM;
    // The daemon does not know the groups of a caller in a process namespace that it cannot see.
    // Such a caller counts without groups: that means fewer rights, not more.
    if (ctx->pid && is_proc_ours())
        result = read_status(ctx->pid, &text);
    if (result == 0 && text.length > 0 && is_of(text.data, ctx)) {
        result = add_groups(identity, text.data);
        if (result == 0 && is_confined)
            result = confinement_learn(identity->confinement, ctx->pid, text.data);
    }
    if (result < 0)
        identity_finish(identity);
    return result;
}
