// SPDX-License-Identifier: Apache-2.0
// Common functions of the measuring programs: the two ends of a call, with hooksfs and without
// it, and the talk with the script that lets the contenders take turns. Each function that can
// fail ends the program with a message and exit code 1.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bytes {
    char *data;
    size_t size;
};

// Ends the program, with WHAT and errno's message.
_Noreturn void die(const char *what);

uint64_t now_ns(void);

size_t parse_size(const char *text);

// Never fails on a short write. write_all does on EPIPE: all that is written here is
// wanted by somebody.
void write_all(int fd, const char *data, size_t size);

// To the end of the file; more than ROOM bytes are a failure. Returns their number.
size_t read_all(int fd, char *data, size_t room);

// The whole file, which the caller keeps.
struct bytes read_file(const char *path);

int open_file(const char *directory, const char *name, int flags);

// The first line of a request, with its newline: ARGV quoted for hooksfs. The caller
// keeps it.
struct bytes request_line(char *const *argv);

// Reads the status of the slot, and fails unless it is `0 exited`, confirmed or not.
void expect_success(const char *slot);

// A directory below SANDBOX, made for this process, as a path that the caller keeps.
char *make_slot(const char *sandbox);

// A child with a pipe for each of its three streams, of which we have the other ends.
struct child {
    pid_t pid;
    int in;
    int out;
    int err;
};

struct child child_start(char *const *argv);

// Ends the child's stdin.
void child_close_in(struct child *child);

// Reads both streams to the end, giving each piece of stdout to TAKE, waits for the
// child, and fails unless it exited with 0. BUFFER of SIZE bytes is where the pieces
// are read to.
void child_finish(struct child *child, char *buffer, size_t size,
                  void (*take)(void *context, const char *data, size_t size), void *context);

// Obeys the script on stdin: for each line, which is a number, makes so many calls and
// answers with a line of how many nanoseconds each took. Returns at the end of stdin.
// AFTER, which may be NULL, follows each call, and is not timed.
void serve(void (*call)(void *context), void (*after)(void *context), void *context);
