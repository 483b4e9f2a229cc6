// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include "cleanup.h"
#include "job.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/wait.h>

enum {
    // More than malloc takes from the heap: a new supervisor can give it back.
    INPUT_SIZE = 256 * 1024,
    PATIENCE_MS = 1000, // with supervisors, at the end
    TRIM_MS = 2000,
    NS_PER_MS = 1000000,
};

struct server {
    struct loop *loop;
    struct connection connection;
    struct jobs jobs;
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

static void on_impatient(void *data)
{
    struct server *server = data;
    loop_stop(server->loop);
}

static void complain(const char *what, int errnum)
{
    dprintf(STDERR_FILENO, "hooksfs-agent: %s%s%s\n", what, errnum ? ": " : "",
            errnum ? strerror(errnum) : "");
}

static void end(struct server *server, int exit_code)
{
    server->is_ending = true;
    server->exit_code = exit_code;
    loop_unwatch(server->loop, &server->in_watch);
    loop_disarm(server->loop, &server->beat);
    if (loop_arm(server->loop, &server->patience, PATIENCE_MS) < 0)
        loop_stop(server->loop);
    jobs_end(&server->jobs);
}

static void give_up(struct server *server, const char *what, int errnum)
{
    if (server->is_ending)
        return;
    complain(what, errnum);
    end(server, 1);
}

static void on_broken(void *data, int errnum)
{
    give_up(data, "cannot write to the connection", errnum);
}

// Supervisors that have been sent away are reaped by themselves, a moment later. A
// container's first process may not do it for us.
static void await_supervisors(void)
{
    for (int i = 0; i < 50 && waitpid(-1, NULL, WNOHANG) == 0; i++)
        usleep(1000);
}

// --- Frames

static int handle(struct server *server, const struct frame *frame)
{
    struct job *job;

    if (frame->type == FRAME_PING) {
        connection_send_now(&server->connection, 0, FRAME_PONG, NULL, 0);
        return 0;
    }
    if (frame->type == FRAME_START) {
        if (frame->job != server->last_job + 1)
            return -EBADMSG;
        server->last_job = frame->job;
        job_start(&server->jobs, frame);
        return 0;
    }
    if (frame->job > server->last_job)
        return -EBADMSG;
    job = job_find(&server->jobs, frame->job);
    return job ? job_receive(job, frame) : 0;
}

static void refuse(struct server *server, const struct frame *frame, int errnum)
{
    char what[80];

    snprintf(what, sizeof what, "a frame of type %d about job %u", (int)frame->type,
             (unsigned)frame->job);
    give_up(server, errnum == EBADMSG && !frame->type ? "no frame" : what, errnum);
}

static void handle_all(struct server *server)
{
    size_t used = 0;

    while (!server->is_ending) {
        struct frame frame = {0};
        ssize_t length =
            frame_parse(server->in.data + used, server->in.length - used, FROM_DAEMON, &frame);
        int result;
        if (length == 0)
            break;
        result = length < 0 ? (int)length : handle(server, &frame);
        if (result < 0)
            refuse(server, &frame, -result);
        used += length > 0 ? (size_t)length : 0;
    }
    buffer_drop(&server->in, used);
}

static void on_readable(void *data, uint32_t events)
{
    struct server *server = data;
    struct buffer *in = &server->in;
    ssize_t count;

    (void)events;
    if (buffer_reserve(in, in->capacity ? 1 : INPUT_SIZE) < 0) {
        give_up(server, "input", ENOMEM);
        return;
    }
    count = read(server->in_watch.fd, in->data + in->length, in->capacity - in->length);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR)
            give_up(server, "cannot read from the connection", errno);
        return;
    }
    if (count == 0) {
        end(server, 0);
        return;
    }
    server->heard_ns = loop_now_ns();
    in->length += (size_t)count;
    handle_all(server);
}

// Looks after the silence, and after memory that is not needed all the time.
static void on_beat(void *data)
{
    struct server *server = data;
    uint64_t silence_ms = (loop_now_ns() - server->heard_ns) / NS_PER_MS;
    uint64_t left_ms = silence_ms < WIRE_SILENCE_MS ? WIRE_SILENCE_MS - silence_ms : 0;

    if (left_ms == 0) {
        give_up(server, "the daemon has been silent for too long", 0);
        return;
    }
    connection_trim(&server->connection);
    jobs_trim(&server->jobs);
    if (server->in.length == 0)
        buffer_finish(&server->in);
    if (loop_arm(server->loop, &server->beat, left_ms < TRIM_MS ? left_ms : TRIM_MS) < 0)
        give_up(server, "timer", ENOMEM);
}

// --- Beginning

static void forget(void *data)
{
    struct server *server = data;

    buffer_finish(&server->in);
    buffer_finish(&server->connection.out);
}

static void on_none(void *data)
{
    struct server *server = data;
    loop_stop(server->loop);
}

static int begin(struct server *server, const struct server_spec *spec)
{
    connection_init(&server->connection, server->loop, spec->out_fd, on_broken, server);
    server->jobs = (struct jobs){
        .loop = server->loop,
        .connection = &server->connection,
        .own_env = spec->env,
        .descriptors = spec->descriptors,
        .forget = forget,
        .on_none = on_none,
        .data = server,
    };
    jobs_init(&server->jobs);
    server->in_watch = (struct watch){.fd = -1, .on_ready = on_readable, .data = server};
    server->beat = (struct timer){.on_time = on_beat, .data = server};
    server->patience = (struct timer){.on_time = on_impatient, .data = server};
    server->heard_ns = loop_now_ns();
    if (loop_arm(server->loop, &server->beat, TRIM_MS) < 0)
        return -ENOMEM;
    return loop_watch(server->loop, &server->in_watch, spec->in_fd, EPOLLIN);
}

int server_run(const struct server_spec *spec)
{
    struct server server = {0};
    struct error err = {0};
    int result;

    server.loop = loop_create(&err);
    if (!server.loop) {
        complain(error_message(&err), 0);
        error_finish(&err);
        return 1;
    }
    result = begin(&server, spec);
    if (result == 0) {
        connection_send_hello(&server.connection, HOOKSFS_VERSION);
        result = loop_run(server.loop);
    }
    if (result < 0) {
        complain("cannot wait for the connection", -result);
        server.exit_code = 1;
    }
    await_supervisors();
    jobs_finish(&server.jobs);
    loop_unwatch(server.loop, &server.in_watch);
    connection_finish(&server.connection);
    buffer_finish(&server.in);
    loop_destroy(server.loop);
    return server.exit_code;
}
