// SPDX-License-Identifier: Apache-2.0
#include "connection.h"

#include "bootstrap.h"
#include "cleanup.h"
#include "judge.h"
#include "inlet.h"
#include "mode.h"
#include "outlet.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    CONNECT_MS = 10000, // until the agent has greeted
    CLOSE_MS = 2000,    // for the client to end by itself
    BREAK_MS = 200,     // for the client to say why, after it has closed a stream
    BUCKETS = 256,
    STDERR_TAIL = 4096,
    AT_ONCE = 64 * 1024, // bytes read from the client
    READS_A_TURN = 4,    // then others on the loop get theirs
};

// Then it takes no more jobs; those that wait for their turn may get higher ones.
#define LAST_ID (UINT32_MAX - 1000000)

enum connection_state {
    CONNECTION_ENTERS, // the script speaks
    CONNECTION_GREETS, // HELLO is due
    CONNECTION_READY,
    CONNECTION_CLOSING, // on our part, and nobody knows it any more
};

struct connection {
    struct list link; // in closing
    struct loop *loop;
    struct sandbox_config *config;
    const struct connection_events *events;
    void *data;
    enum connection_state state;
    struct bootstrap bootstrap;
    struct process *process;
    struct inlet in;
    struct error error; // why it must end
    struct outlet out;
    struct buffer err;            // the end of what the client said
    struct list buckets[BUCKETS]; // of remotes
    unsigned load;
    uint64_t heard_ns;  // when something came last
    struct timer timer; // until the greeting; then the beat; then until the client ends
    struct timer break_timer;
};

static struct list closing = {&closing, &closing};

static struct list *bucket(struct connection *connection, uint32_t id)
{
    return &connection->buckets[id % BUCKETS];
}

static void free_connection(struct connection *connection)
{
    list_remove(&connection->link);
    loop_disarm(connection->loop, &connection->timer);
    loop_disarm(connection->loop, &connection->break_timer);
    if (connection->process) {
        process_signal(connection->process, SIGKILL);
        process_destroy(connection->process);
    }
    bootstrap_finish(&connection->bootstrap);
    inlet_finish(&connection->in);
    outlet_finish(&connection->out);
    error_finish(&connection->error);
    buffer_finish(&connection->err);
    sandbox_config_unref(connection->config);
    free(connection);
}

// --- Its end

static void end_remote(struct remote *remote, const char *reason, struct list *unsent)
{
    // One that was to be ended does not begin elsewhere.
    if (remote->phase == REMOTE_SENT || remote->is_signaled) {
        remote_lose(remote, reason);
        return;
    }
    remote_reset(remote);
    list_append(unsent, &remote->link);
}

// The last thing that is done with a connection, from the loop.
static void end(struct connection *connection, const char *reason, bool is_declined)
{
    struct list unsent;

    list_init(&unsent);
    if (connection->state == CONNECTION_CLOSING) {
        free_connection(connection);
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++)
        while (!list_is_empty(&connection->buckets[i]))
            end_remote(LIST_ENTRY(connection->buckets[i].next, struct remote, link), reason,
                       &unsent);
    connection->events->on_end(connection->data, reason, is_declined, &unsent);
    free_connection(connection);
}

__attribute__((format(printf, 3, 4))) static void
end_with(struct connection *connection, bool is_declined, const char *format, ...)
{
    AUTO_FREE char *reason = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&reason, format, args) < 0)
        reason = NULL;
    va_end(args);
    end(connection, reason ? reason : "no memory", is_declined);
}

// The client ended before there was an agent: the mode knows what that means.
static void end_before_greeting(struct connection *connection, bool is_signaled, int number)
{
    struct ending ending = {
        .is_signaled = is_signaled,
        .number = number,
        .err = connection->err.data ? connection->err.data : "",
        .err_length = connection->err.length,
        .out = "",
    };
    AUTO(outcome_finish) struct outcome outcome = {0};
    size_t stripped = mode_of(connection->config->mode)->judge(&ending, &outcome);
    const char *what = connection->state == CONNECTION_ENTERS ? "the shell" : "the agent";
    size_t length = 0;
    const char *line = judge_last_line(ending.err, ending.err_length - stripped, &length);
    const char *colon = length > 0 ? ": " : "";

    if (outcome.kind == OUTCOME_UNSTARTED)
        end_with(connection, true, "%s", outcome.detail);
    else if (outcome.kind == OUTCOME_EXITED && outcome.code != 0) // killed: that may pass
        end_with(connection, outcome.code <= CODE_SIGNALED, "%s there ended with %d%s%.*s", what,
                 outcome.code, colon, (int)length, line);
    else if (outcome.kind == OUTCOME_EXITED)
        end_with(connection, false, "the connection broke before %s had answered%s%.*s", what,
                 colon, (int)length, line);
    else
        end_with(connection, false, "%s", outcome.detail ? outcome.detail : "it cannot be reached");
}

static void end_as_broken(struct connection *connection)
{
    size_t length;
    const char *line = judge_last_line(connection->err.data ? connection->err.data : "",
                                        connection->err.length, &length);

    end_with(connection, false, "the connection to the agent broke%s%.*s", length > 0 ? ": " : "",
             (int)length, line);
}

// The client has closed a stream: its exit comes next, and says why.
static void expect_end(struct connection *connection)
{
    if (!connection->break_timer.place)
        loop_arm(connection->loop, &connection->break_timer, BREAK_MS);
}

// --- Sending

static void on_number(void *data, struct remote *remote)
{
    list_remove(&remote->link);
    list_append(bucket(data, remote->id), &remote->link);
}

static void on_failure(void *data, int errnum)
{
    if (errnum == EPIPE) // it is about to end, and says more by that
        expect_end(data);
    else
        end(data, "no memory for the connection to the agent", false);
}

static const struct outlet_events outlet_events = {on_number, on_failure};

static void on_client_stdin(void *data)
{
    struct connection *connection = data;
    outlet_go_on(&connection->out);
}

void connection_send(struct connection *connection, struct remote *remote)
{
    // One whose START is framed gets another turn once that is sent.
    if (remote->phase != REMOTE_FRAMED && connection->state == CONNECTION_READY)
        outlet_add(&connection->out, remote);
}

void connection_control(struct connection *connection, uint32_t job, enum frame_type type,
                        uint32_t number)
{
    outlet_send(&connection->out, job, type, number);
}

void connection_control_later(struct connection *connection, uint32_t job, enum frame_type type)
{
    outlet_send_later(&connection->out, job, type);
}

// --- Receiving

static struct remote *find(struct connection *connection, uint32_t id)
{
    struct list *head = bucket(connection, id);

    for (struct list *link = head->next; link != head; link = link->next) {
        struct remote *remote = LIST_ENTRY(link, struct remote, link);
        if (remote->id == id)
            return remote;
    }
    return NULL;
}

// Returns 0, or -errno with the error set; -EPROTO when it will never be otherwise.
static int greet(struct connection *connection, const struct frame *frame)
{
    struct error *err = &connection->error;
    AUTO_FREE char *version = NULL;
    uint32_t number;
    const char *text;
    size_t length;

    if (frame->type != FRAME_HELLO || !frame_parse_hello(frame, &number, &text, &length))
        return error_set(err, EPROTO, "what answers there is no agent of hooksfs");
    version = strndup(text, length);
    if (!version)
        return error_set(err, ENOMEM, "no memory");
    if (number != WIRE_VERSION)
        return error_set(err, EPROTO,
                         "the agent there, %s, speaks version %u of the protocol, and this "
                         "hooksfs speaks %d; use agents of one make",
                         version, number, WIRE_VERSION);
    connection->state = CONNECTION_READY;
    loop_arm(connection->loop, &connection->timer, WIRE_BEAT_MS);
    connection->events->on_ready(connection->data, version);
    return 0;
}

static int take_frame(void *data, const struct frame *frame)
{
    struct connection *connection = data;
    struct remote *remote;

    if (connection->state == CONNECTION_GREETS)
        return greet(connection, frame);
    if (frame->type == FRAME_PONG)
        return 0;
    // One that was released may still have been spoken of.
    remote = frame->type == FRAME_HELLO ? NULL : find(connection, frame->job);
    if (remote)
        return remote_receive(remote, frame);
    return frame->type == FRAME_HELLO || frame->job >= connection->out.next_job ? -EBADMSG : 0;
}

// Returns 0, -ENOMEM, or another -errno with the error set; -EPROTO as greet.
static int take_bytes(struct connection *connection, const char *bytes, size_t size)
{
    struct error *err = &connection->error;
    ssize_t used = 0;
    int result;

    if (connection->state == CONNECTION_ENTERS) {
        used = bootstrap_take(&connection->bootstrap, bytes, size, &connection->out.bytes, err);
        if (used < 0)
            return (int)used;
        if (connection->bootstrap.is_done)
            connection->state = CONNECTION_GREETS;
        outlet_flush(&connection->out);
    }
    result =
        inlet_receive(&connection->in, bytes + used, size - (size_t)used, take_frame, connection);
    if (result == -EBADMSG && connection->state == CONNECTION_GREETS)
        return error_set(err, EPROTO, "what answers there is no agent of hooksfs");
    if (result == -EBADMSG)
        return error_set(err, EBADMSG, "the agent does not keep to the protocol");
    return result;
}

// Reads up to LIMIT pieces. Returns whether the connection is still there.
static bool receive(struct connection *connection, int limit)
{
    static char bytes[AT_ONCE];
    ssize_t count = 1;
    int result = 0;

    for (int i = 0; i < limit && count > 0 && result == 0; i++) {
        count = process_read(connection->process, JOB_STDOUT, bytes, sizeof bytes);
        if (count > 0 && connection->state != CONNECTION_CLOSING) {
            connection->heard_ns = loop_now_ns();
            result = take_bytes(connection, bytes, (size_t)count);
        }
    }
    if (result < 0) {
        if (result == -ENOMEM)
            error_set(&connection->error, ENOMEM, "no memory");
        end(connection, error_message(&connection->error), result == -EPROTO);
        return false;
    }
    if (count == 0)
        expect_end(connection);
    return true;
}

static void keep_stderr(struct connection *connection)
{
    char bytes[STDERR_TAIL];
    ssize_t count = process_read(connection->process, JOB_STDERR, bytes, sizeof bytes);
    struct buffer *err = &connection->err;

    if (count > 0 && buffer_append(err, bytes, (size_t)count) == 0 && err->length > STDERR_TAIL)
        buffer_drop(err, err->length - STDERR_TAIL);
}

static void on_client_output(void *data, enum job_stream stream)
{
    struct connection *connection = data;

    if (stream == JOB_STDOUT)
        receive(connection, READS_A_TURN);
    else
        keep_stderr(connection);
}

static void on_client_exit(void *data, bool is_signaled, int number)
{
    struct connection *connection = data;

    // What the agent has said is true, also when it was the last that came.
    while (!process_has_ended(connection->process, JOB_STDOUT) &&
           process_output_size(connection->process, JOB_STDOUT) > 0)
        if (!receive(connection, 1))
            return;
    while (process_output_size(connection->process, JOB_STDERR) > 0)
        keep_stderr(connection);
    if (connection->state == CONNECTION_ENTERS || connection->state == CONNECTION_GREETS)
        end_before_greeting(connection, is_signaled, number);
    else
        end_as_broken(connection);
}

static void on_client_unstarted(void *data, enum channel_stage stage, int errnum)
{
    struct connection *connection = data;

    (void)stage;
    end_with(connection, false, "cannot execute the client: %s", strerror(errnum));
}

static const struct channel_events client_events = {
    .on_unstarted = on_client_unstarted,
    .on_stdin = on_client_stdin,
    .on_output = on_client_output,
    .on_exit = on_client_exit,
};

// --- Time

static void on_break_over(void *data)
{
    struct connection *connection = data;

    if (connection->state == CONNECTION_READY || connection->state == CONNECTION_CLOSING)
        end_as_broken(connection);
    else
        end(connection, "the client closed the connection, and did not end", false);
}

static uint64_t silent_ms(const struct connection *connection)
{
    return process_output_size(connection->process, JOB_STDOUT) > 0
               ? 0
               : (loop_now_ns() - connection->heard_ns) / 1000000;
}

static void beat(struct connection *connection)
{
    uint64_t left_ms = WIRE_SILENCE_MS - silent_ms(connection);

    connection_control(connection, 0, FRAME_PING, 0);
    loop_arm(connection->loop, &connection->timer, left_ms < WIRE_BEAT_MS ? left_ms : WIRE_BEAT_MS);
}

static void on_timer(void *data)
{
    struct connection *connection = data;

    if (connection->state == CONNECTION_CLOSING)
        free_connection(connection);
    else if (connection->state != CONNECTION_READY)
        end_with(connection, false, "there was no answer within %d s", CONNECT_MS / 1000);
    else if (silent_ms(connection) >= WIRE_SILENCE_MS)
        end_with(connection, false, "the agent was silent for %d s", WIRE_SILENCE_MS / 1000);
    else if (connection->out.next_job >= LAST_ID && connection->load == 0)
        end(connection, "the connection has run out of numbers for jobs", false);
    else
        beat(connection);
}

// --- Its beginning

static int start_client(struct connection *connection, const struct agent_settings *agent,
                        struct error *err)
{
    AUTO(words_finish) struct words argv = {0};
    AUTO(launch_finish) struct launch launch = {0};
    int result = agent->path ? words_append(&argv, agent->path)
                             : bootstrap_add_argv(&connection->bootstrap, &argv);

    if (result == 0 && agent->path)
        result = words_append(&argv, "--serve");
    if (result < 0)
        return error_set(err, ENOMEM, "no memory");
    if (launch_prepare_client(&launch, connection->config, &argv, err) < 0)
        return -ENOMEM;
    struct process_spec spec = {
        .argv = launch.argv.items, .env = launch.env.items, .workdir = launch.workdir};
    connection->process = process_start(connection->loop, &spec, &client_events, connection, err);
    connection->out.process = connection->process;
    return connection->process ? 0 : -err->code;
}

struct connection *connection_create(struct loop *loop, struct sandbox_config *config,
                                     const struct connection_events *events, void *data,
                                     struct error *err)
{
    const struct agent_settings *agent = mode_agent_settings(config);
    struct connection *connection = calloc(1, sizeof *connection);

    if (!connection) {
        error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    list_init(&connection->link);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&connection->buckets[i]);
    outlet_init(&connection->out, loop, &outlet_events, connection);
    connection->loop = loop;
    connection->config = sandbox_config_ref(config);
    connection->events = events;
    connection->data = data;
    connection->heard_ns = loop_now_ns();
    connection->state = agent->path ? CONNECTION_GREETS : CONNECTION_ENTERS;
    connection->timer = (struct timer){.on_time = on_timer, .data = connection};
    connection->break_timer = (struct timer){.on_time = on_break_over, .data = connection};
    if (bootstrap_init(&connection->bootstrap, err) < 0 ||
        start_client(connection, agent, err) < 0) {
        free_connection(connection);
        return NULL;
    }
    if (loop_arm(loop, &connection->timer, CONNECT_MS) < 0) {
        error_set(err, ENOMEM, "no memory");
        free_connection(connection);
        return NULL;
    }
    return connection;
}

void connection_close(struct connection *connection)
{
    if (!connection)
        return;
    // What was said last, to kill or to release, goes first, if the client takes it.
    outlet_close(&connection->out, connection->state == CONNECTION_READY);
    connection->state = CONNECTION_CLOSING;
    list_append(&closing, &connection->link);
    process_end_stdin(connection->process);
    if (loop_arm(connection->loop, &connection->timer, CLOSE_MS) < 0)
        free_connection(connection);
}

void connection_finish_all(void)
{
    while (!list_is_empty(&closing))
        free_connection(LIST_ENTRY(closing.next, struct connection, link));
}

// --- Remotes

bool connection_is_ready(const struct connection *connection)
{
    return connection->state == CONNECTION_READY && connection->out.next_job < LAST_ID;
}

unsigned connection_load(const struct connection *connection)
{
    return connection->load;
}

void connection_add(struct connection *connection, struct remote *remote)
{
    list_remove(&remote->link);
    remote->connection = connection;
    list_append(bucket(connection, remote->id), &remote->link);
    connection->load++;
    remote_on_chosen(remote);
    connection_send(connection, remote);
}

void connection_remove(struct connection *connection, struct remote *remote)
{
    list_remove(&remote->turn);
    connection->load--;
}
