// SPDX-License-Identifier: Apache-2.0
// Reads, and polls for reads and writes.
#include "caller.h"
#include "handle.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

enum { MAX_READ = 1 << 20 }; // bytes of an answer at once; the kernel asks for no more

// --- Reading

static bool try_read_slot(fuse_req_t req, struct handle *handle, off_t off, size_t size)
{
    const char *bytes = NULL;
    ssize_t count = slot_read(handle->dir->slot, handle->file, &handle->reader, off, size, &bytes);

    if (count == -EAGAIN)
        return false;
    handle->read_to = count < 0 ? 0 : off + count;
    if (count < 0)
        fuse_reply_err(req, (int)-count);
    else
        fuse_reply_buf(req, bytes, (size_t)count);
    return true;
}

// fuse_reply_iov has to allocate, and its result does not say whether the pieces or an error
// have reached the reader.
static int reply_pieces(fuse_req_t req, const struct answer_pieces *pieces)
{
    static char bytes[MAX_READ];
    size_t size = 0;

    if (pieces->count == 1)
        return fuse_reply_buf(req, pieces->parts->iov_base, pieces->parts->iov_len);
    for (int i = 0; i < pieces->count; i++) {
        memcpy(bytes + size, pieces->parts[i].iov_base, pieces->parts[i].iov_len);
        size += pieces->parts[i].iov_len;
    }
    return fuse_reply_buf(req, bytes, size);
}

static bool try_read_conversation(fuse_req_t req, struct handle *handle, off_t off, size_t size)
{
    struct answer_pieces pieces;
    ssize_t count;

    // A stream is read at offset 0. Another offset means a later part of a large read. The kernel
    // drops this part if the part before it was short, so it must not take bytes.
    if (off > 0) {
        fuse_reply_buf(req, NULL, 0);
        return true;
    }
    count = conversation_read(handle->conversation, size < MAX_READ ? size : MAX_READ, &pieces);

    if (count == -EAGAIN)
        return false;
    if (count < 0)
        fuse_reply_err(req, (int)-count);
    else if (count == 0)
        fuse_reply_buf(req, NULL, 0);
    // -ENOENT: the reader was interrupted. With each error, the bytes have not reached the reader.
    else if (reply_pieces(req, &pieces) == 0)
        conversation_take(handle->conversation, &pieces, (size_t)count);
    return true;
}

// Answers a read if there is an answer now.
static bool try_read(fuse_req_t req, struct handle *handle, off_t off, size_t size)
{
    return handle->conversation ? try_read_conversation(req, handle, off, size)
                                : try_read_slot(req, handle, off, size);
}

static bool retry_read(struct parked *parked)
{
    return try_read(parked->req, parked->handle, parked->offset, parked->size);
}

static void interrupt_read(struct parked *parked)
{
    fuse_reply_err(parked->req, EINTR);
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    static const struct parked_operations operations = {retry_read, interrupt_read};
    struct handle *handle = handle_from(fi->fh);
    struct parked *parked;

    (void)ino;
    if (handle->file == SLOT_REQUEST) {
        fuse_reply_err(req, EBADF);
        return;
    }
    // The kernel names an owner for a read of a caller. It names none for its own reads into the
    // page cache, for splice, sendfile or a mapping. There old results would stay when the slot has
    // new ones.
    if (fi->lock_owner == 0) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    if (try_read(req, handle, off, size))
        return;
    if (fi->flags & O_NONBLOCK) {
        fuse_reply_err(req, EAGAIN);
        return;
    }
    parked = wait_park(handle->dir->loop,
                       handle->conversation ? &handle->readers : &handle->dir->readers, req,
                       &operations, NULL, 0);
    if (!parked) {
        caller_fail(req, ENOMEM);
        return;
    }
    parked->handle = handle;
    parked->offset = off;
    parked->size = size;
}

// --- Poll

static unsigned poll_events(struct handle *handle)
{
    const struct slot *slot = handle->dir->slot;
    struct slot_reader reader = handle->reader;
    struct slot_reader now;
    const char *bytes;
    off_t off;

    if (handle->conversation)
        return (conversation_is_writable(handle->conversation) ? POLLOUT | POLLWRNORM : 0) |
               (conversation_is_readable(handle->conversation) ? POLLIN | POLLRDNORM : 0);
    // A read of request fails, and so does not wait.
    if (handle->file == SLOT_REQUEST || handle->file == SLOT_CTL)
        return (handle->access == O_RDWR ? POLLIN | POLLRDNORM : 0) |
               (slot_is_writable(slot) ? POLLOUT | POLLWRNORM : 0);
    // The kernel does not say at which offset the caller will read. The end of the last read is a
    // good guess, but not in the results of another request.
    slot_reader_init(slot, &now);
    off = reader.generation == now.generation ? handle->read_to : 0;
    return slot_read(slot, handle->file, &reader, off, 1, &bytes) == -EAGAIN ? 0
                                                                             : POLLIN | POLLRDNORM;
}

void ops_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
              struct fuse_pollhandle *poll)
{
    struct handle *handle = handle_from(fi->fh);

    (void)ino;
    if (poll) {
        if (handle->poll)
            fuse_pollhandle_destroy(handle->poll);
        handle->poll = poll;
    }
    fuse_reply_poll(req, poll_events(handle));
}
