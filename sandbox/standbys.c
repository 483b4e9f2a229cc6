// SPDX-License-Identifier: Apache-2.0
#include "standbys.h"

#include "bounds.h"
#include "cleanup.h"
#include "log.h"
#include "mode.h"
#include "standby.h"
#include "standby_line.h"

#include <errno.h>
#include <inttypes.h>

enum {
    NS_PER_MS = 1000000,
    STARTS_AT_ONCE = 4,
    STARTS_PAUSE_MS = 10, // meanwhile other events of the loop get their turn
    AFTER_JOB_MS = 1,     // the answer of the job goes first
    LOG_MS = 60000,       // between two lines about the same
};

enum dropped { DROPPED_AGE, DROPPED_FAILURE, DROPPED_RELOAD, DROPPED_KINDS };

struct line {
    struct standbys *standbys;
    const char *text; // in the configuration
    struct request request;
    struct launch pattern; // the launch of the existing standbys, if has_pattern
    bool has_pattern;
    size_t route_index; // of the route of these standbys
    struct reserve reserve;
    struct list taken; // of standbys, through link
    uint64_t hits;
    uint64_t misses; // requests that found no standby ready
    uint64_t dropped[DROPPED_KINDS];
};

struct standbys {
    struct loop *loop;
    struct sandbox_config *config; // a reference
    struct routes *routes;
    struct line *lines;
    size_t count;
    uint64_t others; // requests without a line
    bool is_retired;
    bool has_news; // there is something new for the log
    struct timer look;
    struct timer report;
};

static uint64_t now_ms(void)
{
    return loop_now_ns() / NS_PER_MS;
}

static struct standby *standby_of(struct reserve_entry *entry)
{
    return LIST_ENTRY(entry, struct standby, reserved);
}

// --- The log

static unsigned line_count_ready(const struct line *line)
{
    unsigned count = 0;

    for (struct list *link = line->reserve.entries.next; link != &line->reserve.entries;
         link = link->next)
        count += standby_is_ready(standby_of(LIST_ENTRY(link, struct reserve_entry, link)));
    return count;
}

static void line_log(const struct line *line)
{
    log_info("standby sandbox=%s command=\"%.200s\" ready=%u hits=%" PRIu64 " misses=%" PRIu64
             " old=%" PRIu64 " failed=%" PRIu64 " reloaded=%" PRIu64 " others=%" PRIu64,
             line->standbys->config->name, line->text, line_count_ready(line), line->hits,
             line->misses, line->dropped[DROPPED_AGE], line->dropped[DROPPED_FAILURE],
             line->dropped[DROPPED_RELOAD], line->standbys->others);
}

static void standbys_log(struct standbys *standbys)
{
    loop_disarm(standbys->loop, &standbys->report);
    if (!standbys->has_news)
        return;
    standbys->has_news = false;
    for (size_t i = 0; i < standbys->count; i++)
        line_log(&standbys->lines[i]);
}

static void on_report(void *data)
{
    standbys_log(data);
}

static void standbys_note(struct standbys *standbys)
{
    standbys->has_news = true;
    if (!timer_is_armed(&standbys->report))
        loop_arm(standbys->loop, &standbys->report, LOG_MS); // without memory: with the next news
}

// --- Looking after the lines

// Looks at all lines after MS, unless an earlier look is planned.
static void standbys_look_within(struct standbys *standbys, uint64_t ms)
{
    if (standbys->is_retired)
        return;
    if (timer_is_armed(&standbys->look) &&
        standbys->look.deadline_ns <= loop_now_ns() + ms * NS_PER_MS)
        return;
    if (loop_arm(standbys->loop, &standbys->look, ms) < 0)
        log_error("sandbox %s: no memory to look after its standbys", standbys->config->name);
}

static void line_drop(struct line *line, struct standby *standby, enum dropped why)
{
    line->dropped[why]++;
    standbys_note(line->standbys);
    reserve_remove(&line->reserve, &standby->reserved);
    standby_drop(standby);
}

static void line_drop_all(struct line *line, enum dropped why)
{
    while (line->reserve.count > 0)
        line_drop(line,
                  standby_of(LIST_ENTRY(line->reserve.entries.next, struct reserve_entry, link)),
                  why);
}

static void line_fail(struct line *line, const char *why)
{
    if (reserve_on_failed(&line->reserve, now_ms()))
        log_warning("sandbox %s: a standby of \"%.200s\": %s; the next one is started after a "
                    "pause",
                    line->standbys->config->name, line->text, why);
    standbys_note(line->standbys);
    standbys_look_within(line->standbys, line->reserve.pause_ms);
}

static void on_failed(void *data, struct standby *standby, const char *why)
{
    struct line *line = data;

    line_fail(line, why);
    line_drop(line, standby, DROPPED_FAILURE);
}

// This is no failure: the log has the reason why the route declines.
static void on_declined(void *data, struct standby *standby)
{
    struct line *line = data;

    reserve_remove(&line->reserve, &standby->reserved);
    standby_drop(standby);
    standbys_look_within(line->standbys, 0);
}

static void on_job_end(void *data)
{
    struct line *line = data;

    reserve_on_job_end(&line->reserve, now_ms());
    standbys_look_within(line->standbys, AFTER_JOB_MS);
}

// --- Starting

// Finds the caller of a standby: the daemon, since there is no request yet.
static int line_learn_caller(const struct line *line, struct confinement *own,
                             struct caller *caller, struct error *err)
{
    const struct sandbox_config *config = line->standbys->config;
    const struct mode *mode = mode_of(config->mode);
    int result = 0;

    *caller = (struct caller){.identity.uid = geteuid()};
    if (!mode->confines || !mode->confines(config->settings))
        return 0;
    caller->identity.confinement = own;
    result = bounds_learn_own(own);
    return result < 0 ? error_set(err, -result, "%s", strerror(-result)) : 0;
}

// Prepares the pattern anew each time, because in mode direct it depends on /etc/passwd. Standbys
// with the old pattern are dropped.
static int line_prepare(struct line *line, struct launch *launch, bool *is_gated, struct error *err)
{
    struct confinement own;
    struct caller caller;
    struct standbys *standbys = line->standbys;
    size_t route_index = routes_find(standbys->routes, 0);
    struct route *route = routes_at(standbys->routes, route_index);
    AUTO(launch_finish) struct launch pattern = {0};
    AUTO(request_finish) struct request wrapped = {0};
    int result = line_learn_caller(line, &own, &caller, err);

    if (result == 0)
        result =
            route->ops->prepare(route, &pattern, standbys->config, &line->request, &caller, err);
    if (result < 0)
        return result;
    if (line->has_pattern &&
        (line->route_index != route_index || !launch_equal(&line->pattern, &pattern)))
        line_drop_all(line, DROPPED_RELOAD);
    *is_gated = pattern.client != NULL;
    launch_finish(&line->pattern);
    line->pattern = pattern;
    pattern = (struct launch){0};
    line->has_pattern = true;
    line->route_index = route_index;
    result = standby_line_parse(line->text, &wrapped, err);
    if (result == 0 && *is_gated)
        result = standby_line_gate(&wrapped, err);
    return result < 0
               ? result
               : route->ops->prepare(route, launch, standbys->config, &wrapped, &caller, err);
}

static bool line_start(struct line *line)
{
    struct standbys *standbys = line->standbys;
    struct standby_owner owner = {
        .on_failed = on_failed, .on_declined = on_declined, .on_job_end = on_job_end, .data = line};
    AUTO(launch_finish) struct launch launch = {0};
    struct standby *standby = NULL;
    struct error err = {0};
    bool is_gated;

    if (line_prepare(line, &launch, &is_gated, &err) == 0)
        standby = standby_start(standbys->loop, routes_at(standbys->routes, line->route_index),
                                &launch, is_gated, &owner, &err);
    if (standby)
        reserve_add(&line->reserve, &standby->reserved, now_ms());
    else
        line_fail(line, error_message(&err));
    error_finish(&err);
    return standby != NULL;
}

// Starts up to LIMIT standbys. Returns how many were started.
static unsigned line_look(struct line *line, unsigned limit)
{
    struct reserve_entry *entry;
    unsigned count = 0;

    while ((entry = reserve_expired(&line->reserve, now_ms())))
        line_drop(line, standby_of(entry), DROPPED_AGE);
    while (count < limit && reserve_missing(&line->reserve, now_ms()) > 0 && line_start(line))
        count++;
    return count;
}

static void on_look(void *data)
{
    struct standbys *standbys = data;
    unsigned left = STARTS_AT_ONCE;
    uint64_t next_ms = UINT64_MAX;
    uint64_t now;

    for (size_t i = 0; i < standbys->count; i++)
        left -= line_look(&standbys->lines[i], left);
    now = now_ms();
    for (size_t i = 0; i < standbys->count; i++) {
        uint64_t line_ms = reserve_missing(&standbys->lines[i].reserve, now) > 0
                               ? now + STARTS_PAUSE_MS
                               : reserve_next_ms(&standbys->lines[i].reserve, now);
        if (line_ms < next_ms)
            next_ms = line_ms;
    }
    if (next_ms != UINT64_MAX)
        standbys_look_within(standbys, next_ms - now);
}

// --- Taking

static bool line_take(struct line *line, struct channel *channel, const struct route_start *start,
                      const struct channel_events *events, void *data)
{
    struct route *route = routes_at(line->standbys->routes, line->route_index);
    struct list *next;

    for (struct list *link = line->reserve.entries.next; link != &line->reserve.entries;
         link = next) {
        struct standby *standby = standby_of(LIST_ENTRY(link, struct reserve_entry, link));
        next = link->next;
        if (!standby_is_ready(standby))
            continue; // it waits for something, or an event that drops it is on its way
        if (standby_hand_over(standby, route, channel, start, events, data) < 0)
            continue;
        reserve_remove(&line->reserve, &standby->reserved);
        list_append(&line->taken, &standby->link);
        return true;
    }
    return false;
}

static struct line *standbys_find(const struct standbys *standbys, size_t route_index,
                                  const struct launch *launch)
{
    for (size_t i = 0; i < standbys->count; i++) {
        struct line *line = &standbys->lines[i];
        if (line->has_pattern && line->route_index == route_index &&
            launch_equal(&line->pattern, launch))
            return line;
    }
    return NULL;
}

bool standbys_take(struct standbys *standbys, size_t route_index, struct channel *channel,
                   const struct route_start *start, const struct channel_events *events, void *data)
{
    struct line *line = standbys_find(standbys, route_index, start->launch);
    bool is_hit;

    if (standbys->is_retired)
        return false;
    // Perhaps there was no memory for the timer before.
    if (!timer_is_armed(&standbys->look))
        standbys_look_within(standbys, RESERVE_HOLD_MS);
    standbys_note(standbys);
    if (!line) {
        standbys->others++;
        return false;
    }
    is_hit = line_take(line, channel, start, events, data);
    line->hits += is_hit;
    line->misses += !is_hit;
    log_debug(DEBUG_JOB, "sandbox %s: standby of \"%.200s\": %s; %u left", standbys->config->name,
              line->text, is_hit ? "taken" : "none is ready", line->reserve.count);
    if (is_hit) {
        reserve_on_taken(&line->reserve, now_ms());
        standbys_look_within(standbys, RESERVE_HOLD_MS);
    }
    return is_hit;
}

// --- Life

static void line_finish(struct line *line)
{
    line_drop_all(line, DROPPED_RELOAD);
    while (!list_is_empty(&line->taken)) {
        struct standby *standby = LIST_ENTRY(line->taken.next, struct standby, link);
        standby->owner.on_job_end = NULL; // its job goes on without an owner
        list_remove(&standby->link);
    }
    launch_finish(&line->pattern);
    request_finish(&line->request);
}

static void standbys_clear(struct standbys *standbys)
{
    for (size_t i = 0; i < standbys->count; i++)
        line_finish(&standbys->lines[i]);
    free(take_ptr(&standbys->lines));
    standbys->count = 0;
    loop_disarm(standbys->loop, &standbys->look);
}

static int line_init(struct line *line, struct standbys *standbys, const char *text)
{
    *line = (struct line){.standbys = standbys, .text = text};
    list_init(&line->taken);
    reserve_init(&line->reserve, standbys->config->standby_count,
                 standbys->config->standby_max_age_ms);
    return standby_line_parse(text, &line->request, NULL);
}

// The configuration was checked: only memory can be missing.
static int standbys_fill_in(struct standbys *standbys)
{
    const struct words *texts = &standbys->config->standby;

    if (texts->count == 0)
        return 0;
    standbys->lines = calloc(texts->count, sizeof *standbys->lines);
    if (!standbys->lines)
        return -ENOMEM;
    for (size_t i = 0; i < texts->count; i++) {
        standbys->count++;
        if (line_init(&standbys->lines[i], standbys, texts->items[i]) < 0) {
            standbys_clear(standbys);
            return -ENOMEM;
        }
    }
    standbys_look_within(standbys, 0);
    return 0;
}

struct standbys *standbys_create(struct loop *loop, struct sandbox_config *config,
                                 struct routes *routes)
{
    struct standbys *standbys = calloc(1, sizeof *standbys);

    if (!standbys)
        return NULL;
    *standbys =
        (struct standbys){.loop = loop, .config = sandbox_config_ref(config), .routes = routes};
    standbys->look = (struct timer){.on_time = on_look, .data = standbys};
    standbys->report = (struct timer){.on_time = on_report, .data = standbys};
    if (standbys_fill_in(standbys) == 0)
        return standbys;
    standbys_destroy(standbys);
    return NULL;
}

int standbys_configure(struct standbys *standbys, struct sandbox_config *config)
{
    struct sandbox_config *old = standbys->config;

    if (standbys->is_retired)
        return 0;
    standbys_log(standbys);
    standbys_clear(standbys);
    standbys->others = 0;
    standbys->config = sandbox_config_ref(config);
    sandbox_config_unref(old);
    return standbys_fill_in(standbys);
}

void standbys_retire(struct standbys *standbys)
{
    if (standbys->is_retired)
        return;
    standbys_log(standbys);
    standbys_clear(standbys);
    standbys->is_retired = true;
    loop_disarm(standbys->loop, &standbys->report);
}

void standbys_destroy(struct standbys *standbys)
{
    if (!standbys)
        return;
    standbys_retire(standbys);
    sandbox_config_unref(standbys->config);
    free(standbys);
}
