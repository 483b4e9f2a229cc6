// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Noreturn void die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

size_t parse_size(const char *text)
{
    char *end;
    unsigned long long size = strtoull(text, &end, 10);

    if (end == text || *end || size == 0) {
        errno = EINVAL;
        die(text);
    }
    return size;
}

void write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, data, size);
        if (count < 0)
            die("write");
        data += count;
        size -= (size_t)count;
    }
}

size_t read_all(int fd, char *data, size_t room)
{
    size_t size = 0;
    ssize_t count;

    while ((count = read(fd, data + size, room - size)) > 0)
        size += (size_t)count;
    if (count < 0)
        die("read");
    if (size == room) {
        errno = EMSGSIZE;
        die("read");
    }
    return size;
}

struct bytes read_file(const char *path)
{
    struct stat status;
    struct bytes bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) < 0)
        die(path);
    bytes.data = malloc((size_t)status.st_size + 1);
    if (!bytes.data)
        die(path);
    bytes.size = read_all(fd, bytes.data, (size_t)status.st_size + 1);
    close(fd);
    return bytes;
}

int open_file(const char *directory, const char *name, int flags)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        die(path);
    return fd;
}

struct bytes request_line(char *const *argv)
{
    struct bytes line = {NULL, 0};
    FILE *stream = open_memstream(&line.data, &line.size);

    if (!stream)
        die("open_memstream");
    for (size_t i = 0; argv[i]; i++) {
        fputs(i > 0 ? " '" : "'", stream);
        for (const char *at = argv[i]; *at; at++)
            if (*at == '\'')
                fputs("'\\''", stream);
            else
                fputc(*at, stream);
        fputc('\'', stream);
    }
    fputc('\n', stream);
    if (fclose(stream) != 0)
        die("fclose");
    return line;
}

void expect_success(const char *slot)
{
    static const char success[] = "0 exited";
    char status[256];
    int fd = open_file(slot, "status", O_RDONLY);
    size_t size = read_all(fd, status, sizeof status);

    close(fd);
    if (size < strlen(success) || memcmp(status, success, strlen(success)) != 0) {
        fprintf(stderr, "bench: the status is %.*s", (int)size, status);
        exit(1);
    }
}

char *make_slot(const char *sandbox)
{
    char *slot = NULL;

    if (asprintf(&slot, "%s/bench-%d", sandbox, (int)getpid()) < 0 || mkdir(slot, 0700) < 0)
        die(slot ? slot : sandbox);
    return slot;
}

static _Noreturn void become(int pipes[3][2], char *const *argv)
{
    if (dup2(pipes[0][0], 0) < 0 || dup2(pipes[1][1], 1) < 0 || dup2(pipes[2][1], 2) < 0)
        _exit(126);
    execvp(argv[0], argv);
    _exit(127);
}

struct child child_start(char *const *argv)
{
    struct child child;
    int pipes[3][2];

    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) < 0)
            die("pipe");
    child.pid = fork();
    if (child.pid < 0)
        die("fork");
    if (child.pid == 0)
        become(pipes, argv);
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    child.in = pipes[0][1];
    child.out = pipes[1][0];
    child.err = pipes[2][0];
    return child;
}

void child_close_in(struct child *child)
{
    close(child->in);
    child->in = -1;
}

// One piece. False at the end of the stream.
static bool read_piece(struct pollfd *source, char *buffer, size_t size, size_t *got)
{
    ssize_t count = read(source->fd, buffer, size);

    if (count < 0)
        die("read");
    *got = (size_t)count;
    if (count > 0)
        return true;
    close(source->fd);
    source->fd = -1;
    return false;
}

void child_finish(struct child *child, char *buffer, size_t size,
                  void (*take)(void *context, const char *data, size_t size), void *context)
{
    struct pollfd sources[2] = {
        {.fd = child->out, .events = POLLIN},
        {.fd = child->err, .events = POLLIN}
    };
    char message[4096];
    size_t message_size = 0;
    int status;
    size_t got;

    while (sources[0].fd >= 0 || sources[1].fd >= 0) {
        if (poll(sources, 2, -1) < 0)
            die("poll");
        if (sources[0].revents && read_piece(&sources[0], buffer, size, &got))
            take(context, buffer, got);
        if (sources[1].revents && read_piece(&sources[1], message, sizeof message, &got))
            message_size = got;
    }
    if (waitpid(child->pid, &status, 0) < 0)
        die("waitpid");
    if (status != 0) {
        fprintf(stderr, "bench: the command ended with %#x: %.*s\n", (unsigned)status,
                (int)message_size, message);
        exit(1);
    }
}

void serve(void (*call)(void *context), void (*after)(void *context), void *context)
{
    char line[64];

    while (fgets(line, sizeof line, stdin)) {
        for (unsigned long left = strtoul(line, NULL, 10); left > 0; left--) {
            uint64_t start = now_ns();
            call(context);
            printf("%llu ", (unsigned long long)(now_ns() - start));
            if (after)
                after(context);
        }
        putchar('\n');
        fflush(stdout);
    }
}
