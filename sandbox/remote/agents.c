// SPDX-License-Identifier: Apache-2.0
#include "agents.h"

#include "cleanup.h"
#include "connection.h"
#include "log.h"
#include "mode.h"

#include <errno.h>

enum {
    FIRST_PAUSE_MS = 100, // before a broken connection is opened again; then it doubles
    LONGEST_PAUSE_MS = 30000,
    WANTED_PAUSE_MS = 1000, // the longest pause while a job waits
    DECLINED_MS = 60000,    // until a container that cannot take an agent is tried again
};

// A seat has one connection, or waits to open the next.
struct seat {
    struct agents *agents;
    struct connection *connection; // NULL: none now
    uint64_t pause_ms;             // the last pause; 0: none was needed
    uint64_t opened_ns;
    struct timer retry;
};

struct agents {
    struct lines lines; // the first member
    struct loop *loop;
    struct sandbox_config *config;
    const struct agent_settings *settings; // of config
    struct seat *seats;                    // settings->connections
    struct list waiting;                   // of remotes, in order
    char *reason;                          // why there is no connection; NULL: none was tried
    bool is_retired;
    bool is_declined;
    bool is_decline_logged; // since the last connection
    uint64_t declined_ns;
    struct task end;
};

static void seat_open(struct seat *seat);

static const char *agents_name(const struct agents *agents)
{
    return agents->config->name;
}

// For the log: seats are counted from 1.
static unsigned seat_number(const struct seat *seat)
{
    return (unsigned)(seat - seat->agents->seats) + 1;
}

// --- Jobs to connections

static struct connection *agents_least_loaded(const struct agents *agents)
{
    struct connection *best = NULL;

    for (unsigned i = 0; i < agents->settings->connections; i++) {
        struct connection *connection = agents->seats[i].connection;
        if (connection && connection_is_ready(connection) &&
            (!best || connection_load(connection) < connection_load(best)))
            best = connection;
    }
    return best;
}

static void agents_serve_waiting(struct agents *agents)
{
    struct connection *connection;

    while (!list_is_empty(&agents->waiting) && (connection = agents_least_loaded(agents)))
        connection_add(connection, LIST_ENTRY(agents->waiting.next, struct remote, link));
}

// --- Opening again

// Does a job wait? A standby can wait longer: nobody waits for it.
static bool agents_is_wanted(const struct agents *agents)
{
    for (const struct list *link = agents->waiting.next; link != &agents->waiting;
         link = link->next)
        if (!LIST_ENTRY(link, struct remote, link)->spec.is_standby)
            return true;
    return false;
}

static void seat_retry_later(struct seat *seat)
{
    uint64_t pause = seat->pause_ms ? 2 * seat->pause_ms : FIRST_PAUSE_MS;

    if (pause > LONGEST_PAUSE_MS)
        pause = LONGEST_PAUSE_MS;
    seat->pause_ms = pause;
    if (seat->agents->is_retired && !agents_is_wanted(seat->agents))
        return;
    if (agents_is_wanted(seat->agents) && pause > WANTED_PAUSE_MS)
        pause = WANTED_PAUSE_MS;
    log_debug(DEBUG_CONNECTION, "sandbox %s: connection %u: is opened again in %ju ms",
              agents_name(seat->agents), seat_number(seat), (uintmax_t)pause);
    if (loop_arm(seat->agents->loop, &seat->retry, pause) < 0)
        log_error("sandbox %s: no memory to open a connection again", agents_name(seat->agents));
}

static void on_retry(void *data)
{
    seat_open(data);
}

// A job waits: from now on no pause may be longer than WANTED_PAUSE_MS.
static void agents_hurry(struct agents *agents)
{
    uint64_t now = loop_now_ns();

    for (unsigned i = 0; i < agents->settings->connections; i++) {
        struct seat *seat = &agents->seats[i];
        uint64_t age_ms = (now - seat->opened_ns) / 1000000;

        if (seat->connection)
            continue;
        if (seat->opened_ns == 0 || age_ms >= WANTED_PAUSE_MS)
            seat_open(seat);
        else if (!timer_is_armed(&seat->retry) || seat->pause_ms > WANTED_PAUSE_MS)
            loop_arm(agents->loop, &seat->retry, WANTED_PAUSE_MS - age_ms);
    }
}

// Was a connection opened before?
static bool agents_was_opened(const struct agents *agents)
{
    for (unsigned i = 0; i < agents->settings->connections; i++)
        if (agents->seats[i].opened_ns > 0)
            return true;
    return false;
}

static void agents_set_reason(struct agents *agents, const char *reason)
{
    free(agents->reason);
    agents->reason = strdup(reason);
}

static bool agents_is_news(const struct agents *agents, const char *reason)
{
    return !agents->reason || strcmp(agents->reason, reason) != 0;
}

// --- The connections' events

static void on_ready(void *data, const char *version)
{
    struct seat *seat = data;
    struct agents *agents = seat->agents;

    seat->pause_ms = 0;
    agents->is_declined = false;
    agents->is_decline_logged = false;
    free(take_ptr(&agents->reason)); // so the next reason is logged, even the same
    log_info("sandbox %s: connection %u of %u to the agent is open (%.64s)", agents_name(agents),
             seat_number(seat), agents->settings->connections, version);
    agents_serve_waiting(agents);
    // The seats that were declined before try again.
    for (unsigned i = 0; i < agents->settings->connections; i++)
        if (!agents->seats[i].connection && !timer_is_armed(&agents->seats[i].retry))
            seat_retry_later(&agents->seats[i]);
}

static void agents_decline(struct agents *agents, const char *reason)
{
    if (!agents->is_decline_logged)
        log_warning("sandbox %s: no agent in the container: %s%s", agents_name(agents), reason,
                    agents_may_decline(agents) ? "; each job has a client of its own" : "");
    agents->is_decline_logged = true;
    agents->is_declined = true;
    agents->declined_ns = loop_now_ns();
    agents_set_reason(agents, reason);
    while (!list_is_empty(&agents->waiting)) {
        struct remote *remote = LIST_ENTRY(agents->waiting.next, struct remote, link);
        if (agents_may_decline(agents))
            remote_decline(remote);
        else
            remote_lose(remote, reason);
    }
}

static void on_end(void *data, const char *reason, enum connection_verdict verdict,
                   struct list *unsent)
{
    struct seat *seat = data;
    struct agents *agents = seat->agents;
    bool is_declined = verdict == CONNECTION_IMPOSSIBLE ||
                       (verdict == CONNECTION_DOUBTFUL && agents_may_decline(agents));

    seat->connection = NULL;
    list_move_all(&agents->waiting, unsent);
    if (is_declined && !agents_least_loaded(agents)) {
        agents_decline(agents, reason);
        return;
    }
    if (agents_is_news(agents, reason))
        log_warning("sandbox %s: connection %u of %u: %s", agents_name(agents), seat_number(seat),
                    agents->settings->connections, reason);
    agents_set_reason(agents, reason);
    seat_retry_later(seat);
    agents_serve_waiting(agents);
}

static const struct connection_events events = {.on_ready = on_ready, .on_end = on_end};

static void seat_open(struct seat *seat)
{
    struct agents *agents = seat->agents;
    struct error err = {0};

    loop_disarm(agents->loop, &seat->retry);
    seat->opened_ns = loop_now_ns();
    log_debug(DEBUG_CONNECTION, "sandbox %s: connection %u: opens", agents_name(agents),
              seat_number(seat));
    seat->connection =
        connection_create(agents->loop, agents->config, seat_number(seat), &events, seat, &err);
    if (!seat->connection) {
        log_warning("sandbox %s: cannot open a connection: %s", agents_name(agents),
                    error_message(&err));
        agents_set_reason(agents, error_message(&err));
        seat_retry_later(seat);
    }
    error_finish(&err);
}

// --- For the sandbox

static void on_agents_end(void *data)
{
    struct agents *agents = data;

    for (unsigned i = 0; i < agents->settings->connections; i++) {
        loop_disarm(agents->loop, &agents->seats[i].retry);
        connection_close(agents->seats[i].connection);
    }
    free(agents->reason);
    free(agents->seats);
    sandbox_config_unref(agents->config);
    free(agents);
}

static const char *agents_why_none(const struct lines *lines)
{
    return agents_reason((const struct agents *)(const void *)lines);
}

struct agents *agents_create(struct loop *loop, struct sandbox_config *config)
{
    const struct agent_settings *settings = mode_agent_settings(config);
    struct agents *agents = calloc(1, sizeof *agents);
    struct seat *seats = calloc(settings->connections, sizeof *seats);

    if (!agents || !seats) {
        free(agents);
        free(seats);
        return NULL;
    }
    *agents = (struct agents){
        .lines = {.may_decline = settings->use == AGENT_AUTO, .why_none = agents_why_none},
        .loop = loop,
        .config = sandbox_config_ref(config),
        .settings = settings,
        .seats = seats,
    };
    list_init(&agents->waiting);
    task_init(&agents->end, on_agents_end, agents);
    for (unsigned i = 0; i < settings->connections; i++) {
        seats[i] = (struct seat){.agents = agents};
        seats[i].retry = (struct timer){.on_time = on_retry, .data = &seats[i]};
        if (settings->connect == AGENT_AT_START)
            seat_open(&seats[i]);
    }
    return agents;
}

void agents_destroy(struct agents *agents)
{
    loop_defer(agents->loop, &agents->end);
}

void agents_retire(struct agents *agents)
{
    agents->is_retired = true;
}

bool agents_may_decline(const struct agents *agents)
{
    return agents->lines.may_decline;
}

bool agents_is_declined(struct agents *agents)
{
    if (agents->is_declined &&
        loop_now_ns() - agents->declined_ns > (uint64_t)DECLINED_MS * 1000000)
        agents->is_declined = false;
    return agents->is_declined;
}

const char *agents_reason(const struct agents *agents)
{
    return agents->reason ? agents->reason : "there is no connection to an agent";
}

int agents_open(struct agents *agents, struct channel *channel, const struct remote_spec *spec,
                const struct channel_events *channel_events, void *data, struct error *err)
{
    struct remote *remote = remote_create(agents->loop, &agents->lines, spec, channel_events, data);

    if (!remote)
        return error_set(err, ENOMEM, "no memory");
    *channel = (struct channel){.ops = &remote_ops, .self = remote};
    if (agents_is_declined(agents) && agents_may_decline(agents))
        remote_decline(remote);
    else if (agents_is_declined(agents))
        remote_lose(remote, agents_reason(agents));
    else {
        list_append(&agents->waiting, &remote->link);
        agents_serve_waiting(agents);
        if (agents_is_wanted(agents) || !agents_was_opened(agents))
            agents_hurry(agents);
    }
    return 0;
}

void agents_finish_all(void)
{
    connection_finish_all();
}
