// SPDX-License-Identifier: Apache-2.0
// Names and attributes: what is where, whose it is, and what cannot be made.
#include "cleanup.h"
#include "ops.h"

#include <errno.h>
#include <limits.h>
#include <sys/statvfs.h>

// Names and attributes change by a reload and by jobs, without the kernel being
// asked. It is not told either: a notification that makes it drop a name waits
// for operations that wait for us. So it must ask each time.
static const double timeout_s = 0;

static void stat_of(const struct fs *fs, const struct node *node, enum slot_file file,
                    struct stat *st)
{
    off_t size = 0;
    struct timespec time = fs->time;

    if (node->dir && file != SLOT_DIRECTORY)
        size = slot_size(node->dir->slot, file);
    if (node->dir)
        time = slot_time(node->dir->slot);
    node_stat(node, file, size, time, st);
}

// What NAME in PARENT is. NULL: nothing.
static struct node *find_entry(uint64_t parent, const char *name, enum slot_file *file)
{
    enum slot_file of_parent;
    struct node *node = node_find(parent, &of_parent);

    *file = SLOT_DIRECTORY;
    if (!node || of_parent != SLOT_DIRECTORY)
        return NULL;
    if (node->dir)
        *file = node_file_by_name(name);
    return *file != SLOT_DIRECTORY ? node : node_child(node, name);
}

void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    const struct fs *fs = fuse_req_userdata(req);
    struct fuse_entry_param entry = {.attr_timeout = timeout_s, .entry_timeout = timeout_s};
    enum slot_file file;
    struct node *node = find_entry(parent, name, &file);

    if (!node) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    entry.ino = node_id(node, file);
    stat_of(fs, node, file, &entry.attr);
    node_ref(node);
    // -ENOENT: the caller was interrupted, and the kernel did not take it.
    if (fuse_reply_entry(req, &entry) == -ENOENT)
        node_unref(node, 1);
}

static void forget(uint64_t ino, uint64_t count)
{
    enum slot_file file;
    struct node *node = node_find(ino, &file);

    if (node)
        node_unref(node, count);
}

void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    forget(ino, count);
    fuse_reply_none(req);
}

void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        forget(forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void reply_attr(fuse_req_t req, const struct node *node, enum slot_file file)
{
    struct stat st;

    stat_of(fuse_req_userdata(req), node, file, &st);
    fuse_reply_attr(req, &st, timeout_s);
}

void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    enum slot_file file;
    const struct node *node = node_find(ino, &file);

    (void)fi;
    if (node)
        reply_attr(req, node, file);
    else
        fuse_reply_err(req, ESTALE);
}

// Truncation is what shells do to a file before they write to it, and times are
// what touch and cp -p set; neither means anything here, and both succeed. Whose
// the files are is the configuration's to say.
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                 struct fuse_file_info *fi)
{
    enum slot_file file;
    const struct node *node = node_find(ino, &file);
    struct stat st;

    (void)fi;
    if (!node) {
        fuse_reply_err(req, ESTALE);
        return;
    }
    stat_of(fuse_req_userdata(req), node, file, &st);
    if (((to_set & FUSE_SET_ATTR_MODE) && (attr->st_mode & 07777) != (st.st_mode & 07777)) ||
        ((to_set & FUSE_SET_ATTR_UID) && attr->st_uid != st.st_uid) ||
        ((to_set & FUSE_SET_ATTR_GID) && attr->st_gid != st.st_gid))
        fuse_reply_err(req, EPERM);
    else if ((to_set & FUSE_SET_ATTR_SIZE) && file != SLOT_REQUEST && file != SLOT_CTL)
        fuse_reply_err(req, EACCES);
    else
        reply_attr(req, node, file);
}

// --- Listing

// A buffer of directory entries that fills up to the size asked for.
struct listing {
    fuse_req_t req;
    char *bytes;
    size_t size;
    size_t used;
};

// Returns false when ENTRY did not fit.
static bool list_entry(struct listing *listing, const char *name, const struct node *node,
                       enum slot_file file, off_t next)
{
    struct stat st = {
        .st_ino = node_id(node, file),
        .st_mode = file == SLOT_DIRECTORY ? S_IFDIR : S_IFREG,
    };
    size_t room = listing->size - listing->used;
    size_t size =
        fuse_add_direntry(listing->req, listing->bytes + listing->used, room, name, &st, next);
    if (size > room)
        return false;
    listing->used += size;
    return true;
}

// The offset of an entry is where reading goes on after it: 1 and 2 for . and ..,
// then a number for each file, then the cookies of the directories, which stay
// the same while others come and go.
static void list_directory(struct listing *listing, const struct node *node, off_t off)
{
    const struct node *parent = node->parent ? node->parent : node;

    if (off < 1 && !list_entry(listing, ".", node, SLOT_DIRECTORY, 1))
        return;
    if (off < 2 && !list_entry(listing, "..", parent, SLOT_DIRECTORY, 2))
        return;
    for (int file = SLOT_REQUEST; node->dir && file < SLOT_FILES; file++)
        if (off < file + 2 && !list_entry(listing, node_file_name((enum slot_file)file), node,
                                          (enum slot_file)file, file + 2))
            return;
    for (struct list *link = node->children.next; link != &node->children; link = link->next) {
        const struct node *child = LIST_ENTRY(link, struct node, siblings);
        if ((uint64_t)off < child->cookie &&
            !list_entry(listing, child->name, child, SLOT_DIRECTORY, (off_t)child->cookie))
            return;
    }
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    enum slot_file file;
    const struct node *node = node_find(ino, &file);
    AUTO_FREE char *bytes = malloc(size);
    struct listing listing = {.req = req, .bytes = bytes, .size = size};

    (void)fi;
    if (!node || file != SLOT_DIRECTORY) {
        fuse_reply_err(req, node ? ENOTDIR : ESTALE);
        return;
    }
    if (!bytes) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    list_directory(&listing, node, off);
    fuse_reply_buf(req, bytes, listing.used);
}

void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_MAX};

    (void)ino;
    fuse_reply_statfs(req, &st);
}

// --- What cannot be made or removed

void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)parent, (void)name, (void)mode, (void)rdev;
    fuse_reply_err(req, EPERM);
}

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    (void)parent, (void)name, (void)mode;
    fuse_reply_err(req, EPERM);
}

void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent, (void)name;
    fuse_reply_err(req, EPERM);
}

void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent, (void)name;
    fuse_reply_err(req, EPERM);
}

void ops_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
    (void)link, (void)parent, (void)name;
    fuse_reply_err(req, EPERM);
}

void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                const char *new_name, unsigned int flags)
{
    (void)parent, (void)name, (void)new_parent, (void)new_name, (void)flags;
    fuse_reply_err(req, EPERM);
}

void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
    (void)ino, (void)new_parent, (void)new_name;
    fuse_reply_err(req, EPERM);
}
