// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void converse(struct call *call)
{
    int fd = open_file(call->sandbox, call->file, O_RDWR);

    write_all(fd, call->request.data, call->request.size);
    call->answer.size = read_all(fd, call->answer.data, call->room);
    close(fd);
}

static void use_slot(struct call *call)
{
    int fd = open_file(call->slot, "request", O_WRONLY);

    write_all(fd, call->request.data, call->request.size);
    close(fd);
    fd = open_file(call->slot, "stdout", O_RDONLY);
    call->answer.size = read_all(fd, call->answer.data, call->room);
    close(fd);
    expect_success(call->slot);
}

static void take_answer(void *context, const char *data, size_t size)
{
    struct call *call = context;

    if (size > call->room - call->answer.size)
        size = call->room - call->answer.size;
    memcpy(call->answer.data + call->answer.size, data, size);
    call->answer.size += size;
}

// The payload fits into the pipe, so that it is written at once.
static void spawn(struct call *call)
{
    char buffer[65536];
    struct child child = call->is_ready ? call->child : child_start(call->argv);

    call->is_ready = false;
    write_all(child.in, call->payload.data, call->payload.size);
    child_close_in(&child);
    call->answer.size = 0;
    child_finish(&child, buffer, sizeof buffer, take_answer, call);
}

static void prepare_buffers(struct call *call, const char *payload_path)
{
    struct bytes line = request_line(call->argv);
    const char *answer_path = getenv("BENCH_ANSWER");

    call->payload = read_file(payload_path);
    call->expected = read_file(answer_path ? answer_path : payload_path);
    call->request.size = line.size + call->payload.size;
    call->request.data = malloc(call->request.size);
    call->room = call->expected.size + 4096;
    call->answer.data = malloc(call->room);
    if (!call->request.data || !call->answer.data)
        die("malloc");
    memcpy(call->request.data, line.data, line.size);
    memcpy(call->request.data + line.size, call->payload.data, call->payload.size);
    free(line.data);
}

bool call_init(struct call *call, int argc, char **argv)
{
    const char *way = argc > 2 ? argv[0] : "";
    bool is_slot = strcmp(way, "slot") == 0;

    memset(call, 0, sizeof *call);
    call->gets_ready = strcmp(way, "ready") == 0;
    if (call->gets_ready || strcmp(way, "spawn") == 0) {
        call->make = spawn;
        call->argv = argv + 2;
        prepare_buffers(call, argv[1]);
        return true;
    }
    call->file = strcmp(way, "request") == 0 ? "request" : "call";
    if (argc < 4 || !(is_slot || strcmp(way, "conversation") == 0 || strcmp(way, "request") == 0))
        return false;
    call->make = is_slot ? use_slot : converse;
    call->sandbox = argv[1];
    call->argv = argv + 3;
    prepare_buffers(call, argv[2]);
    if (is_slot)
        call->slot = make_slot(call->sandbox);
    return true;
}

void call_make(struct call *call)
{
    call->make(call);
    if (call->answer.size == call->expected.size &&
        memcmp(call->answer.data, call->expected.data, call->answer.size) == 0)
        return;
    fprintf(stderr, "bench: the answer of %zu bytes is not the expected one of %zu bytes\n",
            call->answer.size, call->expected.size);
    exit(1);
}

void call_get_ready(struct call *call)
{
    if (!call->gets_ready || call->is_ready)
        return;
    call->child = child_start(call->argv);
    call->is_ready = true;
}

void call_finish(struct call *call)
{
    if (call->is_ready)
        kill(call->child.pid, SIGKILL);
    if (call->slot && rmdir(call->slot) < 0)
        die(call->slot);
    free(call->slot);
    free(call->payload.data);
    free(call->expected.data);
    free(call->request.data);
    free(call->answer.data);
}
