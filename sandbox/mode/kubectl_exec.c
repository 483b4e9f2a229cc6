// SPDX-License-Identifier: Apache-2.0
// Mode kubectl_exec: the command in a container of a pod, by `kubectl exec`.
#include "argv.h"
#include "cleanup.h"
#include "kubectl.h"
#include "mode.h"

#include <errno.h>

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
    {"kubeconfig",   VALUE_PATH,  SETTING(kubeconfig),    NULL,      false},
    {"kubectl_path", VALUE_PROGRAM, SETTING(kubectl_path),  "kubectl", false},
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

    if (command->workdir)
        return error_set(err, EINVAL,
                         "--workdir: kubectl cannot change the working directory; set agent = "
                         "require, or ask for a shell: sh -c 'cd ... && exec ...'");
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

const struct mode kubectl_exec_mode = {
    .keys = {.name = "kubectl_exec",
             .keys = keys,
             .count = sizeof keys / sizeof keys[0],
             .size = sizeof(struct settings),
             .check_common = mode_check_common,
             .why_unused = why_unused,
             .check = check},
    .agent = agent,
    .prepare = prepare,
    .client = "kubectl",
    .held_back = kubectl_held_back,
    .held_back_out = judge_held_back_out,
    .judge = kubectl_judge,
};
