// SPDX-License-Identifier: Apache-2.0
// Being a service: going to the background, and telling a service manager.
#pragma once

#include "error.h"

// Forks. The child returns 0 and goes on; the parent waits until the child calls
// daemon_detach, and then exits with 0, or ends with its exit code when it fails
// before that. -errno with ERR set when it cannot fork.
int daemon_fork(struct error *err);

// Lets the parent of daemon_fork go, and gives up the terminal: stdin, stdout
// and stderr become /dev/null.
void daemon_detach(void);

// Makes sure that descriptors 0, 1 and 2 are open, so that nothing of ours ever
// gets one of these numbers. 0 or -errno.
int daemon_open_standard_fds(void);

// Sends STATE, such as "READY=1", to the service manager that set NOTIFY_SOCKET,
// if one did (sd_notify(3) describes the protocol). Never waits. Call it early
// with an empty string: it takes NOTIFY_SOCKET out of the environment.
void daemon_notify(const char *state);
