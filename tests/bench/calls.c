// SPDX-License-Identifier: Apache-2.0
// Single calls with a payload, in one of three ways: a conversation; a slot; or what
// a program would do without hooksfs, pipes, fork, exec, and both streams read to
// their ends. The command has to answer with the payload, and every byte is compared.
// On stdin it is told when to call (`serve`).
//
// A fourth way, `ready`, is as `spawn` with a process that was started after the call before,
// so that only writing, reading and waiting are timed. With BENCH_ANSWER in the environment,
// that file is what the command has to answer. `request` is a conversation with a daemon of
// before the file `call`.
//
// usage: calls conversation|request|slot SANDBOX-DIRECTORY PAYLOAD-FILE COMMAND [ARGUMENT...]
//        calls spawn|ready PAYLOAD-FILE COMMAND [ARGUMENT...]
#include "call.h"

#include <stdio.h>
#include <stdlib.h>

static void call_once(void *context)
{
    call_make(context);
}

static void get_ready(void *context)
{
    call_get_ready(context);
}

int main(int argc, char **argv)
{
    struct call call;

    if (!call_init(&call, argc - 1, argv + 1)) {
        fprintf(stderr, "usage: calls conversation|request|slot DIRECTORY PAYLOAD-FILE COMMAND...\n"
                        "       calls spawn|ready PAYLOAD-FILE COMMAND...\n");
        return 2;
    }
    serve(call_once, get_ready, &call);
    call_finish(&call);
    return 0;
}
