// SPDX-License-Identifier: Apache-2.0
#include "mount_options.h"

#include "cleanup.h"

#include <errno.h>
#include <sys/mount.h>

// Options of each mount of a hooksfs, whatever -o says.
static const unsigned long always = MS_NOSUID | MS_NODEV | MS_NOEXEC;

static bool is_any(const char *word, size_t length, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == length && memcmp(*words, word, length) == 0)
            return true;
    return false;
}

bool mount_options_filter(char *options)
{
    static const char *const about_times[] = {
        "atime",       "noatime",       "diratime", "nodiratime", "relatime", "norelatime",
        "strictatime", "nostrictatime", "lazytime", "nolazytime", NULL};
    static const char *const remount[] = {"remount", NULL};
    bool is_remount = false;
    char *to = options;

    for (const char *word = options; *word;) {
        size_t length = strcspn(word, ",");
        const char *next = word + length + (word[length] == ',');
        if (is_any(word, length, remount))
            is_remount = true;
        else if (!is_any(word, length, about_times)) {
            if (to > options)
                *to++ = ',';
            memmove(to, word, length);
            to += length;
        }
        word = next;
    }
    *to = '\0';
    return is_remount;
}

int mount_options_remount(const char *mountpoint, const char *options, struct error *err)
{
    unsigned long flags = MS_REMOUNT | always;
    AUTO_FREE char *copy = strdup(options);
    char *rest = copy;

    for (char *word = strsep(&rest, ","); word; word = strsep(&rest, ",")) {
        if (strcmp(word, "ro") == 0)
            flags |= MS_RDONLY;
        else if (strcmp(word, "sync") == 0)
            flags |= MS_SYNCHRONOUS;
    }
    if (!copy || mount("none", mountpoint, NULL, flags, NULL) < 0)
        return error_set(err, errno, "%s: cannot remount it: %s", mountpoint, strerror(errno));
    return 0;
}
