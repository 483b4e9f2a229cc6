// SPDX-License-Identifier: Apache-2.0
#include "connection_parts.h"

#include "cleanup.h"
#include "copy.h"
#include "log.h"
#include "mode.h"
#include "removal.h"
#include "units.h"

#include <errno.h>
#include <signal.h>

enum {
    CLOSE_MS = 2000,            // for the client to end by itself
    CLOSE_CONTAINER_MS = 10000, // the same, for a client that removes a container
    READS_A_TURN = 4,           // then the other descriptors of the loop get their turn
};

// From this number on a connection takes no more jobs. The jobs that have only been chosen
// by then may still get higher numbers.
#define LAST_ID (UINT32_MAX - 1000000)

static struct list closing = {&closing, &closing};
static bool is_finishing; // the loop no longer runs

static void connection_log_state(const struct connection *connection)
{
    static const char *const states[] = {
        [CONNECTION_ENTERS] = "its shell is awaited",
        [CONNECTION_GREETS] = "the greeting of the agent is awaited",
        [CONNECTION_READY] = "is ready",
        [CONNECTION_CLOSING] = "is closed",
    };

    log_debug(DEBUG_CONNECTION, "sandbox %s: connection %u: %s", connection->config->name,
              connection->number, states[connection->state]);
}

void connection_set_state(struct connection *connection, enum connection_state state)
{
    connection->state = state;
    connection_log_state(connection);
}

struct list *connection_bucket(struct connection *connection, uint32_t id)
{
    return &connection->buckets[id % CONNECTION_BUCKETS];
}

void connection_free(struct connection *connection)
{
    list_remove(&connection->link);
    loop_disarm(connection->loop, &connection->timer);
    loop_disarm(connection->loop, &connection->break_timer);
    if (connection->process) {
        process_signal(connection->process, SIGKILL);
        process_destroy(connection->process);
    }
    if (connection->container && connection->process && !connection->has_ended_well &&
        !is_finishing)
        removal_start(connection->loop, connection->config, connection->container);
    free(connection->container);
    bootstrap_finish(&connection->bootstrap);
    inlet_finish(&connection->in);
    late_finish(&connection->late);
    outlet_finish(&connection->out);
    error_finish(&connection->error);
    buffer_finish(&connection->err);
    sandbox_config_unref(connection->config);
    free(connection);
}

// --- The line of its remotes

static struct connection *connection_of(struct line *line)
{
    return (struct connection *)(void *)line;
}

static void connection_send(struct line *line, struct remote *remote)
{
    struct connection *connection = connection_of(line);

    // A remote whose START is framed gets another turn when the START has been sent.
    if (remote->phase != REMOTE_FRAMED && connection->state == CONNECTION_READY)
        outlet_add(&connection->out, remote);
}

static void connection_control(struct line *line, uint32_t job, enum frame_type type,
                               uint32_t number)
{
    outlet_send(&connection_of(line)->out, job, type, number);
}

static void connection_control_later(struct line *line, uint32_t job, enum frame_type type)
{
    outlet_send_later(&connection_of(line)->out, job, type);
}

static void connection_leave(struct line *line, struct remote *remote)
{
    struct connection *connection = connection_of(line);

    list_remove(&remote->turn);
    connection->load--;
    if (remote->phase >= REMOTE_FRAMED && !remote->is_gone)
        late_add(&connection->late, remote->id, remote_late_frames(remote));
}

static const struct line_ops connection_line_ops = {
    .send = connection_send,
    .control = connection_control,
    .control_later = connection_control_later,
    .leave = connection_leave,
};

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
    list_append(connection_bucket(connection, remote->id), &remote->link);
    connection->load++;
    remote_on_chosen(remote, &connection->line);
    connection_send(&connection->line, remote);
}

// --- The outlet's events

static void on_number(void *data, struct remote *remote)
{
    list_remove(&remote->link);
    list_append(connection_bucket(data, remote->id), &remote->link);
}

static void on_failure(void *data, int errnum)
{
    if (errnum == EPIPE) // the client is about to end, and its end says more
        connection_expect_end(data);
    else
        connection_end(data, "no memory for the connection to the agent", CONNECTION_BROKE);
}

static const struct outlet_events outlet_events = {on_number, on_failure};

// --- The client's events

static void on_client_stdin(void *data)
{
    struct connection *connection = data;
    outlet_go_on(&connection->out);
}

static void on_client_output(void *data, enum job_stream stream)
{
    struct connection *connection = data;

    if (stream == JOB_STDOUT)
        connection_receive(connection, READS_A_TURN);
    else
        connection_keep_stderr(connection);
}

static void on_client_exit(void *data, bool is_signaled, int number)
{
    struct connection *connection = data;

    // The last bytes of the agent are still in the pipe, and count.
    while (!process_has_ended(connection->process, JOB_STDOUT) &&
           process_output_size(connection->process, JOB_STDOUT) > 0)
        if (!connection_receive(connection, 1))
            return;
    while (process_output_size(connection->process, JOB_STDERR) > 0)
        connection_keep_stderr(connection);
    connection->has_ended_well =
        connection->state == CONNECTION_CLOSING && !is_signaled && number == 0;
    if (connection->state == CONNECTION_ENTERS || connection->state == CONNECTION_GREETS)
        connection_end_before_greeting(connection, is_signaled, number);
    else
        connection_end_as_broken(connection);
}

static void on_client_unstarted(void *data, enum channel_stage stage, int errnum)
{
    struct connection *connection = data;

    (void)stage;
    connection_end_with(connection, CONNECTION_BROKE, "cannot execute the client: %s",
                        strerror(errnum));
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
        connection_end_as_broken(connection);
    else
        connection_end(connection, "the client closed the connection, and did not end",
                       CONNECTION_BROKE);
}

static uint64_t connection_silence_ms(const struct connection *connection)
{
    return process_output_size(connection->process, JOB_STDOUT) > 0
               ? 0
               : (loop_now_ns() - connection->heard_ns) / 1000000;
}

static void connection_beat(struct connection *connection)
{
    uint64_t left_ms = WIRE_SILENCE_MS - connection_silence_ms(connection);

    connection->pings++;
    outlet_send(&connection->out, 0, FRAME_PING, 0);
    loop_arm(connection->loop, &connection->timer, left_ms < WIRE_BEAT_MS ? left_ms : WIRE_BEAT_MS);
}

static void connection_give_up(struct connection *connection)
{
    char duration[UNITS_TEXT];

    duration_format(mode_agent_settings(connection->config)->connect_timeout_ms, duration);
    connection_end_with(connection, CONNECTION_DOUBTFUL, "there was no answer within %s", duration);
}

static void on_timer(void *data)
{
    struct connection *connection = data;

    if (connection->state == CONNECTION_CLOSING)
        connection_free(connection);
    else if (connection->state != CONNECTION_READY)
        connection_give_up(connection);
    else if (connection_silence_ms(connection) >= WIRE_SILENCE_MS)
        connection_end_with(connection, CONNECTION_BROKE, "the agent was silent for %d s",
                            WIRE_SILENCE_MS / 1000);
    else if (connection->out.next_job >= LAST_ID && connection->load == 0)
        connection_end(connection, "the connection has run out of numbers for jobs",
                       CONNECTION_BROKE);
    else
        connection_beat(connection);
}

// --- Beginning and end

static bool is_mounted(const struct agent_settings *agent)
{
    return !agent->path && agent->way == AGENT_MOUNTED;
}

// Is the agent's file in the container already? Otherwise a shell there receives the agent.
static bool is_there_already(const struct agent_settings *agent)
{
    return agent->path || agent->way == AGENT_MOUNTED;
}

// The words that start the agent in the container.
static int connection_add_argv(const struct connection *connection,
                               const struct agent_settings *agent, struct words *argv)
{
    const char *path = agent->path ? agent->path : ENTRY_AGENT;

    if (!is_there_already(agent))
        return bootstrap_add_argv(&connection->bootstrap, argv);
    return words_append(argv, path) < 0 ? -ENOMEM : words_append(argv, "--serve");
}

static int connection_start_client(struct connection *connection,
                                   const struct agent_settings *agent, struct error *err)
{
    AUTO(words_finish) struct words argv = {0};
    AUTO(launch_finish) struct launch launch = {0};
    AUTO_FREE char *copy = NULL;
    bool has_container = mode_has_container_per_job(connection->config);
    int result = 0;

    if (connection_add_argv(connection, agent, &argv) < 0)
        return error_set(err, ENOMEM, "no memory");
    if (has_container)
        result = launch_name_container(&connection->container, err);
    if (result == 0 && is_mounted(agent))
        result = copy_path(&copy, err);
    if (result < 0)
        return result;
    struct container_entry entry = {.copy = copy};
    if (has_container && !(launch.container = strdup(connection->container)))
        return error_set(err, ENOMEM, "no memory");
    if (launch_prepare_client(&launch, connection->config, &argv, has_container ? &entry : NULL,
                              err) < 0)
        return -ENOMEM;
    struct process_spec spec = {
        .argv = launch.argv.items, .env = launch.env.items, .workdir = launch.workdir};
    connection->process = process_start(connection->loop, &spec, &client_events, connection, err);
    connection->out.process = connection->process;
    return connection->process ? 0 : -err->code;
}

static void connection_init(struct connection *connection, struct loop *loop,
                            const struct agent_settings *agent)
{
    connection->line.ops = &connection_line_ops;
    list_init(&connection->link);
    for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
        list_init(&connection->buckets[i]);
    late_init(&connection->late);
    outlet_init(&connection->out, loop, &outlet_events, connection);
    connection->loop = loop;
    connection->heard_ns = loop_now_ns();
    connection->state = is_there_already(agent) ? CONNECTION_GREETS : CONNECTION_ENTERS;
    connection->timer = (struct timer){.on_time = on_timer, .data = connection};
    connection->break_timer = (struct timer){.on_time = on_break_over, .data = connection};
}

struct connection *connection_create(struct loop *loop, struct sandbox_config *config,
                                     unsigned number, const struct connection_events *events,
                                     void *data, struct error *err)
{
    const struct agent_settings *agent = mode_agent_settings(config);
    struct connection *connection = calloc(1, sizeof *connection);

    if (!connection) {
        error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    connection_init(connection, loop, agent);
    connection->config = sandbox_config_ref(config);
    connection->number = number;
    connection->events = events;
    connection->data = data;
    if (bootstrap_init(&connection->bootstrap, err) < 0 ||
        connection_start_client(connection, agent, err) < 0) {
        connection_free(connection);
        return NULL;
    }
    if (agent->connect_timeout_ms > 0 &&
        loop_arm(loop, &connection->timer, agent->connect_timeout_ms) < 0) {
        error_set(err, ENOMEM, "no memory");
        connection_free(connection);
        return NULL;
    }
    connection_log_state(connection);
    return connection;
}

void connection_close(struct connection *connection)
{
    if (!connection)
        return;
    // The last frames, to kill or to release jobs, go first, if the client takes them.
    outlet_close(&connection->out, connection->state == CONNECTION_READY);
    connection_set_state(connection, CONNECTION_CLOSING);
    list_append(&closing, &connection->link);
    process_end_stdin(connection->process);
    if (loop_arm(connection->loop, &connection->timer,
                 connection->container ? CLOSE_CONTAINER_MS : CLOSE_MS) < 0)
        connection_free(connection);
}

void connection_finish_all(void)
{
    is_finishing = true;
    removal_finish_all();
    while (!list_is_empty(&closing))
        connection_free(LIST_ENTRY(closing.next, struct connection, link));
}
