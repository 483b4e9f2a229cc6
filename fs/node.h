// SPDX-License-Identifier: Apache-2.0
// The directories of the mount, and what the kernel holds of them. A directory
// and the files of its slot are one node: a file has no state of its own.
//
// The kernel's id of an inode is the node's place in a table, which of its
// files is meant, and how often the place has been used: an id is never given
// out twice.
#pragma once

#include "list.h"
#include "slot.h"

#include <stdint.h>
#include <sys/stat.h>

enum node_kind { NODE_ROOT, NODE_SANDBOX };

struct slot_dir;

struct node {
    enum node_kind kind;
    char *name;
    struct node *parent;  // NULL: the root, or detached
    struct list siblings; // in the parent's children
    struct list children; // in the order they were made, which is readdir's
    uint64_t cookie;      // where readdir is after it; grows with each node
    uint32_t place;       // in the table
    uint32_t use;         // how often the place has been used
    uint64_t lookups;     // what the kernel holds of the node and its files
    uid_t owner;
    gid_t group;
    mode_t permissions;   // of the directory; its files' follow
    struct slot_dir *dir; // NULL for the root
    void (*on_free)(struct slot_dir *dir);
};

enum { NODE_FIRST_COOKIE = 16 }; // below are ".", ".." and the files

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

struct node *node_child(const struct node *parent, const char *name);

// The id of FILE of NODE; SLOT_DIRECTORY is the node itself.
uint64_t node_id(const struct node *node, enum slot_file file);

// The node that ID means, and which of its files, or NULL for an id that is not
// (any more) in use.
struct node *node_find(uint64_t id, enum slot_file *file);

// The kernel was told of NODE, or has forgotten COUNT of that.
void node_ref(struct node *node);
void node_unref(struct node *node, uint64_t count);

const char *node_file_name(enum slot_file file);
// The file of this name; SLOT_DIRECTORY: there is none.
enum slot_file node_file_by_name(const char *name);

// What stat says of FILE of NODE. SIZE and TIME are the caller's to know.
void node_stat(const struct node *node, enum slot_file file, off_t size, struct timespec time,
               struct stat *st);
