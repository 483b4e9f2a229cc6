// SPDX-License-Identifier: Apache-2.0
// base/delegation.c: where the control group of a process is, from the texts that the kernel
// writes.
#include "unit.h"

#include "delegation.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define V1_MOUNT                                                                                   \
    "33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
#define V2_MOUNT                                                                                   \
    "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

// clang-format off
static const struct {
    const char *groups;
    const char *mounts;
    const char *directory; // NULL: none
} places[] = {
    {"0::/system.slice/hooksfs.service\n", V2_MOUNT,
     "/sys/fs/cgroup/system.slice/hooksfs.service"},
    {"0::/\n", V2_MOUNT, "/sys/fs/cgroup"},
    {"12:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/c\n",
     V1_MOUNT "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
     "/sys/fs/cgroup/unified/c"},                                     // both versions
    {"0::/pod/container/x\n", "41 31 0:38 /pod/container /cg rw - cgroup2 none rw\n", "/cg/x"},
    {"0::/pod/container\n", "41 31 0:38 /pod/container /cg rw - cgroup2 none rw\n", "/cg"},
    {"0::/podium\n", "41 31 0:38 /pod /cg rw - cgroup2 none rw\n", NULL}, // not below the mount
    {"0::/x\n", "40 31 0:38 /y /other rw - cgroup2 none rw\n" V2_MOUNT, "/sys/fs/cgroup/x"},
    {"0::/x\n", "41 31 0:38 / /a\\040b\\134c rw - cgroup2 none rw\n", "/a b\\c/x"},
    {"0::/x\n", "41 31 0:38 / /cg rw opt:1 opt:2 - cgroup2 none rw\n", "/cg/x"},
    {"0::/x\n", V1_MOUNT, NULL},
    {"0::/x\n", "", NULL},
    {"0::/x\n", "41 31 - cgroup2 none rw\n", NULL},                   // a line cut short
    {"4:memory:/x\n", V2_MOUNT, NULL},                                // version 1 only
    {"10::/x\n", V2_MOUNT, NULL},
    {"", V2_MOUNT, NULL},
};
// clang-format on

START_TEST(finds_the_directory)
{
    struct error err = {0};
    char *directory = delegation_find(places[_i].groups, places[_i].mounts, &err);

    if (places[_i].directory) {
        ck_assert_ptr_nonnull(directory);
        ck_assert_str_eq(directory, places[_i].directory);
        ck_assert_int_eq(err.code, 0);
    } else {
        ck_assert_ptr_null(directory);
        ck_assert_int_eq(err.code, ENOENT);
    }
    free(directory);
    error_finish(&err);
}
END_TEST

START_TEST(has_no_directory_before_it_is_taken)
{
    ck_assert_int_eq(delegation_fd(), -1);
}
END_TEST

// A folder of ordinary files stands for a group.
START_TEST(writes_whole_texts)
{
    char folder[] = "/tmp/hooksfs-unit.XXXXXX";
    char text[16] = "";
    int dir;
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    dir = open(folder, O_RDONLY | O_DIRECTORY);
    close(openat(dir, "pids.max", O_WRONLY | O_CREAT, 0600));
    ck_assert_int_eq(delegation_write(dir, "pids.max", "12"), 0);
    ck_assert_int_eq(delegation_write(dir, "memory.max", "12"), -ENOENT);
    fd = openat(dir, "pids.max", O_RDONLY);
    ck_assert_int_eq(read(fd, text, sizeof text - 1), 2);
    ck_assert_str_eq(text, "12");
    close(fd);
    unlinkat(dir, "pids.max", 0);
    close(dir);
    rmdir(folder);
}
END_TEST

// Where there is no cgroup.kill, each process of cgroup.procs is killed; 0 stands for none, and
// must not become the group of the caller.
START_TEST(kills_each_process_of_the_list)
{
    char folder[] = "/tmp/hooksfs-unit.XXXXXX";
    char text[64];
    int status;
    int dir;
    int fd;
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }
    ck_assert_ptr_nonnull(mkdtemp(folder));
    dir = open(folder, O_RDONLY | O_DIRECTORY);
    fd = openat(dir, "cgroup.procs", O_WRONLY | O_CREAT, 0600);
    snprintf(text, sizeof text, "0\n%d\n", (int)pid);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    delegation_kill(dir);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(fd);
    unlinkat(dir, "cgroup.procs", 0);
    close(dir);
    rmdir(folder);
}
END_TEST

int main(void)
{
    UNIT_RUN("delegation", EACH(finds_the_directory, places),
             ONCE(has_no_directory_before_it_is_taken), ONCE(writes_whole_texts),
             ONCE(kills_each_process_of_the_list));
}
