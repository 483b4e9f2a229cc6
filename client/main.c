// SPDX-License-Identifier: Apache-2.0
// hook(1): runs a command in a sandbox of hooksfs as if it ran here; with --agent, a gate that
// fails closed.
#include "call.h"
#include "cleanup.h"
#include "gate.h"
#include "probe.h"
#include "relay.h"
#include "selftest.h"
#include "watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: hook [OPTION...] SANDBOX [NAME=VALUE...] COMMAND [ARGUMENT...]\n"
    "       hook [-m DIR] [-a AGENT] --check [SANDBOX]\n"
    "       hook -a AGENT --self-test\n"
    "\n"
    "  -m, --mount=DIR       where hooksfs is mounted ($HOOKSFS_MOUNT, or the only mount)\n"
    "  -t, --timeout=TIME    one deadline for everything: 500ms, 10s, 2m\n"
    "  -C, --workdir=DIR     absolute; `.` is the present directory\n"
    "  -e, --env=NAME[=VALUE]\n"
    "  -a, --agent=AGENT     be a gate for claude, codex, gemini, cursor, copilot, kimi,\n"
    "                        hermes, promptkit, git or none\n"
    "      --event=NAME      the event, where stdin does not tell\n"
    "      --on-failure=block|pass\n"
    "      --verdict=exit|json|allow\n"
    "      --check           is it mounted, may I, does it answer, how fast\n"
    "      --self-test       what each outcome would give\n";

// A descriptor that the caller has closed must not become one of ours. It cannot be written, so
// that output does not vanish.
static void open_standard_fds(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
            _exit(125);
}

static const char *name_of_event(const struct options *options, const struct relay *relay)
{
    if (*relay->event.name)
        return relay->event.name;
    if (options->event)
        return options->event;
    return options->protocol->default_event ? options->protocol->default_event : "";
}

// The reason of a failure is ours, and says so.
static void sign_reason(const struct options *options, struct verdict *verdict)
{
    char *reason;

    if (verdict->kind != VERDICT_FAILURE ||
        asprintf(&reason, "hook: %s%s%s", options->sandbox ? options->sandbox : "",
                 options->sandbox ? ": " : "", verdict->reason ? verdict->reason : "failed") < 0)
        return;
    free(verdict->reason);
    verdict->reason = reason;
}

static int run_gate(const struct options *options)
{
    struct relay relay = {.protocol = options->protocol,
                          .has_own_deadline = options->timeout_ms > 0};
    struct verdict verdict = {0};
    struct gate_reply reply = {0};
    struct gate_run run;
    enum event_class class;
    enum form_index form;

    watch_set_deadline(options->timeout_ms ? options->timeout_ms
                                           : protocol_deadline_ms(options->protocol,
                                                                  name_of_event(options, &relay)));
    relay_init(&relay);
    call_make(options, &relay);
    run = (struct gate_run){
        .failure = *relay.failure ? relay.failure : NULL,
        .outcome = relay.answer.outcome,
        .out = relay.out.data,
        .out_length = relay.out.length,
        .err = relay.err.data,
        .err_length = relay.err.length,
    };
    gate_judge(options->protocol, options->rule, &run, &verdict);
    sign_reason(options, &verdict);
    class = protocol_classify(name_of_event(options, &relay));
    form = gate_choose(options->protocol, class, relay.event.is_again, options->passes, &verdict);
    gate_say(&options->protocol->forms[class][form], &verdict, run.out, run.out_length, &reply);
    if (relay_write(STDERR_FILENO, reply.err.data, reply.err.length) < 0 ||
        relay_write(STDOUT_FILENO, reply.out.data, reply.out.length) < 0)
        return reply.code ? reply.code : 2; // nobody has heard all of it: that is no yes
    return reply.code;
}

static void say_failure(const struct options *options, const char *text, const char *detail)
{
    char line[RELAY_MAX_FAILURE + ANSWER_MAX_STATUS_BYTES];
    int length =
        snprintf(line, sizeof line, "hook: %s%s%s%s%s\n", options->sandbox ? options->sandbox : "",
                 options->sandbox ? ": " : "", text, *detail ? ": " : "", detail);

    relay_write(STDERR_FILENO, line, (size_t)length < sizeof line ? (size_t)length : sizeof line);
}

static int run_transparently(const struct options *options)
{
    struct relay relay = {.has_own_deadline = true};
    const struct answer_outcome *outcome = &relay.answer.outcome;

    watch_set_deadline(options->timeout_ms);
    relay_init(&relay);
    call_make(options, &relay);
    if (relay.signal)
        watch_die_of(relay.signal);
    relay_write(STDOUT_FILENO, relay.out.data, relay.out.length);
    relay_write(STDERR_FILENO, relay.err.data, relay.err.length);
    if (*relay.failure) {
        say_failure(options, relay.failure, "");
        return relay.failure_code;
    }
    if (outcome->kind != ANSWER_EXITED)
        say_failure(options, answer_kind_name(outcome->kind), outcome->detail);
    return outcome->code;
}

// A request for help that came with a wrong option gets the error.
static int run(const struct options *options)
{
    if (*options->error || options->action == ACTION_RUN)
        return options->protocol ? run_gate(options) : run_transparently(options);
    switch (options->action) {
    case ACTION_CHECK:
        return probe_run(options);
    case ACTION_SELF_TEST:
        return selftest_run(options);
    case ACTION_VERSION:
        printf("hook %s\n", HOOKSFS_VERSION);
        return 0;
    default:
        fputs(usage, stdout);
        return 0;
    }
}

int main(int argc, char **argv)
{
    struct options options;
    int code;

    open_standard_fds();
    watch_begin();
    options_read(&options, argc, argv);
    code = run(&options);
    if (fflush(stdout) == EOF)
        code = 1;
    _exit(code);
}
