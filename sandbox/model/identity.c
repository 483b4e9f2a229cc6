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

int identity_copy(struct identity *to, const struct identity *from)
{
    *to = *from;
    to->groups = NULL;
    if (from->group_count == 0)
        return 0;
    to->groups = malloc(from->group_count * sizeof *to->groups);
    if (!to->groups)
        return -ENOMEM;
    memcpy(to->groups, from->groups, from->group_count * sizeof *to->groups);
    return 0;
}

void identity_finish(struct identity *identity)
{
    free(identity->groups);
    *identity = (struct identity){0};
}
