// SPDX-License-Identifier: Apache-2.0
// Reading the configuration again while the daemon serves. Names of users and groups are
// looked up by a process of its own, because the user database may be a server that does
// not answer: a reload may take a while, and everything else goes on.
#pragma once

#include "config.h"
#include "loop.h"

struct reload;

// PATH has to live as long as the result. ON_DONE is called with DATA once for each reload
// that was begun and not replaced by another one: with the configuration, which it does not
// own, or with NULL after the reason was logged. NULL: no memory.
struct reload *reload_create(struct loop *loop, const char *path,
                             void (*on_done)(void *data, struct config *config), void *data);

// Gives up a reload that has begun. May be NULL.
void reload_destroy(struct reload *reload);

// Begins; from the beginning again if one has begun already. on_done may be called before
// this returns.
void reload_begin(struct reload *reload);
