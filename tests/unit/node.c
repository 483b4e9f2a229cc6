// SPDX-License-Identifier: Apache-2.0
// fs/node.c: ids are never used twice, and a node lives as long as the kernel holds it.
#include "unit.h"

#include "node.h"

#include <fuse_lowlevel.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

static unsigned freed;
static struct slot_dir *freed_dir;

static void on_free(struct slot_dir *dir)
{
    freed++;
    freed_dir = dir;
}

static struct node *make(const char *name)
{
    struct node *node = node_create(node_root(), NODE_SANDBOX, name);

    ck_assert_ptr_nonnull(node);
    node->on_free = on_free;
    return node;
}

static void ck_found(uint64_t id, struct node *node, enum slot_file file)
{
    enum slot_file found;
    ck_assert_ptr_eq(node_find(id, &found), node);
    if (node)
        ck_assert_int_eq(found, file);
}

START_TEST(has_a_root)
{
    ck_assert_ptr_null(node_root());
    ck_assert_int_eq(node_init_root(), 0);
    ck_assert_ptr_nonnull(node_root());
    ck_assert_int_eq(node_root()->kind, NODE_ROOT);
    ck_assert_uint_eq(node_id(node_root(), SLOT_DIRECTORY), 1); // FUSE_ROOT_ID
    ck_found(1, node_root(), SLOT_DIRECTORY);
    node_forget(FUSE_ROOT_ID, 1000); // the root stays even if the kernel forgets it
    ck_found(1, node_root(), SLOT_DIRECTORY);
    node_finish_all();
    ck_assert_ptr_null(node_root());
}
END_TEST

START_TEST(finds_by_id)
{
    node_init_root();
    struct node *a = make("a");
    struct node *b = make("b");
    for (int file = SLOT_DIRECTORY; file < SLOT_FILES; file++) {
        ck_found(node_id(a, (enum slot_file)file), a, (enum slot_file)file);
        ck_found(node_id(b, (enum slot_file)file), b, (enum slot_file)file);
        ck_assert_uint_ne(node_id(a, (enum slot_file)file), node_id(b, (enum slot_file)file));
        ck_assert_uint_gt(node_id(a, (enum slot_file)file), 1);
        for (int other = SLOT_DIRECTORY; other < file; other++)
            ck_assert_uint_ne(node_id(a, (enum slot_file)file), node_id(a, (enum slot_file)other));
    }
    // Only a sandbox has call.
    ck_assert(node_has_file(a, SLOT_CALL));
    struct node *slot = node_create(a, NODE_SLOT, "slot");
    ck_assert(!node_has_file(slot, SLOT_CALL));
    ck_assert(node_has_file(slot, SLOT_REQUEST));
    node_hide(a, SLOT_CTL);
    ck_assert(!node_has_file(a, SLOT_CTL));
    node_finish_all();
    ck_assert_uint_eq(freed, 2);
}
END_TEST

START_TEST(finds_nothing_by_other_ids)
{
    node_init_root();
    struct node *a = make("a");
    uint64_t id = node_id(a, SLOT_DIRECTORY);
    static const uint64_t bits[] = {
        7, 8, 32, UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(1) << 33, UINT64_C(1) << 63};
    for (size_t i = 0; i < COUNT(bits); i++)
        if ((id ^ bits[i]) != 1)
            ck_found(id ^ bits[i], NULL, SLOT_DIRECTORY);
    ck_found(0, NULL, SLOT_DIRECTORY);
    ck_found(UINT64_MAX, NULL, SLOT_DIRECTORY);
    node_finish_all();
}
END_TEST

START_TEST(finds_by_name)
{
    node_init_root();
    struct node *a = make("a");
    struct node *b = make("b");
    ck_assert_ptr_eq(node_child(node_root(), "a"), a);
    ck_assert_ptr_eq(node_child(node_root(), "b"), b);
    ck_assert_ptr_null(node_child(node_root(), "c"));
    ck_assert_ptr_null(node_child(node_root(), ""));
    ck_assert_ptr_null(node_child(a, "b"));
    ck_assert_ptr_eq(a->parent, node_root());
    ck_assert_uint_ge(a->cookie, NODE_FIRST_COOKIE);
    ck_assert_uint_gt(b->cookie, a->cookie);
    node_finish_all();
}
END_TEST

START_TEST(is_freed_when_detached_and_forgotten)
{
    node_init_root();
    struct node *a = make("a");
    uint64_t id = node_id(a, SLOT_STDOUT);
    a->dir = (struct slot_dir *)(void *)&freed;
    node_ref(a);
    node_ref(a);
    node_ref(a);
    node_detach(a);
    ck_assert_uint_eq(freed, 0);
    ck_assert_ptr_null(node_child(node_root(), "a"));
    ck_assert_ptr_null(a->parent);
    ck_found(id, a, SLOT_STDOUT); // a holder can still use it
    node_forget(node_id(a, SLOT_DIRECTORY), 2);
    ck_assert_uint_eq(freed, 0);
    node_forget(node_id(a, SLOT_DIRECTORY), 1);
    ck_assert_uint_eq(freed, 1);
    ck_assert_ptr_eq(freed_dir, (struct slot_dir *)(void *)&freed);
    ck_found(id, NULL, SLOT_STDOUT);
    node_finish_all();
    ck_assert_uint_eq(freed, 1);
}
END_TEST

START_TEST(is_freed_at_once_when_nobody_holds_it)
{
    node_init_root();
    node_detach(make("a"));
    ck_assert_uint_eq(freed, 1);
    struct node *b = make("b");
    node_ref(b);
    node_forget(node_id(b, SLOT_DIRECTORY), 1);
    ck_assert_uint_eq(freed, 1); // it still has a name
    ck_assert_ptr_eq(node_child(node_root(), "b"), b);
    node_detach(b);
    ck_assert_uint_eq(freed, 2);
    node_finish_all();
}
END_TEST

START_TEST(survives_a_kernel_that_forgets_too_much)
{
    node_init_root();
    struct node *a = make("a");
    node_ref(a);
    node_forget(node_id(a, SLOT_DIRECTORY), 5);
    ck_assert_uint_eq(a->lookups, 0);
    node_detach(a);
    ck_assert_uint_eq(freed, 1);
    node_finish_all();
}
END_TEST

enum { ROUNDS = 300 };

// The same place again and again: every id is new, and no old one leads anywhere.
START_TEST(never_gives_an_id_twice)
{
    static uint64_t ids[ROUNDS];
    uint64_t cookie = 0;

    node_init_root();
    for (int i = 0; i < ROUNDS; i++) {
        struct node *node = make("x");
        ids[i] = node_id(node, SLOT_DIRECTORY);
        ck_assert_uint_gt(node->cookie, cookie);
        cookie = node->cookie;
        for (int j = 0; j < i; j++)
            if (ids[j] == ids[i])
                ck_abort_msg("id %d is that of %d", i, j);
        node_detach(node);
        enum slot_file file;
        if (node_find(ids[i], &file))
            ck_abort_msg("id %d still leads somewhere", i);
    }
    ck_assert_uint_eq(freed, ROUNDS);
    node_finish_all();
}
END_TEST

START_TEST(keeps_many)
{
    static struct node *nodes[ROUNDS];
    char name[20];

    node_init_root();
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof name, "n%d", i);
        nodes[i] = make(name);
    }
    for (int i = 0; i < ROUNDS; i += 2)
        node_detach(nodes[i]);
    for (int i = 0; i < ROUNDS; i += 2) {
        snprintf(name, sizeof name, "m%d", i);
        nodes[i] = make(name);
    }
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof name, "%c%d", i % 2 ? 'n' : 'm', i);
        ck_assert_ptr_eq(node_child(node_root(), name), nodes[i]);
        ck_found(node_id(nodes[i], SLOT_CTL), nodes[i], SLOT_CTL);
    }
    // readdir's order is that of making, and cookies grow with it.
    uint64_t cookie = 0;
    struct list *children = &node_root()->children;
    for (struct list *link = children->next; link != children; link = link->next) {
        struct node *node = LIST_ENTRY(link, struct node, siblings);
        ck_assert_uint_gt(node->cookie, cookie);
        cookie = node->cookie;
    }
    node_finish_all();
    ck_assert_uint_eq(freed, ROUNDS + ROUNDS / 2);
}
END_TEST

START_TEST(names_its_files)
{
    static const char *const names[] = {"request", "stdout", "stderr", "status", "ctl", "call"};

    for (size_t i = 0; i < COUNT(names); i++) {
        enum slot_file file = node_file_by_name(names[i]);
        ck_assert_int_ne(file, SLOT_DIRECTORY);
        ck_assert_str_eq(node_file_name(file), names[i]);
    }
    ck_assert_int_eq(node_file_by_name("nope"), SLOT_DIRECTORY);
    ck_assert_int_eq(node_file_by_name(""), SLOT_DIRECTORY);
    ck_assert_int_eq(node_file_by_name("request "), SLOT_DIRECTORY);
}
END_TEST

// clang-format off
static const struct {
    enum slot_file file;
    mode_t permissions;
    mode_t mode;
} stats[] = {
    {SLOT_DIRECTORY, 0700, S_IFDIR | 0700}, {SLOT_REQUEST, 0700, S_IFREG | 0600},
    {SLOT_STDOUT, 0700, S_IFREG | 0400},    {SLOT_STDERR, 0700, S_IFREG | 0400},
    {SLOT_STATUS, 0700, S_IFREG | 0400},    {SLOT_CTL, 0700, S_IFREG | 0200},
    {SLOT_DIRECTORY, 0755, S_IFDIR | 0755}, {SLOT_REQUEST, 0775, S_IFREG | 0664},
    {SLOT_STDOUT, 0750, S_IFREG | 0440},    {SLOT_CTL, 0777, S_IFREG | 0222},
};
// clang-format on

START_TEST(says_what_stat_shows)
{
    struct stat st;
    struct timespec time = {.tv_sec = 12345, .tv_nsec = 678};

    node_init_root();
    struct node *a = make("a");
    a->owner = 12;
    a->group = 34;
    a->permissions = stats[_i].permissions;
    memset(&st, 0xff, sizeof st);
    node_stat(a, stats[_i].file, 1000, time, &st);
    ck_assert_uint_eq(st.st_mode, stats[_i].mode);
    ck_assert_uint_eq(st.st_uid, 12);
    ck_assert_uint_eq(st.st_gid, 34);
    ck_assert_uint_eq(st.st_ino, node_id(a, stats[_i].file));
    ck_assert_int_eq(st.st_size, 1000);
    ck_assert_int_eq(st.st_mtim.tv_sec, 12345);
    ck_assert_int_eq(st.st_mtim.tv_nsec, 678);
    ck_assert_uint_ge(st.st_nlink, 1);
    node_finish_all();
}
END_TEST

// Write permission is for the owner alone, unless the sandbox shares its slots.
START_TEST(gives_the_request_of_a_slot_to_its_owner)
{
    struct stat st;

    node_init_root();
    struct node *a = make("a");
    struct node *slot = node_create(a, NODE_SLOT, "slot");
    slot->permissions = 0777;
    node_stat(slot, SLOT_REQUEST, 0, (struct timespec){0}, &st);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
    node_stat(slot, SLOT_STDOUT, 0, (struct timespec){0}, &st);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0444);
    ck_assert(node_is_for_owner(slot, SLOT_REQUEST));
    ck_assert(!node_is_for_owner(slot, SLOT_CTL));
    ck_assert(!node_is_for_owner(a, SLOT_REQUEST));
    a->shares_slots = true;
    node_stat(slot, SLOT_REQUEST, 0, (struct timespec){0}, &st);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0666);
    ck_assert(!node_is_for_owner(slot, SLOT_REQUEST));
    node_detach(slot);
    node_finish_all();
}
END_TEST

START_TEST(hands_an_alias_to_one_at_a_time)
{
    enum slot_file file;

    node_init_root();
    struct node *a = make("a");
    node_ref(a);
    struct node *one = node_hand_out_alias(a, SLOT_REQUEST, 7);
    struct node *two = node_hand_out_alias(a, SLOT_REQUEST, 7);
    node_ref(one);
    node_ref(two);
    uint64_t one_id = node_id(one, SLOT_REQUEST);
    uint64_t two_id = node_id(two, SLOT_REQUEST);
    ck_assert_uint_ne(one_id, two_id);
    ck_assert_uint_ne(one_id, node_id(a, SLOT_REQUEST));
    ck_assert_ptr_eq(node_find(one_id, &file), a);
    ck_assert_int_eq(file, SLOT_REQUEST);
    node_alias_opened(one_id, 7);
    node_alias_closed(one_id); // not the latest: it is not given again
    ck_assert_ptr_ne(node_hand_out_alias(a, SLOT_REQUEST, 7), one);
    node_finish_all();
}
END_TEST

START_TEST(gives_the_latest_alias_again_when_it_has_come_back)
{
    enum slot_file file;

    node_init_root();
    struct node *a = make("a");
    node_ref(a);
    struct node *one = node_hand_out_alias(a, SLOT_REQUEST, 7);
    node_ref(one);
    uint64_t id = node_id(one, SLOT_REQUEST);
    node_alias_opened(id, 7);
    node_alias_opened(id, 7);
    node_alias_closed(id);
    ck_assert_ptr_ne(node_hand_out_alias(a, SLOT_REQUEST, 7), one); // it is still open
    node_finish_all();

    node_init_root();
    a = make("a");
    node_ref(a);
    one = node_hand_out_alias(a, SLOT_REQUEST, 7);
    node_ref(one);
    id = node_id(one, SLOT_REQUEST);
    node_alias_opened(id, 7);
    node_alias_closed(id);
    ck_assert_ptr_eq(node_hand_out_alias(a, SLOT_REQUEST, 7), one);
    node_ref(one);
    node_forget(id, 2);
    ck_assert_ptr_null(node_find(id, &file));
    ck_assert_ptr_null(a->aliases[0]);
    ck_assert_ptr_nonnull(node_hand_out_alias(a, SLOT_REQUEST, 7));
    node_finish_all();
}
END_TEST

// An inode that one user holds must not be opened by another user.
START_TEST(gives_an_alias_to_one_user)
{
    node_init_root();
    struct node *a = make("a");
    node_ref(a);
    for (int file = SLOT_REQUEST; file < SLOT_FILES; file++) {
        if (!node_has_aliases((enum slot_file)file))
            continue;
        struct node *one = node_hand_out_alias(a, (enum slot_file)file, 7);
        uint64_t id = node_id(one, (enum slot_file)file);
        node_ref(one);
        ck_assert_int_eq(node_may_open(id, 7, 100), 0);
        node_alias_opened(id, 7);
        ck_assert_int_eq(node_may_open(id, 8, 100), -EBUSY);
        ck_assert_int_eq(node_may_open(id, 7, 100), -ESTALE); // once, for another look-up
        ck_assert_int_eq(node_may_open(id, 7, 101), -ESTALE);
        ck_assert_int_eq(node_may_open(id, 7, 101), -EBUSY);
        node_alias_closed(id);
        ck_assert_int_eq(node_may_open(id, 8, 100), -EBUSY); // also later
        struct node *two = node_hand_out_alias(a, (enum slot_file)file, 8);
        ck_assert_ptr_ne(two, one);
        node_ref(two);
    }
    ck_assert_int_eq(node_may_open(node_id(a, SLOT_CTL), 8, 1), 0);
    node_finish_all();
}
END_TEST

// A bind mount of the file is made by one user, for another.
START_TEST(gives_an_alias_to_the_user_who_opens_it_first)
{
    node_init_root();
    struct node *a = make("a");
    node_ref(a);
    struct node *one = node_hand_out_alias(a, SLOT_CALL, 0);
    uint64_t id = node_id(one, SLOT_CALL);
    node_ref(one);
    ck_assert_int_eq(node_may_open(id, 7, 100), 0);
    node_alias_opened(id, 7);
    node_alias_closed(id);
    ck_assert_int_eq(node_may_open(id, 0, 100), -EBUSY);
    ck_assert_int_eq(node_may_open(id, 7, 100), 0);
    ck_assert_ptr_ne(node_hand_out_alias(a, SLOT_CALL, 0), one);
    node_finish_all();
}
END_TEST

START_TEST(lives_as_long_as_an_alias)
{
    node_init_root();
    struct node *a = make("a");
    struct node *alias = node_hand_out_alias(a, SLOT_REQUEST, 7);
    node_ref(alias);
    uint64_t id = node_id(alias, SLOT_REQUEST);
    node_detach(a);
    ck_assert_uint_eq(freed, 0);
    node_forget(id, 1);
    ck_assert_uint_eq(freed, 1);
    node_finish_all();
}
END_TEST

START_TEST(finds_each_of_many_names_in_each_of_two_directories)
{
    char name[16];

    node_init_root();
    struct node *a = make("a");
    struct node *b = make("b");
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "%d", i);
        node_create(a, NODE_SLOT, name);
        if (i % 2)
            node_create(b, NODE_SLOT, name);
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "%d", i);
        ck_assert_ptr_eq(node_child(a, name)->parent, a);
        ck_assert_str_eq(node_child(a, name)->name, name);
        ck_assert(!node_child(b, name) == (i % 2 == 0));
    }
    for (int i = 0; i < 2000; i += 3) {
        snprintf(name, sizeof name, "%d", i);
        node_detach(node_child(a, name));
        ck_assert_ptr_null(node_child(a, name));
    }
    ck_assert_ptr_nonnull(node_child(a, "1999"));
    node_finish_all();
}
END_TEST

int main(void)
{
    UNIT_RUN(
        "node", ONCE(hands_an_alias_to_one_at_a_time),
        ONCE(gives_the_latest_alias_again_when_it_has_come_back), ONCE(gives_an_alias_to_one_user),
        ONCE(gives_an_alias_to_the_user_who_opens_it_first), ONCE(lives_as_long_as_an_alias),
        ONCE(finds_each_of_many_names_in_each_of_two_directories), ONCE(has_a_root),
        ONCE(finds_by_id), ONCE(finds_nothing_by_other_ids), ONCE(finds_by_name),
        ONCE(is_freed_when_detached_and_forgotten), ONCE(is_freed_at_once_when_nobody_holds_it),
        ONCE(survives_a_kernel_that_forgets_too_much), ONCE(never_gives_an_id_twice),
        ONCE(keeps_many), ONCE(names_its_files), EACH(says_what_stat_shows, stats),
        ONCE(gives_the_request_of_a_slot_to_its_owner));
}
