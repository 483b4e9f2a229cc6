// SPDX-License-Identifier: Apache-2.0
// The control group of version 2 that the service manager has delegated to this process (Delegate=
// of systemd): the process may make groups below it. Needs no loop. The files of control groups
// are in the kernel's memory: no call here waits.
#pragma once

#include "error.h"

// Controllers, as bits.
enum {
    CONTROLLER_CPU = 1,
    CONTROLLER_MEMORY = 2,
    CONTROLLER_PIDS = 4,
};

// From the texts of /proc/self/cgroup and /proc/self/mountinfo: the directory of the group that
// the process is in. Returns NULL with ERR set: ENOENT when there is none, ENOMEM. The caller
// frees it.
char *delegation_find(const char *groups, const char *mounts, struct error *err);

// Takes possession of the delegated group, and makes CONTROLLERS available to the groups below
// it. For this it may have to move all processes of the group, this one among them, to a group
// called hooksfs-daemon below it. Groups of jobs that an earlier process has left there are
// killed, and removed if they are empty within 200 ms. A later call can ask for more controllers.
// Returns 0, or -errno with ERR set; ERR says what the administrator can do.
int delegation_take(unsigned controllers, struct error *err);

// Like delegation_take, for one of several processes that use the group: it stays free for others,
// and nothing is killed. The groups of processes that are gone are removed if they are empty.
int delegation_share(unsigned controllers, struct error *err);

// The names of new groups begin with this text.
const char *delegation_prefix(void);

// The directory in which groups can be made, or -1 before one of the calls above was
// successful.
int delegation_fd(void);

// Writes TEXT to the file NAME in the directory DIR. Returns 0 or -errno.
int delegation_write(int dir, const char *name, const char *text);

// Kills all processes in the group whose directory is DIR.
void delegation_kill(int dir);
