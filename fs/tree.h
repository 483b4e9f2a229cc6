// SPDX-License-Identifier: Apache-2.0
// The sandboxes of the configuration as directories, and the slots that users
// make in them.
#pragma once

#include "node.h"
#include "wait.h"

struct handle;

// A directory with a slot. It lives as long as its node, an open file, or a
// running job needs it.
struct slot_dir {
    struct list link; // in the list of all directories with a slot
    unsigned references;
    struct loop *loop;
    struct sandbox *sandbox;
    struct slot *slot;
    struct node *node;       // NULL once the kernel has forgotten it
    struct list handles;     // struct handle
    struct handle *writer;   // which has request open, or NULL
    struct list readers;     // struct parked
    struct list writers;     // struct parked
    struct timer expiry;     // of a slot that a user has made
    uint64_t touched_ns;     // when one of its files was last used
    unsigned slot_count;     // of a sandbox: slots that users have made in it
    struct slot_dir *home;   // for a slot of a user: its sandbox's directory, a reference
    struct account *account; // for a slot of a user: that user's, a reference
    bool was_busy;           // when the slot changed, or was looked at, the last time
    bool is_removed;         // no name leads to this directory any more
    bool is_kept;            // the job that ran at the removal needs the directory
};

void slot_dir_unref(struct slot_dir *dir);

// Forgets the results of a removed slot that nobody has open. The slot's node may last longer:
// the kernel decides how long it keeps the node, at least while a process stands in the
// directory.
void slot_dir_discard(struct slot_dir *dir);

// Has CALLBACK called, with DATA, when the attributes of the directory with the id ID have changed
// without the kernel. NULL: no callback.
void tree_set_on_change(void (*callback)(void *data, uint64_t id), void *data);

// Makes the directories of CONFIG, with their sandboxes among SANDBOXES, and changes or removes the
// directories that are there. Jobs of a removed sandbox run to their end. Returns 0, or -ENOMEM
// when only a part was done; the function may then be called again.
int tree_configure(struct loop *loop, struct sandboxes *sandboxes, const struct config *config);

// Makes a slot called NAME in the directory PARENT of a sandbox, for UID and
// GID, with PERMISSIONS. Returns its node, or NULL with *ERRNUM set: EPERM (not
// in a sandbox's directory), EEXIST, ENOSPC (max_slots), EDQUOT (the share of UID), ENOMEM.
struct node *tree_make_slot(struct node *parent, const char *name, uid_t uid, gid_t gid,
                            mode_t permissions, int *errnum);

// Removes the slot of NODE with its files, and cancels its request or job.
void tree_remove_slot(struct node *node);

// A file of DIR was used: the slot's time to live begins anew.
void tree_touch(struct slot_dir *dir);

// Cancels every request that is being written, and the job of every slot and conversation.
void tree_cancel_all(void);

// Answers every waiting operation with ERRNUM, and frees everything. The mount must be gone, or
// about to go.
void tree_finish(int errnum);
