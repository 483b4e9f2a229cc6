// SPDX-License-Identifier: Apache-2.0
#include "cleanup.h"
#include "fs_kernel.h"
#include "node.h"

#include <errno.h>

static const char *const names[] = {"request", "stdout", "stderr", "status", "ctl",     "s0",  "s1",
                                    "s2",      "open",   "strict", "more",   "nothing", "call"};

static const char *pick_name(struct fuzz_input *input)
{
    return names[fuzz_byte(input) % (sizeof names / sizeof names[0])];
}

// The kernel asks only about inodes that it knows.
struct inode *names_pick(struct fuzz_input *input)
{
    unsigned start = fuzz_byte(input);

    for (unsigned i = 0; i < kernel_inode_count; i++) {
        struct inode *inode = &kernel_inodes[(start + i) % kernel_inode_count];
        if (inode->count > 0)
            return inode;
    }
    return &kernel_inodes[0]; // the root
}

static struct inode *pick_dir(struct fuzz_input *input)
{
    struct inode *inode = names_pick(input);
    for (unsigned i = 0; i < kernel_inode_count && inode->file != SLOT_DIRECTORY; i++)
        inode = &kernel_inodes[(unsigned)(inode - kernel_inodes + 1) % kernel_inode_count];
    return inode->count > 0 && inode->file == SLOT_DIRECTORY ? inode : &kernel_inodes[0];
}

static uid_t pick_user(struct fuzz_input *input)
{
    return fuzz_byte(input) % 4 == 3 ? KERNEL_USER : 0;
}

// The request of a slot that a user has made.
static bool is_for_owner(const struct inode *inode)
{
    return inode->dir && !inode->dir->is_sandbox && inode->file == SLOT_REQUEST;
}

static mode_t mode_of(const struct inode *inode)
{
    static const mode_t modes[SLOT_FILES] = {0777, 0666, 0444, 0444, 0444, 0222, 0666};
    mode_t permissions = inode->dir ? inode->dir->permissions : 0755;

    if (is_for_owner(inode))
        permissions &= 0700;
    return (inode->file == SLOT_DIRECTORY ? S_IFDIR : S_IFREG) | (modes[inode->file] & permissions);
}

static uid_t owner_of(const struct inode *inode)
{
    return inode->dir ? inode->dir->owner : geteuid();
}

bool names_has_permission(const struct inode *inode, uid_t uid, mode_t want)
{
    if (uid == 0)
        return !is_for_owner(inode) || owner_of(inode) == 0;
    if (uid == owner_of(inode))
        want <<= 6;
    return (mode_of(inode) & want) == want;
}

bool names_may_enter(const struct model_dir *sandbox, uid_t uid)
{
    if (uid == 0 || !sandbox)
        return true;
    return sandbox->permissions & (uid == sandbox->owner ? 0100 : 001);
}

bool names_is_single(const struct inode *inode)
{
    return inode->file == SLOT_REQUEST || inode->file == SLOT_CALL;
}

// --- Look-up

// Finds NAME in PARENT. False: there is none.
static bool find(const struct inode *parent, const char *name, struct inode *found)
{
    *found = (struct inode){0};
    if (parent->dir && parent->dir->is_removed)
        return false;
    found->file = parent->dir ? node_file_by_name(name) : SLOT_DIRECTORY;
    if (found->file != SLOT_DIRECTORY) {
        found->dir = parent->dir;
        return !(found->dir->hidden & 1U << found->file);
    }
    found->dir = model_child(parent->dir, name);
    return found->dir != NULL;
}

static uint64_t size_of(const struct inode *inode)
{
    const struct model_call *call = inode->dir ? &inode->dir->call : NULL;
    const char *outcome = call ? model_call_outcome(call) : NULL;

    if (!outcome)
        return 0;
    if (inode->file == SLOT_STATUS)
        return strlen(outcome); // at least: it may be only the beginning of the status
    if (call->phase != MODEL_JOB || (inode->file != SLOT_STDOUT && inode->file != SLOT_STDERR))
        return 0;
    return model_visible(call->job, inode->file == SLOT_STDOUT ? JOB_STDOUT : JOB_STDERR);
}

void names_check_memory(const struct inode *inode)
{
    WORLD_CHECK(!inode->seen_mode || inode->seen_mode == mode_of(inode),
                "the kernel is not told that the mode of %llx is %o now",
                (unsigned long long)inode->id, mode_of(inode));
}

static void check_attr(const struct fuse_attr *attr, const struct inode *inode, uint64_t size,
                       bool is_longer)
{
    WORLD_CHECK(attr->mode == mode_of(inode), "mode %o, not %o", attr->mode, mode_of(inode));
    WORLD_CHECK(attr->uid == owner_of(inode), "owner %u", attr->uid);
    WORLD_CHECK(attr->size == size || (is_longer && attr->size > size), "size %llu, not %llu",
                (unsigned long long)attr->size, (unsigned long long)size);
}

// The daemon has named an inode to the kernel. WHAT must be the same as before, and UID must not
// share an inode of request or call with another process or user.
static struct inode *told(uint64_t id, const struct inode *what, uid_t uid, bool is_gone)
{
    struct inode *inode = kernel_inode(id);

    WORLD_CHECK(id != 0 && (id & ~UINT64_C(7)) != 0, "id %llu", (unsigned long long)id);
    if (!inode && is_gone && names_is_single(what))
        return NULL; // an alias that nobody knows
    if (!inode) {
        inode = &kernel_inodes[kernel_inode_count++];
        *inode = *what;
        inode->id = id;
        inode->owner = uid;
    }
    WORLD_CHECK(!inode->is_retired, "id %llx is given out twice", (unsigned long long)id);
    WORLD_CHECK(inode->dir == what->dir && inode->file == what->file,
                "id %llx has become another's", (unsigned long long)id);
    WORLD_CHECK(!inode->is_handed_out, "two callers get one inode");
    WORLD_CHECK(!names_is_single(what) || inode->owner == uid, "an inode goes to another user");
    inode->is_handed_out = names_is_single(what);
    if (!is_gone) {
        inode->count++;
        inode->seen_mode = what->seen_mode;
    }
    if (what->file == SLOT_DIRECTORY)
        what->dir->id = id;
    return is_gone ? NULL : inode;
}

struct inode *names_find(struct inode *parent, const char *name, uid_t uid, bool is_gone)
{
    AUTO_FREE char *bytes = NULL;
    struct inode found;
    struct fuse_entry_out entry;

    if (kernel_inode_count + 1 >= KERNEL_INODES)
        return NULL;
    world_trace("lookup %s in %llx by %u%s", name, (unsigned long long)parent->id, uid,
                is_gone ? ", gone" : "");
    struct reply reply =
        kernel_call(FUSE_LOOKUP, parent->id, uid, name, strlen(name) + 1, NULL, 0, is_gone);
    bytes = reply.bytes;
    if (!find(parent, name, &found)) {
        // The kernel may have used a name that it remembers, and that is removed by now.
        bool is_late = parent->dir && parent->dir->is_removed &&
                       world_now_ms - parent->dir->removed_ms <= NODE_NAME_TIMEOUT_MS;
        WORLD_CHECK(reply.error == ENOENT || (is_late && reply.error == ESTALE), "%s: %d", name,
                    reply.error);
        return NULL;
    }
    WORLD_CHECK(reply.error == 0 && reply.size == sizeof entry, "%s: %d", name, reply.error);
    memcpy(&entry, bytes, sizeof entry);
    bool has_size = found.file == SLOT_DIRECTORY || entry.attr.size != 1 << 30;
    if (has_size && found.file != SLOT_DIRECTORY)
        WORLD_CHECK(size_of(&found) > 0, "an inode without a size");
    check_attr(&entry.attr, &found, has_size ? size_of(&found) : 1 << 30,
               has_size && found.file == SLOT_STATUS);
    WORLD_CHECK(entry.entry_valid * 1000 + entry.entry_valid_nsec / 1000000 <=
                    (found.file == SLOT_DIRECTORY ? NODE_NAME_TIMEOUT_MS : 0),
                "the kernel may remember a name");
    WORLD_CHECK(found.file == SLOT_DIRECTORY || (!entry.attr_valid && !entry.attr_valid_nsec),
                "the kernel may remember a file");
    found.seen_mode = entry.attr_valid ? entry.attr.mode : 0;
    found.dir->last_use_ms = found.dir->last_event_ms = world_now_ms;
    return told(entry.nodeid, &found, uid, is_gone);
}

void names_lookup(struct fuzz_input *input)
{
    struct inode *parent = pick_dir(input);
    const char *name = pick_name(input);

    unsigned choice = fuzz_byte(input);

    names_find(parent, name, choice & 0x20 ? KERNEL_USER : 0, choice % 16 == 15);
}

// --- Attributes

void names_getattr(struct fuzz_input *input)
{
    struct inode *inode = names_pick(input);
    struct fuse_getattr_in arg = {0};
    struct fuse_attr_out out;
    AUTO_FREE char *bytes = NULL;

    world_trace("getattr %llx", (unsigned long long)inode->id);
    struct reply reply = kernel_call(FUSE_GETATTR, inode->id, 0, &arg, sizeof arg, NULL, 0, false);
    bytes = reply.bytes;
    WORLD_CHECK(reply.error == 0 && reply.size == sizeof out, "error %d", reply.error);
    memcpy(&out, bytes, sizeof out);
    uint64_t size = size_of(inode);
    const char *outcome =
        size && inode->file == SLOT_STATUS ? model_call_outcome(&inode->dir->call) : "\n";
    check_attr(&out.attr, inode, size, outcome[strlen(outcome) - 1] != '\n');
    WORLD_CHECK(inode->file == SLOT_DIRECTORY || !out.attr_valid, "the kernel may remember a file");
    if (out.attr_valid)
        inode->seen_mode = out.attr.mode;
}

// Has a request been begun that has not been closed?
static bool is_written_to(const struct model_dir *dir)
{
    for (unsigned i = 0; i < kernel_file_count; i++)
        if (kernel_files[i].is_open && kernel_files[i].is_writer && kernel_files[i].dir == dir &&
            kernel_files[i].generation == dir->generation && files_written(&kernel_files[i]) > 0)
            return true;
    return false;
}

void names_setattr(struct fuzz_input *input)
{
    struct inode *inode = names_pick(input);
    unsigned what = fuzz_byte(input);
    struct fuse_setattr_in arg = {
        .valid = what % 2 ? FATTR_SIZE : FATTR_MODE,
        .mode = what % 4 ? mode_of(inode) : mode_of(inode) ^ 1,
    };
    int expected = 0;
    int error;

    bool is_slot = inode->file == SLOT_DIRECTORY && inode->dir && !inode->dir->is_sandbox;

    if (arg.valid == FATTR_MODE && arg.mode != mode_of(inode) && !is_slot)
        expected = EPERM;
    else if (arg.valid == FATTR_SIZE && inode->file == SLOT_REQUEST)
        expected = is_written_to(inode->dir) ? EINVAL : 0;
    else if (arg.valid == FATTR_SIZE && !names_is_single(inode) && inode->file != SLOT_CTL)
        expected = EACCES;
    world_trace("setattr %llx, %x", (unsigned long long)inode->id, arg.valid);
    error = kernel_ask(FUSE_SETATTR, inode->id, 0, &arg, sizeof arg, NULL, 0);
    WORLD_CHECK(error == expected, "error %d, not %d", error, expected);
    if (arg.valid == FATTR_MODE && !error && is_slot) {
        inode->dir->permissions = arg.mode & 0777;
        inode->seen_mode = mode_of(inode);
    }
}

// --- Listing

static void expect_listing(const struct model_dir *dir, struct buffer *expected)
{
    if (dir && dir->is_removed)
        return;
    buffer_printf(expected, "./../");
    for (int file = SLOT_REQUEST; dir && file < SLOT_FILES; file++)
        if (!(dir->hidden & 1U << file))
            buffer_printf(expected, "%s/", node_file_name((enum slot_file)file));
    for (unsigned i = 0; i < model_dir_count; i++)
        if (model_dirs[i].parent == dir && !model_dirs[i].is_removed)
            buffer_printf(expected, "%s/", model_dirs[i].name);
}

// Lists the entries that fit into SIZE bytes, from *OFFSET on. False at the end.
static bool list_some(const struct inode *inode, uint32_t size, uint64_t *offset,
                      struct buffer *found)
{
    struct fuse_read_in arg = {.offset = *offset, .size = size};
    struct reply reply = kernel_call(FUSE_READDIR, inode->id, 0, &arg, sizeof arg, NULL, 0, false);
    AUTO_FREE char *bytes = reply.bytes;

    WORLD_CHECK(reply.error == 0 && reply.size <= size, "error %d, %zu bytes", reply.error,
                reply.size);
    for (size_t at = 0; at < reply.size;) {
        struct fuse_dirent entry;
        memcpy(&entry, bytes + at, sizeof entry);
        buffer_printf(found, "%.*s/", (int)entry.namelen, bytes + at + FUSE_NAME_OFFSET);
        WORLD_CHECK(entry.off > *offset, "the offset does not grow");
        *offset = entry.off;
        at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen);
    }
    return reply.size > 0;
}

void names_readdir(struct fuzz_input *input)
{
    struct inode *inode = pick_dir(input);
    uint32_t size = fuzz_byte(input) % 2 ? 4096 : 80;
    AUTO(buffer_finish) struct buffer found = {0};
    AUTO(buffer_finish) struct buffer expected = {0};
    uint64_t offset = 0;

    world_trace("readdir %llx", (unsigned long long)inode->id);
    while (list_some(inode, size, &offset, &found))
        WORLD_CHECK(found.length < 4096, "the listing has no end");
    expect_listing(inode->dir, &expected);
    WORLD_CHECK(found.length == expected.length &&
                    (!found.length || memcmp(found.data, expected.data, found.length) == 0),
                "'%.*s', not '%.*s'", (int)found.length, found.data ? found.data : "",
                (int)expected.length, expected.data ? expected.data : "");
}

// --- Slots

static int expect_mkdir(const struct inode *parent, const char *name, uid_t uid)
{
    unsigned left;
    const struct model_dir *dir = parent->dir;

    if (kernel_is_ending)
        return ESHUTDOWN;
    if (!dir || !dir->is_sandbox)
        return EPERM;
    if (dir->is_removed)
        return ESTALE;
    if (node_file_by_name(name) != SLOT_DIRECTORY || model_child(dir, name))
        return EEXIST;
    if (model_slots(dir) >= dir->max_slots)
        return ENOSPC;
    left = dir->max_slots - model_slots(dir);
    return uid == 0 || uid == geteuid() || model_slots_of(uid) + 1 <= 3 * left ? 0 : EDQUOT;
}

void names_mkdir(struct fuzz_input *input)
{
    struct inode *parent = pick_dir(input);
    const char *name = pick_name(input);
    uid_t uid = pick_user(input);
    unsigned choice = fuzz_byte(input);
    struct fuse_mkdir_in arg = {.mode = choice & 0777};
    bool is_gone = choice % 16 == 15;
    int expected = expect_mkdir(parent, name, uid);
    AUTO_FREE char *bytes = NULL;
    struct fuse_entry_out entry;
    struct inode made = {.file = SLOT_DIRECTORY};

    if (kernel_inode_count + 1 >= KERNEL_INODES || model_dir_count == MODEL_DIRS)
        return;
    world_trace("mkdir %s in %llx by %u%s", name, (unsigned long long)parent->id, uid,
                is_gone ? ", gone" : "");
    struct reply reply =
        kernel_call(FUSE_MKDIR, parent->id, uid, &arg, sizeof arg, name, strlen(name) + 1, is_gone);
    bytes = reply.bytes;
    WORLD_CHECK(reply.error == expected, "error %d, not %d", reply.error, expected);
    if (expected)
        return;
    made.dir = model_add_dir(parent->dir, name);
    made.dir->owner = uid;
    made.dir->permissions = arg.mode;
    memcpy(&entry, bytes, sizeof entry);
    check_attr(&entry.attr, &made, 0, false);
    told(entry.nodeid, &made, uid, is_gone);
}

static int expect_removal(const struct inode *parent, const char *name, uid_t uid, bool is_dir,
                          struct inode *found)
{
    if (!find(parent, name, found))
        return ENOENT;
    if (!is_dir)
        return found->file == SLOT_DIRECTORY || found->dir->is_sandbox ? EPERM : 0;
    if (found->file != SLOT_DIRECTORY)
        return ENOTDIR;
    if (found->dir->is_sandbox)
        return EPERM;
    return uid == 0 || uid == found->dir->owner || uid == found->dir->parent->owner ? 0 : EPERM;
}

static void remove_slot(struct model_dir *dir)
{
    for (unsigned i = 0; i < kernel_file_count; i++)
        if (kernel_files[i].is_open && kernel_files[i].dir == dir &&
            kernel_files[i].is_conversation)
            model_call_cancel(&kernel_files[i].call);
    model_remove(dir, true);
}

void names_remove(struct fuzz_input *input, bool is_dir)
{
    struct inode *parent = pick_dir(input);
    const char *name = pick_name(input);
    uid_t uid = pick_user(input);
    struct inode found;
    int expected = expect_removal(parent, name, uid, is_dir, &found);
    int error;

    world_trace("%s %s in %llx by %u", is_dir ? "rmdir" : "unlink", name,
                (unsigned long long)parent->id, uid);
    error = kernel_ask(is_dir ? FUSE_RMDIR : FUSE_UNLINK, parent->id, uid, name, strlen(name) + 1,
                       NULL, 0);
    WORLD_CHECK(error == expected, "error %d, not %d", error, expected);
    if (error)
        return;
    if (is_dir)
        remove_slot(found.dir);
    else
        found.dir->hidden |= 1U << found.file;
}

// --- Forgetting

static void forget(struct inode *inode, uint64_t count)
{
    inode->count -= count;
    if (inode->count == 0 && names_is_single(inode))
        inode->is_retired = true;
}

void names_forget(struct fuzz_input *input)
{
    struct inode *inode = names_pick(input);
    uint64_t count = 1 + fuzz_byte(input) % 4;
    struct {
        struct fuse_batch_forget_in head;
        struct fuse_forget_one one;
    } batch = {.head.count = 1};
    struct fuse_forget_in arg;

    // An open file holds its inode.
    if (inode == &kernel_inodes[0] || inode->opens > 0)
        return;
    if (count > inode->count)
        count = inode->count;
    world_trace("forget %llx, %llu times", (unsigned long long)inode->id,
                (unsigned long long)count);
    arg.nlookup = count;
    batch.one = (struct fuse_forget_one){.nodeid = inode->id, .nlookup = count};
    if (fuzz_byte(input) % 2)
        wire_send(FUSE_FORGET, inode->id, 0, &arg, sizeof arg, NULL, 0);
    else
        wire_send(FUSE_BATCH_FORGET, 0, 0, &batch, sizeof batch, NULL, 0);
    forget(inode, count);
}

void names_forget_all(void)
{
    for (unsigned i = 1; i < kernel_inode_count; i++) {
        struct fuse_forget_in arg = {.nlookup = kernel_inodes[i].count};
        if (arg.nlookup > 0)
            wire_send(FUSE_FORGET, kernel_inodes[i].id, 0, &arg, sizeof arg, NULL, 0);
        forget(&kernel_inodes[i], arg.nlookup);
    }
}

// Operations that must always fail.
void names_cannot(struct fuzz_input *input)
{
    struct inode *parent = pick_dir(input);
    struct fuse_mknod_in node = {.mode = S_IFREG | 0600};
    struct fuse_rename_in rename = {.newdir = parent->id};
    struct fuse_link_in link = {.oldnodeid = parent->id};
    struct fuse_flush_in flush = {0};
    static const char two_names[] = "a\0b";
    int error;

    switch (fuzz_byte(input) % 6) {
    case 0:
        error = kernel_ask(FUSE_MKNOD, parent->id, 0, &node, sizeof node, "a", 2);
        break;
    case 1:
        error = kernel_ask(FUSE_RENAME, parent->id, 0, &rename, sizeof rename, two_names,
                           sizeof two_names);
        break;
    case 2:
        error = kernel_ask(FUSE_LINK, parent->id, 0, &link, sizeof link, "a", 2);
        break;
    case 3:
        error = kernel_ask(FUSE_SYMLINK, parent->id, 0, two_names, sizeof two_names, NULL, 0);
        break;
    case 4:
        error = kernel_ask(FUSE_FLUSH, parent->id, 0, &flush, sizeof flush, NULL, 0);
        WORLD_CHECK(error == ENOSYS, "flush: %d", error);
        return;
    default:
        error = kernel_ask(FUSE_STATFS, parent->id, 0, NULL, 0, NULL, 0);
        WORLD_CHECK(error == 0, "statfs: %d", error);
        return;
    }
    WORLD_CHECK(error == EPERM, "error %d", error);
}
