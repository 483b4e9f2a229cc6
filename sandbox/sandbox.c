// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include "agents.h"
#include "cleanup.h"
#include "job_log.h"
#include "log.h"
#include "mode.h"
#include "process.h"
#include "queue.h"
#include "route.h"
#include "units.h"

#include <errno.h>
#include <fnmatch.h>

enum { MAX_ENDING = 64 }; // processes of a user whose jobs are over, and that live on

struct sandboxes {
    struct loop *loop;
    struct list all; // of struct sandbox
    struct accounts accounts;
    unsigned busy_count; // jobs that have not ended
    void (*on_idle)(void *data);
    void *idle_data;
};

struct sandbox {
    struct list link; // in sandboxes->all
    struct sandboxes *sandboxes;
    struct sandbox_config *config;
    struct routes *routes; // NULL: there is no need for them now
    bool is_retired;
    struct queue queue; // of struct entry
    bool is_starting;   // sandbox_start_next is at work
    unsigned references;
};

// A job that has not ended.
struct entry {
    struct queue_entry queued;
    struct sandbox *sandbox;
    struct job *job;
    uid_t uid;
    pid_t pid;
    char *slot;
};

static struct entry *entry_of(struct queue_entry *queued)
{
    return LIST_ENTRY(queued, struct entry, queued);
}

// --- All of them

struct sandboxes *sandboxes_create(struct loop *loop, void (*on_idle)(void *data), void *data)
{
    struct sandboxes *sandboxes = calloc(1, sizeof *sandboxes);

    if (!sandboxes)
        return NULL;
    *sandboxes = (struct sandboxes){.loop = loop, .on_idle = on_idle, .idle_data = data};
    list_init(&sandboxes->all);
    accounts_init(&sandboxes->accounts, geteuid());
    return sandboxes;
}

unsigned sandboxes_busy_count(const struct sandboxes *sandboxes)
{
    return sandboxes->busy_count;
}

static void sandbox_cancel_all(struct sandbox *sandbox)
{
    struct list *running = &sandbox->queue.running;
    struct queue_entry *last;

    if (sandbox->routes)
        routes_retire(sandbox->routes);

    // The queue first, and from its end: otherwise each cancelled job would let another one
    // start that is about to be cancelled.
    while ((last = queue_last_waiting(&sandbox->queue)))
        job_cancel(entry_of(last)->job);
    for (struct list *link = running->next, *next; link != running; link = next) {
        next = link->next;
        job_cancel(entry_of(LIST_ENTRY(link, struct queue_entry, link))->job);
    }
}

void sandboxes_cancel_all(struct sandboxes *sandboxes)
{
    for (struct list *link = sandboxes->all.next, *next; link != &sandboxes->all; link = next) {
        struct sandbox *sandbox = LIST_ENTRY(link, struct sandbox, link);
        sandbox_ref(sandbox); // the last job may hold the last reference
        sandbox_cancel_all(sandbox);
        next = link->next;
        sandbox_unref(sandbox);
    }
}

void sandboxes_destroy(struct sandboxes *sandboxes)
{
    agents_finish_all();
    process_finish_all();
    cgroup_finish_all();
    if (!sandboxes || !list_is_empty(&sandboxes->all))
        return;
    accounts_finish(&sandboxes->accounts); // a job that was done can be freed later
    free(sandboxes);
}

// --- One of them

static void sandbox_set_limits(struct sandbox *sandbox)
{
    const struct sandbox_config *config = sandbox->config;
    struct queue_limits limits = {
        .running = config->max_running,
        .waiting = config->max_queued,
        .user_running = config->max_user_running,
        .user_waiting = config->max_user_queued,
    };

    queue_set_limits(&sandbox->queue, &limits);
}

struct sandbox *sandbox_create(struct sandboxes *sandboxes, struct sandbox_config *config)
{
    struct sandbox *sandbox = calloc(1, sizeof *sandbox);

    if (!sandbox)
        return NULL;
    sandbox->references = 1;
    sandbox->sandboxes = sandboxes;
    sandbox->routes = routes_create(sandboxes->loop, config);
    if (!sandbox->routes) {
        free(sandbox);
        return NULL;
    }
    sandbox->config = sandbox_config_ref(config);
    list_append(&sandboxes->all, &sandbox->link);
    queue_init(&sandbox->queue, geteuid());
    sandbox_set_limits(sandbox);
    return sandbox;
}

static void sandbox_free_if_unused(struct sandbox *sandbox)
{
    if (sandbox->references > 0 || sandbox->is_starting || !queue_is_empty(&sandbox->queue))
        return;
    list_remove(&sandbox->link);
    routes_unref(sandbox->routes);
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
    sandbox_free_if_unused(sandbox);
}

const struct sandbox_config *sandbox_config(const struct sandbox *sandbox)
{
    return sandbox->config;
}

// --- The queue

static void entry_free(struct entry *entry)
{
    free(entry->slot);
    free(entry);
}

static void sandbox_start_next(struct sandbox *sandbox)
{
    struct queue_entry *next;

    // A job may end as it is started and call this again. The loop below goes on then;
    // otherwise the calls would nest without end.
    if (sandbox->is_starting)
        return;
    sandbox->is_starting = true;
    while ((next = queue_next(&sandbox->queue))) {
        log_debug(DEBUG_QUEUE, "sandbox %s: the next job starts; %u run, %u wait",
                  sandbox->config->name, sandbox->queue.running_count,
                  sandbox->queue.waiting_count);
        job_start(entry_of(next)->job); // may end it at once, and free the entry
    }
    sandbox->is_starting = false;
}

static void on_done(void *data)
{
    struct entry *entry = data;
    struct sandbox *sandbox = entry->sandbox;
    struct sandboxes *sandboxes = sandbox->sandboxes;
    struct job_log log = {.sandbox = sandbox->config->name,
                          .slot = entry->slot,
                          .uid = entry->uid,
                          .pid = entry->pid};

    job_log_end(&log, entry->job);
    sandboxes->busy_count--;
    queue_remove(&sandbox->queue, &entry->queued);
    entry_free(entry);
    sandbox_start_next(sandbox);
    sandbox_free_if_unused(sandbox);
    if (sandboxes->busy_count == 0 && sandboxes->on_idle)
        sandboxes->on_idle(sandboxes->idle_data);
}

// Jobs that are under way keep their references to the routes.
static void sandbox_give_up_routes(struct sandbox *sandbox)
{
    if (sandbox->routes)
        routes_retire(sandbox->routes);
    routes_unref(take_ptr(&sandbox->routes));
}

struct account *sandbox_open_account(const struct sandbox *sandbox, uid_t uid)
{
    return account_open(&sandbox->sandboxes->accounts, uid);
}

bool sandbox_confines(const struct sandbox *sandbox)
{
    const struct mode *mode = mode_of(sandbox->config->mode);
    return mode->confines && mode->confines(sandbox->config->settings);
}

void sandbox_retire(struct sandbox *sandbox)
{
    sandbox->is_retired = true;
    sandbox_give_up_routes(sandbox);
}

void sandbox_configure(struct sandbox *sandbox, struct sandbox_config *config)
{
    struct sandbox_config *old = sandbox->config;

    if (!sandbox_config_same_target(old, config))
        sandbox_give_up_routes(sandbox);
    sandbox->config = sandbox_config_ref(config);
    sandbox_config_unref(old);
    if (sandbox->routes)
        routes_configure(sandbox->routes, config);
    else
        sandbox->routes = routes_create(sandbox->sandboxes->loop,
                                        config); // without memory: with the next request
    sandbox_set_limits(sandbox);
    sandbox_start_next(sandbox);
}

// --- Acceptance

static int sandbox_check_routes(struct sandbox *sandbox, struct error *err)
{
    if (!sandbox->routes)
        sandbox->routes = routes_create(sandbox->sandboxes->loop, sandbox->config);
    return sandbox->routes ? 0 : error_set(err, ENOMEM, "no memory for the way to the commands");
}

static int sandbox_check_request(const struct sandbox *sandbox, const struct request *request,
                                 const struct caller *caller, struct error *err)
{
    const struct sandbox_config *config = sandbox->config;
    const char *command = request->argv.items[0];
    uid_t uid = caller->identity.uid;
    bool is_allowed = config->allow.count == 0;
    char maximum[UNITS_TEXT];

    for (size_t i = 0; i < config->allow.count && !is_allowed; i++)
        is_allowed = fnmatch(config->allow.items[i], command, FNM_PATHNAME) == 0;
    if (!is_allowed)
        return error_set(err, EACCES, "the sandbox does not allow the command '%s'", command);
    if (request->options.has[REQUEST_TIMEOUT] && config->max_timeout_ms > 0 &&
        (request->options.timeout_ms == 0 ||
         request->options.timeout_ms > config->max_timeout_ms)) {
        duration_format(config->max_timeout_ms, maximum);
        return error_set(err, EINVAL, "--timeout can be at most %s in this sandbox", maximum);
    }
    // The jobs of these processes are over, but each process costs memory, and counts among all
    // processes of the machine.
    if (uid != 0 && uid != geteuid() && process_ending_count(uid) >= MAX_ENDING)
        return error_set(err, EAGAIN, "%d commands of the user cannot be ended", MAX_ENDING);
    if (queue_is_full(&sandbox->queue, caller->identity.uid))
        return error_set(err, EAGAIN,
                         "%u jobs run and %u wait, which is all that the sandbox takes, or all "
                         "of the share of one user; try again later",
                         sandbox->queue.running_count, sandbox->queue.waiting_count);
    return 0;
}

// Makes the job of REQUEST, which is taken over, and an entry in the queue; *MAY_START:
// the job need not wait.
static struct entry *entry_make(struct sandbox *sandbox, struct request *request,
                                const struct caller *caller, struct account *account,
                                const char *slot, enum job_keeping keeping,
                                const struct job_owner *owner, bool *may_start, struct error *err)
{
    struct entry *entry = calloc(1, sizeof *entry);
    struct job_spec spec = {
        .loop = sandbox->sandboxes->loop,
        .config = sandbox->config,
        .routes = sandbox->routes,
        .caller = caller,
        .account = account,
        .keeping = keeping,
        .owner = *owner,
        .on_done = on_done,
        .done_data = entry,
    };
    int result;

    if (!entry || !(entry->slot = strdup(slot))) {
        error_set(err, ENOMEM, "no memory");
        free(entry);
        return NULL;
    }
    entry->sandbox = sandbox;
    entry->uid = caller->identity.uid;
    entry->pid = caller->pid;
    result = queue_add(&sandbox->queue, &entry->queued, entry->uid);
    if (result < 0) {
        error_set(err, ENOMEM, "no memory");
        entry_free(entry);
        return NULL;
    }
    *may_start = result > 0;
    entry->job = job_create(&spec, request, err);
    if (!entry->job) {
        queue_remove(&sandbox->queue, &entry->queued);
        entry_free(entry);
        return NULL;
    }
    return entry;
}

struct job *sandbox_submit(struct sandbox *sandbox, struct request *request,
                           const struct caller *caller, struct account *account, const char *slot,
                           enum job_keeping keeping, const struct job_owner *owner,
                           struct error *err)
{
    AUTO(request_finish) struct request taken = *request;
    struct entry *entry = NULL;
    struct job *job;
    bool may_start = false;

    *request = (struct request){0};
    if (sandbox_check_request(sandbox, &taken, caller, err) == 0 &&
        sandbox_check_routes(sandbox, err) == 0)
        entry = entry_make(sandbox, &taken, caller, account, slot, keeping, owner, &may_start, err);
    if (!entry)
        return NULL;
    job = entry->job;
    if (sandbox->is_retired)
        sandbox_give_up_routes(sandbox); // the job has a reference
    sandbox->sandboxes->busy_count++;
    if (may_start)
        job_start(job); // may end it at once, and free the entry
    else
        log_debug(DEBUG_QUEUE, "sandbox %s: a job has to wait; %u run, %u wait",
                  sandbox->config->name, sandbox->queue.running_count,
                  sandbox->queue.waiting_count);
    return job;
}

void sandbox_log_refusal(const struct sandbox *sandbox, const struct caller *caller,
                         const char *slot, const struct error *err)
{
    struct job_log log = {.sandbox = sandbox->config->name,
                          .slot = slot,
                          .uid = caller->identity.uid,
                          .pid = caller->pid};

    job_log_refusal(&log, err);
}

int sandbox_raise_descriptor_limit(void)
{
    return process_raise_descriptor_limit();
}

int sandbox_prepare_system(const struct config *config, struct error *err)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct sandbox_config *sandbox = config->sandboxes[i];

        if (!mode_has_group(sandbox) ||
            delegation_take(cgroup_controllers(&sandbox->limits), err) == 0)
            continue;
        error_prefix(err, "sandbox %s", sandbox->name);
        return -err->code;
    }
    return 0;
}

// --- For the command line

struct config *sandbox_load_config(const char *path, struct users *users, struct buffer *problems)
{
    return config_load(path, modes_keys, modes_count, users, problems);
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
