// SPDX-License-Identifier: Apache-2.0
#include "fs_model.h"

#include "cleanup.h"

#include <errno.h>

struct model_dir model_dirs[MODEL_DIRS];
unsigned model_dir_count;

static unsigned next_id; // of command lines

static const char framed[] = "--answer=frames ";
static const char cancelled[] = "130 cancelled\n";

// --- Calls

// A command line is BEFORE, a number that no other line has, and AFTER; without AFTER it is just
// BEFORE.
static const struct {
    const char *before;
    const char *after;
    size_t bad_at;
} lines[] = {
    {"run ",                      "\n",   0},
    {"run ",                      "",     0},
    {"stubborn ",                 "\n",   0},
    {"missing ",                  "\n",   0},
    {"late ",                     "\n",   0},
    {"escapes ",                  "\n",   0},
    {"--timeout=700ms run ",      " x\n", 0},
    {"--timeout=none run ",       "\n",   0},
    {"A=1 run ",                  "\n",   0},
    {"run | ",                    "\n",   4},
    {"  \n",                      NULL,   2},
    {"--bad run ",                "\n",   5},
    {"--answer=frames run ",      "\n",   0},
    {"--answer=frames escapes ",  "\n",   0},
    {"--answer=frames stubborn ", "",     0},
    {"--deadline=900ms run ",     "\n",   0},
};

void model_call_begin(struct model_call *call, struct model_dir *sandbox, bool streams, uid_t uid,
                      unsigned kind)
{
    kind %= sizeof lines / sizeof lines[0];
    *call = (struct model_call){.phase = MODEL_WRITING,
                                .streams = streams,
                                .uid = uid,
                                .sandbox = sandbox,
                                .opened_ms = world_now_ms};
    // All numbers have one length, so that no whole line is the beginning of another one.
    if (lines[kind].after)
        snprintf(call->line, MODEL_LINE, "%s%u%s", lines[kind].before, 1000 + next_id++,
                 lines[kind].after);
    else
        strcpy(call->line, lines[kind].before);
    call->length = strlen(call->line);
    call->bad_at = lines[kind].bad_at;
}

void model_call_clear(struct model_call *call)
{
    if (call->phase == MODEL_JOB)
        model_job_stop(call->job, cancelled, ECANCELED);
    *call = (struct model_call){.sandbox = call->sandbox};
}

static int refuse(struct model_call *call, const char *outcome, int error)
{
    call->phase = MODEL_REFUSED;
    call->error = error;
    strcpy(call->outcome, outcome);
    return -error;
}

static int submit(struct model_call *call, const char *words, uint64_t timeout_ms, bool has_timeout,
                  uint64_t deadline_ms)
{
    struct model_dir *sandbox = call->sandbox;
    struct model_job *job = &model_jobs[model_job_count];
    bool is_allowed = !sandbox->is_strict || strncmp(words, "[run]", 5) == 0 ||
                      strncmp(words, "[late]", 6) == 0 || strncmp(words, "[stubborn]", 10) == 0;

    if (call->is_framed && !call->streams)
        return refuse(call, "2 refused ", EINVAL);
    if (!is_allowed)
        return refuse(call, "2 refused ", EACCES);
    if (sandbox->is_strict && has_timeout && (timeout_ms == 0 || timeout_ms > 5000))
        return refuse(call, "2 refused ", EINVAL);
    bool may_run = model_may_run(sandbox, call->uid) && !model_has_waiting(sandbox, call->uid);
    if (!model_may_run(sandbox, call->uid) && !model_may_wait(sandbox, call->uid))
        return refuse(call, "2 refused ", EAGAIN);
    WORLD_CHECK(model_job_count < MODEL_JOBS, "too many jobs");
    model_job_count++;
    *job = (struct model_job){
        .sandbox = sandbox,
        .uid = call->uid,
        .streams = call->streams,
        .is_framed = call->is_framed,
        .timeout_ms = has_timeout ? timeout_ms : 2000,
        .is_open = {true, true},
    };
    strcpy(job->words, words);
    if (deadline_ms)
        job->deadline_at = call->opened_ms + deadline_ms > world_now_ms
                               ? call->opened_ms + deadline_ms
                               : world_now_ms;
    call->job = job;
    call->phase = MODEL_JOB;
    model_add_user(sandbox, job->uid);
    if (may_run)
        model_job_start(job);
    else
        sandbox->queue[sandbox->queued++] = job;
    return 0;
}

// The first LENGTH bytes of the line are the whole command line.
static int complete(struct model_call *call, size_t length)
{
    AUTO_FREE char *text = strndup(call->line, length);
    char words[MODEL_LINE] = "";
    uint64_t timeout_ms = 0;
    uint64_t deadline_ms = 0;
    bool has_timeout = false;

    for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
        if (!*words && strcmp(word, "--timeout=700ms") == 0) {
            has_timeout = true;
            timeout_ms = 700;
        } else if (!*words && strcmp(word, "--timeout=none") == 0)
            has_timeout = true;
        else if (!*words && strcmp(word, "--deadline=900ms") == 0)
            deadline_ms = 900;
        else if (!*words && strcmp(word, "--answer=frames") == 0)
            call->is_framed = true;
        else if (!*words && *word == '-')
            return refuse(call, "2 refused ", EINVAL);
        else if (*words || strncmp(word, "A=", 2) != 0)
            stpcpy(stpcpy(stpcpy(words + strlen(words), "["), word), "]");
    }
    return *words ? submit(call, words, timeout_ms, has_timeout, deadline_ms)
                  : refuse(call, "2 refused ", EINVAL);
}

ssize_t model_call_write(struct model_call *call, size_t size)
{
    size_t left;

    if (call->phase == MODEL_REFUSED)
        return -call->error;
    if (call->phase == MODEL_JOB)
        return 0;
    left = call->length - call->position;
    if (size < left)
        left = size;
    call->position += left;
    if (call->position >= sizeof framed - 1 && strncmp(call->line, framed, sizeof framed - 1) == 0)
        call->is_framed = true;
    if (call->bad_at && call->position > call->bad_at)
        return refuse(call, "2 refused ", EINVAL);
    if (call->position == call->length && call->line[call->length - 1] == '\n') {
        int result = complete(call, call->length - 1);
        return result < 0 ? result : (ssize_t)left;
    }
    return (ssize_t)left;
}

void model_call_end(struct model_call *call)
{
    if (call->phase == MODEL_WRITING && call->position == 0)
        model_call_clear(call);
    else if (call->phase == MODEL_WRITING)
        complete(call, call->position);
    if (call->phase == MODEL_JOB)
        call->job->is_stdin_ended = true;
}

void model_call_cancel(struct model_call *call)
{
    if (call->phase == MODEL_JOB)
        model_job_stop(call->job, cancelled, ECANCELED);
    else if (call->phase == MODEL_WRITING)
        refuse(call, cancelled, ECANCELED);
}

void model_cancel(struct model_dir *dir)
{
    dir->has_writer = false;
    model_call_cancel(&dir->call);
}

bool model_call_is_running(const struct model_call *call)
{
    return call->phase == MODEL_JOB && call->job->state != MODEL_DONE;
}

const char *model_call_outcome(const struct model_call *call)
{
    if (call->phase == MODEL_REFUSED)
        return call->outcome;
    return call->phase == MODEL_JOB && call->job->state == MODEL_DONE ? call->job->outcome : NULL;
}

// --- Directories

struct model_dir *model_add_dir(struct model_dir *parent, const char *name)
{
    struct model_dir *dir = &model_dirs[model_dir_count];

    if (model_dir_count == MODEL_DIRS)
        return NULL;
    model_dir_count++;
    *dir = (struct model_dir){
        .is_sandbox = !parent,
        .parent = parent,
        .hidden = parent ? 1U << SLOT_CALL : 0,
        .generation = 1,
        .last_use_ms = world_now_ms,
        .last_event_ms = world_now_ms,
    };
    dir->call.sandbox = parent ? parent : dir;
    strcpy(dir->name, name);
    return dir;
}

struct model_dir *model_child(const struct model_dir *parent, const char *name)
{
    for (unsigned i = 0; i < model_dir_count; i++)
        if (!model_dirs[i].is_removed && model_dirs[i].parent == parent &&
            strcmp(model_dirs[i].name, name) == 0)
            return &model_dirs[i];
    return NULL;
}

void model_remove(struct model_dir *dir, bool cancels)
{
    if (cancels)
        model_cancel(dir);
    dir->is_removed = true;
    dir->removed_ms = world_now_ms;
    for (unsigned i = 0; i < model_dir_count; i++)
        if (model_dirs[i].parent == dir && !model_dirs[i].is_removed)
            model_remove(&model_dirs[i], cancels);
}

unsigned model_slots(const struct model_dir *sandbox)
{
    unsigned count = 0;

    for (unsigned i = 0; i < model_dir_count; i++)
        count += model_dirs[i].parent == sandbox && !model_dirs[i].is_removed;
    return count;
}

unsigned model_slots_of(uid_t uid)
{
    unsigned count = 0;

    for (unsigned i = 0; i < model_dir_count; i++)
        count += model_dirs[i].parent && model_dirs[i].owner == uid &&
                 (!model_dirs[i].is_removed || model_dirs[i].handles > 0);
    return count;
}

bool model_is_busy(const struct model_dir *dir)
{
    return dir->has_writer || model_call_is_running(&dir->call);
}

void model_begin(void)
{
    model_dir_count = 0;
    next_id = 0;
    model_begin_jobs();
}
