// SPDX-License-Identifier: Apache-2.0
// Reads the configuration again while the daemon serves. A separate process looks up the names of
// users and groups, because the user database may be a server that does not answer. So a reload
// may take a while, and everything else goes on meanwhile.
#pragma once

#include "config.h"
#include "loop.h"

struct reload;

// PATH must live as long as the result. ON_DONE is called with DATA once for each reload
// that was begun and not replaced by another one: with the configuration, which it does not
// own, or with NULL after the reason was logged. Returns NULL when there is no memory.
struct reload *reload_create(struct loop *loop, const char *path,
                             void (*on_done)(void *data, struct config *config), void *data);

// Gives up a reload that has begun. May be NULL.
void reload_destroy(struct reload *reload);

// Begins a reload. A reload that has begun already begins anew. on_done may be called before this
// function returns.
void reload_begin(struct reload *reload);
