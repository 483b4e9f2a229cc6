// SPDX-License-Identifier: Apache-2.0
#include "identity.h"

#include "cleanup.h"
#include "units.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>

int identity_of_user(const char *user, struct identity *identity, struct error *err)
{
    const struct passwd *entry = getpwnam(user);
    uint64_t number;
    int count = 0;

    if (!entry && number_parse(user, strlen(user), &number) == 0 && number < UINT32_MAX)
        entry = getpwuid((uid_t)number);
    if (!entry)
        return error_set(err, EINVAL, "there is no user '%s' on this machine", user);
    getgrouplist(entry->pw_name, entry->pw_gid, NULL, &count);
    *identity = (struct identity){.uid = entry->pw_uid, .gid = entry->pw_gid};
    identity->groups = calloc((size_t)count + 1, sizeof(gid_t));
    if (!identity->groups)
        return error_set(err, ENOMEM, "no memory");
    if (getgrouplist(entry->pw_name, entry->pw_gid, identity->groups, &count) < 0)
        return error_set(err, EAGAIN, "the groups of user '%s' changed while they were read", user);
    identity->group_count = (size_t)count;
    return 0;
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
