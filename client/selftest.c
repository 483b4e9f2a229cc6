// SPDX-License-Identifier: Apache-2.0
#include "selftest.h"

#include <stdio.h>
#include <string.h>

// clang-format off
static const struct {
    const char *name;
    struct answer_outcome outcome;
    const char *out, *err;
} runs[] = {
    {"0, no output",          {ANSWER_EXITED, 0, false, ""}, "", ""},
    {"0, an explicit yes",    {ANSWER_EXITED, 0, false, ""}, "{\"allow\":true}\n", ""},
    {"0, a no",               {ANSWER_EXITED, 0, false, ""}, "{\"decision\":\"deny\",\"reason\":\"REASON\"}\n", ""},
    {"0, asks",               {ANSWER_EXITED, 0, false, ""}, "{\"permissionDecision\":\"ask\",\"reason\":\"REASON\"}\n", ""},
    {"0, text",               {ANSWER_EXITED, 0, false, ""}, "checked\n", ""},
    {"0, cut JSON",           {ANSWER_EXITED, 0, false, ""}, "{\"allow\":tr", ""},
    {"0 unconfirmed",         {ANSWER_EXITED, 0, true, "unconfirmed"}, "", ""},
    {"1, text on stderr",     {ANSWER_EXITED, 1, false, ""}, "", "TEXT\n"},
    {"2, text on stderr",     {ANSWER_EXITED, 2, false, ""}, "", "REASON\n"},
    {"2, no text",            {ANSWER_EXITED, 2, false, ""}, "", ""},
    {"137 signaled",          {ANSWER_SIGNALED, 137, false, "KILL"}, "", ""},
    {"124 timeout",           {ANSWER_TIMEOUT, 124, false, "after 10s"}, "", ""},
    {"125 unreachable",       {ANSWER_UNREACHABLE, 125, false, "no pod"}, "", ""},
    {"127 unstarted",         {ANSWER_UNSTARTED, 127, false, "No such file or directory"}, "", ""},
    {"130 cancelled",         {ANSWER_CANCELLED, 130, false, ""}, "", ""},
    {"141 overflow",          {ANSWER_OVERFLOW, 141, false, "stdout exceeded 16M"}, "", ""},
    {"2 refused",             {ANSWER_REFUSED, 2, false, "not allowed"}, "", ""},
};

static const struct {
    enum event_class class;
    const char *name;
} classes[] = {
    {EVENT_TOOL,       "before a tool"},
    {EVENT_PERMISSION, "a permission"},
    {EVENT_PROMPT,     "a prompt"},
    {EVENT_STOP,       "a stop"},
    {EVENT_NOTICE,     "a notice"},
    {EVENT_ACTION,     "another event"},
};
// clang-format on

// Newlines would break the table.
static void print_field(const struct buffer *text)
{
    size_t length = text->length;

    if (length > 0 && text->data[length - 1] == '\n')
        length--;
    if (length == 0)
        putchar('-');
    for (size_t i = 0; i < length; i++)
        putchar(text->data[i] == '\n' ? ' ' : text->data[i]);
}

static void print_row(const struct options *options, enum event_class class, size_t i, bool passes)
{
    const struct gate_run run = {.outcome = runs[i].outcome,
                                 .out = runs[i].out,
                                 .out_length = strlen(runs[i].out),
                                 .err = runs[i].err,
                                 .err_length = strlen(runs[i].err)};
    static const char *const forms[FORMS] = {[FORM_YES] = "yes",
                                             [FORM_NO] = "no",
                                             [FORM_ASK] = "ask",
                                             [FORM_BLOCK] = "failure",
                                             [FORM_PASS] = "failure"};
    struct verdict verdict = {0};
    struct gate_reply reply = {0};
    enum form_index form;

    gate_judge(options->protocol, options->rule, &run, &verdict);
    form = gate_choose(options->protocol, class, false, passes, &verdict);
    gate_say(&options->protocol->forms[class][form], &verdict, run.out, run.out_length, &reply);
    printf("  %-20s %-6s %-8s %4d  ", runs[i].name, passes ? "pass" : "block", forms[form],
           reply.code);
    print_field(&reply.out);
    fputs("  ", stdout);
    print_field(&reply.err);
    putchar('\n');
    verdict_finish(&verdict);
    gate_reply_finish(&reply);
}

int selftest_run(const struct options *options)
{
    bool is_one = options->event;
    enum event_class wanted = is_one ? protocol_classify(options->event) : EVENT_ACTION;

    printf("%s: what each outcome of a hook gives\n", options->protocol->name);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (is_one && classes[i].class != wanted)
            continue;
        printf("\n%s\n  %-20s %-6s %-8s %4s  %s\n", classes[i].name, "outcome", "on-fail",
               "taken as", "code", "stdout  stderr");
        for (size_t j = 0; j < sizeof runs / sizeof *runs; j++)
            for (int passes = 0; passes < 2; passes++)
                print_row(options, classes[i].class, j, passes);
    }
    return ferror(stdout) ? 1 : 0;
}
