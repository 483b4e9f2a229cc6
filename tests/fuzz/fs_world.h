// SPDX-License-Identifier: Apache-2.0
// The world around the daemon, which the fuzzer controls. Time passes only when the fuzzer says
// so. The commands are no processes, but the other ends of the pipes that the daemon has made for
// them. So each run of an input is the same, takes no time, and can cause any order of events.
//
// The linker puts these functions in place of the system calls (--wrap).
#pragma once

#include "buffer.h"
#include "fuzz.h"
#include "loop.h"

#include <sys/types.h>

struct child;

struct world_child {
    struct child *made; // belongs to the daemon, which frees it when it needs it no more
    pid_t pid;
    char *words; // the command, each word in brackets
    uid_t uid;   // that it runs as; -1: the daemon's
    int in;      // `in`, `out` and `err`: its ends of the pipes; -1: closed
    int out;
    int err;
    int pid_fd;       // the daemon's copy of end_fd, in the place of a pidfd
    int end_fd;       // an eventfd, which is ready when the command has ended
    bool is_late;     // it has not been executed yet
    int failure;      // the error of its execution
    bool is_stubborn; // SIGTERM does not end it
    bool has_escaped; // the process that holds its streams is in another process group
    bool is_ended;    // it exited
    bool is_signaled;
    bool is_reaped;
    bool is_linked;  // the model has seen it
    bool is_standby; // it was started for no job
    bool is_taken;   // and belongs to a job now
    int number;
};

enum { WORLD_CHILDREN = 1024 };

extern struct world_child world_children[WORLD_CHILDREN];
extern unsigned world_child_count;
// The time for the model and for the daemon, in milliseconds.
extern uint64_t world_now_ms;

// Makes a loop that lives in this world.
struct loop *world_begin(void);

// Destroys it, and checks that nothing is left. Then time is real again.
void world_end(void);

// Runs the loop until nothing is left to do. Then lets MS pass, and runs everything that becomes
// due.
void world_settle(uint64_t ms);

// The command ends: by itself with the exit code NUMBER, or by the signal NUMBER. Its streams end
// with it if CLOSES; otherwise another process holds them.
void world_end_child(struct world_child *child, bool is_signaled, int number, bool closes);
// The command could not be executed.
void world_fail_child(struct world_child *child);
void world_close(int *fd);

// Lists the events, for a person.
void world_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void world_print_trace(void);

#define WORLD_CHECK(condition, ...)                                                                \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            world_print_trace();                                                                   \
            FUZZ_CHECK(condition, __VA_ARGS__);                                                    \
        }                                                                                          \
    } while (0)
