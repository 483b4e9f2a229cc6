// SPDX-License-Identifier: Apache-2.0
#include "caller.h"

#include "buffer.h"
#include "cleanup.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>

enum { USUAL_SIZE = 4096 }; // of /proc/PID/status

void caller_fail(fuse_req_t req, int errnum)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    if (errnum == ENOMEM || errnum == EMFILE || errnum == ENFILE)
        log_error("a caller was turned away: uid=%u pid=%d error=%s", (unsigned)ctx->uid,
                  (int)ctx->pid, strerrorname_np(errnum));
    fuse_reply_err(req, errnum);
}

// The text after "Groups:" in the status of the thread PID, a string in TEXT. NULL:
// there is no such thread that we can see. *RESULT becomes -errno when it cannot be
// looked up for want of memory or a descriptor.
//
// The kernel makes the whole file for each reading from its start: so it is read at once,
// which libfuse's fuse_req_getgroups does not do.
static const char *read_groups(pid_t pid, struct buffer *text, int *result)
{
    static const char label[] = "\nGroups:";
    char path[64];
    AUTO_CLOSE int fd = -1;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    // What is passing is no answer: the command would run with fewer groups this
    // time, and a member would be taken for one of the others.
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        *result = -errno;
    while (fd >= 0) {
        const char *groups;
        ssize_t count;

        *result = buffer_reserve(text, USUAL_SIZE);
        if (*result < 0)
            return NULL;
        count = read(fd, text->data + text->length, text->capacity - text->length - 1);
        if (count < 0 && errno == ENOMEM)
            *result = -ENOMEM;
        if (count <= 0)
            break;
        text->length += (size_t)count;
        text->data[text->length] = '\0';
        groups = strstr(text->data, label);
        if (groups && strchr(groups + 1, '\n'))
            return groups + sizeof label - 1;
    }
    return NULL;
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

int caller_learn(fuse_req_t req, struct caller *caller)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    AUTO(buffer_finish) struct buffer text = {0};
    size_t capacity = 0;
    int result = 0;
    const char *groups;

    *caller = (struct caller){
        .identity = {.uid = ctx->uid, .gid = ctx->gid},
          .pid = ctx->pid
    };
    // A caller in a process namespace that we cannot see has no groups that we
    // know of, which is fewer rights, not more.
    groups = ctx->pid ? read_groups(ctx->pid, &text, &result) : NULL;
    while (groups && result == 0) {
        char *end;
        unsigned long group;

        groups += strspn(groups, " \t");
        group = strtoul(groups, &end, 10);
        if (*groups == '\n' || end == groups)
            break;
        result = add_group(&caller->identity, &capacity, (gid_t)group);
        groups = end;
    }
    if (result < 0)
        identity_finish(&caller->identity);
    return result;
}
