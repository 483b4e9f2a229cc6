// SPDX-License-Identifier: Apache-2.0
// The content of the file that says which calls fail. faults.py has the order of the calls and
// the size of each member as well: change both.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum fault_call {
    FAULT_MEMORY, // malloc, calloc, realloc, and what uses them
    FAULT_FORK,   // clone, fork, and the system call clone
    FAULT_PIDFD_OPEN,
    FAULT_WAITID,
    FAULT_PIPE2,
    FAULT_SOCKET, // socket, socketpair
    FAULT_EPOLL_CTL,
    FAULT_EPOLL_WAIT,
    FAULT_FCNTL,        // a duplicate of a descriptor
    FAULT_OPEN,         // open, fopen, memfd_create
    FAULT_DEVICE,       // read of /dev/fuse, before there is a request
    FAULT_DEVICE_READ,  // read of /dev/fuse, and with it a request
    FAULT_DEVICE_WRITE, // write to /dev/fuse, and with it a reply
    FAULT_LOG,          // write to stderr
    FAULT_WRITE,        // any other write: to a command's stdin
    FAULT_CALLS,
};

enum { FAULT_CERTAIN = 1000000 };

struct fault {
    int32_t error;   // errno
    uint32_t chance; // in FAULT_CERTAIN: of each call that could fail
    uint64_t after;  // calls that go well before
    uint64_t times;  // how many fail
    uint64_t called;
    uint64_t injected;
};

struct faults {
    uint64_t seed;
    int64_t blocks; // of memory that the daemon has
    struct fault calls[FAULT_CALLS];
};
