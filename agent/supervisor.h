// SPDX-License-Identifier: Apache-2.0
// The process that stands between the agent and one command at a time. It is the reaper
// of all that the command starts, so it can find and kill it whatever becomes of the
// parents; and it does so when the agent is gone. Only when nothing is left of one
// command does it take another.
//
// It and the agent talk through a socket that keeps messages whole: an order in one
// direction, and struct report in the other. Orders are one byte, but that to start,
// which has START's payload behind it, and the command's streams with it.
#pragma once

#include "command.h"

#include <sys/resource.h>

enum { SUPERVISOR_MAX_START = 32 * 1024 }; // bytes of a payload in an order

enum supervisor_order {
    ORDER_START = 's', // when the last job is gone
    ORDER_TERM = 't',
    ORDER_KILL = 'k',
    ORDER_RELEASE = 'r',
};

// What has happened since the last report.
enum {
    REPORT_STARTED = 1,
    REPORT_FAILED = 2, // stage, number: errno
    REPORT_ENDED = 4,  // is_signaled, number
    REPORT_GONE = 8,   // nothing is left that the agent would have to kill
    REPORT_HOLDS = 16, // with GONE: released processes live on, and this one with them
};

struct report {
    unsigned char what;
    unsigned char stage;
    unsigned char is_signaled;
    int number;
};

// The command's ends of its streams.
struct streams {
    int in;
    int out;
    int err;
};

struct supervisor_spec {
    const struct frame *start; // the first job's
    char *const *own_env;
    struct streams streams; // of the first command; all are at least 3
    int control_fd;         // our end
    pid_t agent;
    const struct rlimit *descriptors; // what the command gets
    void (*forget)(void *data);       // gives the agent's memory back, START's too
    void *data;
};

// What a process that the agent has forked does from then on.
_Noreturn void supervisor_run(const struct supervisor_spec *spec);
