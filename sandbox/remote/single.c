// SPDX-License-Identifier: Apache-2.0
#include "single.h"

#include "connection.h"

#include <errno.h>
#include <stdlib.h>

struct single {
    struct lines lines; // the first member
    struct loop *loop;
    struct connection *connection; // NULL: the connection has ended
    struct remote *remote;         // NULL: the job has destroyed it
    struct task end;
};

static const char *single_why_none(const struct lines *lines)
{
    (void)lines;
    return "the agent in the new container has not answered yet";
}

static void on_single_end(void *data)
{
    struct single *single = data;

    connection_close(single->connection);
    free(single);
}

// The job has destroyed its channel, perhaps during a call of the connection.
static void on_remote_gone(struct lines *lines)
{
    struct single *single = (struct single *)(void *)lines;

    single->remote = NULL;
    loop_defer(single->loop, &single->end);
}

static void on_ready(void *data, const char *version)
{
    struct single *single = data;

    (void)version;
    if (single->remote)
        connection_add(single->connection, single->remote);
}

static void on_end(void *data, const char *reason, enum connection_verdict verdict,
                   struct list *unsent)
{
    struct single *single = data;
    struct remote *remote = single->remote;

    (void)verdict;
    (void)unsent; // can only have the remote
    single->connection = NULL;
    if (remote && remote->phase == REMOTE_WAITS) {
        list_remove(&remote->link);
        remote_lose(remote, reason);
    }
}

static const struct connection_events events = {.on_ready = on_ready, .on_end = on_end};

int single_open(struct loop *loop, struct sandbox_config *config, struct channel *channel,
                const struct remote_spec *spec, const struct channel_events *channel_events,
                void *data, struct error *err)
{
    struct single *single = calloc(1, sizeof *single);
    struct error reason = {0};

    if (!single)
        return error_set(err, ENOMEM, "no memory");
    single->lines = (struct lines){.why_none = single_why_none, .on_remote_gone = on_remote_gone};
    single->loop = loop;
    task_init(&single->end, on_single_end, single);
    single->remote = remote_create(loop, &single->lines, spec, channel_events, data);
    if (!single->remote) {
        free(single);
        return error_set(err, ENOMEM, "no memory");
    }
    *channel = (struct channel){.ops = &remote_ops, .self = single->remote};
    single->connection = connection_create(loop, config, 1, &events, single, &reason);
    if (!single->connection)
        remote_lose(single->remote, error_message(&reason));
    error_finish(&reason);
    return 0;
}
