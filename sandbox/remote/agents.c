// SPDX-License-Identifier: Apache-2.0
#include "agents.h"

#include "cleanup.h"
#include "connection.h"
#include "log.h"
#include "mode.h"
#include "remote.h"

#include <errno.h>

enum {
    FIRST_PAUSE_MS = 100, // before a connection that broke is opened again; then doubled
    LONGEST_PAUSE_MS = 30000,
    WANTED_PAUSE_MS = 1000, // the most while a job waits for it
    DECLINED_MS = 60000,    // until a container that cannot take an agent is asked again
};

// Where a connection is, or will be.
struct place {
    struct agents *agents;
    struct connection *connection; // NULL: none now
    uint64_t pause_ms;             // the last one; 0: there was no need
    uint64_t opened_ns;
    struct timer retry;
};

struct agents {
    unsigned references;
    struct loop *loop;
    struct sandbox_config *config;
    const struct agent_settings *settings; // of config
    struct place *places;                  // settings->connections
    struct list waiting;                   // of remotes, in order
    char *reason;                          // why there is no connection; NULL: nothing was tried
    bool is_retired;
    bool is_declined;
    bool is_decline_logged; // since there was a connection
    uint64_t declined_ns;
    struct task end;
};

static void open_place(struct place *place);

static const char *name(const struct agents *agents)
{
    return agents->config->name;
}

// --- Jobs to connections

static struct connection *least_loaded(const struct agents *agents)
{
    struct connection *best = NULL;

    for (unsigned i = 0; i < agents->settings->connections; i++) {
        struct connection *connection = agents->places[i].connection;
        if (connection && connection_is_ready(connection) &&
            (!best || connection_load(connection) < connection_load(best)))
            best = connection;
    }
    return best;
}

static void serve_waiting(struct agents *agents)
{
    struct connection *connection;

    while (!list_is_empty(&agents->waiting) && (connection = least_loaded(agents)))
        connection_add(connection, LIST_ENTRY(agents->waiting.next, struct remote, link));
}

// --- Opening again

static bool is_wanted(const struct agents *agents)
{
    return !list_is_empty(&agents->waiting);
}

static void retry_later(struct place *place)
{
    uint64_t pause = place->pause_ms ? 2 * place->pause_ms : FIRST_PAUSE_MS;

    if (pause > LONGEST_PAUSE_MS)
        pause = LONGEST_PAUSE_MS;
    place->pause_ms = pause;
    if (place->agents->is_retired && !is_wanted(place->agents))
        return;
    if (is_wanted(place->agents) && pause > WANTED_PAUSE_MS)
        pause = WANTED_PAUSE_MS;
    if (loop_arm(place->agents->loop, &place->retry, pause) < 0)
        log_error("sandbox %s: no memory to open a connection again", name(place->agents));
}

static void on_retry(void *data)
{
    open_place(data);
}

// A job waits: no pause may be longer than WANTED_PAUSE_MS now.
static void hurry(struct agents *agents)
{
    uint64_t now = loop_now_ns();

    for (unsigned i = 0; i < agents->settings->connections; i++) {
        struct place *place = &agents->places[i];
        uint64_t age_ms = (now - place->opened_ns) / 1000000;

        if (place->connection)
            continue;
        if (place->opened_ns == 0 || age_ms >= WANTED_PAUSE_MS)
            open_place(place);
        else if (!place->retry.place || place->pause_ms > WANTED_PAUSE_MS)
            loop_arm(agents->loop, &place->retry, WANTED_PAUSE_MS - age_ms);
    }
}

static void set_reason(struct agents *agents, const char *reason)
{
    free(agents->reason);
    agents->reason = strdup(reason);
}

static bool is_news(const struct agents *agents, const char *reason)
{
    return !agents->reason || strcmp(agents->reason, reason) != 0;
}

// --- What becomes of connections

static void on_ready(void *data, const char *version)
{
    struct place *place = data;
    struct agents *agents = place->agents;

    place->pause_ms = 0;
    agents->is_declined = false;
    agents->is_decline_logged = false;
    free(take_ptr(&agents->reason)); // the next one is news, whatever it is
    log_info("sandbox %s: connection %d of %u to the agent is open (%.64s)", name(agents),
             (int)(place - agents->places) + 1, agents->settings->connections, version);
    serve_waiting(agents);
    // Those that were declined before have another try.
    for (unsigned i = 0; i < agents->settings->connections; i++)
        if (!agents->places[i].connection && !agents->places[i].retry.place)
            retry_later(&agents->places[i]);
}

static void decline(struct agents *agents, const char *reason)
{
    if (!agents->is_decline_logged)
        log_warning("sandbox %s: no agent in the container: %s%s", name(agents), reason,
                    agents_may_decline(agents) ? "; each job has a client of its own" : "");
    agents->is_decline_logged = true;
    agents->is_declined = true;
    agents->declined_ns = loop_now_ns();
    set_reason(agents, reason);
    while (!list_is_empty(&agents->waiting)) {
        struct remote *remote = LIST_ENTRY(agents->waiting.next, struct remote, link);
        if (agents_may_decline(agents))
            remote_decline(remote);
        else
            remote_lose(remote, reason);
    }
}

static void on_end(void *data, const char *reason, bool is_declined, struct list *unsent)
{
    struct place *place = data;
    struct agents *agents = place->agents;

    place->connection = NULL;
    list_move_all(&agents->waiting, unsent);
    if (is_declined && !least_loaded(agents)) {
        decline(agents, reason);
        return;
    }
    if (is_news(agents, reason))
        log_warning("sandbox %s: connection %d of %u: %s", name(agents),
                    (int)(place - agents->places) + 1, agents->settings->connections, reason);
    set_reason(agents, reason);
    retry_later(place);
    serve_waiting(agents);
}

static const struct connection_events events = {.on_ready = on_ready, .on_end = on_end};

static void open_place(struct place *place)
{
    struct agents *agents = place->agents;
    struct error err = {0};

    loop_disarm(agents->loop, &place->retry);
    place->opened_ns = loop_now_ns();
    place->connection = connection_create(agents->loop, agents->config, &events, place, &err);
    if (!place->connection) {
        log_warning("sandbox %s: cannot open a connection: %s", name(agents), error_message(&err));
        set_reason(agents, error_message(&err));
        retry_later(place);
    }
    error_finish(&err);
}

// --- For the sandbox

static void on_unused(void *data)
{
    struct agents *agents = data;

    for (unsigned i = 0; i < agents->settings->connections; i++) {
        loop_disarm(agents->loop, &agents->places[i].retry);
        connection_close(agents->places[i].connection);
    }
    free(agents->reason);
    free(agents->places);
    sandbox_config_unref(agents->config);
    free(agents);
}

struct agents *agents_create(struct loop *loop, struct sandbox_config *config)
{
    const struct agent_settings *settings = mode_agent_settings(config);
    struct agents *agents = calloc(1, sizeof *agents);
    struct place *places = calloc(settings->connections, sizeof *places);

    if (!agents || !places) {
        free(agents);
        free(places);
        return NULL;
    }
    *agents = (struct agents){
        .references = 1,
        .loop = loop,
        .config = sandbox_config_ref(config),
        .settings = settings,
        .places = places,
    };
    list_init(&agents->waiting);
    task_init(&agents->end, on_unused, agents);
    for (unsigned i = 0; i < settings->connections; i++) {
        places[i] = (struct place){.agents = agents};
        places[i].retry = (struct timer){.on_time = on_retry, .data = &places[i]};
        if (settings->connect == AGENT_AT_START)
            open_place(&places[i]);
    }
    return agents;
}

struct agents *agents_ref(struct agents *agents)
{
    agents->references++;
    return agents;
}

void agents_unref(struct agents *agents)
{
    if (agents && --agents->references == 0)
        loop_defer(agents->loop, &agents->end);
}

void agents_retire(struct agents *agents)
{
    agents->is_retired = true;
}

bool agents_may_decline(const struct agents *agents)
{
    return agents->settings->use == AGENT_AUTO;
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
    struct remote *remote = remote_create(agents->loop, agents, spec, channel_events, data);

    if (!remote)
        return error_set(err, ENOMEM, "no memory");
    *channel = (struct channel){.ops = &remote_ops, .self = remote};
    if (agents_is_declined(agents) && agents_may_decline(agents))
        remote_decline(remote);
    else if (agents_is_declined(agents))
        remote_lose(remote, agents_reason(agents));
    else {
        list_append(&agents->waiting, &remote->link);
        serve_waiting(agents);
        if (is_wanted(agents))
            hurry(agents);
    }
    return 0;
}

void agents_finish_all(void)
{
    connection_finish_all();
}
