// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include "call.h"
#include "cleanup.h"
#include "relay.h"
#include "watch.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_TIME_MS = 5000, MAX_NAMES_BYTES = 1 << 20 };

static uint64_t probe_time_ms(const struct options *options)
{
    return options->timeout_ms ? options->timeout_ms : PROBE_TIME_MS;
}

// Runs `true` in the sandbox NAME of the mount at MOUNT. Returns whether calls work there.
static bool probe_sandbox(const struct options *options, const char *mount, const char *name)
{
    static char command[] = "true";
    char *words[] = {command, NULL};
    struct options call = {
        .mount = mount, .sandbox = name, .words = words, .workdir = options->workdir};
    struct relay relay = {
        .protocol = protocol_find("none"), .has_own_deadline = true, .has_no_stdin = true};
    const struct answer_outcome *outcome = &relay.answer.outcome;
    bool is_good = false;

    watch_begin();
    watch_set_deadline(probe_time_ms(options));
    relay_init(&relay);
    call_make(&call, &relay);
    if (*relay.failure) {
        printf("%s: NOT USABLE: %s\n", name, relay.failure);
    } else if (outcome->kind == ANSWER_EXITED && outcome->code == 0) {
        is_good = true;
        printf("%s: ok, `true` took %.1f ms%s\n", name, (double)watch_elapsed_us() / 1000,
               outcome->is_unconfirmed ? "; without an agent there an answer is unconfirmed, so "
                                         "that a gate needs an explicit yes"
                                       : "");
    } else if (outcome->kind == ANSWER_EXITED ||
               (outcome->kind == ANSWER_UNSTARTED && outcome->code == 127) ||
               (outcome->kind == ANSWER_REFUSED && strstr(outcome->detail, "allow"))) {
        is_good = true;
        printf("%s: ok, it answers in %.1f ms, but does not run `true`: %d %s %s\n", name,
               (double)watch_elapsed_us() / 1000, outcome->code, answer_kind_name(outcome->kind),
               outcome->detail);
    } else {
        printf("%s: NOT USABLE: %d %s %s\n", name, outcome->code, answer_kind_name(outcome->kind),
               outcome->detail);
    }
    buffer_finish(&relay.out);
    buffer_finish(&relay.err);
    return is_good;
}

// Reads the names of the sandboxes at MOUNT into NAMES. Returns 0 or a negative errno.
static int read_names(const char *mount, struct buffer *names)
{
    struct worker worker = {0};
    int result = worker_start_list(&worker, mount);

    while (result == 0) {
        struct pollfd ready = {.fd = worker.answer, .events = POLLIN};
        char bytes[4096];
        ssize_t size = 0;

        if (watch_left_ms() == 0)
            result = -ETIMEDOUT;
        else if (poll(&ready, 1, watch_left_ms()) <= 0)
            continue;
        else
            size = read(worker.answer, bytes, sizeof bytes);
        if (size <= 0 || names->length > MAX_NAMES_BYTES)
            break;
        result = buffer_append(names, bytes, (size_t)size);
    }
    if (result == 0 && worker.report->stage != WORKER_NOTHING)
        result = -worker.report->error;
    worker_stop(&worker);
    return result;
}

static bool probe_all(const struct options *options, const char *mount)
{
    struct buffer names __attribute__((cleanup(buffer_finish))) = {0};
    bool is_good = true;
    int result = read_names(mount, &names);

    if (result < 0) {
        printf("%s: NOT USABLE: %s\n", mount,
               result == -ETIMEDOUT  ? "the daemon does not answer"
               : result == -ENOTCONN ? "the daemon is gone"
                                     : strerror(-result));
        return false;
    }
    if (names.length == 0) {
        printf("%s: NOT USABLE: there is no sandbox\n", mount);
        return false;
    }
    for (size_t at = 0; at < names.length; at += strlen(names.data + at) + 1)
        if (!probe_sandbox(options, mount, names.data + at))
            is_good = false;
    return is_good;
}

// An agent that does not find `hook` goes on without it, which nothing else can tell.
static bool probe_path(void)
{
    const char *path = getenv("PATH");
    AUTO_FREE char *copy = strdup(path ? path : "");
    char *rest = copy, *folder;

    while (copy && (folder = strsep(&rest, ":"))) {
        AUTO_FREE char *file = NULL;

        if (asprintf(&file, "%s/hook", *folder ? folder : ".") < 0) {
            file = NULL;
            break;
        }
        if (access(file, X_OK) == 0) {
            printf("hook: ok, %s is the first in PATH\n", file);
            return true;
        }
    }
    printf("hook: NOT FOUND in PATH: give agents its whole path\n");
    return false;
}

int probe_run(const struct options *options)
{
    struct relay relay = {0};
    AUTO_FREE char *mount = NULL;
    bool is_good;

    watch_begin();
    watch_set_deadline(probe_time_ms(options));
    mount = call_find_mount(options, &relay);
    if (!mount) {
        printf("mount: NOT USABLE: %s\n", relay.failure);
        return 1;
    }
    printf("mount: %s\n", mount);
    is_good = options->sandbox ? probe_sandbox(options, mount, options->sandbox)
                               : probe_all(options, mount);
    if (options->protocol && !probe_path())
        is_good = false;
    return is_good ? 0 : 1;
}
