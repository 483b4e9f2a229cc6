// SPDX-License-Identifier: Apache-2.0
// The start of a command: the child between the clone and its execve.
#pragma once

#include "cgroup.h"
#include "program.h"

#include <sys/resource.h>

struct birth_failure {
    enum frame_stage stage;
    int number; // errno; 0: there was no failure
};

// Starts PROGRAM in a session of its own, with the limit DESCRIPTORS of descriptors, and in GROUP;
// NULL: in the group of this process. Returns when the command was executed or has failed. The
// child gets SIGKILL when this process ends. All signals are blocked here. Returns the process, or
// -1; after a failure FAILURE says why, and a process that was returned ends by itself.
pid_t birth(const struct program *program, const struct rlimit *descriptors,
            const struct cgroup *group, struct birth_failure *failure);
