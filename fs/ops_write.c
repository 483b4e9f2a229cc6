// SPDX-License-Identifier: Apache-2.0
// Writes of requests, stdin and `cancel`; holes, truncations, and the end of stdin.
#include "caller.h"
#include "handle.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
    ZEROS = 64 * 1024, // bytes of a hole that are written at once
    ZEROS_A_TURN = 16, // so many times; then other events of the loop get their turn
};

static ssize_t write_take(const struct handle *handle, const char *bytes, size_t size)
{
    return handle->conversation ? conversation_write(handle->conversation, bytes, size)
                                : slot_write(handle->dir->slot, bytes, size);
}

static struct list *handle_writers(struct handle *handle)
{
    return handle->conversation ? &handle->writers : &handle->dir->writers;
}

// --- Where a write is, and how far it has come

// A conversation is a stream: a write begins at 0, and a later part of a large one, which
// the kernel can send before the earlier ones are answered, goes on where they ended. If
// they were not taken whole, bytes would be missing in between.
static int begin_stream_write(struct handle *handle, const struct write_progress *progress)
{
    if (progress->offset == 0)
        handle->write_base = handle->written;
    return progress->offset == handle->written - handle->write_base ? 0 : -EINVAL;
}

// A write of O_APPEND goes to the end. Any other one says where it belongs: further on
// there is a hole, in which the command reads zeros, as from a file. Further back are bytes
// that the command may have read already.
static int begin_write(struct handle *handle, struct write_progress *progress)
{
    if (progress->is_begun)
        return 0;
    progress->is_begun = true;
    if (!progress->has_offset)
        return 0;
    if (handle->conversation)
        return begin_stream_write(handle, progress);
    if (progress->offset < handle->written ||
        (progress->is_part && progress->offset > handle->written))
        return -EINVAL;
    progress->zeros = progress->offset - handle->written;
    return 0;
}

// Gives the command as many zeros of the hole as it takes. Returns 0 or -errno. A hole costs only
// the time of the command that reads it.
static int write_zeros(struct handle *handle, struct write_progress *progress)
{
    static const char zeros[ZEROS];

    for (int i = 0; i < ZEROS_A_TURN && progress->zeros > 0; i++) {
        size_t size = progress->zeros < ZEROS ? (size_t)progress->zeros : ZEROS;
        ssize_t count = write_take(handle, zeros, size);
        if (count < 0)
            return (int)count;
        // Nobody will read the rest of the hole, however long it is.
        if ((size_t)count == size && handle_drops_stdin(handle))
            count = (ssize_t)progress->zeros;
        progress->zeros -= (uint64_t)count;
        handle->written += (uint64_t)count;
        if ((uint64_t)count < size)
            return 0;
    }
    if (progress->zeros > 0)
        handle_retry_writes(handle);
    return 0;
}

// Goes on with a write whose bytes end at END. Returns 1 when the write is complete, 0 when it must
// wait, or -errno.
static int write_go_on(struct handle *handle, struct write_progress *progress, const char *end)
{
    // After a cancelled request, other callers do not wait for its writer.
    bool is_late = handle->is_writer && handle->dir->writer != handle;
    int result = is_late                     ? -ECANCELED
                 : !handle_may_begin(handle) ? -EACCES
                                             : begin_write(handle, progress);
    ssize_t count;

    if (result == 0)
        result = write_zeros(handle, progress);
    if (result < 0)
        return result;
    if (progress->zeros > 0)
        return 0;
    count = write_take(handle, end - progress->left, progress->left);
    if (count < 0)
        return (int)count;
    progress->left -= (size_t)count;
    handle->written += (uint64_t)count;
    return progress->left == 0;
}

// Bytes that the command has taken cannot be taken back: they count as written.
static void end_write(fuse_req_t req, const struct write_progress *progress, int errnum)
{
    if (progress->size > progress->left || errnum == 0)
        fuse_reply_write(req, progress->size - progress->left);
    else
        caller_fail(req, errnum);
}

static bool retry_write(struct parked *parked)
{
    struct handle *handle = parked->handle;
    int result;

    // An earlier write waits again. A full pipe may still have room for a few bytes, which must not
    // go to this write.
    if (!list_is_empty(handle_writers(handle)))
        return false;
    result = write_go_on(handle, &parked->write, parked->bytes + parked->size);
    if (result != 0)
        end_write(parked->req, &parked->write, result < 0 ? -result : 0);
    return result != 0;
}

static void interrupt_write(struct parked *parked)
{
    end_write(parked->req, &parked->write, EINTR);
}

// Returns the account of the caller whose request HANDLE writes, and has it count SIZE more bytes.
// Returns NULL when one user may not have so many.
static struct account *charge_write(const struct handle *handle, size_t size)
{
    struct account *account = handle->conversation ? conversation_account(handle->conversation)
                                                   : slot_account(handle->dir->slot);
    uint64_t limit = sandbox_config(handle->dir->sandbox)->max_user_bytes;

    if (!account)
        return NULL;
    if (account_take(account, ACCOUNT_BYTES, size, limit))
        return account_ref(account);
    account_give_back(account, ACCOUNT_BYTES, size);
    return NULL;
}

// Parks a write that must wait. Returns 0, -EDQUOT or -ENOMEM.
static int park_write(fuse_req_t req, struct handle *handle, const char *end,
                      const struct write_progress *progress)
{
    static const struct parked_operations operations = {retry_write, interrupt_write};
    struct account *account = charge_write(handle, progress->left);
    struct parked *parked;

    if (!account)
        return -EDQUOT;
    parked = wait_park(handle->dir->loop, handle_writers(handle), req, &operations,
                       end - progress->left, progress->left);
    if (!parked) {
        account_give_back(account, ACCOUNT_BYTES, progress->left);
        account_unref(account);
        return -ENOMEM;
    }
    parked->account = account;
    parked->handle = handle;
    parked->write = *progress;
    parked->size = progress->left;
    return 0;
}

static void write_request(fuse_req_t req, struct handle *handle, const char *bytes,
                          struct write_progress *progress, bool is_nonblocking)
{
    // A write must not overtake a waiting write: a request has the order in which it is written.
    const char *end = bytes + progress->size;
    int result = list_is_empty(handle_writers(handle)) ? write_go_on(handle, progress, end) : 0;

    if (result == 0)
        result = is_nonblocking ? -EAGAIN : park_write(req, handle, end, progress);
    else if (result == 1)
        end_write(req, progress, 0);
    if (result < 0)
        end_write(req, progress, -result);
}

// --- ctl

// The only command is `cancel`, with or without a newline.
static void write_ctl(fuse_req_t req, struct handle *handle, const char *bytes, size_t size)
{
    static const char cancel[] = "cancel\n";
    size_t length = sizeof cancel - 1;

    if ((size != length && size != length - 1) || memcmp(bytes, cancel, size) != 0) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    slot_cancel(handle->dir->slot);
    fuse_reply_write(req, size);
}

void ops_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
               struct fuse_file_info *fi)
{
    struct handle *handle = handle_from(fi->fh);
    struct write_progress progress = {
        .offset = (uint64_t)off,
        .has_offset = !(fi->flags & O_APPEND),
        .is_part = !list_is_empty(handle_writers(handle)) ||
                   ((fi->flags & O_DIRECT) && (fi->flags & O_NONBLOCK)),
        .size = size,
        .left = size,
    };

    (void)ino;
    if (handle->file == SLOT_CTL)
        write_ctl(req, handle, bytes, size);
    else
        write_request(req, handle, bytes, &progress, fi->flags & O_NONBLOCK);
}

// --- Truncation

static bool retry_truncate(struct parked *parked)
{
    struct handle *handle = parked->handle;
    int result =
        list_is_empty(handle_writers(handle)) ? write_go_on(handle, &parked->write, "") : 0;

    if (result < 0)
        caller_fail(parked->req, -result);
    else if (result > 0)
        ops_reply_attr_set(parked->req, parked->ino);
    return result != 0;
}

static void interrupt_truncate(struct parked *parked)
{
    caller_fail(parked->req, EINTR);
}

// Sets the size of an open request. A program that has skipped zeros at the end sets a size beyond
// the end.
static void truncate_open(fuse_req_t req, fuse_ino_t ino, struct handle *handle, uint64_t size)
{
    static const struct parked_operations operations = {retry_truncate, interrupt_truncate};
    struct write_progress progress = {.offset = size, .has_offset = true};
    struct parked *parked = NULL;
    int result = 0;

    if (handle->conversation) // a stream has no holes
        result = size == handle->written ? 1 : -EINVAL;
    else if (list_is_empty(handle_writers(handle)))
        result = write_go_on(handle, &progress, "");
    if (result == 0) {
        parked = wait_park(handle->dir->loop, handle_writers(handle), req, &operations, NULL, 0);
        result = parked ? 0 : -ENOMEM;
    }
    if (parked) {
        parked->handle = handle;
        parked->ino = ino;
        parked->write = progress;
    } else if (result < 0)
        caller_fail(req, -result);
    else
        ops_reply_attr_set(req, ino);
}

void ops_truncate(fuse_req_t req, fuse_ino_t ino, const struct node *node, uint64_t size,
                  const struct fuse_file_info *fi)
{
    enum slot_file file;
    uint64_t written = 0;

    node_find(ino, &file);
    if (fi && file != SLOT_CTL) {
        truncate_open(req, ino, handle_from(fi->fh), size);
        return;
    }
    // The size is set by the file's name, as shells do for a file that they have just opened.
    if (file == SLOT_REQUEST && node->dir->writer)
        written = node->dir->writer->written;
    if (file != SLOT_CTL && size != written)
        caller_fail(req, EINVAL);
    else
        ops_reply_attr_set(req, ino);
}

// --- The end of stdin

// fsync ends stdin of a conversation. For any other file it has nothing to do, and succeeds.
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    const struct handle *handle = handle_from(fi->fh);

    (void)ino, (void)datasync;
    caller_fail(req, handle->conversation ? -conversation_end(handle->conversation) : 0);
}
