// SPDX-License-Identifier: Apache-2.0
// client/mounts.c: the one mount that is ours, in a list as the kernel writes it.
#include "unit.h"

#include "mounts.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define OTHER "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
#define OURS(device, root, point)                                                                  \
    "90 25 " device " " root " " point " rw,nosuid - fuse.hooksfs hooksfs rw,user_id=0\n"

static const struct list {
    const char *text;
    int result;
    const char *path;
} lists[] = {
  // clang-format off
    {OTHER OURS("0:50", "/", "/run/hooks"), 0, "/run/hooks"},
    {OURS("0:50", "/", "/a\\040b\\011c\\134d"), 0, "/a b\tc\\d"},
    {OURS("0:50", "/", "/a") OURS("0:50", "/", "/b"), 0, "/a"},
    {OURS("0:50", "/local", "/a") OURS("0:50", "/", "/b"), 0, "/b"},
    {OURS("0:50", "/", "/a") OURS("0:51", "/", "/b"), -EEXIST, NULL},
    {OTHER, -ENOENT, NULL},
    {OURS("0:50", "/local", "/a"), -ENOENT, NULL},
    {"90 25 0:50 / /x rw - fuse.sshfs hooksfs rw\n", -ENOENT, NULL},
    {"fuse.hooksfs\n - fuse.hooksfs \n", -ENOENT, NULL},
    {"", -ENOENT, NULL},
  // clang-format on
};

START_TEST(are_found)
{
    char file[] = "/tmp/hook-mounts.XXXXXX", *path = NULL;
    int fd = mkstemp(file);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, lists[_i].text, strlen(lists[_i].text)),
                     (ssize_t)strlen(lists[_i].text));
    close(fd);
    ck_assert_int_eq(mounts_find(file, &path), lists[_i].result);
    if (lists[_i].path)
        ck_assert_str_eq(path, lists[_i].path);
    free(path);
    unlink(file);
}
END_TEST

int main(void)
{
    UNIT_RUN("mounts", EACH(are_found, lists));
}
