// SPDX-License-Identifier: Apache-2.0
// A conversation: one opening of `call`, to which a caller writes a request and from which the
// caller reads the answer. It shares nothing with the slot, nor with other conversations.
#pragma once

#include "answer.h"

struct conversation;

// Begins a conversation for CALLER. SANDBOX, and NAME, which is for the log, must live as long as
// the conversation. on_change is called from the loop when a waiting caller may find something
// new. Returns NULL with *ERRNUM set: ENOMEM, or EDQUOT when CALLER has too many calls.
struct conversation *conversation_create(struct loop *loop, struct sandbox *sandbox,
                                         const char *name, const struct caller *caller,
                                         void (*on_change)(void *data), void *data, int *errnum);

// The close: the job is cancelled if it still runs. May be NULL.
void conversation_destroy(struct conversation *conversation);

// Works like slot_write. Returns -EPIPE after the end of stdin.
ssize_t conversation_write(struct conversation *conversation, const char *bytes, size_t size);
bool conversation_is_writable(const struct conversation *conversation);

// Are all further bytes dropped, because the command reads no more?
bool conversation_drops_stdin(const struct conversation *conversation);
// Has on_change called, although nothing has changed.
void conversation_retry(struct conversation *conversation);

// Ends stdin. Returns 0, or -errno when the request is refused or is not whole. Each later call
// returns the same.
int conversation_end(struct conversation *conversation);

// Works like answer_find. The first call ends stdin, unless the answer comes in frames.
ssize_t conversation_read(struct conversation *conversation, size_t size,
                          struct answer_pieces *pieces);

// Says that PIECES, SIZE bytes, have reached the reader: the next read goes on after them.
void conversation_take(struct conversation *conversation, const struct answer_pieces *pieces,
                       size_t size);

// Has conversation_read something to return? This question does not end stdin.
bool conversation_is_readable(const struct conversation *conversation);

// Returns the user who opened the conversation, until the command line is whole; then NULL.
const struct identity *conversation_beginner(const struct conversation *conversation);

// Returns the account of the caller, without a reference.
struct account *conversation_account(const struct conversation *conversation);

void conversation_cancel(struct conversation *conversation);
