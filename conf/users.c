// SPDX-License-Identifier: Apache-2.0
#include "users.h"

#include "cleanup.h"
#include "list.h"
#include "units.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>

enum question { QUESTION_UID, QUESTION_GID, QUESTION_USER };

enum { MAX_GROUPS = 65536 }; // Linux's NGROUPS_MAX

// The part of an answer that goes through the pipe, in front of the groups.
struct answer {
    int error; // 0, EINVAL (there is no such name), EAGAIN, ENOMEM
    unsigned group_count;
    uid_t uid;
    gid_t gid;
};

struct name {
    struct list link;
    enum question question;
    char *text;
    bool is_answered;
    struct answer answer;
    gid_t *groups; // owned
};

struct users {
    struct list names; // in the order in which they were looked for
};

struct users *users_create(void)
{
    struct users *users = calloc(1, sizeof *users);

    if (users)
        list_init(&users->names);
    return users;
}

static void name_destroy(struct name *name)
{
    list_remove(&name->link);
    free(name->text);
    free(name->groups);
    free(name);
}

void users_destroy(struct users *users)
{
    if (!users)
        return;
    while (!list_is_empty(&users->names))
        name_destroy(LIST_ENTRY(users->names.next, struct name, link));
    free(users);
}

// --- The database

static bool name_is_id(const char *text, uint64_t *number)
{
    return number_parse(text, strlen(text), number) == 0 && *number < UINT32_MAX;
}

static struct answer database_ask_uid(const char *text)
{
    const struct passwd *entry = getpwnam(text);
    uint64_t number;

    if (entry)
        return (struct answer){.uid = entry->pw_uid};
    if (name_is_id(text, &number))
        return (struct answer){.uid = (uid_t)number};
    return (struct answer){.error = EINVAL};
}

static struct answer database_ask_gid(const char *text)
{
    const struct group *entry = getgrnam(text);
    uint64_t number;

    if (entry)
        return (struct answer){.gid = entry->gr_gid};
    if (name_is_id(text, &number))
        return (struct answer){.gid = (gid_t)number};
    return (struct answer){.error = EINVAL};
}

static struct answer database_ask_user(const char *text, gid_t **groups)
{
    const struct passwd *entry = getpwnam(text);
    struct answer answer = {0};
    uint64_t number;
    int count = 0;

    if (!entry && name_is_id(text, &number))
        entry = getpwuid((uid_t)number);
    if (!entry)
        return (struct answer){.error = EINVAL};
    answer.uid = entry->pw_uid;
    answer.gid = entry->pw_gid;
    getgrouplist(entry->pw_name, entry->pw_gid, NULL, &count);
    *groups = calloc((size_t)count + 1, sizeof **groups);
    if (!*groups)
        answer.error = ENOMEM;
    else if (getgrouplist(entry->pw_name, entry->pw_gid, *groups, &count) < 0)
        answer.error = EAGAIN;
    else
        answer.group_count = (unsigned)count;
    return answer;
}

// Asks for TEXT now. *GROUPS is NULL before, and owned by the caller after it.
static struct answer database_ask(enum question question, const char *text, gid_t **groups)
{
    switch (question) {
    case QUESTION_UID:
        return database_ask_uid(text);
    case QUESTION_GID:
        return database_ask_gid(text);
    case QUESTION_USER:
        break;
    }
    return database_ask_user(text, groups);
}

// --- Answers from elsewhere

static struct name *users_find_name(const struct users *users, enum question question,
                                    const char *text)
{
    for (struct list *link = users->names.next; link != &users->names; link = link->next) {
        struct name *name = LIST_ENTRY(link, struct name, link);
        if (name->question == question && strcmp(name->text, text) == 0)
            return name;
    }
    return NULL;
}

// Notes TEXT as a name without an answer. Returns 0 or ENOMEM.
static int users_note(struct users *users, enum question question, const char *text)
{
    struct name *name = calloc(1, sizeof *name);

    if (name)
        name->text = strdup(text);
    if (!name || !name->text) {
        free(name);
        return ENOMEM;
    }
    name->question = question;
    list_append(&users->names, &name->link);
    return 0;
}

// Returns the answer that USERS has; asks the database if USERS is NULL.
static struct answer users_look_up(struct users *users, enum question question, const char *text,
                                   gid_t **groups)
{
    const struct name *name = users ? users_find_name(users, question, text) : NULL;
    struct answer answer = {0};

    if (!users)
        return database_ask(question, text, groups);
    if (!name)
        return (struct answer){.error = users_note(users, question, text)};
    answer = name->answer;
    if (answer.error || question != QUESTION_USER)
        return answer;
    *groups = calloc((size_t)answer.group_count + 1, sizeof **groups);
    if (!*groups)
        return (struct answer){.error = ENOMEM};
    if (answer.group_count > 0)
        memcpy(*groups, name->groups, answer.group_count * sizeof **groups);
    return answer;
}

static int answer_set_error(const struct answer *answer, const char *kind, const char *text,
                            struct error *err)
{
    switch (answer->error) {
    case 0:
        return 0;
    case EINVAL:
        return error_set(err, EINVAL, "there is no %s '%s' on this machine", kind, text);
    case EAGAIN:
        return error_set(err, EAGAIN, "the groups of user '%s' changed while they were read", text);
    default:
        return error_set(err, ENOMEM, "no memory");
    }
}

int users_find_uid(struct users *users, const char *name, uid_t *uid, struct error *err)
{
    struct answer answer = users_look_up(users, QUESTION_UID, name, NULL);

    *uid = answer.uid;
    return answer_set_error(&answer, "user", name, err);
}

int users_find_gid(struct users *users, const char *name, gid_t *gid, struct error *err)
{
    struct answer answer = users_look_up(users, QUESTION_GID, name, NULL);

    *gid = answer.gid;
    return answer_set_error(&answer, "group", name, err);
}

int users_find_user(struct users *users, const char *name, struct user *user, struct error *err)
{
    AUTO_FREE gid_t *groups = NULL;
    struct answer answer = users_look_up(users, QUESTION_USER, name, &groups);

    *user = (struct user){.uid = answer.uid, .gid = answer.gid};
    if (answer.error)
        return answer_set_error(&answer, "user", name, err);
    user->groups = take_ptr(&groups);
    user->group_count = answer.group_count;
    return 0;
}

bool users_is_complete(const struct users *users)
{
    for (struct list *link = users->names.next; link != &users->names; link = link->next)
        if (!LIST_ENTRY(link, struct name, link)->is_answered)
            return false;
    return true;
}

// --- The process that asks

static int answer_write(int fd, const void *bytes, size_t size)
{
    for (const char *next = bytes; size > 0;) {
        ssize_t count = write(fd, next, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        next += count;
        size -= (size_t)count;
    }
    return 0;
}

int users_ask(const struct users *users, int fd)
{
    for (struct list *link = users->names.next; link != &users->names; link = link->next) {
        const struct name *name = LIST_ENTRY(link, struct name, link);
        AUTO_FREE gid_t *groups = NULL;

        if (name->is_answered)
            continue;
        struct answer answer = database_ask(name->question, name->text, &groups);
        int result = answer_write(fd, &answer, sizeof answer);
        if (result == 0 && answer.group_count > 0)
            result = answer_write(fd, groups, answer.group_count * sizeof *groups);
        if (result < 0)
            return result;
    }
    return 0;
}

// Takes the answer for NAME from the SIZE bytes at *BYTES, and moves both on.
static int name_take(struct name *name, const char **bytes, size_t *size)
{
    struct answer answer;
    size_t groups_size;

    if (*size < sizeof answer)
        return -EPROTO;
    memcpy(&answer, *bytes, sizeof answer);
    *bytes += sizeof answer;
    *size -= sizeof answer;
    if (answer.group_count > MAX_GROUPS)
        return -EPROTO;
    groups_size = answer.group_count * sizeof(gid_t);
    if (*size < groups_size)
        return -EPROTO;
    if (groups_size > 0) {
        name->groups = malloc(groups_size);
        if (!name->groups)
            return -ENOMEM;
        memcpy(name->groups, *bytes, groups_size);
    }
    *bytes += groups_size;
    *size -= groups_size;
    name->answer = answer;
    name->is_answered = true;
    return 0;
}

int users_take(struct users *users, const char *bytes, size_t size)
{
    for (struct list *link = users->names.next; link != &users->names; link = link->next) {
        struct name *name = LIST_ENTRY(link, struct name, link);
        int result = name->is_answered ? 0 : name_take(name, &bytes, &size);
        if (result < 0)
            return result;
    }
    return size == 0 ? 0 : -EPROTO;
}
