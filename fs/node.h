// SPDX-License-Identifier: Apache-2.0
// The directories of the mount, and what the kernel holds of them. A directory
// and the files of its slot are one node: a file has no state of its own.
//
// The exceptions are `request` and `call`. The kernel lets only one write at a time
// into an inode (fuse_direct_write_iter in its fs/fuse/file.c), and holds the inode's
// lock while the write waits. A shared inode would let a command that takes no bytes
// hold up every other call, and everybody who wants the lock (touch, chmod, unlink), in
// a state that SIGKILL does not end. So each opening gets an inode of its own, an alias,
// and an alias never goes from one user to another.
//
// The kernel's id of an inode is the node's place in a table, which of its
// files is meant, and how often the place has been used: an id is never given
// out twice.
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
    struct list children;   // in the order they were made, which is readdir's
    struct node *same_hash; // the next with the same hash of parent and name
    uint64_t cookie;        // where readdir is after it; grows with each node
    uint32_t place;         // in the table
    uint32_t use;           // how often the place has been used
    uint64_t lookups;       // what the kernel holds of the node and its files
    uid_t owner;
    gid_t group;
    mode_t permissions;   // of the directory; its files' follow
    unsigned hidden;      // a bit for each file that it does not have, or not any more
    struct timespec time; // when a name in it came or went, or it was detached
    struct node *aliases[NODE_ALIASES]; // the latest of request and of call, or NULL
    struct slot_dir *dir;               // NULL for the root
    void (*on_free)(struct slot_dir *dir);
    // Of an alias, whose owner is the user that it belongs to:
    enum slot_file file;
    bool is_handed_out; // it was looked up, or opened, by somebody
    bool is_claimed;    // its owner has opened it: nobody else may
    unsigned open_count;
    pid_t refused_pid; // the last process that was asked to look the name up again
};

enum { NODE_NAME_TIMEOUT_MS = 1000 }; // how long the kernel may keep a directory's name
enum { NODE_FIRST_COOKIE = 16 };      // below are ".", ".." and the files

// Makes the root; once. 0 or -ENOMEM.
int node_init_root(void);

// Frees every node, and the table.
void node_finish_all(void);

// NULL before node_init_root and after node_finish_all.
struct node *node_root(void);

// Makes a directory in PARENT; NULL when there is no memory.
struct node *node_create(struct node *parent, enum node_kind kind, const char *name);

// Takes NODE out of its parent: no name leads to it any more. It is freed, and
// on_free called, as soon as the kernel has forgotten it, perhaps at once.
void node_detach(struct node *node);

// Can the kernel still have the name of NODE, which is detached?
bool node_was_detached_lately(const struct node *node);

struct node *node_child(const struct node *parent, const char *name);

// Has FILE an alias for each opening?
bool node_has_aliases(enum slot_file file);

// An alias of FILE of NODE for UID that nobody else has: a new one, or the latest when it
// was UID's and has come back. NULL when there is no memory.
struct node *node_hand_out_alias(struct node *node, enum slot_file file, uid_t uid);

// May the process PID of UID open the file with the id ID? 0 for all that are no alias.
// -EBUSY: the alias is somebody else's, or has been opened already. -ESTALE: it has been
// opened already, but the name may lead to another alias: the kernel looks it up again.
int node_may_open(uint64_t id, uid_t uid, pid_t pid);

// UID has opened the file with the id ID, or somebody has closed it. An alias comes back
// with its last close; for other ids both mean nothing.
void node_alias_opened(uint64_t id, uid_t uid);
void node_alias_closed(uint64_t id);

// The id of FILE of NODE; SLOT_DIRECTORY is the node itself. An alias has one file.
uint64_t node_id(const struct node *node, enum slot_file file);

// The node that ID means, and which of its files, or NULL for an id that is not
// (any more) in use. For an alias that is the node that it is an alias of.
struct node *node_find(uint64_t id, enum slot_file *file);

// The kernel was told of NODE, or has forgotten COUNT of ID; an id that is not in
// use is harmless.
void node_ref(struct node *node);
void node_forget(uint64_t id, uint64_t count);

// Takes the name of FILE out of NODE.
void node_hide(struct node *node, enum slot_file file);

// Is there a FILE in NODE?
bool node_has_file(const struct node *node, enum slot_file file);

const char *node_file_name(enum slot_file file);
// The file of this name; SLOT_DIRECTORY: there is none.
enum slot_file node_file_by_name(const char *name);

// The result of stat for FILE of NODE. The caller gives SIZE and TIME.
void node_stat(const struct node *node, enum slot_file file, off_t size, struct timespec time,
               struct stat *st);
