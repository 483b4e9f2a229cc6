// SPDX-License-Identifier: Apache-2.0
// A slot: the request that is being written, the job that came of it, and what
// its five files say. It decides what a caller sees; how it gets to the caller
// is not known here.
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

// A reader who has opened a file of a slot. The embedding struct knows more.
struct slot_reader {
    uint64_t generation; // of the request whose results were read last
};

struct slot;

// NAME is for the log; SANDBOX has to live as long as the slot. on_change is
// called from the loop whenever somebody who waits may have something to see.
// NULL when there is no memory.
struct slot *slot_create(struct loop *loop, struct sandbox *sandbox, const char *name,
                         void (*on_change)(void *data), void *data);

// Cancels what still runs. May be NULL.
void slot_destroy(struct slot *slot);

// --- request

// Opens it for writing: the results of before are discarded. -EBUSY while
// another one has it open, or the last job runs. -EDQUOT: its caller has too many. -ENOMEM.
int slot_begin(struct slot *slot, const struct caller *caller);

// Takes bytes of the request. Returns how many; fewer than SIZE, or 0: the rest
// has to wait for on_change. Negative: the request is refused, with -EINVAL,
// -E2BIG, -EACCES, -EAGAIN, -ECANCELED, -EDQUOT, -ETIMEDOUT, -EMFILE, -ENFILE or -ENOMEM, and so is
// every later write.
ssize_t slot_write(struct slot *slot, const char *bytes, size_t size);

// That of who made the request. Not a reference; NULL: there is no request.
struct account *slot_account(const struct slot *slot);

// Would slot_write take something now?
bool slot_is_writable(const struct slot *slot);

// Will nothing that is written be read any more?
bool slot_drops_stdin(const struct slot *slot);
// on_change is called, though nothing has changed.
void slot_retry(struct slot *slot);

// The last close: the end of stdin.
void slot_end(struct slot *slot);

// --- stdout, stderr, status

void slot_reader_init(const struct slot *slot, struct slot_reader *reader);

// Finds up to SIZE bytes of FILE at OFFSET; *BYTES is valid until the loop runs
// on. Returns their number, 0 at the end of the file, -EAGAIN when there is
// nothing yet, or -ESTALE when READER is in the middle of results that have been
// discarded: what is there now belongs to another request.
ssize_t slot_read(const struct slot *slot, enum slot_file file, struct slot_reader *reader,
                  off_t offset, size_t size, const char **bytes);

// The size that stat shows: 0 until it is final.
off_t slot_size(const struct slot *slot, enum slot_file file);

// When its content changed last.
struct timespec slot_time(const struct slot *slot);

// --- ctl and removal

// Ends the request that is being written, or the job that runs; harmless when
// there is none.
void slot_cancel(struct slot *slot);

// Does a job run, or is a request being written?
bool slot_is_busy(const struct slot *slot);

// Forgets results that nobody can reach any more, unless it is busy.
void slot_discard(struct slot *slot);
