// SPDX-License-Identifier: Apache-2.0
// Calling a hook from C, in each of the two ways, from as many threads at once as
// wanted.
//
// usage: client DIR slot|conversation N
//
// DIR is the directory of a sandbox, for example /run/hooks/local. N calls of `cat`
// run at once, each with a payload of its own. The exit code is 0 if each call got
// its own payload back.
//
//     cc -pthread -o client client.c
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bytes {
    char *data;
    size_t size;
};

// O_CLOEXEC: a child that inherits the descriptor keeps the request open.
static int open_file(const char *dir, const char *name, int flags)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    do
        fd = open(path, flags | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd;
}

// Writes to the last byte: one write(2) may take fewer bytes than it was asked for.
static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, data, size);
        if (count < 0 && errno != EINTR)
            return -1;
        if (count > 0) {
            data += count;
            size -= (size_t)count;
        }
    }
    return 0;
}

static int write_request(int fd, const char *command, const struct bytes *payload)
{
    if (write_all(fd, command, strlen(command)) < 0 || write_all(fd, "\n", 1) < 0)
        return -1;
    return write_all(fd, payload->data, payload->size);
}

// Reads to the end of the file, into OUT, which the caller frees, also after a failure.
static int read_all(int fd, struct bytes *out)
{
    size_t room = 0;

    for (;;) {
        if (out->size == room) {
            char *more = realloc(out->data, room ? room * 2 : 65536);
            if (!more)
                return -1;
            out->data = more;
            room = room ? room * 2 : 65536;
        }
        ssize_t count = read(fd, out->data + out->size, room - out->size);
        if (count == 0)
            return 0;
        if (count < 0 && errno != EINTR)
            return -1;
        if (count > 0)
            out->size += (size_t)count;
    }
}

static int read_file(const char *dir, const char *name, struct bytes *out)
{
    int fd = open_file(dir, name, O_RDONLY);
    int result = fd < 0 ? -1 : read_all(fd, out);
    int errnum = errno;

    if (fd >= 0)
        close(fd);
    errno = errnum;
    return result;
}

// Each of the two ways takes the directory of a sandbox, a command line without its
// newline, and a payload. The stdout of the command comes into ANSWER, which the caller
// frees, also after a failure. Returns 0, or -1 with errno set: then the bytes in ANSWER
// are no answer.

// EPROTO: the command did not end with 0; standard error says how it ended.
static int use_slot(const char *slot, const char *command, const struct bytes *payload,
                    struct bytes *answer)
{
    static const char success[] = "0 exited\n";
    struct bytes status = {NULL, 0};
    int fd = open_file(slot, "request", O_WRONLY);
    int result = fd < 0 ? -1 : write_request(fd, command, payload);
    int errnum = errno;

    if (fd >= 0)
        close(fd); // the end of stdin
    errno = errnum;
    if (result == 0)
        result = read_file(slot, "stdout", answer);
    if (result == 0)
        result = read_file(slot, "status", &status);
    if (result == 0 &&
        (status.size != strlen(success) || memcmp(status.data, success, status.size) != 0)) {
        fprintf(stderr, "%s: %.*s", command, (int)status.size, status.data);
        errno = EPROTO;
        result = -1;
    }
    free(status.data);
    return result;
}

// By a slot of one's own, which keeps stdout, stderr and the status.
int call_by_slot(const char *sandbox, const char *command, const struct bytes *payload,
                 struct bytes *answer)
{
    char slot[PATH_MAX];
    int result;
    int errnum;

    if (snprintf(slot, sizeof slot, "%s/XXXXXX", sandbox) >= (int)sizeof slot) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (!mkdtemp(slot))
        return -1;
    result = use_slot(slot, command, payload, answer);
    errnum = errno;
    rmdir(slot); // cancels the job if it still runs; there is no need to empty it
    errno = errnum;
    return result;
}

// By a conversation: one descriptor. Reading fails unless the command ended with 0.
// When this process dies, the daemon cancels the command.
int call_by_conversation(const char *sandbox, const char *command, const struct bytes *payload,
                         struct bytes *answer)
{
    int fd = open_file(sandbox, "call", O_RDWR);
    int result = fd < 0 ? -1 : write_request(fd, command, payload);
    int errnum;

    if (result == 0)
        result = read_all(fd, answer);
    errnum = errno;
    if (fd >= 0)
        close(fd);
    errno = errnum;
    return result;
}

// --- N of them at once

struct test {
    pthread_t thread;
    const char *sandbox;
    int (*call)(const char *sandbox, const char *command, const struct bytes *payload,
                struct bytes *answer);
    int number;
    bool is_right;
};

static void *run(void *data)
{
    struct test *test = data;
    struct bytes payload = {NULL, 0};
    struct bytes answer = {NULL, 0};
    FILE *text = open_memstream(&payload.data, &payload.size);

    for (int i = 0; text && i <= test->number * 1000; i++)
        fprintf(text, "payload %d\n", test->number);
    if (!text || fclose(text) != 0 || test->call(test->sandbox, "cat", &payload, &answer) < 0)
        fprintf(stderr, "call %d: %s\n", test->number, strerror(errno));
    else
        test->is_right =
            answer.size == payload.size && memcmp(answer.data, payload.data, payload.size) == 0;
    free(payload.data);
    free(answer.data);
    return NULL;
}

int main(int argc, char **argv)
{
    bool is_slot = argc == 4 && strcmp(argv[2], "slot") == 0;
    int count = argc == 4 ? atoi(argv[3]) : -1;
    int started = 0;
    int right = 0;

    if (count < 0 || (!is_slot && strcmp(argv[2], "conversation") != 0)) {
        fprintf(stderr, "usage: client DIR slot|conversation N\n");
        return 2;
    }
    struct test *tests = calloc((size_t)count + 1, sizeof *tests);
    for (; tests && started < count; started++) {
        tests[started].sandbox = argv[1];
        tests[started].call = is_slot ? call_by_slot : call_by_conversation;
        tests[started].number = started;
        if (pthread_create(&tests[started].thread, NULL, run, &tests[started]) != 0)
            break;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(tests[i].thread, NULL);
        right += tests[i].is_right;
    }
    free(tests);
    if (right != count) {
        fprintf(stderr, "%d of %d answers are missing or wrong\n", count - right, count);
        return 1;
    }
    printf("%d answers, all right\n", count);
    return 0;
}
