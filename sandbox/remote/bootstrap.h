// SPDX-License-Identifier: Apache-2.0
// The way in: it brings an agent into a container that has only a shell, over the same
// connection on which the agent will then talk. wire/PROTOCOL.md describes the lines.
#pragma once

#include "blob.h"
#include "buffer.h"
#include "error.h"
#include "frame.h"
#include "words.h"

struct bootstrap {
    char key[WIRE_KEY + 1];        // each line of the script begins with it
    char name[WIRE_KEY + 1];       // of the file
    const struct agent_blob *blob; // the agent that is sent; NULL: not known yet
    unsigned sends;                // how often it was sent
    bool is_sending;               // until the script says that it has come
    struct buffer line;            // the part of a line that has come
    size_t ignored;                // bytes of lines that are not the script's
    bool is_done;                  // frames follow
};

// Chooses the random words. Returns 0, or -errno with ERR set.
int bootstrap_init(struct bootstrap *bootstrap, struct error *err);

// Appends the command that runs the script to ARGV. Returns 0 or -ENOMEM.
int bootstrap_add_argv(const struct bootstrap *bootstrap, struct words *argv);

// Takes the script's lines from the start of SIZE bytes, up to the line after which frames
// follow, and appends the answers to OUT. Returns the number of bytes that it has used,
// -ENOMEM, or -EPROTO with ERR set to the reason why the container cannot take an agent.
ssize_t bootstrap_take(struct bootstrap *bootstrap, const char *bytes, size_t size,
                       struct buffer *out, struct error *err);

void bootstrap_finish(struct bootstrap *bootstrap);
