// SPDX-License-Identifier: Apache-2.0
// The frames between the daemon and hooksfs-agent, as PROTOCOL.md defines them. Bytes
// from the other side are believed only as far as they were checked here.
#pragma once

#include "buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    WIRE_VERSION = 2,
    WIRE_HEADER = 9,              // bytes before a payload
    WIRE_MAX_START = 2 << 20,     // bytes in the payload of START
    WIRE_MAX_PAYLOAD = 64 * 1024, // bytes in any other payload
    WIRE_STDIN_WINDOW = 256 * 1024,
    WIRE_OUTPUT_WINDOW = 1 << 20, // of stdout, and of stderr
    WIRE_BEAT_MS = 5000,
    WIRE_SILENCE_MS = 15000, // after which a connection counts as dead
    WIRE_KEY = 32,           // characters
};

// The time limit in the START of a standby, which has none.
#define WIRE_STANDBY UINT32_MAX

enum frame_type {
    FRAME_NONE,
    // from the agent
    FRAME_HELLO = 1,
    FRAME_STARTED,
    FRAME_FAILED,
    FRAME_STDOUT,
    FRAME_STDERR,
    FRAME_STDOUT_END,
    FRAME_STDERR_END,
    FRAME_STDIN_CREDIT,
    FRAME_STDIN_CLOSED,
    FRAME_ENDED,
    FRAME_LOST,
    FRAME_GONE,
    FRAME_PONG,
    // from the daemon
    FRAME_START = 32,
    FRAME_STDIN,
    FRAME_STDIN_END,
    FRAME_STDOUT_CREDIT,
    FRAME_STDERR_CREDIT,
    FRAME_TERM,
    FRAME_KILL,
    FRAME_RELEASE,
    FRAME_PING,
};

enum frame_sender { FROM_AGENT, FROM_DAEMON };

// The step at which the execution of a command failed.
enum frame_stage { FRAME_AT_RESOURCES = 1, FRAME_AT_WORKDIR, FRAME_AT_EXEC, FRAME_AT_LIMITS };

// The kind of an ENDED.
enum frame_end { FRAME_EXITED, FRAME_SIGNALED, FRAME_OUT_OF_MEMORY };

// A limit. Lower kinds are the numbers of Linux for resource limits (setrlimit(2)), which amd64 and
// arm64 share.
enum frame_limit_kind {
    FRAME_RLIMITS = 16, // the number of these kinds
    FRAME_LIMIT_MEMORY = 32,
    FRAME_LIMIT_PIDS,
    FRAME_LIMIT_CPU,
    FRAME_LIMIT_END,
};

enum { FRAME_MAX_LIMITS = FRAME_RLIMITS + FRAME_LIMIT_END - FRAME_LIMIT_MEMORY };

struct frame_limit {
    uint32_t kind;
    uint64_t value; // soft and hard, in the unit of setrlimit; bytes; processes; percent of one
                    // processor
};

struct frame {
    enum frame_type type;
    uint32_t job;
    const char *payload; // not owned
    size_t length;
};

// The payload of a START. Nothing is owned.
struct frame_start {
    uint32_t time_limit_ms; // 0: none; WIRE_STANDBY
    const char *workdir;    // "": the agent's own
    uint32_t argument_count;
    uint32_t environment_count;
    uint32_t limit_count;
    const char *limits;  // for frame_parse_limit
    const char *strings; // the arguments, then the environment; each string with its NUL
};

// The command for a START. Nothing is owned.
struct frame_command {
    const char *workdir;              // NULL: the agent's own
    char *const *argv;                // ends with NULL
    char *const *env;                 // ends with NULL
    const struct frame_limit *limits; // by kind, each kind once
    size_t limit_count;
};

// Reads the frame at the start of SIZE bytes that SENDER sent. Returns the length of the
// frame with its header; 0 if some of its bytes are still missing; or -EBADMSG if it is
// wrong, whatever bytes may follow. Type, job and length are checked, and the content of a
// START. When 0 is returned, FRAME holds what the header says, or has the type FRAME_NONE
// if even the header is not complete.
ssize_t frame_parse(const char *bytes, size_t size, enum frame_sender sender, struct frame *frame);

// Takes apart a START that frame_parse has accepted.
void frame_parse_start(const struct frame *frame, struct frame_start *start);

// Returns the limit with this INDEX.
struct frame_limit frame_parse_limit(const struct frame_start *start, uint32_t index);

// Returns the number at the start of a payload. frame_parse has checked that it is there.
uint32_t frame_number(const char *payload);

// Writes NUMBER as 4 bytes to TO.
void frame_put_number(char *to, uint32_t number);

// Appends a frame to OUT. Returns 0 or -ENOMEM.
int frame_append(struct buffer *out, uint32_t job, enum frame_type type, const void *payload,
                 size_t length);

// Writes a header of WIRE_HEADER bytes to TO. For a payload that is read straight into the
// buffer that it leaves from.
void frame_put_header(char *to, uint32_t job, enum frame_type type, size_t length);

// Appends a frame whose payload is NUMBER. Returns 0 or -ENOMEM.
int frame_append_number(struct buffer *out, uint32_t job, enum frame_type type, uint32_t number);

// Appends a START. Returns 0, -E2BIG if the payload would be longer than WIRE_MAX_START, or
// -ENOMEM; after an error nothing was appended.
int frame_append_start(struct buffer *out, uint32_t job, uint32_t time_limit_ms,
                       const struct frame_command *command);

// Appends a HELLO with the text VERSION. Returns 0 or -ENOMEM.
int frame_append_hello(struct buffer *out, const char *version);

// Takes a HELLO apart: *VERSION becomes the version of the protocol, and *TEXT, *LENGTH
// bytes long, the agent's own words about itself. Returns false if it does not begin with
// the greeting.
bool frame_parse_hello(const struct frame *frame, uint32_t *version, const char **text,
                       size_t *length);
