// SPDX-License-Identifier: Apache-2.0
// The kernel's end of /dev/fuse: raw messages to libfuse, and its replies.
#pragma once

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct wire_events {
    // A reply. False: nobody is there to take it (ENOENT).
    bool (*on_reply)(uint64_t unique, int error, const char *bytes, size_t size);
    void (*on_poll)(uint64_t handle);
    void (*on_invalid)(uint64_t id); // what is remembered of an inode
};

void wire_begin(const struct wire_events *events);

// Frees what was not read.
void wire_end(void);

// Sends a request with ARG and MORE, either may have no size; its number, which
// is even, and that of no other. A caller that is not root has no process that
// can be seen.
uint64_t wire_send(uint32_t opcode, uint64_t node, uid_t uid, const void *arg, size_t size,
                   const void *more, size_t more_size);

// Sends an interrupt of UNIQUE.
void wire_interrupt(uint64_t unique);
