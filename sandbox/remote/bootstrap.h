// SPDX-License-Identifier: Apache-2.0
// The way in: how an agent gets into a container that has only a shell, over the
// connection that it will then speak on. wire/PROTOCOL.md has the lines.
#pragma once

#include "blob.h"
#include "buffer.h"
#include "error.h"
#include "frame.h"
#include "settings.h"

struct bootstrap {
    char key[WIRE_KEY + 1];        // begins each line of the script's
    char name[WIRE_KEY + 1];       // of the file
    const struct agent_blob *blob; // what is sent; NULL: not known yet
    unsigned sends;                // how often it was
    bool is_sending;               // until the script says that it has got it
    struct buffer line;            // as far as it has come
    size_t ignored;                // bytes of other lines
    bool is_done;                  // frames follow
};

// Draws the secrets. 0 or -errno with ERR set.
int bootstrap_init(struct bootstrap *bootstrap, struct error *err);

// Appends the command that runs the script to ARGV. 0 or -ENOMEM.
int bootstrap_add_argv(const struct bootstrap *bootstrap, struct words *argv);

// Takes what the script says from the start of SIZE bytes, up to the line after which
// frames follow, and appends the answers to OUT. Returns how many bytes were
// used; -ENOMEM, or -EPROTO with ERR saying why the container cannot take an agent.
ssize_t bootstrap_take(struct bootstrap *bootstrap, const char *bytes, size_t size,
                       struct buffer *out, struct error *err);

void bootstrap_finish(struct bootstrap *bootstrap);
