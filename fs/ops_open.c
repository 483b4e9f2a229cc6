// SPDX-License-Identifier: Apache-2.0
// Open files: the permission to open a file, and the last close.
#include "caller.h"
#include "handle.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>

// Returns 0, -EACCES, or the error for which the daemon cannot decide.
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

// The kernel checks permissions too, but with the attributes that it knows. A process that holds
// the inode (O_PATH) would keep a right that a reload has taken away.
static int check_mode(fuse_req_t req, const struct node *node, enum slot_file file, mode_t want)
{
    uid_t uid = fuse_req_ctx(req)->uid;
    struct stat st;
    int result;

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

static int check_permission(fuse_req_t req, const struct node *node, enum slot_file file, int flags)
{
    static const mode_t wanted[] = {[O_RDONLY] = 04, [O_WRONLY] = 02, [O_RDWR] = 06};
    int result;

    if (fuse_req_ctx(req)->uid == 0)
        return node_is_for_owner(node, file) && node->owner != 0 ? -EACCES : 0;
    result = check_mode(req, node, file, wanted[flags & O_ACCMODE]);
    // Otherwise a process that holds the slot's directory open would get past the permissions of
    // the sandbox's directory.
    if (result == 0 && node->dir->home && node->dir->home->node)
        result = check_mode(req, node->dir->home->node, SLOT_DIRECTORY, 01);
    return result;
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
        // Readers who wait for the last job, which may have ended only just now, must not
        // get the results of this request.
        wait_retry_all(&handle->dir->writers);
        wait_retry_all(&handle->dir->readers);
        result = slot_begin(handle->dir->slot, &caller);
        handle->is_writer = result == 0;
        if (result == 0)
            handle->dir->writer = handle;
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
        return -ESTALE; // removed, or the root, which the kernel opens in another way
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
    if (handle->dir->writer == handle)
        slot_end(handle->dir->slot);
    handle_destroy(handle);
}

static int reply_open(fuse_req_t req, const struct handle *handle)
{
    // Every read and write comes to the daemon, and no size limits them.
    struct fuse_open_out out = {.fh = (uintptr_t)handle, .open_flags = FOPEN_DIRECT_IO};

    // A conversation has no offsets. A program that cannot seek reads no more than it needs (bash's
    // read), or reports an error; otherwise it would lose bytes that it tried to put back. sendfile
    // fails, which the kernel would otherwise serve by a size of 0. Without a position there is no
    // lock of it, so one thread can write while another waits in a read. libfuse 3.14 has no member
    // for this flag.
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
    // -ENOENT: the caller was interrupted. With any other error the caller has got EIO from the
    // kernel. No release will follow.
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
    close_handle(handle_from(fh), ino);
}
