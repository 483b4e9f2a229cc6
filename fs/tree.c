// SPDX-License-Identifier: Apache-2.0
#include "tree.h"

#include "cleanup.h"
#include "handle.h"
#include "log.h"

#include <errno.h>

// The name, in the log, of the slot of a sandbox's own directory.
static const char own_slot[] = ".";

enum { NS_PER_MS = 1000000 };

static struct list all_dirs = {&all_dirs, &all_dirs};
static void (*on_change)(void *data, uint64_t id);
static void *change_data;

void tree_set_on_change(void (*callback)(void *data, uint64_t id), void *data)
{
    on_change = callback;
    change_data = data;
}

static void tree_tell_change(const struct node *node)
{
    if (on_change)
        on_change(change_data, node_id(node, SLOT_DIRECTORY));
}

// --- Directories

// The slot does not count for its maker any more.
static void slot_dir_uncount(struct slot_dir *dir)
{
    if (!dir->account)
        return;
    account_give_back(dir->account, ACCOUNT_SLOTS, 1);
    account_unref(take_ptr(&dir->account));
}

void slot_dir_unref(struct slot_dir *dir)
{
    if (--dir->references > 0)
        return;
    list_remove(&dir->link);
    loop_disarm(dir->loop, &dir->expiry);
    slot_destroy(dir->slot);
    sandbox_unref(dir->sandbox);
    slot_dir_uncount(dir);
    if (dir->home)
        slot_dir_unref(dir->home);
    free(dir);
}

void slot_dir_discard(struct slot_dir *dir)
{
    if (!dir->is_removed || !list_is_empty(&dir->handles))
        return;
    slot_discard(dir->slot);
    slot_dir_uncount(dir);
}

static void on_node_free(struct slot_dir *dir)
{
    dir->node = NULL;
    slot_dir_unref(dir);
}

// Never called from within a FUSE operation (see slot_create), because a notification must not be
// sent there.
static void on_slot_change(void *data)
{
    struct slot_dir *dir = data;

    tree_touch(dir);
    dir->was_busy = slot_is_busy(dir->slot);
    wait_retry_all(&dir->writers);
    wait_retry_all(&dir->readers);
    for (struct list *link = dir->handles.next; link != &dir->handles; link = link->next) {
        struct handle *handle = LIST_ENTRY(link, struct handle, link);
        if (!handle->conversation)
            handle_tell_poller(handle);
    }
    slot_dir_discard(dir);
    if (dir->is_kept && !slot_is_busy(dir->slot)) {
        dir->is_kept = false;
        slot_dir_unref(dir);
    }
}

// Makes a directory called NAME in PARENT, whose slot's jobs run in SANDBOX. Takes over a reference
// to SANDBOX. Returns NULL when there is no memory.
static struct slot_dir *slot_dir_make(struct loop *loop, struct sandbox *sandbox,
                                      struct node *parent, enum node_kind kind, const char *name)
{
    struct slot_dir *dir = calloc(1, sizeof *dir);

    if (!dir) {
        sandbox_unref(sandbox);
        return NULL;
    }
    dir->loop = loop;
    dir->references = 1;
    dir->sandbox = sandbox;
    list_init(&dir->link);
    list_append(&all_dirs, &dir->link);
    list_init(&dir->handles);
    list_init(&dir->readers);
    list_init(&dir->writers);
    dir->slot =
        slot_create(loop, sandbox, kind == NODE_SLOT ? name : own_slot, on_slot_change, dir);
    if (dir->slot)
        dir->node = node_create(parent, kind, name);
    if (!dir->node) {
        slot_dir_unref(dir);
        return NULL;
    }
    dir->node->dir = dir;
    dir->node->on_free = on_node_free;
    return dir;
}

// --- Sandboxes

static void node_apply_settings(struct node *node, const struct sandbox_config *config)
{
    node->owner = config->owner;
    node->group = config->group;
    node->permissions = config->permissions;
    node->shares_slots = config->shares_slots;
}

static int tree_add_sandbox(struct loop *loop, struct sandboxes *sandboxes,
                            struct sandbox_config *config)
{
    struct sandbox *sandbox = sandbox_create(sandboxes, config);
    struct slot_dir *dir =
        sandbox ? slot_dir_make(loop, sandbox, node_root(), NODE_SANDBOX, config->name) : NULL;

    if (!dir)
        return -ENOMEM;
    node_apply_settings(dir->node, config);
    return 0;
}

static void slot_dir_detach(struct slot_dir *dir)
{
    dir->is_removed = true;
    if (dir->home)
        dir->home->slot_count--;
    if (slot_is_busy(dir->slot)) {
        dir->is_kept = true;
        dir->references++;
    }
    slot_dir_discard(dir);
    node_detach(dir->node);
}

static void tree_remove_sandbox(struct node *node)
{
    log_info("sandbox %s was removed", node->name);
    while (!list_is_empty(&node->children))
        slot_dir_detach(LIST_ENTRY(node->children.next, struct node, siblings)->dir);
    sandbox_retire(node->dir->sandbox);
    slot_dir_detach(node->dir);
}

static void tree_change_sandbox(struct node *node, struct sandbox_config *config)
{
    log_info("sandbox %s was changed", node->name);
    sandbox_configure(node->dir->sandbox, config);
    node_apply_settings(node, config);
    tree_tell_change(node);
    // The time to live of the slots may have become shorter.
    for (struct list *link = node->children.next; link != &node->children; link = link->next)
        loop_arm(node->dir->loop, &LIST_ENTRY(link, struct node, siblings)->dir->expiry, 0);
}

int tree_configure(struct loop *loop, struct sandboxes *sandboxes, const struct config *config)
{
    struct list *children = &node_root()->children;
    int result = 0;

    for (struct list *link = children->next, *next; link != children; link = next) {
        struct node *node = LIST_ENTRY(link, struct node, siblings);
        struct sandbox_config *new = config_find(config, node->name);
        next = link->next;
        if (!new)
            tree_remove_sandbox(node);
        else if (!sandbox_config_equal(sandbox_config(node->dir->sandbox), new))
            tree_change_sandbox(node, new);
        else
            sandbox_configure(node->dir->sandbox, new); // its standbys start anew
    }
    for (size_t i = 0; i < config->count && result == 0; i++)
        if (!node_child(node_root(), config->sandboxes[i]->name))
            result = tree_add_sandbox(loop, sandboxes, config->sandboxes[i]);
    return result;
}

// --- Slots

// The end of a job is a use of its slot. But the timer can fire in the turn of the loop in which
// the job ends, before on_slot_change hears of it. So a slot that was busy the last time counts as
// in use once more.
static bool slot_dir_is_in_use(struct slot_dir *dir)
{
    bool was_busy = dir->was_busy;

    dir->was_busy = slot_is_busy(dir->slot);
    return dir->was_busy || was_busy || !list_is_empty(&dir->handles);
}

// A use of a slot does not move the timer. When the timer fires, it is moved to the time that
// follows from the last use.
static void on_expiry(void *data)
{
    struct slot_dir *dir = data;
    const struct node *parent = dir->home->node;
    uint64_t ttl_ms = sandbox_config(dir->sandbox)->slot_ttl_ms;
    uint64_t idle_ms = (loop_now_ns() - dir->touched_ns) / NS_PER_MS;

    if (dir->is_removed)
        return;
    if (idle_ms >= ttl_ms && !slot_dir_is_in_use(dir)) {
        log_info("slot %s of sandbox %s has expired", dir->node->name,
                 sandbox_config(dir->sandbox)->name);
        slot_dir_detach(dir);
        tree_tell_change(parent);
    } else
        loop_arm(dir->loop, &dir->expiry, idle_ms < ttl_ms ? ttl_ms - idle_ms : ttl_ms);
}

void tree_touch(struct slot_dir *dir)
{
    if (dir->home)
        dir->touched_ns = loop_now_ns();
}

// Counts one more slot in HOME for UID. The slot counts until nobody has it open, because a removed
// slot takes memory as well. A user takes at most three times as many as are left for others.
static struct account *tree_take_slot(const struct slot_dir *home, uid_t uid, int *errnum)
{
    const struct sandbox_config *config = sandbox_config(home->sandbox);
    struct account *account = sandbox_open_account(home->sandbox, uid);
    uint64_t left = config->max_slots - home->slot_count;
    uint64_t share = 3 * left > 1 ? 3 * left : 1;

    *errnum = ENOMEM;
    if (!account)
        return NULL;
    if (account_take(account, ACCOUNT_SLOTS, 1,
                     share < config->max_user_slots ? share : config->max_user_slots))
        return account;
    *errnum = EDQUOT;
    account_give_back(account, ACCOUNT_SLOTS, 1);
    account_unref(account);
    return NULL;
}

struct node *tree_make_slot(struct node *parent, const char *name, uid_t uid, gid_t gid,
                            mode_t permissions, int *errnum)
{
    struct slot_dir *home = parent->dir;
    struct account *account;
    struct slot_dir *dir;

    *errnum = EPERM;
    if (parent->kind != NODE_SANDBOX)
        return NULL;
    *errnum = ESTALE;
    if (home->is_removed)
        return NULL;
    *errnum = EEXIST;
    if (node_child(parent, name) || node_file_by_name(name) != SLOT_DIRECTORY)
        return NULL;
    *errnum = ENOSPC;
    if (home->slot_count >= sandbox_config(home->sandbox)->max_slots)
        return NULL;
    account = tree_take_slot(home, uid, errnum);
    if (!account)
        return NULL;
    *errnum = ENOMEM;
    dir = slot_dir_make(home->loop, sandbox_ref(home->sandbox), parent, NODE_SLOT, name);
    if (!dir) {
        account_give_back(account, ACCOUNT_SLOTS, 1);
        account_unref(account);
        return NULL;
    }
    dir->account = account;
    dir->home = home;
    home->references++;
    home->slot_count++;
    dir->node->owner = uid;
    dir->node->group = gid;
    dir->node->permissions = permissions & 0777;
    dir->expiry = (struct timer){.on_time = on_expiry, .data = dir};
    tree_touch(dir);
    if (loop_arm(dir->loop, &dir->expiry, sandbox_config(home->sandbox)->slot_ttl_ms) == 0)
        return dir->node;
    slot_dir_detach(dir);
    return NULL;
}

// --- The end

static void slot_dir_cancel(struct slot_dir *dir)
{
    slot_cancel(dir->slot);
    for (struct list *link = dir->handles.next; link != &dir->handles; link = link->next) {
        struct handle *handle = LIST_ENTRY(link, struct handle, link);
        if (handle->conversation)
            conversation_cancel(handle->conversation);
    }
}

void tree_remove_slot(struct node *node)
{
    slot_dir_cancel(node->dir);
    slot_dir_detach(node->dir);
}

void tree_cancel_all(void)
{
    for (struct list *link = all_dirs.next; link != &all_dirs; link = link->next)
        slot_dir_cancel(LIST_ENTRY(link, struct slot_dir, link));
}

static void slot_dir_close_all(struct slot_dir *dir, int errnum)
{
    wait_fail_all(&dir->writers, errnum);
    wait_fail_all(&dir->readers, errnum);
    while (!list_is_empty(&dir->handles)) {
        struct handle *handle = LIST_ENTRY(dir->handles.next, struct handle, link);
        wait_fail_all(&handle->writers, errnum);
        wait_fail_all(&handle->readers, errnum);
        handle_destroy(handle);
    }
}

void tree_finish(int errnum)
{
    for (struct list *link = all_dirs.next, *next; link != &all_dirs; link = next) {
        struct slot_dir *dir = LIST_ENTRY(link, struct slot_dir, link);
        dir->references++; // a file may have the last reference
        slot_dir_close_all(dir, errnum);
        if (dir->is_kept)
            slot_dir_unref(dir); // nobody waits for its job
        next = link->next;
        slot_dir_unref(dir);
    }
    node_finish_all();
}
