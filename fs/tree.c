// SPDX-License-Identifier: Apache-2.0
#include "tree.h"

#include "cleanup.h"
#include "log.h"

#include <errno.h>

// The slot of a sandbox's own directory, in the log.
static const char own_slot[] = ".";

// --- Directories

static void dir_unref(struct slot_dir *dir)
{
    if (--dir->references > 0)
        return;
    slot_destroy(dir->slot);
    sandbox_release(dir->sandbox);
    free(dir);
}

static void on_node_free(struct slot_dir *dir)
{
    dir->node = NULL;
    dir_unref(dir);
}

static void tell_pollers(struct slot_dir *dir)
{
    for (struct list *link = dir->handles.next; link != &dir->handles; link = link->next) {
        struct handle *handle = LIST_ENTRY(link, struct handle, link);
        struct fuse_pollhandle *poll = take_ptr(&handle->poll);
        if (poll) {
            fuse_lowlevel_notify_poll(poll);
            fuse_pollhandle_destroy(poll);
        }
    }
}

// Never called from within a FUSE operation (see slot_create), as a
// notification must not be.
static void on_slot_change(void *data)
{
    struct slot_dir *dir = data;

    wait_retry_all(&dir->writers);
    wait_retry_all(&dir->readers);
    tell_pollers(dir);
    if (!dir->is_removed || slot_is_busy(dir->slot))
        return;
    if (list_is_empty(&dir->handles))
        slot_discard(dir->slot);
    if (dir->is_kept) {
        dir->is_kept = false;
        dir_unref(dir);
    }
}

static void apply_settings(struct node *node, const struct sandbox_config *config)
{
    node->owner = config->owner;
    node->group = config->group;
    node->permissions = config->permissions;
}

static int add_sandbox(struct loop *loop, struct sandbox_config *config)
{
    struct slot_dir *dir = calloc(1, sizeof *dir);

    if (!dir)
        return -ENOMEM;
    dir->loop = loop;
    dir->references = 1;
    list_init(&dir->handles);
    list_init(&dir->readers);
    list_init(&dir->writers);
    dir->sandbox = sandbox_create(loop, config);
    if (dir->sandbox)
        dir->slot = slot_create(loop, dir->sandbox, own_slot, on_slot_change, dir);
    if (dir->slot)
        dir->node = node_create(node_root(), NODE_SANDBOX, config->name);
    if (!dir->node) {
        dir_unref(dir);
        return -ENOMEM;
    }
    dir->node->dir = dir;
    dir->node->on_free = on_node_free;
    apply_settings(dir->node, config);
    return 0;
}

static void remove_sandbox(struct node *node)
{
    struct slot_dir *dir = node->dir;

    log_info("sandbox %s was removed", node->name);
    dir->is_removed = true;
    if (slot_is_busy(dir->slot)) {
        dir->is_kept = true;
        dir->references++;
    }
    node_detach(node);
}

int tree_configure(struct loop *loop, const struct config *config)
{
    struct list *children = &node_root()->children;
    int result = 0;

    for (struct list *link = children->next, *next; link != children; link = next) {
        struct node *node = LIST_ENTRY(link, struct node, siblings);
        struct sandbox_config *new = config_find(config, node->name);
        next = link->next;
        if (!new) {
            remove_sandbox(node);
        } else if (!sandbox_config_equal(sandbox_config(node->dir->sandbox), new)) {
            log_info("sandbox %s was changed", node->name);
            sandbox_configure(node->dir->sandbox, new);
            apply_settings(node, new);
        }
    }
    for (size_t i = 0; i < config->count && result == 0; i++)
        if (!node_child(node_root(), config->sandboxes[i]->name))
            result = add_sandbox(loop, config->sandboxes[i]);
    return result;
}

void tree_cancel_all(void)
{
    struct list *children = &node_root()->children;

    for (struct list *link = children->next; link != children; link = link->next) {
        struct slot_dir *dir = LIST_ENTRY(link, struct node, siblings)->dir;
        slot_cancel(dir->slot);
        sandbox_cancel_all(dir->sandbox);
    }
}

// --- Open files

static unsigned open_count;
static void (*on_close)(void *data);
static void *close_data;

unsigned handle_count(void)
{
    return open_count;
}

void handle_set_on_close(void (*callback)(void *data), void *data)
{
    on_close = callback;
    close_data = data;
}

struct handle *handle_create(struct slot_dir *dir, enum slot_file file)
{
    struct handle *handle = calloc(1, sizeof *handle);

    if (!handle)
        return NULL;
    handle->dir = dir;
    handle->file = file;
    slot_reader_init(dir->slot, &handle->reader);
    list_append(&dir->handles, &handle->link);
    dir->references++;
    open_count++;
    return handle;
}

void handle_destroy(struct handle *handle)
{
    list_remove(&handle->link);
    if (handle->poll)
        fuse_pollhandle_destroy(handle->poll);
    dir_unref(handle->dir);
    free(handle);
    open_count--;
    if (on_close)
        on_close(close_data);
}

void tree_finish(int errnum)
{
    struct list *children = &node_root()->children;

    for (struct list *link = children->next; link != children; link = link->next) {
        struct slot_dir *dir = LIST_ENTRY(link, struct node, siblings)->dir;
        wait_fail_all(&dir->writers, errnum);
        wait_fail_all(&dir->readers, errnum);
        while (!list_is_empty(&dir->handles))
            handle_destroy(LIST_ENTRY(dir->handles.next, struct handle, link));
    }
    node_finish_all();
}
