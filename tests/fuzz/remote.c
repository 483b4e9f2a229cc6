// SPDX-License-Identifier: Apache-2.0
// Fuzzes the daemon's side of connections to agents (sandbox/remote). The input plays hostile
// agents, their clients, and the jobs. Nothing is forked, and time belongs to the input: one step
// for each turn of the loop.
//
// Whatever an agent sends, a job gets the bytes and the outcome of the frames about it, and no
// others; no callback follows the end of a channel; a command is started once at most; the
// daemon itself keeps to the protocol; and a wrong frame ends the connection.
#include "remote_world.h"

#include "agents.h"
#include "cleanup.h"
#include "sandbox.h"
#include "single.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    AT_UNSTARTED = 1,
    AT_STDIN = 2,
    AT_OUTPUT = 4,
    AT_EXIT = 8,
    READS = 16,
    STANDBY = 32,
    AT_KEPT = 64
};

static struct config *configs[2]; // agent = auto, agent = require
static struct agents *agents;     // NULL: each job has a connection of its own
static struct sandbox_config *config;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        AUTO(buffer_finish) struct buffer problems = {0};
        char path[64];
        int fd = memfd_create("fuzz", MFD_CLOEXEC);

        fchmod(fd, 0600);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        dprintf(fd,
                "[s]\nmode = kubectl_exec\npod = p\nkubectl_path = /bin/true\nagent = %s\n"
                "agent_path = /agent\nconnections = 2\nconnect = %s\n",
                i ? "require" : "auto", i ? "use" : "start");
        configs[i] = sandbox_load_config(path, NULL, &problems);
        FUZZ_CHECK(configs[i], "%.*s", (int)problems.length, problems.data);
        close_fd(&fd);
    }
    return 0;
}

// --- A job

static void job_destroy(struct world_job *job)
{
    if (job->channel.self)
        job->channel.ops->destroy(take_ptr(&job->channel.self));
}

static void job_read(struct world_job *job, enum job_stream which, size_t size)
{
    static char bytes[WIRE_MAX_PAYLOAD];
    struct buffer *expected;
    ssize_t count;

    if (!job->channel.self)
        return;
    count = job->channel.ops->read(job->channel.self, which, bytes,
                                   size < sizeof bytes ? size : sizeof bytes);
    if (count < 0)
        return;
    FUZZ_CHECK(job->record, "job %u has output before its START", job->index);
    if (count == 0) {
        FUZZ_CHECK(job->record->has_end[which], "an end that the agent did not send");
        return;
    }
    expected = &job->record->expected[which];
    FUZZ_CHECK((size_t)count <= expected->length &&
                   memcmp(bytes, expected->data, (size_t)count) == 0,
               "job %u has other bytes than the agent sent", job->index);
    buffer_drop(expected, (size_t)count);
}

// Checks that an event may come.
static struct world_job *job_hear(void *data)
{
    struct world_job *job = data;

    FUZZ_CHECK(job->channel.self, "job %u hears of its channel after the end", job->index);
    return job;
}

// Destroys the channel within the callback, if this is the job's manner.
static void job_answer(struct world_job *job, unsigned event)
{
    if (job->manner & event)
        job_destroy(job);
}

static void on_unstarted(void *data, enum channel_stage stage, int errnum)
{
    struct world_job *job = job_hear(data);
    static const enum channel_stage stages[] = {0, STAGE_RESOURCES, STAGE_WORKDIR, STAGE_EXEC};

    FUZZ_CHECK(!job->has_outcome, "job %u has two outcomes", job->index);
    FUZZ_CHECK(job->record && job->record->outcome == RECORD_FAILED && !job->record->is_started,
               "job %u did not fail", job->index);
    FUZZ_CHECK(stage == stages[job->record->detail[0]] &&
                   errnum == (job->record->detail[1] | job->record->detail[2] << 8),
               "another failure");
    job->has_outcome = true;
    job_answer(job, AT_UNSTARTED);
}

static void on_stdin(void *data)
{
    job_answer(job_hear(data), AT_STDIN);
}

static void on_output(void *data, enum job_stream which)
{
    struct world_job *job = job_hear(data);

    FUZZ_CHECK(job->record, "job %u has output before its START", job->index);
    if (job->manner & READS)
        job_read(job, which, SIZE_MAX);
    job_answer(job, AT_OUTPUT);
}

static void on_job_exit(void *data, bool is_signaled, int number)
{
    struct world_job *job = job_hear(data);

    FUZZ_CHECK(!job->has_outcome, "job %u has two outcomes", job->index);
    FUZZ_CHECK(job->record && job->record->outcome == RECORD_ENDED && job->record->is_started,
               "job %u did not end", job->index);
    FUZZ_CHECK(job->record->detail[0] == is_signaled && job->record->detail[1] == number,
               "another end");
    job->has_outcome = true;
    job_answer(job, AT_EXIT);
}

static void on_lost(void *data, const char *reason)
{
    struct world_job *job = job_hear(data);

    FUZZ_CHECK(*reason, "no reason");
    FUZZ_CHECK(!strstr(reason, "lost its hold") ||
                   (job->record && job->record->outcome == RECORD_LOST),
               "no agent said so");
    job_destroy(job); // as a job does
}

static void on_declined(void *data)
{
    struct world_job *job = job_hear(data);

    FUZZ_CHECK(!job->record, "job %u would run twice", job->index);
    job_destroy(job);
}

static void on_output_lost(void *data, enum job_stream which)
{
    FUZZ_CHECK(false, "job %u: stream %d lost", job_hear(data)->index, (int)which);
}

static void on_kept(void *data, enum job_stream which)
{
    struct world_job *job = job_hear(data);
    const struct channel_ops *ops = job->channel.ops;

    FUZZ_CHECK(ops->kept(job->channel.self) >= ops->available(job->channel.self, which),
               "job %u keeps more than it says", job->index);
    job_answer(job, AT_KEPT);
}

static const struct channel_events events = {
    .on_unstarted = on_unstarted,
    .on_stdin = on_stdin,
    .on_output = on_output,
    .on_exit = on_job_exit,
    .on_lost = on_lost,
    .on_declined = on_declined,
    .on_output_lost = on_output_lost,
    .on_kept = on_kept,
};

static void job_open(void)
{
    struct world_job *job = &world.jobs[world.job_count];
    struct remote_spec spec = {.launch = &job->launch};
    struct error err = {0};
    char name[16];
    int result;

    if (world.job_count == WORLD_JOBS)
        return;
    job->index = world.job_count++;
    job->manner = fuzz_byte(&world.input);
    spec.is_standby = job->manner & STANDBY;
    snprintf(name, sizeof name, "%u", job->index);
    FUZZ_CHECK(words_append(&job->launch.argv, name) == 0, "no memory");
    result = agents ? agents_open(agents, &job->channel, &spec, &events, job, &err)
                    : single_open(world.loop, config, &job->channel, &spec, &events, job, &err);
    FUZZ_CHECK(result == 0, "%s", error_message(&err));
    error_finish(&err);
}

static void job_feed(struct world_job *job, size_t size)
{
    static char bytes[UINT16_MAX];
    ssize_t count;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)world_pattern(job->index, job->stdin_written + i);
    // The bytes may be sent within the call.
    job->stdin_written += size;
    count = job->channel.ops->write(job->channel.self, bytes, size);
    FUZZ_CHECK(count >= 0 || count == -EPIPE, "%zd", count);
    job->stdin_written -= size - (count > 0 ? (size_t)count : 0);
}

static void job_act(struct world_job *job, unsigned what)
{
    const struct channel_ops *ops = job->channel.ops;
    void *self = job->channel.self;
    unsigned choice = fuzz_byte(&world.input);
    enum job_stream which = choice & 1;

    if (!self)
        return;
    if (what == 0)
        job_feed(job, fuzz_number16(&world.input));
    else if (what == 1) {
        job->is_stdin_ended = true;
        ops->end_stdin(self);
    } else if (what == 2)
        job_read(job, which, 1 + choice * 256);
    else if (what == 3)
        ops->pause(self, which, choice & 2);
    else if (what == 4) {
        job->is_signaled = true;
        ops->signal(self, choice & 1 ? SIGKILL : SIGTERM);
    } else
        job_destroy(job);
}

static void job_check(const struct world_job *job)
{
    if (!job->channel.self)
        return;
    for (int i = 0; i < JOB_STREAMS; i++)
        FUZZ_CHECK(job->channel.ops->available(job->channel.self, i) <= WIRE_OUTPUT_WINDOW,
                   "job %u keeps more than a window", job->index);
    FUZZ_CHECK(!job->record || !job->channel.ops->waits_for(job->channel.self),
               "a job that is started waits");
}

// --- The agent and its client

static void agent_send_output(struct process *client, uint32_t number, enum frame_type type)
{
    static char bytes[WIRE_MAX_PAYLOAD];
    AUTO(buffer_finish) struct buffer out = {0};
    size_t size = 1 + fuzz_number16(&world.input) % WIRE_MAX_PAYLOAD;
    unsigned seed = fuzz_byte(&world.input);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)world_pattern(seed, i);
    // A frame may be repeated, so that a short input passes a window.
    for (unsigned i = 0; i <= seed % 20; i++) {
        frame_append(&out, number, type, bytes, size);
        client_send(client, out.data, out.length);
        out.length = 0;
    }
}

static void agent_send(struct process *client, uint32_t number, enum frame_type type)
{
    static const unsigned char lengths[] = {
        [FRAME_FAILED] = 5, [FRAME_STDIN_CREDIT] = 4, [FRAME_ENDED] = 2, [FRAME_PONG] = 0};
    AUTO(buffer_finish) struct buffer out = {0};
    char payload[5] = {0};

    if (type == FRAME_STDOUT || type == FRAME_STDERR) {
        agent_send_output(client, number, type);
        return;
    }
    if (type == FRAME_HELLO)
        frame_append_hello(&out, "fuzz");
    else {
        for (unsigned i = 0; i < lengths[type]; i++)
            payload[i] = (char)fuzz_byte(&world.input);
        frame_append(&out, type == FRAME_PONG ? 0 : number, type, payload, lengths[type]);
    }
    client_send(client, out.data, out.length);
}

static void agent_send_noise(struct process *client)
{
    char bytes[40];
    size_t size = fuzz_byte(&world.input) % sizeof bytes;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)fuzz_byte(&world.input);
    client_send(client, bytes, size);
}

static void client_act(struct process *client, unsigned what)
{
    unsigned choice = fuzz_byte(&world.input);

    if (what == 0)
        client->room = choice;
    else if (what == 1)
        client->room = UINT32_MAX;
    else if (what == 2)
        client->piece = choice ? choice : SIZE_MAX;
    else if (what == 3)
        agent_send_noise(client);
    else if (what == 4)
        client->is_in_closed = choice & 1;
    else if (what == 5)
        client->is_out_closed = true;
    else if (what == 6 && !client->is_destroyed)
        client->is_out_closed = client->is_exiting = true;
    else if (what == 7)
        buffer_append(&client->err, "error: no such container\n", choice % 26);
    client_tell(client);
}

// --- One input

static void act(unsigned choice)
{
    struct world_job *job = NULL;
    struct process *client = NULL;

    if (world.job_count > 0)
        job = &world.jobs[fuzz_byte(&world.input) % world.job_count];
    if (world.client_count > 0)
        client = &world.clients[fuzz_byte(&world.input) % world.client_count];
    if (choice < 0x20 || !job)
        job_open();
    else if (choice < 0x60)
        job_act(job, choice % 6);
    else if (choice < 0xc0 && client)
        agent_send(client, fuzz_byte(&world.input) % (client->next_number + 1),
                   FRAME_HELLO + choice % FRAME_PONG);
    else if (choice < 0xe0 && client)
        client_act(client, choice % 8);
    else if (choice < 0xf0)
        world.now_ms += fuzz_byte(&world.input) * 64U;
    else if (choice < 0xf4)
        world.start_fails = choice & 1;
}

static void step(void)
{
    unsigned choice = fuzz_byte(&world.input);

    for (unsigned i = 0; i < world.job_count; i++)
        job_check(&world.jobs[i]);
    if (world.input.left == 0)
        loop_stop(world.loop);
    else
        act(choice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    unsigned choice = size > 0 ? bytes[0] : 0;

    world_begin(bytes, size, step);
    fuzz_byte(&world.input);
    config = configs[choice & 1]->sandboxes[0];
    agents = choice & 2 ? NULL : agents_create(world.loop, config);
    loop_run(world.loop);
    for (unsigned i = 0; i < world.job_count; i++)
        job_destroy(&world.jobs[i]);
    loop_run_tasks(world.loop);
    if (agents)
        agents_destroy(agents);
    loop_run_tasks(world.loop);
    agents_finish_all();
    loop_run_tasks(world.loop);
    world_end();
    return 0;
}
