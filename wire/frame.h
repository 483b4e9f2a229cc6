// SPDX-License-Identifier: Apache-2.0
// The frames that the daemon and hooksfs-agent exchange, as PROTOCOL.md has them.
// What is read here came from the other side, and is believed only as far as it
// was checked.
#pragma once

#include "buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    WIRE_VERSION = 1,
    WIRE_HEADER = 9,              // bytes before a payload
    WIRE_MAX_START = 2 << 20,     // bytes of START's payload
    WIRE_MAX_PAYLOAD = 64 * 1024, // of any other
    WIRE_STDIN_WINDOW = 256 * 1024,
    WIRE_OUTPUT_WINDOW = 1 << 20, // of stdout and of stderr, each
    WIRE_BEAT_MS = 5000,
    WIRE_SILENCE_MS = 15000, // then the connection is dead
    WIRE_KEY = 32,           // characters
};

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

// What a command was at when it could not be executed.
enum frame_stage { FRAME_AT_RESOURCES = 1, FRAME_AT_WORKDIR, FRAME_AT_EXEC };

struct frame {
    enum frame_type type;
    uint32_t job;
    const char *payload; // not owned
    size_t length;
};

// START's payload. Nothing is owned.
struct frame_start {
    uint32_t time_limit_ms; // 0: none
    const char *workdir;    // "": where the agent is
    uint32_t argument_count;
    uint32_t environment_count;
    const char *strings; // the arguments, then the environment, each with its NUL
};

// Finds the frame at the start of the SIZE bytes of SENDER's. Returns its length,
// header included, 0 when there is not all of it yet, or -EBADMSG when it cannot
// be right, however it goes on: type, job and length have been checked, of START
// what is in it as well. With 0 the type is FRAME_NONE, or the header is there, and
// FRAME has what it says.
ssize_t frame_parse(const char *bytes, size_t size, enum frame_sender sender, struct frame *frame);

// Takes a START apart that frame_parse let through.
void frame_parse_start(const struct frame *frame, struct frame_start *start);

// The number at the start of a payload, where frame_parse has seen to it that it
// is there.
uint32_t frame_number(const char *payload);

// The opposite: 4 bytes at PLACE.
void frame_put_number(char *place, uint32_t number);

// Appends a frame to OUT. Returns 0 or -ENOMEM.
int frame_append(struct buffer *out, uint32_t job, enum frame_type type, const void *payload,
                 size_t length);

// Writes a header, WIRE_HEADER bytes, to PLACE; for payloads that are read to where
// they leave from.
void frame_put_header(char *place, uint32_t job, enum frame_type type, size_t length);

// The same as frame_append with a number as its payload.
int frame_append_number(struct buffer *out, uint32_t job, enum frame_type type, uint32_t number);

// Appends a START. ARGV and ENV end with NULL; WORKDIR may be NULL. Returns 0, -E2BIG when it
// would be longer than allowed, or -ENOMEM; then nothing was appended.
int frame_append_start(struct buffer *out, uint32_t job, uint32_t time_limit_ms,
                       const char *workdir, char *const *argv, char *const *env);

// Appends a HELLO, whose text is VERSION. Returns 0 or -ENOMEM.
int frame_append_hello(struct buffer *out, const char *version);

// Whether a HELLO is one at all, and the protocol's version in it; *TEXT is what
// the agent says of itself, *LENGTH bytes of it.
bool frame_parse_hello(const struct frame *frame, uint32_t *version, const char **text,
                       size_t *length);
