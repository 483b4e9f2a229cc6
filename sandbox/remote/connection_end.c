// SPDX-License-Identifier: Apache-2.0
// The end of a connection, and the reason for it in words.
#include "connection_parts.h"

#include "cleanup.h"
#include "judge.h"
#include "log.h"
#include "mode.h"

#include <stdarg.h>
#include <stdio.h>

enum { BREAK_MS = 200 }; // for the client to end, after it has closed a stream

static void end_remote(struct remote *remote, const char *reason, struct list *unsent)
{
    // A remote that was signaled does not begin again elsewhere.
    if (remote->phase == REMOTE_SENT || remote->is_signaled) {
        remote_lose(remote, reason);
        return;
    }
    remote_reset(remote);
    list_append(unsent, &remote->link);
}

void connection_end(struct connection *connection, const char *reason,
                    enum connection_verdict verdict)
{
    struct list unsent;

    list_init(&unsent);
    if (connection->state == CONNECTION_CLOSING) {
        connection_free(connection);
        return;
    }
    log_debug(DEBUG_CONNECTION, "sandbox %s: connection %u: ends%s: %s", connection->config->name,
              connection->number, verdict == CONNECTION_IMPOSSIBLE ? ", there can be no agent" : "",
              reason);
    for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
        while (!list_is_empty(&connection->buckets[i]))
            end_remote(LIST_ENTRY(connection->buckets[i].next, struct remote, link), reason,
                       &unsent);
    connection->events->on_end(connection->data, reason, verdict, &unsent);
    connection_free(connection);
}

void connection_end_with(struct connection *connection, enum connection_verdict verdict,
                         const char *format, ...)
{
    AUTO_FREE char *reason = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&reason, format, args) < 0)
        reason = NULL;
    va_end(args);
    connection_end(connection, reason ? reason : "no memory", verdict);
}

// Is the reason of this end perhaps temporary? A shell ends with 2 when it cannot make a process,
// and an agent with 1 and without a message when its connection is cut. A signal tells nothing
// about the container.
static enum connection_verdict verdict_of(int code, bool has_words)
{
    return code == 2 || code > CODE_SIGNALED || (code == 1 && !has_words) ? CONNECTION_DOUBTFUL
                                                                          : CONNECTION_IMPOSSIBLE;
}

void connection_end_before_greeting(struct connection *connection, bool is_signaled, int number)
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
        connection_end_with(connection, CONNECTION_IMPOSSIBLE, "%s", outcome.detail);
    else if (outcome.kind == OUTCOME_EXITED && outcome.code != 0)
        connection_end_with(connection, verdict_of(outcome.code, length > 0),
                            "%s there ended with %d%s%.*s", what, outcome.code, colon, (int)length,
                            line);
    else if (outcome.kind == OUTCOME_EXITED)
        connection_end_with(connection, CONNECTION_BROKE,
                            "the connection broke before %s had answered%s%.*s", what, colon,
                            (int)length, line);
    else
        connection_end_with(connection, CONNECTION_BROKE, "%s",
                            outcome.detail ? outcome.detail : "the container cannot be reached");
}

void connection_expect_end(struct connection *connection)
{
    if (!timer_is_armed(&connection->break_timer))
        loop_arm(connection->loop, &connection->break_timer, BREAK_MS);
}

void connection_end_as_broken(struct connection *connection)
{
    size_t length;
    const char *line = judge_last_line(connection->err.data ? connection->err.data : "",
                                       connection->err.length, &length);

    connection_end_with(connection, CONNECTION_BROKE, "the connection to the agent broke%s%.*s",
                        length > 0 ? ": " : "", (int)length, line);
}
