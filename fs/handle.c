// SPDX-License-Identifier: Apache-2.0
#include "handle.h"

#include "cleanup.h"

#include <errno.h>

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
    list_init(&handle->readers);
    list_init(&handle->writers);
    list_append(&dir->handles, &handle->link);
    dir->references++;
    open_count++;
    return handle;
}

struct handle *handle_from(uint64_t fh)
{
    return (struct handle *)(uintptr_t)fh; // NOLINT(performance-no-int-to-ptr)
}

static bool node_permits(const struct node *node, enum slot_file file, const struct identity *who,
                         mode_t want)
{
    struct stat st;
    bool is_member;

    node_stat(node, file, 0, (struct timespec){0}, &st);
    is_member = who->gid == st.st_gid;
    for (size_t i = 0; i < who->group_count && !is_member; i++)
        is_member = who->groups[i] == st.st_gid;
    if (who->uid == st.st_uid)
        want <<= 6;
    else if (is_member)
        want <<= 3;
    return who->uid == 0 || (st.st_mode & want) == want;
}

bool handle_may_begin(const struct handle *handle)
{
    const struct node *node = handle->dir->node;
    const struct identity *who =
        handle->conversation ? conversation_beginner(handle->conversation) : NULL;

    // Conversations outlive a sandbox that is removed.
    if (!who || !node || handle->dir->is_removed)
        return true;
    return node_permits(node, SLOT_CALL, who, 06) && node_permits(node, SLOT_DIRECTORY, who, 01);
}

bool handle_drops_stdin(const struct handle *handle)
{
    return handle->conversation ? conversation_drops_stdin(handle->conversation)
                                : slot_drops_stdin(handle->dir->slot);
}

void handle_retry_writes(struct handle *handle)
{
    if (handle->conversation)
        conversation_retry(handle->conversation);
    else
        slot_retry(handle->dir->slot);
}

static void on_conversation_change(void *data)
{
    struct handle *handle = data;

    wait_retry_all(&handle->writers);
    wait_retry_all(&handle->readers);
    handle_tell_poller(handle);
}

int handle_converse(struct handle *handle, const struct caller *caller)
{
    struct slot_dir *dir = handle->dir;
    int errnum;

    handle->conversation = conversation_create(dir->loop, dir->sandbox, node_file_name(SLOT_CALL),
                                               caller, on_conversation_change, handle, &errnum);
    return handle->conversation ? 0 : -errnum;
}

void handle_tell_poller(struct handle *handle)
{
    struct fuse_pollhandle *poll = take_ptr(&handle->poll);

    if (!poll)
        return;
    fuse_lowlevel_notify_poll(poll);
    fuse_pollhandle_destroy(poll);
}

void handle_destroy(struct handle *handle)
{
    list_remove(&handle->link);
    if (handle->dir->writer == handle)
        handle->dir->writer = NULL;
    if (handle->poll)
        fuse_pollhandle_destroy(handle->poll);
    conversation_destroy(handle->conversation);
    slot_dir_discard(handle->dir);
    slot_dir_unref(handle->dir);
    free(handle);
    open_count--;
    if (on_close)
        on_close(close_data);
}
