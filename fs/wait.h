// SPDX-License-Identifier: Apache-2.0
// Replies that must wait: of a read for which there is nothing yet, or of a write from which the
// command takes no bytes now. Each operation can be interrupted, and is answered exactly once.
#pragma once

#include "list.h"
#include "loop.h"

#include <fuse_lowlevel.h>

struct parked;

struct parked_operations {
    // Tries the operation again. Returns true when REQ has been answered.
    bool (*retry)(struct parked *parked);
    // A signal has arrived: answers REQ.
    void (*interrupt)(struct parked *parked);
};

// The progress of a write.
struct write_progress {
    uint64_t offset; // of its first byte in the request
    bool has_offset; // false: the write begins where the last one ended
    bool is_part;    // perhaps a later part of one whose beginning was not taken whole
    bool is_begun;
    uint64_t zeros; // bytes of the hole before it that have not been taken yet
    size_t size;    // of the write
    size_t left;    // bytes at its end that have not been taken yet
};

struct parked {
    struct list link; // in the list of operations that wait for the same
    fuse_req_t req;
    struct loop *loop;
    struct task interrupted;
    const struct parked_operations *operations;
    void *handle;
    struct account *account; // that counts the bytes, a reference; NULL: none
    off_t offset;            // of a read
    size_t size;             // of a read, or of bytes
    struct write_progress write;
    fuse_ino_t ino; // of a truncation
    char bytes[];   // the end of a write
};

// Parks REQ at the end of LIST, with a copy of the COUNT bytes of BYTES. Returns the parked
// operation, whose handle, offset and so on the caller fills in, or NULL when there is no memory:
// then the caller must answer REQ.
struct parked *wait_park(struct loop *loop, struct list *list, fuse_req_t req,
                         const struct parked_operations *operations, const char *bytes,
                         size_t count);

// Lets each operation of LIST try again, in order.
void wait_retry_all(struct list *list);

// Answers each operation of LIST with ERRNUM.
void wait_fail_all(struct list *list, int errnum);
