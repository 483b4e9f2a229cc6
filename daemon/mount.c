// SPDX-License-Identifier: Apache-2.0
#include "mount.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { ANSWER_MS = 3000 }; // an existing mount must answer in this time

// Returns PATH without links. Its last component is not resolved if realpath fails: that
// component may be a dead mount.
static char *path_make_canonical(const char *path)
{
    AUTO_FREE char *copy = strdup(path);
    AUTO_FREE char *parent = NULL;
    char *whole = realpath(path, NULL);
    char *slash;
    char *result;

    if (whole || !copy)
        return whole;
    for (size_t length = strlen(copy); length > 1 && copy[length - 1] == '/';)
        copy[--length] = '\0';
    slash = strrchr(copy, '/');
    if (slash)
        *slash = '\0';
    parent = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
    if (!parent || asprintf(&result, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent,
                            slash ? slash + 1 : copy) < 0)
        return NULL;
    return result;
}

// Undoes the octal escapes of /proc/self/mountinfo (proc(5)), in mount_point.
static void text_unescape(char *text)
{
    char *to = text;

    for (; *text; text++) {
        if (text[0] == '\\' && text[1] && text[2] && text[3]) {
            *to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 3;
        } else
            *to++ = *text;
    }
    *to = '\0';
}

// Is the topmost mount on PATH a hooksfs?
static bool mount_is_hooksfs(const char *path)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    AUTO_FREE char *line = NULL;
    size_t size = 0;
    bool found = false;

    while (file && getline(&line, &size, file) >= 0) {
        char *type = strstr(line, " - ");
        char *mount_point = NULL;
        char *rest = line;

        for (int field = 0; field < 5; field++)
            mount_point = strsep(&rest, " ");
        if (!type || !mount_point)
            continue;
        text_unescape(mount_point);
        if (strcmp(mount_point, path) == 0)
            found = strncmp(type + 3, "fuse.hooksfs ", strlen("fuse.hooksfs ")) == 0;
    }
    if (file)
        fclose(file);
    return found;
}

// Returns the result of stat of PATH: 0 or an errno, or ETIMEDOUT when the mount does not
// answer. A child process calls stat, because the call may hang for ever.
static int mount_probe(const char *path)
{
    int fds[2];
    int result = ETIMEDOUT;
    struct pollfd answer;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return errno;
    pid = fork();
    if (pid == 0) {
        struct statx st; // forced: the kernel may still have an old answer
        result = statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) < 0 ? errno : 0;
        _exit(write(fds[1], &result, sizeof result) != sizeof result);
    }
    answer = (struct pollfd){.fd = fds[0], .events = POLLIN};
    if (pid > 0 && poll(&answer, 1, ANSWER_MS) == 1 &&
        read(fds[0], &result, sizeof result) != sizeof result)
        result = EIO;
    close(fds[0]);
    close(fds[1]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, result == ETIMEDOUT ? WNOHANG : 0);
    }
    return result;
}

static int mount_run_fusermount(const char *path)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execlp("fusermount3", "fusermount3", "-u", "-z", "--", path, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -EPERM;
}

static int mount_take_down(const char *path, struct error *err)
{
    if (umount2(path, MNT_DETACH) == 0 || mount_run_fusermount(path) == 0)
        return 0;
    return error_set(err, EBUSY,
                     "%s: there is a mount of a hooksfs that has died, and it cannot be taken "
                     "down; try: fusermount3 -u -z %s",
                     path, path);
}

char *mount_prepare(const char *mountpoint, struct error *err)
{
    AUTO_FREE char *path = path_make_canonical(mountpoint);
    struct stat st;

    // Several dead mounts may lie on top of each other.
    while (path && mount_is_hooksfs(path)) {
        int answer = mount_probe(path);
        if (answer == 0 || answer == EACCES) {
            error_set(err, EBUSY,
                      "%s: another hooksfs is mounted there; unmount it first: "
                      "umount %s",
                      mountpoint, mountpoint);
            return NULL;
        }
        if (answer == ETIMEDOUT) {
            error_set(err, EBUSY, "%s: another hooksfs is mounted there and does not answer",
                      mountpoint);
            return NULL;
        }
        if (answer != ENOTCONN && answer != ECONNABORTED) {
            error_set(err, answer, "%s: cannot find out whether a hooksfs serves it: %s",
                      mountpoint, strerror(answer));
            return NULL;
        }
        if (mount_take_down(path, err) < 0)
            return NULL;
    }
    if (!path || stat(path, &st) < 0) {
        int code = errno;
        error_set(err, code, "%s: cannot mount there: %s%s", mountpoint, strerror(code),
                  code == ENOENT ? "; make the directory first: mkdir -p" : "");
        return NULL;
    }
    if (!S_ISDIR(st.st_mode)) {
        error_set(err, ENOTDIR, "%s: cannot mount there: it is not a directory", mountpoint);
        return NULL;
    }
    return take_ptr(&path);
}

int mount_check_device(struct error *err)
{
    AUTO_CLOSE int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        return 0;
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        return error_set(err, errno,
                         "/dev/fuse: %s; load the module (modprobe fuse), or give the container "
                         "the device (--device /dev/fuse --cap-add SYS_ADMIN)",
                         strerror(errno));
    return error_set(err, errno,
                     "/dev/fuse: %s; its permissions must let the user of hooksfs read and write "
                     "it, and a container needs --device /dev/fuse --cap-add SYS_ADMIN",
                     strerror(errno));
}

int mount_check_hooksfs(const char *mountpoint, struct error *err)
{
    AUTO_FREE char *path = path_make_canonical(mountpoint);

    return path && mount_is_hooksfs(path)
               ? 0
               : error_set(err, EINVAL, "%s: no hooksfs is mounted there", mountpoint);
}
