// SPDX-License-Identifier: Apache-2.0
// The sandboxes of the configuration as directories, each with its slot, those
// who have its files open, and those who wait there.
#pragma once

#include "node.h"
#include "wait.h"

// A directory with a slot. It lives as long as its node, an open file, or a
// running job needs it.
struct slot_dir {
    unsigned references;
    struct loop *loop;
    struct sandbox *sandbox;
    struct slot *slot;
    struct node *node; // NULL once the kernel has forgotten it
    struct list handles;
    struct list readers; // struct parked
    struct list writers; // struct parked
    bool is_removed;     // no name leads here any more
    bool is_kept;        // by the job that was running when it was removed
};

// An open file of a slot.
struct handle {
    struct list link; // in dir->handles
    struct slot_dir *dir;
    enum slot_file file;
    bool is_writer; // of request: release ends it
    struct slot_reader reader;
    off_t read_to;                // where the last read ended
    struct fuse_pollhandle *poll; // to be told of a change; NULL: nobody polls
};

// Opens FILE of DIR. NULL when there is no memory.
struct handle *handle_create(struct slot_dir *dir, enum slot_file file);
void handle_destroy(struct handle *handle);

// How many files are open.
unsigned handle_count(void);

// CALLBACK is called with DATA each time one was closed.
void handle_set_on_close(void (*callback)(void *data), void *data);

// Makes the directories of CONFIG, and changes or removes those that are there.
// Jobs of a removed sandbox run to their end. 0 or -ENOMEM, then some of it is
// done, and trying again is right.
int tree_configure(struct loop *loop, const struct config *config);

// Cancels every job and every request that is being written.
void tree_cancel_all(void);

// Answers everybody who still waits with ERRNUM and frees everything. The mount
// must be gone, or going.
void tree_finish(int errnum);
