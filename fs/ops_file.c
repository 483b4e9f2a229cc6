// SPDX-License-Identifier: Apache-2.0
// Open files: reading, writing, waiting for either, and the last close.
#include "caller.h"
#include "handle.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>

enum { MAX_READ = 1 << 20 }; // bytes of an answer at once; the kernel asks for no more

static struct handle *to_handle(uint64_t fh)
{
    return (struct handle *)(uintptr_t)fh; // NOLINT(performance-no-int-to-ptr)
}

static struct handle *handle_of(const struct fuse_file_info *fi)
{
    return to_handle(fi->fh);
}

// --- Open and release

// 0, -EACCES, or why it cannot be said.
static int check_member(fuse_req_t req, gid_t group)
{
    struct caller caller;
    int result;
    bool found = fuse_req_ctx(req)->gid == group;

    if (found)
        return 0;
    result = caller_learn(req, false, &caller);
    if (result < 0)
        return result;
    for (size_t i = 0; i < caller.identity.group_count && !found; i++)
        found = caller.identity.groups[i] == group;
    identity_finish(&caller.identity);
    return found ? 0 : -EACCES;
}

// The kernel checks permissions too, but of the inode as it knows it: whoever
// holds on to one (O_PATH) would keep what a reload has taken away.
static int check_permission(fuse_req_t req, const struct node *node, enum slot_file file, int flags)
{
    static const mode_t wanted[] = {[O_RDONLY] = 04, [O_WRONLY] = 02, [O_RDWR] = 06};
    uid_t uid = fuse_req_ctx(req)->uid;
    mode_t want = wanted[flags & O_ACCMODE];
    struct stat st;
    int result;

    if (uid == 0)
        return 0;
    node_stat(node, file, 0, (struct timespec){0}, &st);
    result = uid == st.st_uid ? 0 : check_member(req, st.st_gid);
    if (result < 0 && result != -EACCES)
        return result;
    if (uid == st.st_uid)
        want <<= 6;
    else if (result == 0)
        want <<= 3;
    return (st.st_mode & want) == want ? 0 : -EACCES;
}

static int check_access(enum slot_file file, int flags)
{
    int access = flags & O_ACCMODE;

    if (access != O_RDONLY && access != O_WRONLY && access != O_RDWR)
        return -EINVAL;

    if (file == SLOT_CALL)
        return access == O_RDWR ? 0 : -EACCES;
    // Many programs open a file for reading, too, only to write it.
    if (file == SLOT_REQUEST)
        return access != O_RDONLY ? 0 : -EACCES;
    if (file == SLOT_CTL)
        return access == O_WRONLY ? 0 : -EACCES;
    return access == O_RDONLY ? 0 : -EACCES;
}

static int open_request(fuse_req_t req, const struct fs *fs, struct handle *handle)
{
    struct caller caller;
    int result;

    if (fs->is_ending)
        return -ESHUTDOWN;
    result = caller_learn(req, sandbox_confines(handle->dir->sandbox), &caller);
    caller.opened_ns = loop_now_ns();
    if (result == 0 && handle->file == SLOT_CALL)
        result = handle_converse(handle, &caller);
    else if (result == 0) {
        // Who waits for the last job, which may have ended only just now, must
        // not be given the results of this request.
        wait_retry_all(&handle->dir->readers);
        result = slot_begin(handle->dir->slot, &caller);
        handle->is_writer = result == 0;
    }
    identity_finish(&caller.identity);
    return result;
}

static int open_file(fuse_req_t req, fuse_ino_t ino, int flags, struct handle **handle)
{
    enum slot_file file;
    const struct node *node = node_find(ino, &file);
    int result;

    if (!node || !node->parent)
        return -ESTALE; // removed, or the root, which the kernel does not open so
    if (file == SLOT_DIRECTORY)
        return -EISDIR;
    result = check_access(file, flags);
    if (result == 0)
        result = check_permission(req, node, file, flags);
    if (result == 0)
        result = node_may_open(ino, fuse_req_ctx(req)->uid, fuse_req_ctx(req)->pid);
    if (result < 0)
        return result;
    *handle = handle_create(node->dir, file);
    if (!*handle)
        return -ENOMEM;
    (*handle)->access = flags & O_ACCMODE;
    if (node_has_aliases(file))
        result = open_request(req, fuse_req_userdata(req), *handle);
    if (result < 0)
        handle_destroy(*handle);
    return result;
}

static void close_handle(struct handle *handle, fuse_ino_t ino)
{
    tree_touch(handle->dir);
    node_alias_closed(ino);
    if (handle->is_writer)
        slot_end(handle->dir->slot);
    handle_destroy(handle);
}

static int reply_open(fuse_req_t req, const struct handle *handle)
{
    // Every read and write is one of ours, and no size limits them.
    struct fuse_open_out out = {.fh = (uintptr_t)handle, .open_flags = FOPEN_DIRECT_IO};

    // A conversation has no offsets. A program that cannot seek reads no more than it
    // needs (bash's read), or says so, instead of losing bytes that it tried to put back;
    // sendfile, which the kernel serves by a size that is 0, fails. And without the lock
    // of a position a thread can write while another waits in a read. libfuse 3.14 has no
    // member for this flag.
    if (handle->conversation)
        out.open_flags |= FOPEN_STREAM | FOPEN_NONSEEKABLE;
    return fuse_reply_buf(req, (const char *)&out, sizeof out);
}

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct handle *handle;
    int result = open_file(req, ino, fi->flags, &handle);

    if (result < 0) {
        caller_fail(req, -result);
        return;
    }
    node_alias_opened(ino, fuse_req_ctx(req)->uid);
    // -ENOENT: the caller was interrupted. With any other error the kernel has
    // told it EIO. No release will follow.
    if (reply_open(req, handle) < 0)
        close_handle(handle, ino);
}

void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);

    fs->has_let_go = true;
    ops_close(fi->fh, ino);
    fuse_reply_err(req, 0);
}

void ops_close(uint64_t fh, fuse_ino_t ino)
{
    close_handle(to_handle(fh), ino);
}

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

static bool try_read_conversation(fuse_req_t req, struct handle *handle, size_t size)
{
    struct answer_pieces pieces;
    ssize_t count =
        conversation_read(handle->conversation, size < MAX_READ ? size : MAX_READ, &pieces);

    if (count == -EAGAIN)
        return false;
    if (count < 0)
        fuse_reply_err(req, (int)-count);
    else if (count == 0)
        fuse_reply_buf(req, NULL, 0);
    // -ENOENT: the reader was interrupted. Whatever the error is, the bytes have
    // not reached it.
    else if (reply_pieces(req, &pieces) == 0)
        conversation_take(handle->conversation, &pieces, (size_t)count);
    return true;
}

// Answers a read if it can be answered now.
static bool try_read(fuse_req_t req, struct handle *handle, off_t off, size_t size)
{
    return handle->conversation ? try_read_conversation(req, handle, size)
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
    struct handle *handle = handle_of(fi);
    struct parked *parked;

    (void)ino;
    if (handle->file == SLOT_REQUEST) {
        fuse_reply_err(req, EBADF);
        return;
    }
    // The kernel names an owner for what a caller reads, and none for what it
    // reads for itself, into the page cache: for splice, sendfile or a mapping.
    // There it would stay when the results have become others.
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

// --- Writing

static ssize_t take_bytes(const struct handle *handle, const char *bytes, size_t size)
{
    return handle->conversation ? conversation_write(handle->conversation, bytes, size)
                                : slot_write(handle->dir->slot, bytes, size);
}

// What the command has taken cannot be taken back: that much was written.
static void end_write(struct parked *parked, int errnum)
{
    if (parked->total > parked->left)
        fuse_reply_write(parked->req, parked->total - parked->left);
    else
        fuse_reply_err(parked->req, errnum);
}

static struct list *writers_of(struct handle *handle)
{
    return handle->conversation ? &handle->writers : &handle->dir->writers;
}

static bool retry_write(struct parked *parked)
{
    struct handle *handle = parked->handle;
    size_t skip = parked->size - parked->left;
    ssize_t count;

    // One before it waits again. A full pipe may still have room for a few bytes.
    if (!list_is_empty(writers_of(handle)))
        return false;
    count = take_bytes(handle, parked->bytes + skip, parked->left);
    if (count < 0) {
        end_write(parked, (int)-count);
        return true;
    }
    parked->left -= (size_t)count;
    if (parked->left > 0)
        return false;
    fuse_reply_write(parked->req, parked->total);
    return true;
}

static void interrupt_write(struct parked *parked)
{
    end_write(parked, EINTR);
}

static void write_request(fuse_req_t req, struct handle *handle, const char *bytes, size_t size,
                          bool is_nonblocking)
{
    static const struct parked_operations operations = {retry_write, interrupt_write};
    struct list *writers = writers_of(handle);
    // Not past one that waits: a request is in the order in which it is written.
    ssize_t count = list_is_empty(writers) ? take_bytes(handle, bytes, size) : 0;
    size_t left = count < 0 ? 0 : size - (size_t)count;
    struct parked *parked = NULL;

    if (count < 0) {
        fuse_reply_err(req, (int)-count);
        return;
    }
    if (left > 0 && !is_nonblocking)
        parked = wait_park(handle->dir->loop, writers, req, &operations, bytes + count, left);
    if (parked) {
        parked->handle = handle;
        parked->size = left;
        parked->left = left;
        parked->total = size;
    } else if (count > 0 || size == 0)
        fuse_reply_write(req, (size_t)count);
    else
        caller_fail(req, is_nonblocking ? EAGAIN : ENOMEM);
}

// `cancel`, with or without its newline, is all that can be asked for.
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
    struct handle *handle = handle_of(fi);

    // The offset means nothing: a request is a stream, also with >> and dd.
    (void)ino, (void)off;
    if (handle->file == SLOT_CTL)
        write_ctl(req, handle, bytes, size);
    else
        write_request(req, handle, bytes, size, fi->flags & O_NONBLOCK);
}

// The end of stdin of a conversation. Whoever wants to be sure of bytes that it has written
// to another file asks for nothing here.
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    const struct handle *handle = handle_of(fi);

    (void)ino, (void)datasync;
    caller_fail(req, handle->conversation ? -conversation_end(handle->conversation) : 0);
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
    // The kernel does not say where the caller will read. Where the last read
    // ended is a good guess, but not in the results of another request.
    slot_reader_init(slot, &now);
    off = reader.generation == now.generation ? handle->read_to : 0;
    return slot_read(slot, handle->file, &reader, off, 1, &bytes) == -EAGAIN ? 0
                                                                             : POLLIN | POLLRDNORM;
}

void ops_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
              struct fuse_pollhandle *poll)
{
    struct handle *handle = handle_of(fi);

    (void)ino;
    if (poll) {
        if (handle->poll)
            fuse_pollhandle_destroy(handle->poll);
        handle->poll = poll;
    }
    fuse_reply_poll(req, poll_events(handle));
}
