// SPDX-License-Identifier: Apache-2.0
#include "mounts.h"

#include "cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void close_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

// Octal escapes stand for blanks, tabs, newlines and backslashes.
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

// The fields of a line that count here. They point into it.
struct mount {
    char *device;
    char *root;
    char *point;
};

// Takes LINE apart. Returns whether it is a mount of ours, and of a whole file system: a bind
// mount of one sandbox is none.
static bool read_mount(char *line, struct mount *mount)
{
    static const char ours[] = " - fuse.hooksfs ";
    bool is_ours = strstr(line, ours);
    char *rest = line;

    for (int i = 0; i < 2; i++) // the ids
        strsep(&rest, " ");
    mount->device = strsep(&rest, " ");
    mount->root = strsep(&rest, " ");
    mount->point = strsep(&rest, " ");
    if (!is_ours || !mount->point || strcmp(mount->root, "/") != 0)
        return false;
    unescape(mount->point);
    return true;
}

int mounts_find(const char *file, char **path)
{
    FILE *list __attribute__((cleanup(close_file))) = fopen(file, "re");
    AUTO_FREE char *line = NULL;
    AUTO_FREE char *found = NULL;
    AUTO_FREE char *device = NULL;
    size_t size = 0;

    if (!list)
        return -errno;
    while (getline(&line, &size, list) > 0) {
        struct mount mount;

        if (!read_mount(line, &mount) || (device && strcmp(device, mount.device) == 0))
            continue;
        if (found)
            return -EEXIST;
        found = strdup(mount.point);
        device = strdup(mount.device);
        if (!found || !device)
            return -ENOMEM;
    }
    *path = take_ptr(&found);
    return *path ? 0 : -ENOENT;
}
