// SPDX-License-Identifier: Apache-2.0
// The world around the daemon, in the hand of the fuzzer: time, which passes only
// when it is told to, and the commands, which are not processes but the other
// ends of the pipes that the daemon has made for them. So each run of an input is
// the same, takes no time, and can bring about any order of events.
//
// The linker puts this in place of the system calls (--wrap).
#pragma once

#include "buffer.h"
#include "fuzz.h"
#include "loop.h"

#include <sys/types.h>

struct child;

struct world_child {
    struct child *made; // the daemon's; gone when it needs it no more
    pid_t pid;
    char *words; // the command, each word in brackets
    uid_t uid;   // whose rights it was given; -1: the daemon's
    int in;      // its ends of the pipes; -1: closed
    int out;
    int err;
    int pid_fd;       // the daemon's
    int end_fd;       // ours of the same
    bool is_late;     // it has not been executed yet
    int failure;      // it could not be
    bool is_stubborn; // SIGTERM does not end it
    bool has_escaped; // what holds its streams is in another process group
    bool is_ended;    // it exited
    bool is_signaled;
    bool is_reaped;
    bool is_linked;  // the model has seen it
    bool is_standby; // it was started for no job
    bool is_taken;   // ... and is a job's now
    int number;
};

enum { WORLD_CHILDREN = 1024 };

extern struct world_child world_children[WORLD_CHILDREN];
extern unsigned world_child_count;
// Any time: the model's and the daemon's, in milliseconds.
extern uint64_t world_now_ms;

// A loop in such a world.
struct loop *world_begin(void);

// Destroys it, and checks that nothing is left. Then time is real again.
void world_end(void);

// Runs the loop until nothing is left to do, and then lets MS pass, with
// everything that becomes due.
void world_settle(uint64_t ms);

// The command ends: by itself, or by SIGNAL. Its streams end with it, unless
// somebody else holds them.
void world_end_child(struct world_child *child, bool is_signaled, int number, bool closes);
// It could not be executed.
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
