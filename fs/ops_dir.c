// SPDX-License-Identifier: Apache-2.0
// Names and attributes: look-ups, owners and permissions, slots, and the files that cannot be made.
#include "caller.h"
#include "cleanup.h"
#include "ops.h"

#include <errno.h>
#include <limits.h>
#include <sys/statvfs.h>

// Jobs change the attributes of files without the kernel, and each look-up of request and call
// gives another inode. The daemon cannot tell the kernel: a notification that makes the kernel drop
// a name waits for operations that wait for the daemon. So the kernel must ask each time.
static const double timeout_s = 0;

// How long the kernel may keep the names of directories, and the root's attributes. Otherwise each
// call would ask for them. A sandbox that a reload has removed, and a root whose daemon has died,
// can be seen for this time.
static const double name_timeout_s = NODE_NAME_TIMEOUT_MS / 1000.;

// The kernel learns a directory's attributes with each lookup of its name. A process that
// stands in a directory uses the attributes of the last lookup; when they change without the
// kernel's doing, the kernel is told (session.c).
static const double directory_timeout_s = 24 * 60 * 60.;

// sendfile(2) and splice(2) do not ask for what direct_io files have, but go by
// the inode's size and the page cache (since Linux 6.5: filemap_splice_read). With
// the size of 0 that stat shows before the end of the job, they would find an empty answer and no
// error. So the reply to a lookup gives the inode this size, unless the file has a size already.
// Then these calls reach ops_read, which answers EINVAL, and programs fall back to read(2).
// The size is small enough for programs without O_LARGEFILE, to which generic_file_open
// refuses files of 2 GiB and more.
static const off_t inode_size = (off_t)1 << 30;

static void stat_of(const struct node *node, enum slot_file file, struct stat *st)
{
    if (file == SLOT_DIRECTORY)
        node_stat(node, file, 0, node->time, st);
    else
        node_stat(node, file, slot_size(node->dir->slot, file), slot_time(node->dir->slot), st);
}

static double attr_timeout_s(const struct node *node, enum slot_file file)
{
    if (file != SLOT_DIRECTORY)
        return timeout_s;
    return node->kind == NODE_ROOT ? name_timeout_s : directory_timeout_s;
}

// A look-up of a slot's name is a use of the slot. So the time for which the kernel may keep the
// name must be a small part of the time after which the slot expires.
static double entry_timeout_s(const struct node *node, enum slot_file file)
{
    double ttl_s;

    if (file != SLOT_DIRECTORY)
        return timeout_s;
    if (node->kind != NODE_SLOT)
        return name_timeout_s;
    ttl_s = (double)sandbox_config(node->dir->sandbox)->slot_ttl_ms / 1000;
    return ttl_s / 10 < name_timeout_s ? ttl_s / 10 : name_timeout_s;
}

// A process may stand in a directory that has no name any more, or hold it open.
static bool is_removed(const struct node *node)
{
    return node->kind != NODE_ROOT && !node->parent;
}

// Finds NAME in PARENT. Returns NULL when there is none.
static struct node *find_entry(uint64_t parent, const char *name, enum slot_file *file)
{
    enum slot_file of_parent;
    struct node *node = node_find(parent, &of_parent);

    *file = SLOT_DIRECTORY;
    if (!node || of_parent != SLOT_DIRECTORY || is_removed(node))
        return NULL;
    if (node->dir)
        *file = node_file_by_name(name);
    if (!node_has_file(node, *file))
        return NULL;
    return *file != SLOT_DIRECTORY ? node : node_child(node, name);
}

// May the kernel have reached the directory with the id ID by a name that it has kept, and that now
// leads to nothing or to another directory? After ESTALE the kernel looks the whole path up again.
static bool has_new_meaning(uint64_t id)
{
    enum slot_file file;
    const struct node *node = node_find(id, &file);

    return node && is_removed(node) && node_was_detached_lately(node);
}

// Returns 0, or -errno when the kernel did not take the reply.
static int reply_entry(fuse_req_t req, struct node *node, struct fuse_entry_param *entry)
{
    struct slot_dir *dir = node->kind == NODE_ALIAS ? node->parent->dir : node->dir;
    int result;

    if (dir)
        tree_touch(dir);
    node_ref(node);
    // -ENOENT: the caller was interrupted. With any other error the caller has got EIO from the
    // kernel.
    result = fuse_reply_entry(req, entry);
    if (result < 0)
        node_forget(entry->ino, 1);
    return result;
}

void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {0};
    enum slot_file file;
    struct node *node = find_entry(parent, name, &file);
    struct node *told = node;

    if (!node) {
        fuse_reply_err(req, has_new_meaning(parent) ? ESTALE : ENOENT);
        return;
    }
    if (node_has_aliases(file))
        told = node_hand_out_alias(node, file, fuse_req_ctx(req)->uid);
    if (!told) {
        caller_fail(req, ENOMEM);
        return;
    }
    entry.ino = node_id(told, file);
    entry.attr_timeout = attr_timeout_s(node, file);
    entry.entry_timeout = entry_timeout_s(node, file);
    stat_of(node, file, &entry.attr);
    if (file != SLOT_DIRECTORY && entry.attr.st_size == 0)
        entry.attr.st_size = inode_size;
    reply_entry(req, told, &entry);
}

void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    struct fs *fs = fuse_req_userdata(req);

    fs->has_let_go = true;
    node_forget(ino, count);
    fuse_reply_none(req);
}

void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct fs *fs = fuse_req_userdata(req);

    fs->has_let_go = true;
    for (size_t i = 0; i < count; i++)
        node_forget(forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void reply_attr(fuse_req_t req, const struct node *node, enum slot_file file)
{
    struct stat st;

    stat_of(node, file, &st);
    fuse_reply_attr(req, &st, attr_timeout_s(node, file));
}

void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    const struct fs *fs = fuse_req_userdata(req);
    enum slot_file file;
    const struct node *node = node_find(ino, &file);

    if (!node) {
        fuse_reply_err(req, ESTALE);
        return;
    }
    // The kernel shows what it is told, but the inode keeps its size if that was
    // invalidated meanwhile (fuse_change_attributes in its fs/fuse/inode.c). With
    // a negative offset the notification takes no page's lock, and cannot wait for the daemon. With
    // an open file the question comes from lseek(2), which goes by the inode.
    if (!fi && file != SLOT_DIRECTORY)
        fuse_lowlevel_notify_inval_inode(fs->session, ino, -1, 0);
    reply_attr(req, node, file);
}

void ops_reply_attr_set(fuse_req_t req, fuse_ino_t ino)
{
    enum slot_file file;
    const struct node *node = node_find(ino, &file);
    struct stat st;

    if (!node) {
        fuse_reply_err(req, ESTALE);
        return;
    }
    stat_of(node, file, &st);
    // The inode gets this size: a truncation must not make it 0.
    if (file != SLOT_DIRECTORY)
        st.st_size = inode_size;
    fuse_reply_attr(req, &st, attr_timeout_s(node, file));
}

// The owner of a slot that a user has made may set its permissions, from which those of its files
// follow. The configuration has all other permissions.
static bool may_change_mode(fuse_req_t req, const struct node *node, enum slot_file file,
                            mode_t mode)
{
    uid_t uid = fuse_req_ctx(req)->uid;

    return node->kind == NODE_SLOT && file == SLOT_DIRECTORY && (uid == 0 || uid == node->owner) &&
           (mode & 07000) == 0;
}

// Returns 0, or the error for a change that is not possible.
static int check_setattr(fuse_req_t req, const struct node *node, enum slot_file file,
                         const struct stat *attr, int to_set)
{
    struct stat st;

    stat_of(node, file, &st);
    if (((to_set & FUSE_SET_ATTR_UID) && attr->st_uid != st.st_uid) ||
        ((to_set & FUSE_SET_ATTR_GID) && attr->st_gid != st.st_gid))
        return EPERM;
    if ((to_set & FUSE_SET_ATTR_MODE) && (attr->st_mode & 07777) != (st.st_mode & 07777) &&
        !may_change_mode(req, node, file, attr->st_mode))
        return EPERM;
    if ((to_set & FUSE_SET_ATTR_SIZE) && file != SLOT_REQUEST && file != SLOT_CTL &&
        file != SLOT_CALL)
        return EACCES;
    return 0;
}

// touch and cp -p set times. Here these changes succeed and have no effect.
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                 struct fuse_file_info *fi)
{
    enum slot_file file;
    struct node *node = node_find(ino, &file);
    int errnum = node ? check_setattr(req, node, file, attr, to_set) : ESTALE;

    if (errnum) {
        fuse_reply_err(req, errnum);
        return;
    }
    if ((to_set & FUSE_SET_ATTR_MODE) && file == SLOT_DIRECTORY && node->kind == NODE_SLOT)
        node->permissions = attr->st_mode & 0777;
    if (to_set & FUSE_SET_ATTR_SIZE)
        ops_truncate(req, ino, node, (uint64_t)attr->st_size, fi);
    else
        ops_reply_attr_set(req, ino);
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

// Reading goes on behind an entry at the entry's offset. The offsets are 1 and 2 for . and .., then
// a number for each file, then the cookies of the directories, which stay the same while other
// directories come and go.
static void list_directory(struct listing *listing, const struct node *node, off_t off)
{
    const struct node *parent = node->parent ? node->parent : node;

    if (off < 1 && !list_entry(listing, ".", node, SLOT_DIRECTORY, 1))
        return;
    if (off < 2 && !list_entry(listing, "..", parent, SLOT_DIRECTORY, 2))
        return;
    for (int file = SLOT_REQUEST; node->dir && file < SLOT_FILES; file++)
        if (off < file + 2 && node_has_file(node, (enum slot_file)file) &&
            !list_entry(listing, node_file_name((enum slot_file)file), node, (enum slot_file)file,
                        file + 2))
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
        caller_fail(req, ENOMEM);
        return;
    }
    if (!is_removed(node))
        list_directory(&listing, node, off);
    fuse_reply_buf(req, bytes, listing.used);
}

void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_MAX};

    (void)ino;
    fuse_reply_statfs(req, &st);
}

// --- Slots of users

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    const struct fs *fs = fuse_req_userdata(req);
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct fuse_entry_param entry = {.attr_timeout = directory_timeout_s};
    enum slot_file file;
    struct node *home = node_find(parent, &file);
    struct node *node;
    int errnum = ESTALE;
    int result;

    if (fs->is_ending) {
        fuse_reply_err(req, ESHUTDOWN);
        return;
    }
    if (strlen(name) > NAME_MAX) {
        fuse_reply_err(req, ENAMETOOLONG);
        return;
    }
    node = home ? tree_make_slot(home, name, ctx->uid, ctx->gid, mode, &errnum) : NULL;
    if (!node) {
        caller_fail(req, errnum);
        return;
    }
    entry.ino = node_id(node, SLOT_DIRECTORY);
    entry.entry_timeout = entry_timeout_s(node, SLOT_DIRECTORY);
    stat_of(node, SLOT_DIRECTORY, &entry.attr);
    result = reply_entry(req, node, &entry);
    // The caller has got an error, so there must be no slot.
    if (result < 0 && result != -ENOENT)
        tree_remove_slot(node);
}

// The right to write to a sandbox's directory is not enough to remove the slots that others
// have made in it.
static bool may_remove(fuse_req_t req, const struct node *slot)
{
    uid_t uid = fuse_req_ctx(req)->uid;
    return uid == 0 || uid == slot->owner || uid == slot->parent->owner;
}

void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    enum slot_file file;
    struct node *node = find_entry(parent, name, &file);

    if (!node)
        fuse_reply_err(req, ENOENT);
    else if (file != SLOT_DIRECTORY)
        fuse_reply_err(req, ENOTDIR);
    else if (node->kind != NODE_SLOT || !may_remove(req, node))
        fuse_reply_err(req, EPERM);
    else {
        tree_remove_slot(node);
        fuse_reply_err(req, 0);
    }
}

// rm -r and similar programs remove the files first. Only the names of the files go.
void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    enum slot_file file;
    struct node *node = find_entry(parent, name, &file);

    if (!node)
        fuse_reply_err(req, ENOENT);
    else if (file == SLOT_DIRECTORY || node->kind != NODE_SLOT)
        fuse_reply_err(req, EPERM);
    else {
        node_hide(node, file);
        fuse_reply_err(req, 0);
    }
}

// --- Files that cannot be made

void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)parent, (void)name, (void)mode, (void)rdev;
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
