// SPDX-License-Identifier: Apache-2.0
// A conversation: one opening of `call`, on which a request goes out and its answer comes back. It
// shares nothing with the slot, nor with other conversations.
#pragma once

#include "answer.h"

struct conversation;

// Begins one for CALLER. SANDBOX has to live as long, and NAME, which is for the
// log. on_change is called from the loop when somebody who waits may have
// something to see. NULL, with *ERRNUM set: ENOMEM, or EDQUOT: CALLER has too many calls.
struct conversation *conversation_create(struct loop *loop, struct sandbox *sandbox,
                                         const char *name, const struct caller *caller,
                                         void (*on_change)(void *data), void *data, int *errnum);

// The close: what still runs is cancelled. May be NULL.
void conversation_destroy(struct conversation *conversation);

// As slot_write; after the end of stdin -EPIPE.
ssize_t conversation_write(struct conversation *conversation, const char *bytes, size_t size);
bool conversation_is_writable(const struct conversation *conversation);

// Will nothing that is written be read any more?
bool conversation_drops_stdin(const struct conversation *conversation);
// on_change is called, though nothing has changed.
void conversation_retry(struct conversation *conversation);

// The end of stdin. Returns 0, or -errno when the request is refused, or is not whole; the
// same each time.
int conversation_end(struct conversation *conversation);

// As answer_find. The first call is the end of stdin, unless the answer comes in frames.
ssize_t conversation_read(struct conversation *conversation, size_t size,
                          struct answer_pieces *pieces);

// PIECES, SIZE bytes, have reached the reader: the next read goes on after them.
void conversation_take(struct conversation *conversation, const struct answer_pieces *pieces,
                       size_t size);

// Has conversation_read something to say? To ask is not to read.
bool conversation_is_readable(const struct conversation *conversation);

// The identity of the opener while there is no whole command line; NULL after that.
const struct identity *conversation_beginner(const struct conversation *conversation);

// That of its caller. Not a reference.
struct account *conversation_account(const struct conversation *conversation);

void conversation_cancel(struct conversation *conversation);
