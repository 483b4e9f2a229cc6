// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include "cleanup.h"
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/wait.h>

enum {
    // So large that malloc maps it apart from the heap: a new supervisor can unmap it.
    INPUT_SIZE = 256 * 1024,
    PATIENCE_MS = 1000, // the wait for supervisors at the end
    TRIM_MS = 2000,
    NS_PER_MS = 1000000,
};

struct agent {
    struct loop *loop;
    struct uplink uplink;
    struct runs runs;
    struct buffer in;
    struct watch in_watch;
    struct timer beat;
    struct timer patience;
    uint64_t heard_ns;
    uint32_t last_job;
    bool is_ending;
    int exit_code;
};

// --- The end

static void on_agent_impatient(void *data)
{
    struct agent *agent = data;
    loop_stop(agent->loop);
}

static void agent_complain(const char *what, int errnum)
{
    dprintf(STDERR_FILENO, "hooksfs-agent: %s%s%s\n", what, errnum ? ": " : "",
            errnum ? strerror(errnum) : "");
}

static void agent_end(struct agent *agent, int exit_code)
{
    agent->is_ending = true;
    agent->exit_code = exit_code;
    loop_unwatch(agent->loop, &agent->in_watch);
    loop_disarm(agent->loop, &agent->beat);
    if (loop_arm(agent->loop, &agent->patience, PATIENCE_MS) < 0)
        loop_stop(agent->loop);
    runs_end(&agent->runs);
}

static void agent_give_up(struct agent *agent, const char *what, int errnum)
{
    if (agent->is_ending)
        return;
    agent_complain(what, errnum);
    agent_end(agent, 1);
}

static void on_agent_broken(void *data, int errnum)
{
    agent_give_up(data, "cannot write to the connection", errnum);
}

// The kernel reaps a supervisor a moment after its end, while the agent is its parent. If the agent
// exits first, the first process of the container inherits the supervisor, and may not reap it.
static void agent_await_supervisors(void)
{
    for (int i = 0; i < 50 && waitpid(-1, NULL, WNOHANG) == 0; i++)
        usleep(1000);
}

// --- Frames

static int agent_handle_frame(struct agent *agent, const struct frame *frame)
{
    struct run *run;

    if (frame->type == FRAME_PING) {
        uplink_send_now(&agent->uplink, 0, FRAME_PONG, NULL, 0);
        return 0;
    }
    if (frame->type == FRAME_START) {
        if (frame->job != agent->last_job + 1)
            return -EBADMSG;
        agent->last_job = frame->job;
        run_start(&agent->runs, frame);
        return 0;
    }
    if (frame->job > agent->last_job)
        return -EBADMSG;
    run = run_find(&agent->runs, frame->job);
    return run ? run_receive(run, frame) : 0;
}

static void agent_refuse_frame(struct agent *agent, const struct frame *frame, int errnum)
{
    char what[80];

    snprintf(what, sizeof what, "a frame of type %d about job %u", (int)frame->type,
             (unsigned)frame->job);
    agent_give_up(agent, errnum == EBADMSG && !frame->type ? "no frame" : what, errnum);
}

static void agent_handle_frames(struct agent *agent)
{
    size_t used = 0;

    while (!agent->is_ending) {
        struct frame frame = {0};
        ssize_t length =
            frame_parse(agent->in.data + used, agent->in.length - used, FROM_DAEMON, &frame);
        int result;
        if (length == 0)
            break;
        result = length < 0 ? (int)length : agent_handle_frame(agent, &frame);
        if (result < 0)
            agent_refuse_frame(agent, &frame, -result);
        used += length > 0 ? (size_t)length : 0;
    }
    buffer_drop(&agent->in, used);
}

static void on_agent_readable(void *data, uint32_t events)
{
    struct agent *agent = data;
    struct buffer *in = &agent->in;
    ssize_t count;

    (void)events;
    if (buffer_reserve(in, in->capacity ? 1 : INPUT_SIZE) < 0) {
        agent_give_up(agent, "input", ENOMEM);
        return;
    }
    count = read(agent->in_watch.fd, in->data + in->length, in->capacity - in->length);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR)
            agent_give_up(agent, "cannot read from the connection", errno);
        return;
    }
    if (count == 0) {
        agent_end(agent, 0);
        return;
    }
    agent->heard_ns = loop_now_ns();
    in->length += (size_t)count;
    agent_handle_frames(agent);
}

// Ends the connection after too long a silence, and frees memory that is not in use.
static void on_agent_beat(void *data)
{
    struct agent *agent = data;
    uint64_t silence_ms = (loop_now_ns() - agent->heard_ns) / NS_PER_MS;
    uint64_t left_ms = silence_ms < WIRE_SILENCE_MS ? WIRE_SILENCE_MS - silence_ms : 0;

    if (left_ms == 0) {
        agent_give_up(agent, "the daemon has been silent for too long", 0);
        return;
    }
    uplink_trim(&agent->uplink);
    runs_trim(&agent->runs);
    if (agent->in.length == 0)
        buffer_finish(&agent->in);
    if (loop_arm(agent->loop, &agent->beat, left_ms < TRIM_MS ? left_ms : TRIM_MS) < 0)
        agent_give_up(agent, "timer", ENOMEM);
}

// --- Beginning

static void agent_forget(void *data)
{
    struct agent *agent = data;

    buffer_finish(&agent->in);
    buffer_finish(&agent->uplink.out);
}

static void on_agent_done(void *data)
{
    struct agent *agent = data;
    loop_stop(agent->loop);
}

static int agent_begin(struct agent *agent, const struct agent_spec *spec)
{
    uplink_init(&agent->uplink, agent->loop, spec->out_fd, on_agent_broken, agent);
    agent->runs = (struct runs){
        .loop = agent->loop,
        .uplink = &agent->uplink,
        .own_env = spec->env,
        .descriptors = spec->descriptors,
        .forget = agent_forget,
        .on_none = on_agent_done,
        .data = agent,
    };
    runs_init(&agent->runs);
    agent->in_watch = (struct watch){.fd = -1, .on_ready = on_agent_readable, .data = agent};
    agent->beat = (struct timer){.on_time = on_agent_beat, .data = agent};
    agent->patience = (struct timer){.on_time = on_agent_impatient, .data = agent};
    agent->heard_ns = loop_now_ns();
    if (loop_arm(agent->loop, &agent->beat, TRIM_MS) < 0)
        return -ENOMEM;
    return loop_watch(agent->loop, &agent->in_watch, spec->in_fd, EPOLLIN);
}

int agent_serve(const struct agent_spec *spec)
{
    struct agent agent = {0};
    struct error err = {0};
    int result;

    agent.loop = loop_create(&err);
    if (!agent.loop) {
        agent_complain(error_message(&err), 0);
        error_finish(&err);
        return 1;
    }
    result = agent_begin(&agent, spec);
    if (result == 0) {
        uplink_send_hello(&agent.uplink, HOOKSFS_VERSION);
        result = loop_run(agent.loop);
    }
    if (result < 0) {
        agent_complain("cannot wait for the connection", -result);
        agent.exit_code = 1;
    }
    agent_await_supervisors();
    runs_finish(&agent.runs);
    loop_unwatch(agent.loop, &agent.in_watch);
    uplink_finish(&agent.uplink);
    buffer_finish(&agent.in);
    loop_destroy(agent.loop);
    return agent.exit_code;
}
