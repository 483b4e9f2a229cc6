// SPDX-License-Identifier: Apache-2.0
// The directories of the mount, and the references that the kernel holds to them. A directory
// and the files of its slot are one node: a file has no state of its own.
//
// The exceptions are `request` and `call`. The kernel lets only one write at a time
// into an inode (fuse_direct_write_iter in its fs/fuse/file.c), and holds the inode's
// lock while the write waits. With a shared inode, a command that takes no bytes would hold up
// every other call, and every process that wants the lock (touch, chmod, unlink), in a state that
// SIGKILL does not end. So each opening gets an inode of its own, an alias, and an alias never
// goes from one user to another.
//
// The kernel's id of an inode has three parts: the node's index in a table, the number of the
// file, and how often the index has been used. So no id is given out twice.
#pragma once

#include "list.h"
#include "slot.h"

#include <stdint.h>
#include <sys/stat.h>

enum node_kind { NODE_ROOT, NODE_SANDBOX, NODE_SLOT, NODE_ALIAS };

enum { NODE_ALIASES = 2 };

struct slot_dir;

struct node {
    enum node_kind kind;
    char *name;
    struct node *parent;    // NULL: the root, or detached; of an alias, its directory
    struct list siblings;   // in the parent's children
    struct list children;   // in the order in which they were made, also for readdir
    struct node *same_hash; // the next with the same hash of parent and name
    uint64_t cookie;        // the position of readdir after this node; grows with each node
    uint32_t index;         // in the table
    uint32_t use;           // how often the index has been used
    uint64_t lookups;       // the kernel's references to the node and its files
    uid_t owner;
    gid_t group;
    mode_t permissions;   // of the directory; those of the files follow from them
    bool shares_slots;    // of a sandbox: others than its owner may write the request of a slot
    unsigned hidden;      // a bit for each file that the directory does not have (any more)
    struct timespec time; // when a name came or went here, or the node was detached
    struct node *aliases[NODE_ALIASES]; // the latest alias of request and of call, or NULL
    struct slot_dir *dir;               // NULL for the root
    void (*on_free)(struct slot_dir *dir);
    // For an alias. It belongs to its owner:
    enum slot_file file;
    bool is_handed_out; // a process has looked it up or opened it
    bool is_claimed;    // the owner has opened it: no other user may
    unsigned open_count;
    pid_t refused_pid; // the last process that was asked to look the name up again
};

enum { NODE_NAME_TIMEOUT_MS = 1000 }; // how long the kernel may keep a directory's name
enum { NODE_FIRST_COOKIE = 16 };      // below are ".", ".." and the files

// Makes the root; called once. Returns 0 or -ENOMEM.
int node_init_root(void);

// Frees every node, and the table.
void node_finish_all(void);

// Returns the root, or NULL before node_init_root and after node_finish_all.
struct node *node_root(void);

// Makes a directory in PARENT. Returns NULL when there is no memory.
struct node *node_create(struct node *parent, enum node_kind kind, const char *name);

// Takes NODE out of its parent: no name leads to NODE any more. NODE is freed, and on_free
// called, as soon as the kernel has forgotten NODE, perhaps at once.
void node_detach(struct node *node);

// Can the kernel still have the name of NODE, which is detached?
bool node_was_detached_lately(const struct node *node);

struct node *node_child(const struct node *parent, const char *name);

// Does each opening of FILE get an alias?
bool node_has_aliases(enum slot_file file);

// Returns an alias of FILE of NODE for UID that no other process has: a new alias, or the latest
// one if it belongs to UID and has come back. Returns NULL when there is no memory.
struct node *node_hand_out_alias(struct node *node, enum slot_file file, uid_t uid);

// May the process PID of UID open the file with the id ID? Returns 0 if ID is no alias.
// -EBUSY: the alias belongs to another user, or has been opened already. -ESTALE: the alias has
// been opened already, but the name may lead to another alias: the kernel looks it up again.
int node_may_open(uint64_t id, uid_t uid, pid_t pid);

// Say that UID has opened the file with the id ID, and that a process has closed it. An alias
// comes back with its last close. For other ids both functions do nothing.
void node_alias_opened(uint64_t id, uid_t uid);
void node_alias_closed(uint64_t id);

// Returns the id of FILE of NODE. SLOT_DIRECTORY is the node itself. An alias has one file.
uint64_t node_id(const struct node *node, enum slot_file file);

// Returns the node of ID, and its file, or NULL for an id that is not (any more) in use. For an
// alias, this is the node that has the file.
struct node *node_find(uint64_t id, enum slot_file *file);

// Say that the kernel has got a reference to NODE, and that it has dropped COUNT references to
// ID. An id that is not in use is ignored.
void node_ref(struct node *node);
void node_forget(uint64_t id, uint64_t count);

// Takes the name of FILE out of NODE.
void node_hide(struct node *node, enum slot_file file);

// Has NODE a FILE?
bool node_has_file(const struct node *node, enum slot_file file);

const char *node_file_name(enum slot_file file);
// Returns the file called NAME; SLOT_DIRECTORY: there is none.
enum slot_file node_file_by_name(const char *name);

// May FILE of NODE be opened by the owner of NODE alone, root included? It is so for
// the request of a slot that a user has made: another user, who believes that the slot is a new
// one, would have a command run whose output the slot's owner reads.
bool node_is_for_owner(const struct node *node, enum slot_file file);

// The result of stat for FILE of NODE. The caller gives SIZE and TIME.
void node_stat(const struct node *node, enum slot_file file, off_t size, struct timespec time,
               struct stat *st);
