// SPDX-License-Identifier: Apache-2.0
// Open files, of slots and of conversations.
#pragma once

#include "conversation.h"
#include "tree.h"

// An open file of a slot.
struct handle {
    struct list link; // in dir->handles
    struct slot_dir *dir;
    enum slot_file file;
    int access;     // O_RDONLY, O_WRONLY or O_RDWR
    bool is_writer; // of request: its release ends the request
    struct slot_reader reader;
    off_t read_to;                // the offset at which the last read ended
    uint64_t written;             // bytes that were taken, holes included
    uint64_t write_base;          // of call: `written` before the last write began
    struct fuse_pollhandle *poll; // is told of a change; NULL: nobody polls
    // For call; NULL otherwise. Its readers and writers wait here, not at the slot_dir.
    struct conversation *conversation;
    struct list readers; // struct parked
    struct list writers; // struct parked
};

// Opens FILE of DIR. Returns NULL when there is no memory.
struct handle *handle_create(struct slot_dir *dir, enum slot_file file);
void handle_destroy(struct handle *handle);

// Begins a conversation of CALLER on HANDLE, of call. Returns 0, -ENOMEM or -EDQUOT.
int handle_converse(struct handle *handle, const struct caller *caller);

// Returns the handle that the kernel knows as FH.
struct handle *handle_from(uint64_t fh);

// May the user who opened HANDLE still begin a request with it? A reload may have taken the
// permission away since.
bool handle_may_begin(const struct handle *handle);

// Are all further bytes for HANDLE dropped, because the command reads no more?
bool handle_drops_stdin(const struct handle *handle);

// Has waiting writes try again, in a later turn of the loop.
void handle_retry_writes(struct handle *handle);

// Returns how many files are open.
unsigned handle_count(void);

// Has CALLBACK called with DATA each time a file was closed.
void handle_set_on_close(void (*callback)(void *data), void *data);

// Tells a caller who polls HANDLE to look again. Must not be called within a FUSE operation.
void handle_tell_poller(struct handle *handle);
