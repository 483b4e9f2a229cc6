// SPDX-License-Identifier: Apache-2.0
// The world of the fuzzed daemon's side of connections to agents: clients, each with a hostile
// agent behind it, and the record of the frames that went each way.
#pragma once

#include "fuzz.h"

#include "buffer.h"
#include "channel.h"
#include "frame.h"
#include "loop.h"
#include "process.h"
#include "words.h"

#include "launch.h"

enum { WORLD_JOBS = 24, WORLD_CLIENTS = 8 };

struct world_job;

// The first frame of an agent that says what became of a command.
enum record_outcome { RECORD_NONE, RECORD_FAILED, RECORD_ENDED, RECORD_LOST };

// All frames about one number of one client.
struct record {
    struct world_job *job; // NULL: no START with this number was sent
    bool is_released;
    bool is_stdin_ended;
    uint64_t stdin_sent;
    uint64_t stdin_window;
    uint64_t credit[JOB_STREAMS];        // that the daemon gave
    uint64_t received[JOB_STREAMS];      // bytes that the daemon took from the agent
    struct buffer expected[JOB_STREAMS]; // the bytes of these that the job has not read
    bool has_end[JOB_STREAMS];
    bool is_started; // before the outcome
    enum record_outcome outcome;
    unsigned char detail[5]; // the payload of the outcome
};

// A client. The tests of the daemon see only a pointer to it.
struct process {
    const struct channel_events *events; // NULL: there is no such client yet
    void *data;                          // a struct connection
    struct task news;
    bool is_destroyed;
    // From the agent to the daemon
    struct buffer out; // not taken yet
    struct buffer err;
    size_t piece; // the most bytes of one read
    bool is_out_closed;
    bool is_out_ended; // the daemon has read the end
    bool is_exiting;
    bool has_exited;
    unsigned char header[WIRE_HEADER]; // of the frame that is being taken
    size_t header_length;
    size_t payload_left;
    size_t payload_done;
    bool is_wrong; // a frame was taken that no agent can send
    // From the daemon to the agent
    uint64_t written;
    uint64_t room;
    bool is_full;
    bool is_in_closed;
    bool is_in_ended;     // the daemon has ended it: the connection is closed
    size_t frame_left;    // bytes of the last frame that the client has not taken
    uint32_t next_number; // of the next START
    struct record records[WORLD_JOBS + 1];
};

struct world_job {
    struct channel channel; // self is NULL after its destruction
    struct launch launch;
    struct record *record; // NULL: no START was sent
    unsigned index;
    unsigned manner; // what the job does in callbacks: bits
    uint64_t stdin_written;
    bool is_stdin_ended;
    bool is_signaled;
    bool has_outcome;
    bool is_lost;
};

struct world {
    struct fuzz_input input;
    struct loop *loop;
    struct process clients[WORLD_CLIENTS];
    unsigned client_count;
    struct world_job jobs[WORLD_JOBS];
    unsigned job_count;
    uint64_t now_ms;
    bool start_fails; // no client can be started
    bool is_ended;
    void (*step)(void); // called before each wait of the loop
};

// The only world.
extern struct world world;

void world_begin(const uint8_t *bytes, size_t size, void (*step)(void));

// Ends the world. The daemon must have destroyed each client.
void world_end(void);

// Appends bytes that CLIENT's agent sends.
void client_send(struct process *client, const void *bytes, size_t size);

// Has the loop tell the daemon of the news of CLIENT.
void client_tell(struct process *client);

// Checks everything that must be true between two callbacks.
void client_check(const struct process *client);

// Returns the byte at OFFSET of the stdin of a job.
unsigned char world_pattern(unsigned index, uint64_t offset);
