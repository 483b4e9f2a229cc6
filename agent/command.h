// SPDX-License-Identifier: Apache-2.0
// What a START wants executed, and its execution.
#pragma once

#include "frame.h"

struct command {
    const char *workdir; // "": where the agent is
    char **argv;         // ends with NULL; the array is owned, the strings are not
    char **env;          // into the same array
};

// Takes a START apart. Its variables come first, then those of OWN that it does
// not replace. FRAME and OWN outlive COMMAND. Returns 0 or -ENOMEM.
int command_init(struct command *command, const struct frame *frame, char *const *own);
void command_finish(struct command *command);

// Makes the calling process the command. Returns only on failure: what it was at,
// with errno. Uses no memory but the stack's.
enum frame_stage command_exec(const struct command *command);
