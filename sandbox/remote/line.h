// SPDX-License-Identifier: Apache-2.0
// A remote (remote.h) sees two things above it: the line that carries it, and the set of
// lines that it may wait for. Both are here, without their insides: connection.c is a line,
// and agents.c is a set of them. So the includes of this folder run one way only:
// agents -> connection -> outlet -> remote -> line.
#pragma once

#include "frame.h"

struct line;
struct remote;

struct line_ops {
    // REMOTE has something to send.
    void (*send)(struct line *line, struct remote *remote);
    // Sends a frame about JOB, behind the frames that already wait. Its payload is NUMBER, or
    // empty if NUMBER is 0.
    void (*control)(struct line *line, uint32_t job, enum frame_type type, uint32_t number);
    // Sends a frame without a payload, which may wait a little and leave with others.
    void (*control_later)(struct line *line, uint32_t job, enum frame_type type);
    // REMOTE leaves the line, for whatever reason.
    void (*leave)(struct line *line, struct remote *remote);
};

// Embedded in the struct of a connection.
struct line {
    const struct line_ops *ops;
};

// Embedded in the struct of all connections of a sandbox.
struct lines {
    bool may_decline; // a job may take another route when no agent can be had
    // Says in words why there is no line.
    const char *(*why_none)(const struct lines *lines);
    // A job has destroyed its remote. NULL: nothing to do.
    void (*on_remote_gone)(struct lines *lines);
};
