// SPDX-License-Identifier: Apache-2.0
// The program that a START asks for: its words, and its execution.
#pragma once

#include "cgroup.h"
#include "frame.h"
#include "rlimits.h"

struct program {
    const char *workdir; // "": the agent's own
    char **argv;         // ends with NULL; the array is owned, the strings are not
    char **env;          // points into the array of argv
    struct rlimits rlimits;
    struct cgroup_limits group; // of the job
};

// Takes the START in FRAME apart. The environment has START's variables first, then
// each variable of OWN that START does not replace. FRAME and OWN must outlive PROGRAM.
// Returns 0 or -ENOMEM.
int program_init(struct program *program, const struct frame *frame, char *const *own);
void program_finish(struct program *program);

// Executes PROGRAM in the calling process. Returns only after a failure: the stage that
// failed, with errno. Allocates nothing.
enum frame_stage program_exec(const struct program *program);
