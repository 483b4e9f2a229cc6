// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include "agents.h"
#include "cleanup.h"
#include "launch.h"
#include "log.h"
#include "mode.h"
#include "process.h"
#include "units.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct sandbox {
    struct list link; // in all_sandboxes
    struct loop *loop;
    struct sandbox_config *config;
    struct agents *agents; // NULL: its commands go another way, or there is no need now
    bool is_retired;
    struct list running; // of struct entry
    struct list queued;  // in order of arrival
    unsigned running_count;
    unsigned queued_count;
    bool is_starting; // start_next is at work
    unsigned references;
};

// A job that has not ended.
struct entry {
    struct list link;
    struct sandbox *sandbox;
    struct job *job;
    bool is_running;
    uid_t uid;
    pid_t pid;
    char *slot;
};

static struct list all_sandboxes = {&all_sandboxes, &all_sandboxes};
static unsigned busy_count;
static void (*on_idle)(void *data);
static void *idle_data;

void sandbox_set_on_idle(void (*callback)(void *data), void *data)
{
    on_idle = callback;
    idle_data = data;
}

unsigned sandbox_busy_count(void)
{
    return busy_count;
}

struct sandbox *sandbox_create(struct loop *loop, struct sandbox_config *config)
{
    struct sandbox *sandbox = calloc(1, sizeof *sandbox);

    if (!sandbox)
        return NULL;
    sandbox->references = 1;
    sandbox->loop = loop;
    if (mode_agent_settings(config) && !(sandbox->agents = agents_create(loop, config))) {
        free(sandbox);
        return NULL;
    }
    sandbox->config = sandbox_config_ref(config);
    list_init(&sandbox->link);
    list_append(&all_sandboxes, &sandbox->link);
    list_init(&sandbox->running);
    list_init(&sandbox->queued);
    return sandbox;
}

static void free_if_unused(struct sandbox *sandbox)
{
    if (sandbox->references > 0 || sandbox->is_starting ||
        sandbox->running_count + sandbox->queued_count > 0)
        return;
    list_remove(&sandbox->link);
    agents_unref(sandbox->agents);
    sandbox_config_unref(sandbox->config);
    free(sandbox);
}

struct sandbox *sandbox_ref(struct sandbox *sandbox)
{
    sandbox->references++;
    return sandbox;
}

void sandbox_unref(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    sandbox->references--;
    free_if_unused(sandbox);
}

const struct sandbox_config *sandbox_config(const struct sandbox *sandbox)
{
    return sandbox->config;
}

// --- The log

// A line that is put together without memory of its own: when there is none, what
// is logged matters most.
struct line {
    char text[2048];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void append(struct line *line, const char *format, ...)
{
    size_t room = sizeof line->text - line->length;
    va_list args;
    int length;

    va_start(args, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    length = vsnprintf(line->text + line->length, room, format, args);
    va_end(args);
    if (length > 0)
        line->length += (size_t)length < room ? (size_t)length : room - 1;
}

// A command's word as a log field: quoted when it is not plain.
static void append_quoted(struct line *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./+:,@%";

    if (*word && word[strspn(word, plain)] == '\0') {
        append(line, "%.256s", word);
        return;
    }
    append(line, "\"");
    for (size_t i = 0; word[i] && i < 256; i++)
        append(line, word[i] == '"' || word[i] == '\\' ? "\\%c" : "%c", word[i]);
    append(line, "\"");
}

static void log_job(const struct entry *entry)
{
    const struct job *job = entry->job;
    struct line line = {0};
    char outcome[OUTCOME_MAX_LINE];
    size_t length = outcome_format(job_outcome(job), outcome);

    append(&line, "job sandbox=");
    append_quoted(&line, entry->sandbox->config->name);
    append(&line, " slot=");
    append_quoted(&line, entry->slot);
    append(&line, " uid=%u pid=%d command=", (unsigned)entry->uid, (int)entry->pid);
    append_quoted(&line, job_command(job));
    append(&line, " ms=%" PRIu64 " in=%" PRIu64 " out=%" PRIu64 " err=%" PRIu64 " outcome=%.*s",
           job_duration_ms(job), job_input_bytes(job), job_output(job, JOB_STDOUT)->total,
           job_output(job, JOB_STDERR)->total, (int)length - 1, outcome);
    log_info("%s", line.text);
}

void sandbox_log_refusal(const struct sandbox *sandbox, const struct caller *caller,
                         const char *slot, const struct error *err)
{
    struct line line = {0};

    // Not its message: that may quote the command line.
    append(&line, "refused sandbox=");
    append_quoted(&line, sandbox->config->name);
    append(&line, " slot=");
    append_quoted(&line, slot);
    log_info("%s uid=%u pid=%d error=%s", line.text, (unsigned)caller->identity.uid,
             (int)caller->pid, strerrorname_np(err->code));
}

// --- The queue

static void free_entry(struct entry *entry)
{
    list_remove(&entry->link);
    free(entry->slot);
    free(entry);
}

static void start(struct entry *entry)
{
    struct sandbox *sandbox = entry->sandbox;

    list_remove(&entry->link);
    list_append(&sandbox->running, &entry->link);
    entry->is_running = true;
    sandbox->running_count++;
    job_start(entry->job); // may end it at once, and free the entry
}

static void start_next(struct sandbox *sandbox)
{
    // A job may end as it is started, and come here again: not deeper and deeper.
    if (sandbox->is_starting)
        return;
    sandbox->is_starting = true;
    while (!list_is_empty(&sandbox->queued) &&
           sandbox->running_count < sandbox->config->max_running) {
        struct entry *entry = LIST_ENTRY(sandbox->queued.next, struct entry, link);
        sandbox->queued_count--;
        start(entry);
    }
    sandbox->is_starting = false;
}

static void on_done(void *data)
{
    struct entry *entry = data;
    struct sandbox *sandbox = entry->sandbox;

    log_job(entry);
    busy_count--;
    if (entry->is_running)
        sandbox->running_count--;
    else
        sandbox->queued_count--;
    free_entry(entry);
    start_next(sandbox);
    free_if_unused(sandbox);
    if (busy_count == 0 && on_idle)
        on_idle(idle_data);
}

static void give_up_agents(struct sandbox *sandbox)
{
    if (sandbox->agents)
        agents_retire(sandbox->agents);
    agents_unref(take_ptr(&sandbox->agents));
}

// Jobs that are under way stay with the connections that they have.
static void configure_agents(struct sandbox *sandbox, struct sandbox_config *config)
{
    if (sandbox->agents && sandbox_config_same_place(sandbox->config, config))
        return;
    give_up_agents(sandbox);
    sandbox->agents = mode_agent_settings(config) ? agents_create(sandbox->loop, config) : NULL;
}

void sandbox_retire(struct sandbox *sandbox)
{
    sandbox->is_retired = true;
    give_up_agents(sandbox);
}

void sandbox_configure(struct sandbox *sandbox, struct sandbox_config *config)
{
    struct sandbox_config *old = sandbox->config;

    configure_agents(sandbox, config);
    sandbox->config = sandbox_config_ref(config);
    sandbox_config_unref(old);
    start_next(sandbox);
}

static void cancel_all(struct sandbox *sandbox)
{
    // The queue first, and from its end: a place that becomes free must not
    // start one that is about to be cancelled.
    while (!list_is_empty(&sandbox->queued))
        job_cancel(LIST_ENTRY(sandbox->queued.previous, struct entry, link)->job);
    for (struct list *link = sandbox->running.next, *next; link != &sandbox->running; link = next) {
        next = link->next;
        job_cancel(LIST_ENTRY(link, struct entry, link)->job);
    }
}

void sandbox_cancel_all(void)
{
    for (struct list *link = all_sandboxes.next, *next; link != &all_sandboxes; link = next) {
        struct sandbox *sandbox = LIST_ENTRY(link, struct sandbox, link);
        sandbox_ref(sandbox); // its last job may be its last use
        cancel_all(sandbox);
        next = link->next;
        sandbox_unref(sandbox);
    }
}

// --- Acceptance

// A sandbox that requires an agent never goes without.
static int check_agents(struct sandbox *sandbox, struct error *err)
{
    if (!sandbox->agents && mode_agent_settings(sandbox->config))
        sandbox->agents = agents_create(sandbox->loop, sandbox->config);
    return sandbox->agents || !mode_agent_settings(sandbox->config)
               ? 0
               : error_set(err, ENOMEM, "no memory for connections to the agent");
}

static int check_request(const struct sandbox *sandbox, const struct request *request,
                         struct error *err)
{
    const struct sandbox_config *config = sandbox->config;
    const char *command = request->argv.items[0];
    bool is_allowed = config->allow.count == 0;
    char maximum[UNITS_TEXT];

    for (size_t i = 0; i < config->allow.count && !is_allowed; i++)
        is_allowed = fnmatch(config->allow.items[i], command, FNM_PATHNAME) == 0;
    if (!is_allowed)
        return error_set(err, EACCES, "the sandbox does not allow the command '%s'", command);
    if (request->has_timeout && config->max_timeout_ms > 0 &&
        (request->timeout_ms == 0 || request->timeout_ms > config->max_timeout_ms)) {
        duration_format(config->max_timeout_ms, maximum);
        return error_set(err, EINVAL, "--timeout can be at most %s in this sandbox", maximum);
    }
    if (sandbox->running_count >= config->max_running &&
        sandbox->queued_count >= config->max_queued)
        return error_set(err, EAGAIN,
                         "%u jobs run and %u wait, which is all that the sandbox takes; try again "
                         "later",
                         sandbox->running_count, sandbox->queued_count);
    return 0;
}

struct job *sandbox_submit(struct sandbox *sandbox, struct request *request,
                           const struct caller *caller, const char *slot, enum job_keeping keeping,
                           const struct job_owner *owner, struct error *err)
{
    AUTO(request_finish) struct request taken = *request;
    struct entry *entry;

    *request = (struct request){0};
    if (check_request(sandbox, &taken, err) < 0 || check_agents(sandbox, err) < 0)
        return NULL;
    entry = calloc(1, sizeof *entry);
    if (!entry || !(entry->slot = strdup(slot))) {
        error_set(err, ENOMEM, "no memory");
        free(entry);
        return NULL;
    }
    entry->sandbox = sandbox;
    entry->uid = caller->identity.uid;
    entry->pid = caller->pid;
    list_init(&entry->link);
    entry->job = job_create(sandbox->loop, sandbox->config, sandbox->agents, &taken, caller,
                            keeping, owner, on_done, entry, err);
    if (!entry->job) {
        free_entry(entry);
        return NULL;
    }
    struct job *job = entry->job;
    if (sandbox->is_retired)
        give_up_agents(sandbox); // the job has them
    busy_count++;
    if (sandbox->running_count < sandbox->config->max_running)
        start(entry);
    else {
        list_append(&sandbox->queued, &entry->link);
        sandbox->queued_count++;
    }
    return job;
}

void sandbox_finish_all(void)
{
    agents_finish_all();
    process_finish_all();
}

int sandbox_raise_descriptor_limit(void)
{
    return process_raise_descriptor_limit();
}

// --- For the command line

struct config *sandbox_load_config(const char *path, struct buffer *problems)
{
    return config_load(path, modes_keys, modes_count, problems);
}

int sandbox_show_argv(struct sandbox_config *config, char *const *words, struct words *argv,
                      struct error *err)
{
    AUTO(request_parser_finish) struct request_parser parser = {0};
    struct caller caller = {
        .identity = {.uid = geteuid(), .gid = getegid()}
    };
    AUTO(launch_finish) struct launch launch = {0};
    int result = request_from_words(&parser, words, err);

    if (result == 0)
        result = launch_prepare(&launch, config, &parser.request, &caller, err);
    *argv = launch.argv;
    launch.argv = (struct words){0};
    return result;
}
