// SPDX-License-Identifier: Apache-2.0
// The process between the agent and one command at a time. It is the subreaper of
// everything that the command starts: so it can find and kill each process, whatever
// happens to the parents, and does so too when the agent is gone. It takes another command
// only when nothing is left of the last.
//
// The supervisor and the agent talk through a socket that keeps messages whole. The agent
// sends orders and the supervisor answers with struct supervisor_report. An order is one
// byte. Only ORDER_START has more: the payload of START, and the streams of the command. A START
// of a standby has WIRE_STANDBY as its time limit.
#pragma once

#include "program.h"

#include <sys/resource.h>

enum { SUPERVISOR_MAX_START = 32 * 1024 }; // bytes of a payload in an order

enum supervisor_order {
    ORDER_START = 's', // only when the last job is gone
    ORDER_TERM = 't',
    ORDER_KILL = 'k',
    ORDER_RELEASE = 'r',
    ORDER_LET_GO = 'l', // of the stdin of a standby
};

// The events since the last report, as bits.
enum {
    REPORT_STARTED = 1,
    REPORT_FAILED = 2, // with stage, and errno in number
    REPORT_ENDED = 4,  // with kind, and the code or signal in number
    REPORT_GONE = 8,   // no process is left that the agent would have to kill
    REPORT_HOLDS = 16, // with GONE: released processes live on, and the supervisor with them
};

struct supervisor_report {
    unsigned char what;
    unsigned char stage;
    unsigned char kind; // enum frame_end
    int number;
};

// The command's ends of its streams.
struct streams {
    int in;
    int out;
    int err;
    int held; // -1, or for a standby the other end of its stdin. The supervisor holds it until the
              // order to let go, or until nothing is left of the job
};

// Of these the first three, and perhaps the last, go to a supervisor that waits.
enum { STREAMS_OF_COMMAND = 3 };

struct supervisor_spec {
    const struct frame *start; // of the first job
    char *const *own_env;
    struct streams streams; // of the first command; each is at least 3
    int control_fd;         // the supervisor's end of the socket
    pid_t agent_pid;
    const struct rlimit *descriptors; // the limit that commands get
    void (*forget)(void *data);       // frees the agent's memory, with the first START
    void *data;
};

// Runs the supervisor in a process that the agent has just forked.
_Noreturn void supervisor_run(const struct supervisor_spec *spec);
