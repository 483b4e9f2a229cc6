// SPDX-License-Identifier: Apache-2.0
// A slot: the request that is being written, its job, and the contents of the slot's five
// files. A slot decides what a caller sees, and does not know how the bytes get to the caller.
#pragma once

#include "list.h"
#include "sandbox.h"

#include <time.h>

// The entries of a slot's directory. The number is part of a node id.
enum slot_file {
    SLOT_DIRECTORY,
    SLOT_REQUEST,
    SLOT_STDOUT,
    SLOT_STDERR,
    SLOT_STATUS,
    SLOT_CTL,
    SLOT_CALL, // of a sandbox only
    SLOT_FILES,
};

// A reader who has opened a file of a slot. Embedded in a struct that knows more.
struct slot_reader {
    uint64_t generation; // of the request whose results the reader has read last
};

struct slot;

// NAME is for the log. SANDBOX must live as long as the slot. on_change is called from the loop
// whenever a waiting caller may find something new. Returns NULL when there is no memory.
struct slot *slot_create(struct loop *loop, struct sandbox *sandbox, const char *name,
                         void (*on_change)(void *data), void *data);

// Cancels what still runs. May be NULL.
void slot_destroy(struct slot *slot);

// --- request

// Opens request for writing, and discards the earlier results. Returns 0, -EBUSY while another
// process has it open or the last job runs, -EDQUOT when the caller has too many calls, or
// -ENOMEM.
int slot_begin(struct slot *slot, const struct caller *caller);

// Takes bytes of the request. Returns how many; if there are fewer than SIZE, the rest must wait
// for on_change. Negative: the request is refused, with -EINVAL,
// -E2BIG, -EACCES, -EAGAIN, -ECANCELED, -EDQUOT, -ETIMEDOUT, -EMFILE, -ENFILE or -ENOMEM, and so is
// every later write.
ssize_t slot_write(struct slot *slot, const char *bytes, size_t size);

// Returns the account of the request's caller, without a reference; NULL: there is no request.
struct account *slot_account(const struct slot *slot);

// Would slot_write take bytes now?
bool slot_is_writable(const struct slot *slot);

// Are all further bytes dropped, because the command reads no more?
bool slot_drops_stdin(const struct slot *slot);
// Has on_change called, although nothing has changed.
void slot_retry(struct slot *slot);

// The last close of request: stdin ends.
void slot_end(struct slot *slot);

// --- stdout, stderr, status

void slot_reader_init(const struct slot *slot, struct slot_reader *reader);

// Finds up to SIZE bytes of FILE at OFFSET; *BYTES is valid until the loop runs
// on. Returns their number, 0 at the end of the file, -EAGAIN when there is
// nothing yet, or -ESTALE when READER is in the middle of results that have been discarded: the
// bytes that are there now belong to another request.
ssize_t slot_read(const struct slot *slot, enum slot_file file, struct slot_reader *reader,
                  off_t offset, size_t size, const char **bytes);

// Returns the size that stat shows: 0 until the size is final.
off_t slot_size(const struct slot *slot, enum slot_file file);

// Returns when the content of FILE changed last.
struct timespec slot_time(const struct slot *slot);

// --- ctl and removal

// Ends the request that is being written, or the job that runs. Does nothing when there is
// neither.
void slot_cancel(struct slot *slot);

// Does a job run, or is a request being written?
bool slot_is_busy(const struct slot *slot);

// Forgets results that nobody can reach any more, unless the slot is busy.
void slot_discard(struct slot *slot);
