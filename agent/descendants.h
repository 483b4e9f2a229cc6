// SPDX-License-Identifier: Apache-2.0
// The processes below a process, found in /proc.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

// Calls VISIT for each child of ROOT. When VISIT returns true the walk goes on to the
// children of that child. It can miss a process that is born, dies or gets another parent
// meanwhile, and a very deep one; both come up to the next subreaper when their parents
// die. On a kernel that does not list the children of a process, the walk finds only the
// children of ROOT.
void descendants_walk(pid_t root, bool (*visit)(void *data, pid_t pid), void *data);

// Sends SIGKILL to everything below ROOT, and to each whole process group there. ROOT
// must be the calling process.
void descendants_kill(pid_t root);
