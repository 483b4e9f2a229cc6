// SPDX-License-Identifier: Apache-2.0
// The descriptors for a child process: three pipes, and a file in memory.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// Each pair is the end to read from and the end to write to; -1: none.
struct pipes {
    int in[2];
    int out[2];
    int err[2];
};

enum {
    PIPE_USUAL_WIDTH = 64 * 1024, // bytes that a new pipe holds
    PIPE_WIDTH = 1024 * 1024,     // bytes that a widened pipe holds
};

// Opens all pipes. The daemon's ends do not block, the child's ends do. Returns 0, or
// -EMFILE, -ENFILE or -ENOMEM; pipes_close is needed in each case.
int pipes_open(struct pipes *pipes);

// Lets a child of another user open its ends once more, as /dev/stdin and so on: the pipes
// are the daemon's. Only the user of a process comes to its descriptors by name.
void pipes_open_by_name(const struct pipes *pipes);

// Closes the ends that are still there.
void pipes_close(struct pipes *pipes);

// Widens the pipe of FD, which was full, unless *IS_WIDE says that this was done: the command
// and the daemon take turns with each filling of a pipe. Only for root: pipe(7) gives a user
// with many wide pipes only narrow ones later. Returns whether the pipe became wider now.
bool pipe_widen(int fd, bool *is_wide);

// Makes a file in memory with SIZE bytes, which nobody can change, in *FD; -1 when SIZE is 0.
// A reader that opens it by /proc/self/fd begins at its start. Returns 0 or -errno; the
// caller closes *FD in each case.
int pipes_memory_file(const char *bytes, size_t size, int *fd);

// pipes_guard makes the kernel kill the process group of PID before any process can read the end
// of the pipe with the read end FD, whichever process closes the write end. A write kills the
// group, too, so pipes_unguard must undo this before the first write. Both return 0 or -errno.
int pipes_guard(int fd, pid_t pid);
void pipes_unguard(int fd);
