// SPDX-License-Identifier: Apache-2.0
// Fuzzes hooksfs-agent. The daemon and the supervisors are played here. With any frames, in
// any pieces, and with any reports of the supervisors, the agent must keep to the protocol:
// no byte is lost or changed, no window is exceeded, and the agent ends with an error only
// after a wrong frame.
//
// Nothing is forked. The supervisors' ends of the pipes and sockets stay in this process, and
// the input chooses what happens at them: one step for each turn of the loop.
#include "fuzz.h"

#include "agent.h"
#include "agent_world.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

extern char **environ;

// --- Frames from the daemon

// A variable so long that its START needs a new supervisor.
static char *long_variable(void)
{
    static char variable[SUPERVISOR_MAX_START + 2];

    memset(variable, 'x', sizeof variable - 1);
    variable[1] = '=';
    return variable;
}

static void send_start(struct world *world)
{
    static char word[200];
    char *argv[] = {word, NULL, NULL};
    char *env[] = {(char[]){"A=b"}, NULL};
    struct frame_limit limits[FRAME_MAX_LIMITS];
    struct frame_command command = {.workdir = "/", .argv = argv, .env = env, .limits = limits};
    AUTO(buffer_finish) struct buffer out = {0};
    unsigned choice = fuzz_byte(&world->input);

    memset(word, 'x', sizeof word - 1);
    word[1 + choice % 100] = '\0';
    if (choice & 0x80)
        argv[1] = word;
    if (world->started >= WORLD_JOBS)
        return;
    world->started++;
    if ((choice & 0x1f) == 0x1f)
        env[0] = long_variable();
    // The simulated supervisors do not look at the limits.
    for (uint32_t i = 0; i < choice % (FRAME_MAX_LIMITS + 1); i++)
        limits[command.limit_count++] = (struct frame_limit){
            .kind = i < FRAME_RLIMITS ? i : FRAME_LIMIT_MEMORY + i - FRAME_RLIMITS,
            .value = choice};
    FUZZ_CHECK(frame_append_start(&out, world->started, choice & 0x40 ? 1000 : 0, &command) == 0,
               "no memory");
    world->jobs[world->started - 1].start_length = out.length - WIRE_HEADER;
    world_send(world, out.data, out.length);
}

static void send_stdin(struct world *world, struct world_job *job)
{
    static char bytes[WIRE_MAX_PAYLOAD];
    size_t size = 1 + fuzz_number16(&world->input) % WIRE_MAX_PAYLOAD;
    AUTO(buffer_finish) struct buffer out = {0};

    if (job->is_stdin_ended || size > job->stdin_window) {
        // This is an error only if no credit of the agent is on its way.
        world->is_legal = world->is_legal && job->is_gone;
        job->is_stdin_unsure = true;
    } else
        job->stdin_window -= (uint32_t)size;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)world_pattern(job->number, job->stdin_sent + i);
    job->stdin_sent += size;
    frame_append(&out, job->number, FRAME_STDIN, bytes, size);
    world_send(world, out.data, out.length);
}

static void send_credit(struct world *world, struct world_job *job, int which)
{
    uint32_t count = fuzz_number16(&world->input) * 32;
    AUTO(buffer_finish) struct buffer out = {0};

    // Only the agent knows whether the credit exceeds the window, because bytes may be on
    // their way. Credit for the bytes that were received never does.
    if (count > job->owed[which])
        count = job->owed[which];
    job->owed[which] -= count;
    job->window[which] += count;
    frame_append_number(&out, job->number, which ? FRAME_STDERR_CREDIT : FRAME_STDOUT_CREDIT,
                        count);
    world_send(world, out.data, out.length);
}

static void send_simple(struct world *world, struct world_job *job, enum frame_type type)
{
    AUTO(buffer_finish) struct buffer out = {0};

    if (type == FRAME_STDIN_END)
        job->is_stdin_ended = true;
    if (type == FRAME_RELEASE)
        job->is_released = true;
    frame_append(&out, job->number, type, NULL, 0);
    world_send(world, out.data, out.length);
}

static void send_noise(struct world *world)
{
    size_t size = fuzz_byte(&world->input) % 40;
    char bytes[40];

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)fuzz_byte(&world->input);
    world->is_legal = world->is_legal && size == 0;
    world_send(world, bytes, size);
}

static void step_daemon(struct world *world, unsigned what, struct world_job *job)
{
    static const enum frame_type simple[] = {FRAME_STDIN_END, FRAME_TERM, FRAME_KILL,
                                             FRAME_RELEASE};

    if (what == 0 || !job)
        send_start(world);
    else if (what == 1)
        send_stdin(world, job);
    else if (what == 2 || what == 3)
        send_credit(world, job, (int)what - 2);
    else if (what < 8)
        send_simple(world, job, simple[what - 4]);
    else
        world_send_ping(world);
}

// --- One input

// One step. The loop calls it before it waits.
void world_step(struct world *world)
{
    unsigned choice = fuzz_byte(&world->input);
    struct world_job *job = NULL;

    if (world->started > 0)
        job = &world->jobs[fuzz_byte(&world->input) % world->started];
    if (world->input.left == 0) {
        world_end(world);
        return;
    }
    if (choice < 0x60)
        step_daemon(world, choice % 9, job);
    else if (choice < 0xd0)
        world_act(world, choice % 10, job);
    else if (choice < 0xf0)
        world_receive(world);
    else if (choice < 0xf8)
        world->now_ms += fuzz_byte(&world->input) * 8U;
    else if (choice < 0xfc)
        world->fork_fails = choice & 1;
    else if (choice == 0xff)
        send_noise(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct world *world = world_create(bytes, size);
    struct agent_spec spec = {
        .in_fd = world->agent_in,
        .out_fd = world->agent_out,
        .env = environ,
        .descriptors = {1024, 1024},
    };
    int code = agent_serve(&spec);

    world_end(world);
    world_receive(world);
    FUZZ_CHECK(code == 0 || code == 1, "it ended with %d", code);
    FUZZ_CHECK(code == 0 || !world->is_legal || world->is_silent, "it found an error");
    world_destroy(world);
    return 0;
}
