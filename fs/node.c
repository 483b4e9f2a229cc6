// SPDX-License-Identifier: Apache-2.0
#include "node.h"

#include "cleanup.h"

#include <errno.h>
#include <fuse_lowlevel.h>

// The bits of an id, from the low end: 3 bits for the file, 29 for the index, 32 for the use. Index
// 0 belongs to the root, whose id is fixed.
enum { FILE_BITS = 3, INDEX_BITS = 29 };

static struct {
    struct node **nodes; // by index; NULL: free
    uint32_t *uses;      // of each index
    uint32_t count;      // indexes used so far
    uint32_t capacity;
    uint32_t *free; // indexes to use again
    uint32_t free_count;
    uint64_t next_cookie;
} table = {.next_cookie = NODE_FIRST_COOKIE};

// A chained hash of the nodes that have a parent, by parent and name.
static struct {
    struct node **chains;
    size_t size; // a power of 2
    size_t count;
} names;

enum { FIRST_CHAINS = 64 };

static const char *const file_names[SLOT_FILES] = {
    [SLOT_REQUEST] = "request", [SLOT_STDOUT] = "stdout", [SLOT_STDERR] = "stderr",
    [SLOT_STATUS] = "status",   [SLOT_CTL] = "ctl",       [SLOT_CALL] = "call",
};

const char *node_file_name(enum slot_file file)
{
    return file_names[file];
}

enum slot_file node_file_by_name(const char *name)
{
    for (int file = SLOT_REQUEST; file < SLOT_FILES; file++)
        if (strcmp(file_names[file], name) == 0)
            return (enum slot_file)file;
    return SLOT_DIRECTORY;
}

// --- The table

static int table_grow(void)
{
    uint32_t capacity = table.capacity ? table.capacity * 2 : 16;
    struct node **nodes = realloc(table.nodes, capacity * sizeof(struct node *));
    if (nodes)
        table.nodes = nodes;
    uint32_t *uses = nodes ? realloc(table.uses, capacity * sizeof *uses) : NULL;
    if (uses)
        table.uses = uses;
    uint32_t *free_indexes = uses ? realloc(table.free, capacity * sizeof *free_indexes) : NULL;
    if (free_indexes)
        table.free = free_indexes;
    if (!free_indexes || capacity > (UINT32_C(1) << INDEX_BITS))
        return -ENOMEM;
    table.capacity = capacity;
    return 0;
}

static int table_add(struct node *node)
{
    if (table.free_count > 0)
        node->index = table.free[--table.free_count];
    else if (table.count < table.capacity || table_grow() == 0) {
        node->index = table.count++;
        table.uses[node->index] = 0;
    } else
        return -ENOMEM;
    node->use = ++table.uses[node->index];
    table.nodes[node->index] = node;
    return 0;
}

uint64_t node_id(const struct node *node, enum slot_file file)
{
    if (node->kind == NODE_ROOT)
        return FUSE_ROOT_ID;
    return (uint64_t)node->use << (FILE_BITS + INDEX_BITS) | (uint64_t)node->index << FILE_BITS |
           (uint64_t)file;
}

// Returns the entry of the table for ID, also if the entry is an alias.
static struct node *table_find(uint64_t id)
{
    uint32_t index = (uint32_t)id >> FILE_BITS;
    uint32_t use = (uint32_t)(id >> (FILE_BITS + INDEX_BITS));

    if (id == FUSE_ROOT_ID)
        return table.nodes[0];
    if (index == 0 || index >= table.count || !table.nodes[index] ||
        table.nodes[index]->use != use || (id & ((1 << FILE_BITS) - 1)) >= SLOT_FILES)
        return NULL;
    return table.nodes[index];
}

struct node *node_find(uint64_t id, enum slot_file *file)
{
    struct node *node = table_find(id);

    *file = id == FUSE_ROOT_ID ? SLOT_DIRECTORY : (enum slot_file)(id & ((1 << FILE_BITS) - 1));
    return node && node->kind == NODE_ALIAS ? node->parent : node;
}

// --- Names

static size_t names_hash(const struct node *parent, const char *name)
{
    size_t hash = 14695981039346656037U ^ parent->index; // FNV-1a

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211U;
    return hash;
}

static void names_chain(struct node *node)
{
    struct node **first = &names.chains[names_hash(node->parent, node->name) & (names.size - 1)];
    node->same_hash = *first;
    *first = node;
}

static int names_grow(void)
{
    struct node **old = names.chains;
    size_t old_size = names.size;
    size_t size = old_size ? old_size * 2 : FIRST_CHAINS;
    struct node **chains = calloc(size, sizeof(struct node *));

    if (!chains)
        return -ENOMEM;
    names.chains = chains;
    names.size = size;
    for (size_t i = 0; i < old_size; i++)
        for (struct node *node = old[i], *next; node; node = next) {
            next = node->same_hash;
            names_chain(node);
        }
    free(old);
    return 0;
}

static int names_add(struct node *node)
{
    // Without memory for more chains, the chains get longer. Then look-ups are only slower.
    if (names.count >= names.size && names_grow() < 0 && !names.size)
        return -ENOMEM;
    names_chain(node);
    names.count++;
    return 0;
}

static void names_remove(struct node *node)
{
    struct node **link = &names.chains[names_hash(node->parent, node->name) & (names.size - 1)];

    while (*link != node)
        link = &(*link)->same_hash;
    *link = node->same_hash;
    names.count--;
}

struct node *node_child(const struct node *parent, const char *name)
{
    struct node *node =
        names.size ? names.chains[names_hash(parent, name) & (names.size - 1)] : NULL;

    while (node && (node->parent != parent || strcmp(node->name, name) != 0))
        node = node->same_hash;
    return node;
}

// --- Nodes

static struct node *node_make(enum node_kind kind, const char *name)
{
    struct node *node = calloc(1, sizeof *node);

    if (!node)
        return NULL;
    node->kind = kind;
    node->cookie = table.next_cookie++;
    node->hidden = kind == NODE_SANDBOX ? 0 : 1U << SLOT_CALL;
    clock_gettime(CLOCK_REALTIME, &node->time);
    list_init(&node->siblings);
    list_init(&node->children);
    node->name = strdup(name);
    if (node->name && table_add(node) == 0)
        return node;
    free(node->name);
    free(node);
    return NULL;
}

static void node_free(struct node *node)
{
    table.nodes[node->index] = NULL;
    table.free[table.free_count++] = node->index;
    if (node->on_free)
        node->on_free(node->dir);
    free(node->name);
    free(node);
}

int node_init_root(void)
{
    struct node *root = node_make(NODE_ROOT, "");

    if (!root)
        return -ENOMEM;
    root->lookups = 1; // the kernel never looks the root up, and never forgets it
    root->owner = geteuid();
    root->group = getegid();
    root->permissions = 0755;
    return 0;
}

struct node *node_root(void)
{
    return table.nodes ? table.nodes[0] : NULL;
}

struct node *node_create(struct node *parent, enum node_kind kind, const char *name)
{
    struct node *node = node_make(kind, name);

    if (!node)
        return NULL;
    node->parent = parent;
    if (names_add(node) < 0) {
        node_free(node);
        return NULL;
    }
    list_append(&parent->children, &node->siblings);
    parent->time = node->time;
    return node;
}

static void node_free_if_unused(struct node *node)
{
    if (node->kind != NODE_ROOT && node->lookups == 0 && !node->parent)
        node_free(node);
}

void node_detach(struct node *node)
{
    names_remove(node);
    list_remove(&node->siblings);
    clock_gettime(CLOCK_REALTIME, &node->parent->time);
    node->time = node->parent->time;
    node->parent = NULL;
    node_free_if_unused(node);
}

bool node_was_detached_lately(const struct node *node)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - node->time.tv_sec) * 1000 + (now.tv_nsec - node->time.tv_nsec) / 1000000 <=
           NODE_NAME_TIMEOUT_MS;
}

void node_hide(struct node *node, enum slot_file file)
{
    node->hidden |= 1U << file;
    clock_gettime(CLOCK_REALTIME, &node->time);
}

bool node_has_file(const struct node *node, enum slot_file file)
{
    return !(node->hidden & 1U << file);
}

// --- Aliases: each holds a lookup of its directory, which so lives longer

bool node_has_aliases(enum slot_file file)
{
    return file == SLOT_REQUEST || file == SLOT_CALL;
}

static struct node **alias_latest(struct node *node, enum slot_file file)
{
    return &node->aliases[file == SLOT_CALL];
}

struct node *node_hand_out_alias(struct node *node, enum slot_file file, uid_t uid)
{
    struct node **latest = alias_latest(node, file);
    struct node *alias = *latest;

    if (!alias || alias->is_handed_out || alias->owner != uid) {
        alias = node_make(NODE_ALIAS, "");
        if (!alias)
            return NULL;
        alias->parent = node;
        alias->file = file;
        alias->owner = uid;
        alias->refused_pid = -1;
        node->lookups++;
        *latest = alias;
    }
    alias->is_handed_out = true;
    return alias;
}

int node_may_open(uint64_t id, uid_t uid, pid_t pid)
{
    struct node *alias = table_find(id);
    bool is_again;

    if (!alias || alias->kind != NODE_ALIAS)
        return 0;
    if (alias->is_claimed && alias->owner != uid)
        return -EBUSY;
    if (alias->open_count == 0)
        return 0;
    is_again = alias->refused_pid == pid;
    alias->refused_pid = pid;
    return is_again ? -EBUSY : -ESTALE;
}

void node_alias_opened(uint64_t id, uid_t uid)
{
    struct node *alias = table_find(id);

    if (!alias || alias->kind != NODE_ALIAS)
        return;
    alias->owner = uid;
    alias->is_claimed = true;
    alias->is_handed_out = true;
    alias->open_count++;
}

void node_alias_closed(uint64_t id)
{
    struct node *alias = table_find(id);

    if (alias && alias->kind == NODE_ALIAS && --alias->open_count == 0)
        alias->is_handed_out = false;
}

static void alias_free(struct node *alias)
{
    struct node *node = alias->parent;

    if (*alias_latest(node, alias->file) == alias)
        *alias_latest(node, alias->file) = NULL;
    node_free(alias);
    node->lookups--;
    node_free_if_unused(node);
}

void node_ref(struct node *node)
{
    node->lookups++;
}

void node_forget(uint64_t id, uint64_t count)
{
    struct node *node = table_find(id);

    if (!node || node->kind == NODE_ROOT)
        return;
    node->lookups -= count < node->lookups ? count : node->lookups;
    if (node->kind != NODE_ALIAS)
        node_free_if_unused(node);
    else if (node->lookups == 0)
        alias_free(node);
}

void node_finish_all(void)
{
    for (uint32_t index = table.count; index-- > 0;)
        if (table.nodes[index])
            node_free(table.nodes[index]);
    free(names.chains);
    memset(&names, 0, sizeof names);
    free(table.nodes);
    free(table.uses);
    free(table.free);
    memset(&table, 0, sizeof table);
    table.next_cookie = NODE_FIRST_COOKIE;
}

// --- stat

bool node_is_for_owner(const struct node *node, enum slot_file file)
{
    bool is_shared = node->parent && node->parent->shares_slots;

    return node->kind == NODE_SLOT && file == SLOT_REQUEST && !is_shared;
}

void node_stat(const struct node *node, enum slot_file file, off_t size, struct timespec time,
               struct stat *st)
{
    static const mode_t file_modes[SLOT_FILES] = {
        [SLOT_DIRECTORY] = S_IFDIR | 0777, [SLOT_REQUEST] = S_IFREG | 0666,
        [SLOT_STDOUT] = S_IFREG | 0444,    [SLOT_STDERR] = S_IFREG | 0444,
        [SLOT_STATUS] = S_IFREG | 0444,    [SLOT_CTL] = S_IFREG | 0222,
        [SLOT_CALL] = S_IFREG | 0666,
    };
    mode_t permissions =
        node_is_for_owner(node, file) ? node->permissions & 0700 : node->permissions;

    *st = (struct stat){
        .st_ino = node_id(node, file),
        .st_mode = file_modes[file] & (S_IFMT | permissions),
        // 1 for a directory means that its subdirectories are not counted.
        .st_nlink = 1,
        .st_uid = node->owner,
        .st_gid = node->group,
        .st_size = size,
        .st_blksize = 4096,
        .st_blocks = (size + 511) / 512,
        .st_atim = time,
        .st_mtim = time,
        .st_ctim = time,
    };
}
