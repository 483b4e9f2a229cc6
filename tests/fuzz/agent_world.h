// SPDX-License-Identifier: Apache-2.0
// The world of the fuzzed agent: a daemon, and supervisors with their commands.
#pragma once

#include "fuzz.h"

#include "buffer.h"
#include "cleanup.h"
#include "frame.h"
#include "supervisor.h"

enum { WORLD_JOBS = 16 };

struct world_job;

struct world_supervisor {
    int control_fd;        // -1: the supervisor is dead
    struct world_job *job; // NULL: none
    bool is_holding;       // processes that its job has left: it takes no other job
};

struct world_job {
    uint32_t number;
    size_t start_length;                 // of START's payload
    struct world_supervisor *supervisor; // that has or had the job; NULL: none
    // The command's ends; -1: closed
    int in_fd;
    int out_fds[2];
    bool has_reported_start;
    bool has_reported_end;
    // Bytes of its streams
    size_t stdin_sent;
    size_t stdin_read;
    size_t written[2];
    size_t received[2];
    uint32_t stdin_window;
    bool is_stdin_unsure; // more was sent than is surely allowed
    uint32_t window[2];   // bytes that the agent may send
    uint32_t owed[2];
    bool is_stdin_ended;
    bool is_released;
    // Frames that have come from the agent
    bool is_started;
    bool is_over; // ENDED, FAILED, LOST
    bool has_ended;
    bool has_output_ended[2];
    bool is_gone;
};

struct world {
    struct fuzz_input input;
    struct world_job jobs[WORLD_JOBS];
    struct world_supervisor supervisors[WORLD_JOBS];
    uint32_t started; // jobs that the daemon has started
    uint32_t begun;   // jobs that have come to a supervisor, or to a fork that failed
    uint32_t forked;  // supervisors
    int agent_in;
    int agent_out;
    int to_agent;
    int from_agent;
    int far[4]; // of the job that is being made: stdin, stdout, stderr, control
    int far_count;
    uint64_t now_ms;
    uint64_t sent_ms;
    struct buffer received;
    bool has_hello;
    bool fork_fails;
    bool is_legal;  // no wrong frame was sent
    bool is_silent; // the daemon was, for longer than the agent waits
    bool is_ended;
};

struct world *world_create(const uint8_t *bytes, size_t size);
void world_destroy(struct world *world);

// One step that the fuzzer chooses, before each wait of the loop.
void world_step(struct world *world);

// The daemon's end of the connection. world_receive checks everything that has come.
void world_send(struct world *world, const char *bytes, size_t size);
void world_send_ping(struct world *world);
void world_receive(struct world *world);

// Does one of ten things to a job.
void world_act(struct world *world, unsigned what, struct world_job *job);

// Ends the connection and all supervisors.
void world_end(struct world *world);

// Returns the byte at OFFSET in each stream of job NUMBER.
unsigned char world_pattern(uint32_t number, size_t offset);
