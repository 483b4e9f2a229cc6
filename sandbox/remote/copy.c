// SPDX-License-Identifier: Apache-2.0
#include "copy.h"

#include "blob.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { COPY_MODE = 0555 };

// Is the open file FD the agent, byte for byte, and does it belong to the daemon's user? Then
// no other user can have written it.
static bool is_copy(int fd, const struct agent_blob *blob)
{
    struct stat status;
    char bytes[16384];
    size_t at = 0;
    ssize_t count = 1;

    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
        (status.st_mode & 07777) != COPY_MODE || status.st_size != (off_t)blob->size)
        return false;
    while (at < blob->size && count > 0) {
        count = read(fd, bytes, sizeof bytes);
        if (count > 0 && ((size_t)count > blob->size - at ||
                          memcmp(bytes, blob->bytes + at, (size_t)count) != 0))
            return false;
        at += count > 0 ? (size_t)count : 0;
    }
    return at == blob->size;
}

static int write_copy(const char *path, const struct agent_blob *blob)
{
    AUTO_FREE char *partial = NULL;
    int result = 0;

    if (asprintf(&partial, "%s.new", path) < 0)
        return -ENOMEM;
    unlink(partial);
    AUTO_CLOSE int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < blob->size && result == 0;) {
        ssize_t count = write(fd, blob->bytes + at, blob->size - at);
        if (count > 0)
            at += (size_t)count;
        else
            result = count < 0 ? -errno : -EIO;
    }
    if (result == 0 && (fchmod(fd, COPY_MODE) < 0 || rename(partial, path) < 0))
        result = -errno;
    if (result < 0)
        unlink(partial);
    return result;
}

// Can DIRECTORY hold the copy? It must belong to the daemon's user, nobody else may write it, and
// programs on its file system can be executed. Makes the directory if only its last part is
// missing.
static bool is_usable(const char *directory)
{
    struct stat status;
    struct statvfs system;

    return (mkdir(directory, 0755) == 0 || errno == EEXIST) && lstat(directory, &status) == 0 &&
           S_ISDIR(status.st_mode) && status.st_uid == geteuid() && !(status.st_mode & 022) &&
           statvfs(directory, &system) == 0 && !(system.f_flag & ST_NOEXEC);
}

// Chooses systemd's StateDirectory=, or root's or the user's directory. If the latter cannot be
// used, chooses one in /var/tmp, which survives a restart of the machine.
static int find_directory(char **directory)
{
    const char *given = getenv("STATE_DIRECTORY");
    const char *home = getenv("HOME");

    if (given && *given == '/') {
        *directory = strndup(given, strcspn(given, ":"));
        return *directory ? 0 : -ENOMEM;
    }
    if (geteuid() == 0)
        *directory = strdup("/var/lib/hooksfs");
    else if (asprintf(directory, "%s/.hooksfs", home && *home == '/' ? home : "/nonexistent") < 0)
        *directory = NULL;
    if (*directory && is_usable(*directory))
        return 0;
    free(take_ptr(directory));
    if (asprintf(directory, "/var/tmp/hooksfs-%u", (unsigned)geteuid()) < 0)
        *directory = NULL;
    return *directory ? 0 : -ENOMEM;
}

int copy_path(char **path, struct error *err)
{
    const struct agent_blob *blob = &agent_blobs[0]; // for machines of this kind
    AUTO_FREE char *directory = NULL;
    AUTO_FREE char *file = NULL;
    int result = find_directory(&directory);

    if (result < 0)
        return error_set(err, ENOMEM, "no memory");
    if (!is_usable(directory))
        return error_set(err, EACCES,
                         "%s is no directory for the agent: it must be the daemon's own, with "
                         "permissions 0755, and not be mounted noexec",
                         directory);
    if (asprintf(&file, "%s/agent-%s", directory, blob->machine) < 0) {
        file = NULL;
        return error_set(err, ENOMEM, "no memory");
    }
    AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || !is_copy(fd, blob))
        result = write_copy(file, blob);
    if (result < 0)
        return error_set(err, -result, "cannot write the agent to %s: %s", file, strerror(-result));
    *path = take_ptr(&file);
    return 0;
}
