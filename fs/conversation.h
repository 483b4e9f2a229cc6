// SPDX-License-Identifier: Apache-2.0
// A conversation: one opening of `call`, on which a request goes out and the command's
// stdout comes back. It shares nothing with the slot, nor with other conversations.
#pragma once

#include "sandbox.h"

struct conversation;

// Begins one for CALLER. SANDBOX has to live as long, and NAME, which is for the
// log. on_change is called from the loop when somebody who waits may have
// something to see. NULL when there is no memory.
struct conversation *conversation_create(struct loop *loop, struct sandbox *sandbox,
                                         const char *name, const struct caller *caller,
                                         void (*on_change)(void *data), void *data);

// The close: what still runs is cancelled. May be NULL.
void conversation_destroy(struct conversation *conversation);

// As slot_write; after the first read -EPIPE.
ssize_t conversation_write(struct conversation *conversation, const char *bytes, size_t size);
bool conversation_is_writable(const struct conversation *conversation);

// Finds up to SIZE bytes of stdout, the next ones; *BYTES is valid until the
// loop runs on. The first call is the end of stdin. Returns their number, -EAGAIN
// when there is nothing yet, and at the end 0 when the command exited with 0,
// otherwise the error that hooksfs(5) has for its outcome.
ssize_t conversation_read(struct conversation *conversation, size_t size, const char **bytes);

// They have reached the reader: the next read goes on after them.
void conversation_consume(struct conversation *conversation, size_t size);

// Has conversation_read something to say? It is not called the first read.
bool conversation_is_readable(const struct conversation *conversation);

void conversation_cancel(struct conversation *conversation);
