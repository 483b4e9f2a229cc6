// SPDX-License-Identifier: Apache-2.0
// For LD_PRELOAD: shows a program a kernel without close_range, and without the files
// /proc/PID/task/TID/children.
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int access(const char *path, int mode)
{
    int (*real)(const char *, int);
    void *symbol = dlsym(RTLD_NEXT, "access");
    size_t length = strlen(path);

    if (length > 9 && strcmp(path + length - 9, "/children") == 0) {
        errno = ENOENT;
        return -1;
    }
    memcpy(&real, &symbol, sizeof real);
    return real(path, mode);
}

long syscall(long number, ...)
{
    long (*real)(long, ...);
    void *symbol = dlsym(RTLD_NEXT, "syscall");
    long arguments[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_close_range) {
        errno = ENOSYS;
        return -1;
    }
    memcpy(&real, &symbol, sizeof real);
    return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                arguments[5]);
}
