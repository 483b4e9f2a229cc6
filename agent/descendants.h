// SPDX-License-Identifier: Apache-2.0
// The processes below one, as /proc shows them.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

// Calls VISIT for the children of ROOT, and goes on below those for which it
// returns true. What is born, dies or moves meanwhile may be missed, and what is
// very deep: it comes up to the next subreaper when its parents die. Where the
// kernel cannot tell the children of a process, only ROOT's own are found.
void descendants_walk(pid_t root, bool (*visit)(void *data, pid_t pid), void *data);

// SIGKILL to everything below ROOT, whole process groups at once. For those below
// the calling process only.
void descendants_kill(pid_t root);
