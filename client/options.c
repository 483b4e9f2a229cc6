// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "line.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TIME_MS ((uint64_t)365 * 24 * 3600 * 1000)

enum { OPTION_EVENT = 256, OPTION_FAILURE, OPTION_VERDICT, OPTION_CHECK, OPTION_SELF_TEST };

static const struct option long_options[] = {
  // clang-format off
    {"mount",      required_argument, NULL, 'm'},
    {"timeout",    required_argument, NULL, 't'},
    {"workdir",    required_argument, NULL, 'C'},
    {"env",        required_argument, NULL, 'e'},
    {"agent",      required_argument, NULL, 'a'},
    {"event",      required_argument, NULL, OPTION_EVENT},
    {"on-failure", required_argument, NULL, OPTION_FAILURE},
    {"verdict",    required_argument, NULL, OPTION_VERDICT},
    {"check",      no_argument,       NULL, OPTION_CHECK},
    {"self-test",  no_argument,       NULL, OPTION_SELF_TEST},
    {"help",       no_argument,       NULL, 'h'},
    {"version",    no_argument,       NULL, 'V'},
    {NULL,         0,                 NULL, 0},
  // clang-format on
};

// Keeps the first error only.
static void complain(struct options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct options *options, const char *format, ...)
{
    va_list arguments;

    if (*options->error)
        return;
    va_start(arguments, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    vsnprintf(options->error, sizeof options->error, format, arguments);
    va_end(arguments);
}

int options_parse_time(const char *text, uint64_t *ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {
        {"ms", 1       },
        {"s",  1000    },
        {"m",  60000   },
        {"h",  3600000 },
        {"d",  86400000}
    };
    uint64_t number = 0;
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 12)
        return -EINVAL;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        *ms = number * units[i].ms;
        return number > 0 && number <= MAX_TIME_MS / units[i].ms ? 0 : -EINVAL;
    }
    return -EINVAL;
}

static void set_agent(struct options *options, const char *name)
{
    const struct protocol *protocol = protocol_find(name);

    if (protocol)
        options->protocol = protocol;
    else
        complain(options,
                 "--agent=%s is none of claude, codex, gemini, cursor, copilot, kimi, hermes, "
                 "promptkit, git and none",
                 name);
}

static void set_rule(struct options *options, const char *name)
{
    if (strcmp(name, "exit") == 0)
        options->rule = RULE_EXIT;
    else if (strcmp(name, "json") == 0)
        options->rule = RULE_JSON;
    else if (strcmp(name, "allow") == 0)
        options->rule = RULE_ALLOW;
    else
        complain(options, "--verdict=%s is none of exit, json and allow", name);
}

static void set_on_failure(struct options *options, const char *name)
{
    options->passes = strcmp(name, "pass") == 0;
    if (!options->passes && strcmp(name, "block") != 0)
        complain(options, "--on-failure=%s is neither block nor pass", name);
}

static void set_action(struct options *options, enum options_action action)
{
    if (options->action != ACTION_RUN && options->action != action)
        complain(options, "only one of --check, --self-test, --help and --version can be given");
    options->action = action;
}

static void add_variable(struct options *options, const char *text)
{
    size_t count = (size_t)options->variable_count;
    const char **variables;
    size_t length = line_name_length(text);
    char name[256];

    if (length == 0) {
        snprintf(name, sizeof name, "%s=", text);
        length = strlen(text) < sizeof name - 1 ? line_name_length(name) : 0;
        if (length != strlen(text) + 1)
            length = 0;
    }
    if (length == 0) {
        complain(options, "--env=%s is neither NAME nor NAME=VALUE", text);
        return;
    }
    variables = reallocarray(options->variables, count + 1, sizeof *variables);
    if (!variables) {
        complain(options, "no memory");
        return;
    }
    options->variables = variables;
    variables[options->variable_count++] = text;
}

// Takes OPTION if it asks for an action, or says what is wrong with WORD.
static void set_option_without_value(struct options *options, int option, const char *word)
{
    switch (option) {
    case OPTION_CHECK:
        set_action(options, ACTION_CHECK);
        break;
    case OPTION_SELF_TEST:
        set_action(options, ACTION_SELF_TEST);
        break;
    case 'h':
        set_action(options, ACTION_HELP);
        break;
    case 'V':
        set_action(options, ACTION_VERSION);
        break;
    case ':':
        complain(options, "%s needs a value", word);
        break;
    default:
        if (optopt && optopt < OPTION_EVENT)
            complain(options, "-%c is no option of hook", optopt);
        else
            complain(options, "%s is no option of hook, or has a value that it does not take",
                     word);
    }
}

static void set_option(struct options *options, int option, char **argv)
{
    switch (option) {
    case 'm':
        options->mount = optarg;
        break;
    case 't':
        if (options_parse_time(optarg, &options->timeout_ms) < 0) {
            options->timeout_ms = 0;
            complain(options, "--timeout=%s is no time such as 500ms, 10s or 2m", optarg);
        }
        break;
    case 'C':
        options->workdir = optarg;
        if (*optarg != '/' && strcmp(optarg, ".") != 0)
            complain(options, "--workdir=%s is neither absolute nor `.`", optarg);
        break;
    case 'e':
        add_variable(options, optarg);
        break;
    case 'a':
        set_agent(options, optarg);
        break;
    case OPTION_EVENT:
        options->event = optarg;
        break;
    case OPTION_FAILURE:
        set_on_failure(options, optarg);
        break;
    case OPTION_VERDICT:
        set_rule(options, optarg);
        break;
    default:
        set_option_without_value(options, option, argv[optind - 1]);
    }
}

static void take_words(struct options *options, int count, char **words)
{
    options->words = words;
    if (count == 0)
        return;
    options->sandbox = *words;
    options->words = words + 1;
    if (*options->sandbox == '\0' || *options->sandbox == '.' || strchr(options->sandbox, '/'))
        complain(options, "`%s` is no name of a sandbox", options->sandbox);
}

// The combinations that mean nothing.
static void check(struct options *options)
{
    bool runs = options->action == ACTION_RUN;
    char **command = options->words;

    while (runs && *command && line_name_length(*command) > 0)
        command++;
    if (!options->protocol && (options->event || options->rule != RULE_DEFAULT || options->passes))
        complain(options, "--event, --verdict and --on-failure need --agent");
    if (runs && !options->sandbox)
        complain(options, "there is no SANDBOX; usage: hook [OPTION...] SANDBOX [NAME=VALUE...] "
                          "COMMAND [ARGUMENT...]");
    if (runs && !*command)
        complain(options, "there is no COMMAND for the sandbox");
    if (runs && *command && **command == '-')
        complain(options,
                 "`%s` stands where the COMMAND should: options of hook come before "
                 "SANDBOX",
                 *command);
    if (options->action == ACTION_SELF_TEST && !options->protocol)
        complain(options, "--self-test needs --agent");
    if (!runs && *options->words)
        complain(options, "`%s` is one word too many", *options->words);
}

void options_read(struct options *options, int argc, char **argv)
{
    int option;

    memset(options, 0, sizeof *options);
    opterr = 0;
    optind = 0;
    while ((option = getopt_long(argc, argv, "+:m:t:C:e:a:hV", long_options, NULL)) != -1)
        set_option(options, option, argv);
    take_words(options, argc - optind, argv + optind);
    check(options);
}

void options_finish(struct options *options)
{
    free(options->variables);
    options->variables = NULL;
}
