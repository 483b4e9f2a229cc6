// SPDX-License-Identifier: Apache-2.0
// Mode kubectl_exec: the command in a container of a pod, by `kubectl exec`.
//
// kubectl ends with the command's exit code, and with 1 for failures of its
// own. They are told apart by its last line on stderr, which it prints for
// every exit code but 0 (kubectl's pkg/cmd/util/helpers.go, checkErr; the text
// is in the kubelet's and the runtime's remotecommand code): "command terminated
// with exit code N". It is not always a line of its own: what the command wrote
// last need not end with a newline.
#include "argv.h"
#include "cleanup.h"
#include "client.h"
#include "mode.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

static const char exit_message[] = "command terminated with exit code ";

enum {
    EXIT_MESSAGE_DIGITS = 10,
    BROKEN_STREAM_WINDOW = 4096, // bytes at the end of stderr
};

struct settings {
    char *pod;
    char *namespace;
    char *container;
    char *kubeconfig;
    char *context;
    char *kubectl_path;
    struct words extra_args;
    struct agent_settings agent;
};

#define SETTING(member) offsetof(struct settings, member)

// clang-format off
static const struct key keys[] = {
    AGENT_KEYS(struct settings, agent),
    {"container",    VALUE_NAME,  SETTING(container),     NULL,      false},
    {"context",      VALUE_NAME,  SETTING(context),       NULL,      false},
    {"extra_args",   VALUE_TEXTS, SETTING(extra_args),    NULL,      false},
    {"kubeconfig",   VALUE_NAME,  SETTING(kubeconfig),    NULL,      false},
    {"kubectl_path", VALUE_NAME,  SETTING(kubectl_path),  "kubectl", false},
    {"namespace",    VALUE_NAME,  SETTING(namespace),     NULL,      false},
    {"pod",          VALUE_NAME,  SETTING(pod),           NULL,      true},
    {"workdir",      VALUE_PATH,  SETTING(agent.workdir), NULL,      false},
};
// clang-format on

static const struct agent_settings *agent(const void *data)
{
    const struct settings *settings = data;
    return &settings->agent;
}

static const char *why_unused(const void *data, const struct key *key)
{
    const struct settings *settings = data;

    // kubectl exec has no option for it.
    if (strcmp(key->name, "workdir") == 0 && settings->agent.use != AGENT_REQUIRE)
        return "needs agent = require: kubectl alone cannot change it";
    return mode_agent_why_unused(&settings->agent, key);
}

static int check(void *data, struct users *users, const char **key, struct error *err)
{
    const struct settings *settings = data;

    (void)users;
    return mode_check_agent(&settings->agent, key, err);
}

static int prepare(const void *data, const struct command *command, struct launch *launch,
                   struct error *err)
{
    const struct settings *settings = data;
    struct argv argv = {.words = &launch->argv};

    // env(1) would take such a command for one more variable, and run the
    // first argument instead.
    if (command->env->count > 0 && strchr(command->argv->items[0], '='))
        return error_set(err, EINVAL,
                         "a command with = in its name ('%s') cannot be given an environment in "
                         "mode kubectl_exec; ask for a shell: sh -c '...'",
                         command->argv->items[0]);
    argv_add(&argv, settings->kubectl_path);
    argv_add_joined(&argv, "--kubeconfig=", settings->kubeconfig);
    argv_add_joined(&argv, "--context=", settings->context);
    argv_add(&argv, "exec");
    argv_add(&argv, "-i");
    argv_add_option(&argv, "-n", settings->namespace);
    argv_add_option(&argv, "-c", settings->container);
    argv_add_all(&argv, &settings->extra_args);
    argv_add(&argv, settings->pod);
    argv_add(&argv, "--");
    if (command->env->count > 0) {
        argv_add(&argv, "env");
        argv_add_all(&argv, command->env);
    }
    argv_add_all(&argv, command->argv);
    if (environment_inherit(&launch->env) < 0)
        argv.has_failed = true;
    return argv_end(&argv, err);
}

// Could TEXT, up to LENGTH, be the beginning of the exit message, its digits and
// newline included?
static bool may_become_message(const char *text, size_t length)
{
    size_t fixed = sizeof exit_message - 1;
    size_t digits;

    if (length <= fixed)
        return memcmp(text, exit_message, length) == 0;
    if (memcmp(text, exit_message, fixed) != 0)
        return false;
    digits = fixed;
    while (digits < length && isdigit((unsigned char)text[digits]))
        digits++;
    return digits == length || (digits == length - 1 && text[digits] == '\n' && digits > fixed);
}

static size_t held_back(const char *err, size_t length)
{
    size_t longest = sizeof exit_message - 1 + EXIT_MESSAGE_DIGITS + 1;
    size_t held = length < longest ? length : longest;

    while (held > 0 && !may_become_message(err + length - held, held))
        held--;
    return held;
}

// The length of the message of exit code CODE at the end of ERR; 0: not there.
static size_t find_exit_message(const char *err, size_t length, int code)
{
    char message[sizeof exit_message + EXIT_MESSAGE_DIGITS + 2];
    size_t size = (size_t)snprintf(message, sizeof message, "%s%d\n", exit_message, code);

    if (length < size || memcmp(err + length - size, message, size) != 0)
        return 0;
    return size;
}

// A command that could not be executed, though kubectl reports an exit code for
// it: by an engine behind the kubelet that says so on stdout (docker), or by
// env(1), which is in front of a command that is given an environment.
static bool judge_exit_of_engine(const struct ending *ending, size_t err_length,
                                 struct outcome *outcome)
{
    size_t length;
    const char *line;

    line = client_last_line(ending->err, err_length, &length);
    if (client_exec_report(ending->err, err_length)) {
        outcome_set(outcome, OUTCOME_UNSTARTED, client_exec_report(ending->err, err_length), "%.*s",
                    (int)length, line);
        return true;
    }
    if (ending->number != CODE_NOT_EXECUTABLE && ending->number != CODE_NOT_FOUND)
        return false;
    if (ending->has_env && client_begins(ending->err, err_length, "env: ") && line == ending->err) {
        outcome_set(outcome, OUTCOME_UNSTARTED, ending->number, "%.*s", (int)length, line);
        return true;
    }
    line = client_last_line(ending->out, ending->out_length, &length);
    if (line != ending->out || !client_begins(line, length, "OCI runtime exec failed: "))
        return false;
    outcome_set(outcome, OUTCOME_UNSTARTED, ending->number, "%.*s", (int)length, line);
    return true;
}

// kubectl also ends with 0 when its connection breaks while the command runs,
// and at best logs what broke (client-go's tools/remotecommand, v2.go to v5.go,
// with klog's header: "E1123 01:02:03.000004  56 v2.go:105] write tcp ..."). Finds
// that in the last lines of ERR; *LENGTH is 0 when it is not there.
static const char *find_broken_stream(const char *err, size_t size, size_t *length)
{
    static const char *const signs[] = {"connection reset", "broken pipe", "EOF",    "closed",
                                        "timed out",        "timeout",     "aborted"};
    size_t window = size < BROKEN_STREAM_WINDOW ? size : BROKEN_STREAM_WINDOW;
    const char *line = err + size - window;

    for (const char *end; window > 0; window -= *length + 1, line += *length + 1) {
        end = memchr(line, '\n', window);
        *length = end ? (size_t)(end - line) : window;
        const char *text = memmem(line, *length, ".go:", 4);
        bool is_stream = text && text - line > 2 && text[-2] == 'v' && line[0] == 'E' &&
                         isdigit((unsigned char)line[1]) && isdigit((unsigned char)text[-1]);
        size_t left = is_stream ? *length - (size_t)(text - line) : 0;
        for (size_t i = 0; is_stream && i < sizeof signs / sizeof signs[0]; i++)
            if (client_contains(text, left, signs[i])) {
                const char *message = memmem(text, left, "] ", 2);
                message = message ? message + 2 : text;
                *length -= (size_t)(message - line);
                return message;
            }
        if (!end)
            break;
    }
    *length = 0;
    return err;
}

static void judge_zero(const struct ending *ending, struct outcome *outcome)
{
    size_t length;
    const char *line = find_broken_stream(ending->err, ending->err_length, &length);

    if (length > 0)
        outcome_set(outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%.*s", (int)length, line);
    else
        outcome_set_unconfirmed(outcome);
}

static size_t judge(const struct ending *ending, struct outcome *outcome)
{
    size_t message;
    size_t length;
    const char *line;

    if (!ending->is_signaled && ending->number == 0) {
        judge_zero(ending, outcome);
        return 0;
    }
    message = ending->is_signaled
                  ? 0
                  : find_exit_message(ending->err, ending->err_length, ending->number);
    if (message > 0) {
        if (!judge_exit_of_engine(ending, ending->err_length - message, outcome))
            outcome_set(outcome, OUTCOME_EXITED, ending->number, NULL);
        return message;
    }
    line = client_last_line(ending->err, ending->err_length, &length);
    client_judge_failure("kubectl", ending, line, length, outcome);
    return 0;
}

const struct mode kubectl_exec_mode = {
    .keys = {.name = "kubectl_exec",
             .keys = keys,
             .count = sizeof keys / sizeof keys[0],
             .size = sizeof(struct settings),
             .why_unused = why_unused,
             .check = check},
    .agent = agent,
    .prepare = prepare,
    .client = "kubectl",
    .held_back = held_back,
    .judge = judge,
};
