// SPDX-License-Identifier: Apache-2.0
// Replies that have to wait: a read for which there is nothing yet, a write that
// the command takes no bytes of now. Each can be interrupted, and is answered
// exactly once.
#pragma once

#include "list.h"
#include "loop.h"

#include <fuse_lowlevel.h>

struct parked;

struct parked_operations {
    // Tries again. Returns true when it has answered REQ.
    bool (*retry)(struct parked *parked);
    // A signal came: answers REQ.
    void (*interrupt)(struct parked *parked);
};

// How far a write has come.
struct write_progress {
    uint64_t offset; // of its first byte in the request
    bool has_offset; // else it is where the last one ended
    bool is_part;    // perhaps a later part of one whose beginning was not taken whole
    bool is_begun;
    uint64_t zeros; // of the hole before it: what has not been taken yet
    size_t size;    // of the write
    size_t left;    // at its end: what has not been taken yet
};

struct parked {
    struct list link; // in the list of those that wait for the same
    fuse_req_t req;
    struct loop *loop;
    struct task interrupted;
    const struct parked_operations *operations;
    void *handle;
    struct account *account; // that counts bytes, a reference; NULL: nobody does
    off_t offset;            // of a read
    size_t size;             // of a read, or of bytes
    struct write_progress write;
    fuse_ino_t ino; // of a truncation
    char bytes[];   // the end of a write
};

// Parks REQ at the end of LIST. BYTES, COUNT of them, are copied. Returns what
// was parked, its handle, offset and so on for the caller to fill in, or NULL
// when there is no memory: then REQ is still the caller's to answer.
struct parked *wait_park(struct loop *loop, struct list *list, fuse_req_t req,
                         const struct parked_operations *operations, const char *bytes,
                         size_t count);

// Lets each of LIST try again, in order.
void wait_retry_all(struct list *list);

// Answers each of LIST with ERRNUM.
void wait_fail_all(struct list *list, int errnum);
