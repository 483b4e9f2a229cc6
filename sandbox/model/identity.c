// SPDX-License-Identifier: Apache-2.0
#include "identity.h"

#include "cleanup.h"

#include <errno.h>

int identity_of_user(const char *user, struct identity *identity, struct users *users,
                     struct error *err)
{
    struct user found;
    int result = users_find_user(users, user, &found, err);

    if (result < 0)
        return result;
    *identity = (struct identity){.uid = found.uid,
                                  .gid = found.gid,
                                  .groups = found.groups,
                                  .group_count = found.group_count};
    return 0;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
    if (a->uid != b->uid || a->gid != b->gid || a->group_count != b->group_count)
        return false;
    return a->group_count == 0 ||
           memcmp(a->groups, b->groups, a->group_count * sizeof *a->groups) == 0;
}

static int copy_array(void *to, const void *from, size_t size)
{
    void *copy = NULL;

    if (from && size > 0) {
        copy = malloc(size);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, from, size);
    }
    memcpy(to, &copy, sizeof copy);
    return 0;
}

int identity_copy(struct identity *to, const struct identity *from)
{
    *to = *from;
    to->groups = NULL;
    to->confinement = NULL;
    if (copy_array(&to->groups, from->groups, from->group_count * sizeof *to->groups) == 0 &&
        copy_array(&to->confinement, from->confinement, sizeof *to->confinement) == 0)
        return 0;
    identity_finish(to);
    return -ENOMEM;
}

void identity_finish(struct identity *identity)
{
    free(identity->groups);
    free(identity->confinement);
    *identity = (struct identity){0};
}
