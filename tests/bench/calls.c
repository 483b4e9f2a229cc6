// SPDX-License-Identifier: Apache-2.0
// Times single calls of a hook, alternating the ways to make them, so that the
// machine's moods meet all alike: a conversation, a slot, and what a program
// would do without hooksfs, fork, exec and three pipes. Every answer is compared.
//
// usage: calls SANDBOX-DIRECTORY ROUNDS PAYLOAD-BYTES COMMAND [ARGUMENT...]
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 21 };

struct bench {
    const char *sandbox;
    char *const *argv;
    char *line; // the command line, with its newline
    char *payload;
    size_t size;
    char slot[4096];
    char answer[ROOM];
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "calls: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, bytes, size);
        if (count < 0)
            die("write");
        bytes += count;
        size -= (size_t)count;
    }
}

static size_t read_all(int fd, char *bytes)
{
    size_t size = 0;
    ssize_t count;

    while ((count = read(fd, bytes + size, ROOM - size)) > 0)
        size += (size_t)count;
    if (count < 0)
        die("read");
    return size;
}

static int open_file(const char *directory, const char *name, int flags)
{
    char path[8192];
    int fd;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        die(path);
    return fd;
}

// The request in one piece, as a client would write it.
static void write_request(const struct bench *bench, int fd)
{
    size_t length = strlen(bench->line);
    char *all = malloc(length + bench->size);

    if (!all)
        die("malloc");
    memcpy(all, bench->line, length);
    memcpy(all + length, bench->payload, bench->size);
    write_all(fd, all, length + bench->size);
    free(all);
}

static size_t converse(struct bench *bench)
{
    int fd = open_file(bench->sandbox, "request", O_RDWR);
    size_t size;

    write_request(bench, fd);
    size = read_all(fd, bench->answer);
    close(fd);
    return size;
}

static size_t use_slot(struct bench *bench)
{
    int fd = open_file(bench->slot, "request", O_WRONLY);
    char status[64] = "";
    size_t size;

    write_request(bench, fd);
    close(fd);
    fd = open_file(bench->slot, "stdout", O_RDONLY);
    size = read_all(fd, bench->answer);
    close(fd);
    fd = open_file(bench->slot, "status", O_RDONLY);
    if (read(fd, status, sizeof status - 1) < 0 || strcmp(status, "0 exited\n") != 0)
        die(status);
    close(fd);
    return size;
}

static size_t fork_and_exec(struct bench *bench)
{
    int in[2];
    int out[2];
    int err[2];
    int status;
    size_t size;
    pid_t pid;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
        die("pipe");
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        execvp(bench->argv[0], bench->argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    write_all(in[1], bench->payload, bench->size); // it fits into the pipe
    close(in[1]);
    size = read_all(out[0], bench->answer);
    if (read(err[0], &status, sizeof status) > 0)
        die("stderr is not empty");
    close(out[0]);
    close(err[0]);
    if (waitpid(pid, &status, 0) < 0 || status != 0)
        die("the command failed");
    return size;
}

struct way {
    const char *name;
    size_t (*call)(struct bench *bench);
    uint64_t *times;
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void report(struct way *ways, size_t count, size_t rounds)
{
    double base = 0;

    for (size_t i = count; i-- > 0;) {
        qsort(ways[i].times, rounds, sizeof(uint64_t), compare);
        if (i == count - 1)
            base = (double)ways[i].times[rounds / 2];
    }
    printf("| one call | median us | p99 us | times the last |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < count; i++)
        printf("| %s | %.0f | %.0f | %.2f |\n", ways[i].name,
               (double)ways[i].times[rounds / 2] / 1000,
               (double)ways[i].times[rounds * 99 / 100] / 1000,
               (double)ways[i].times[rounds / 2] / base);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct way ways[] = {
        {"conversation", converse, NULL},
        {"slot", use_slot, NULL},
        {"fork, exec, pipes", fork_and_exec, NULL},
    };
    enum { WAYS = sizeof ways / sizeof ways[0] };
    size_t rounds = argc > 4 ? strtoul(argv[2], NULL, 10) : 0;

    if (rounds == 0) {
        fprintf(stderr, "usage: calls SANDBOX-DIRECTORY ROUNDS PAYLOAD-BYTES COMMAND...\n");
        return 2;
    }
    bench.sandbox = argv[1];
    bench.size = strtoul(argv[3], NULL, 10);
    bench.argv = argv + 4;
    bench.payload = malloc(bench.size + 1);
    bench.line = calloc(1, 65536);
    for (int i = 4; i < argc; i++)
        snprintf(bench.line + strlen(bench.line), 65536 - strlen(bench.line), "'%s'%s", argv[i],
                 i + 1 < argc ? " " : "\n");
    for (size_t i = 0; i < bench.size; i++)
        bench.payload[i] = (char)random();
    snprintf(bench.slot, sizeof bench.slot, "%s/bench-%d", bench.sandbox, (int)getpid());
    if (mkdir(bench.slot, 0700) < 0)
        die(bench.slot);
    for (int i = 0; i < WAYS; i++)
        ways[i].times = calloc(rounds, sizeof(uint64_t));
    for (size_t round = 0; round < rounds + rounds / 10; round++) // some to warm up
        for (int i = 0; i < WAYS; i++) {
            uint64_t start = now_ns();
            size_t size = ways[i].call(&bench);
            if (round >= rounds / 10)
                ways[i].times[round - rounds / 10] = now_ns() - start;
            if (size != bench.size || memcmp(bench.answer, bench.payload, size) != 0)
                die("the answer is wrong");
        }
    report(ways, WAYS, rounds);
    return rmdir(bench.slot);
}
