// SPDX-License-Identifier: Apache-2.0
// The kernel's end of /dev/fuse: raw messages to libfuse, and its replies.
#pragma once

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct wire_events {
    // A reply has come. False: nobody is there to take the reply (ENOENT).
    bool (*on_reply)(uint64_t unique, int error, const char *bytes, size_t size);
    void (*on_poll)(uint64_t handle);
    void (*on_invalid)(uint64_t id); // the kernel must forget its memory of an inode
};

void wire_begin(const struct wire_events *events);

// Frees the messages that were not read.
void wire_end(void);

// Sends a request with ARG and MORE; either may have the size 0. Returns the number of the request,
// which is even and which no other request has. The daemon cannot see the process of a caller that
// is not root.
uint64_t wire_send(uint32_t opcode, uint64_t node, uid_t uid, const void *arg, size_t size,
                   const void *more, size_t more_size);

// Sends an interrupt of UNIQUE.
void wire_interrupt(uint64_t unique);
