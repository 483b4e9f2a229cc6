// SPDX-License-Identifier: Apache-2.0
// The daemon as a service: it goes to the background, and tells the service manager.
#pragma once

#include "error.h"

// Forks, and returns 0 in the child. The parent waits until the child calls daemon_detach, and
// then exits with 0; if the child ends before that, the parent exits with the child's exit
// code. Returns -errno with ERR set when it cannot fork.
int daemon_fork(struct error *err);

// Lets the parent that waits in daemon_fork exit, and gives up the terminal: stdin, stdout and
// stderr become /dev/null.
void daemon_detach(void);

// Makes sure that descriptors 0, 1 and 2 are open. Otherwise a file of the daemon could get one
// of these numbers. Returns 0 or -errno.
int daemon_open_standard_fds(void);

// Sends STATE, such as "READY=1", to the service manager, if NOTIFY_SOCKET names its socket
// (sd_notify(3) describes the protocol). Never waits. The first call takes NOTIFY_SOCKET out of
// the environment: make it early, with an empty string.
void daemon_notify(const char *state);
