// SPDX-License-Identifier: Apache-2.0
// conf/users.c: the database itself, and answers that another process has got.
#include "unit.h"

#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

enum { MAX_BYTES = 1024 * 1024 };

static char answers[MAX_BYTES];

// As the daemon's process does, but in this one. Returns the number of bytes.
static size_t ask(const struct users *users)
{
    int fds[2];
    ssize_t count;

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_ge(fcntl(fds[1], F_SETPIPE_SZ, MAX_BYTES), 0);
    ck_assert_int_eq(users_ask(users, fds[1]), 0);
    close(fds[1]);
    count = read(fds[0], answers, sizeof answers);
    ck_assert_int_ge(count, 0);
    close(fds[0]);
    return (size_t)count;
}

START_TEST(asks_the_database)
{
    struct user user;
    struct error err = {0};
    uid_t uid;
    gid_t gid;

    ck_assert_int_eq(users_find_uid(NULL, "daemon", &uid, &err), 0);
    ck_assert_uint_eq(uid, getpwnam("daemon")->pw_uid);
    ck_assert_int_eq(users_find_uid(NULL, "54321", &uid, &err), 0);
    ck_assert_uint_eq(uid, 54321);
    ck_assert_int_eq(users_find_gid(NULL, "daemon", &gid, &err), 0);
    ck_assert_uint_eq(gid, getgrnam("daemon")->gr_gid);
    ck_assert_int_eq(users_find_user(NULL, "1", &user, &err), 0);
    ck_assert_uint_eq(user.uid, 1);
    ck_assert_uint_ge(user.group_count, 1);
    free(user.groups);
    ck_assert_int_eq(users_find_uid(NULL, "no such", &uid, &err), -EINVAL);
    ck_assert_str_eq(error_message(&err), "there is no user 'no such' on this machine");
    error_finish(&err);
    ck_assert_int_eq(users_find_gid(NULL, "no such", &gid, &err), -EINVAL);
    ck_assert_str_eq(error_message(&err), "there is no group 'no such' on this machine");
    error_finish(&err);
    // A number that no user has has no groups, so that nobody can run as that user.
    ck_assert_int_eq(users_find_user(NULL, "54321", &user, &err), -EINVAL);
    error_finish(&err);
}
END_TEST

// The first time each name is only noted; with the answers it is what the database says.
START_TEST(takes_answers_of_another_process)
{
    struct users *users = users_create();
    struct user user;
    struct user again;
    uid_t uid = 4711;
    gid_t gid = 4711;
    size_t size;

    ck_assert(users_is_complete(users));
    ck_assert_int_eq(users_find_uid(users, "daemon", &uid, NULL), 0);
    ck_assert(!users_is_complete(users));
    ck_assert_int_eq(users_find_uid(users, "no such", &uid, NULL), 0);
    ck_assert_int_eq(users_find_gid(users, "daemon", &gid, NULL), 0);
    ck_assert_int_eq(users_find_user(users, "daemon", &user, NULL), 0);
    free(user.groups);
    ck_assert_int_eq(users_find_uid(users, "daemon", &uid, NULL), 0);
    size = ask(users);
    ck_assert_int_eq(users_take(users, answers, size), 0);
    ck_assert(users_is_complete(users));
    ck_assert_int_eq(users_find_uid(users, "daemon", &uid, NULL), 0);
    ck_assert_uint_eq(uid, 1);
    ck_assert_int_eq(users_find_uid(users, "no such", &uid, NULL), -EINVAL);
    ck_assert_int_eq(users_find_gid(users, "daemon", &gid, NULL), 0);
    ck_assert_uint_eq(gid, 1);
    ck_assert_int_eq(users_find_user(users, "daemon", &user, NULL), 0);
    ck_assert_int_eq(users_find_user(NULL, "daemon", &again, NULL), 0);
    ck_assert_uint_eq(user.uid, again.uid);
    ck_assert_uint_eq(user.gid, again.gid);
    ck_assert_uint_eq(user.group_count, again.group_count);
    ck_assert_mem_eq(user.groups, again.groups, user.group_count * sizeof *user.groups);
    free(user.groups);
    free(again.groups);
    ck_assert(users_is_complete(users));
    users_destroy(users);
    users_destroy(NULL);
}
END_TEST

// The file has got another name in the meantime: only that one is asked for.
START_TEST(asks_only_for_what_is_missing)
{
    struct users *users = users_create();
    uid_t uid;
    size_t first;
    size_t size;

    users_find_uid(users, "root", &uid, NULL);
    first = ask(users);
    ck_assert_int_eq(users_take(users, answers, first), 0);
    ck_assert_uint_eq(ask(users), 0);
    users_find_uid(users, "daemon", &uid, NULL);
    ck_assert(!users_is_complete(users));
    size = ask(users);
    ck_assert_uint_eq(size, first);
    ck_assert_int_eq(users_take(users, answers, size), 0);
    ck_assert_int_eq(users_find_uid(users, "daemon", &uid, NULL), 0);
    ck_assert_uint_eq(uid, 1);
    ck_assert_int_eq(users_find_uid(users, "root", &uid, NULL), 0);
    ck_assert_uint_eq(uid, 0);
    users_destroy(users);
}
END_TEST

// A process that was killed, or a pipe that broke, leaves the beginning.
START_TEST(refuses_incomplete_answers)
{
    struct user user;
    uid_t uid;
    size_t size;

    for (size_t cut = 0;; cut++) {
        struct users *users = users_create();
        users_find_uid(users, "root", &uid, NULL);
        users_find_user(users, "daemon", &user, NULL);
        free(user.groups);
        size = ask(users);
        if (cut == size) {
            answers[size] = '\0';
            ck_assert_int_eq(users_take(users, answers, size + 1), -EPROTO);
            users_destroy(users);
            break;
        }
        ck_assert_int_eq(users_take(users, answers, cut), -EPROTO);
        ck_assert(!users_is_complete(users));
        users_destroy(users);
    }
}
END_TEST

int main(void)
{
    UNIT_RUN("users", ONCE(asks_the_database), ONCE(takes_answers_of_another_process),
             ONCE(asks_only_for_what_is_missing), ONCE(refuses_incomplete_answers));
}
