// SPDX-License-Identifier: Apache-2.0
// A call as the command line asks for it: where, and with which request.
#pragma once

#include "options.h"
#include "relay.h"

// The path of the mount: what OPTIONS or the environment say, else the only one that there is.
// The caller frees it. NULL: RELAY has the failure.
char *call_find_mount(const struct options *options, struct relay *relay);

// Makes the call of OPTIONS, whose error, if there is one, is the failure. RELAY has been
// initialised.
void call_make(const struct options *options, struct relay *relay);
