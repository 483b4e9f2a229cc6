// SPDX-License-Identifier: Apache-2.0
// client/options.c: the command line of hook(1), right and wrong.
#include "unit.h"

#include "options.h"

#include <string.h>

enum { MAX_WORDS = 16 };

// Splits TEXT at blanks, behind the name of the program.
static int split(char *text, char *words[MAX_WORDS])
{
    static char program[] = "hook";
    int count = 0;

    words[count++] = program;
    for (char *word; (word = strsep(&text, " "));)
        if (*word)
            words[count++] = word;
    words[count] = NULL;
    return count;
}

static const struct wrong {
    const char *text;
    const char *error; // a part of it; NULL: there is none
    const char *agent; // NULL: transparent
} wrongs[] = {
  // clang-format off
    {"local cat", NULL, NULL},
    {"local A=1 B=2 cat -x --y A=1", NULL, NULL},
    {"-m /mnt -t 500ms -C /tmp -e A -e B=1 local cat", NULL, NULL},
    {"--mount=/mnt --timeout=2m --workdir=. --env=A= local cat", NULL, NULL},
    {"-a codex --event=Stop --on-failure=pass --verdict=allow local cat", NULL, "codex"},
    {"--check", NULL, NULL},
    {"--check local", NULL, NULL},
    {"-a git --self-test", NULL, "git"},
    {"", "there is no SANDBOX", NULL},
    {"local", "there is no COMMAND", NULL},
    {"local A=1", "there is no COMMAND", NULL},
    {"local -a codex cat", "options of hook come before", NULL},
    {"a/b cat", "no name of a sandbox", NULL},
    {".. cat", "no name of a sandbox", NULL},
    {"-x local cat", "-x is no option", NULL},
    {"--xyz local cat", "--xyz is no option", NULL},
    {"--xyz -a codex local cat", "--xyz is no option", "codex"},
    {"-a codex --xyz local cat", "--xyz is no option", "codex"},
    {"-a nobody local cat", "--agent=nobody", NULL},
    {"-a nobody -a git local cat", "--agent=nobody", "git"},
    {"-a git -t 5 local cat", "--timeout=5", "git"},
    {"-a git -t 0s local cat", "--timeout=0s", "git"},
    {"-a git -t -1s local cat", "--timeout=-1s", "git"},
    {"-a git -t 366d local cat", "--timeout=366d", "git"},
    {"-a git -t 99999999999999999999s local cat", "--timeout=", "git"},
    {"-a git -C tmp local cat", "--workdir=tmp", "git"},
    {"-a git -e 1A local cat", "--env=1A", "git"},
    {"-a git -e = local cat", "--env==", "git"},
    {"-a git --on-failure=maybe local cat", "--on-failure=maybe", "git"},
    {"-a git --verdict=maybe local cat", "--verdict=maybe", "git"},
    {"--verdict=exit local cat", "need --agent", NULL},
    {"--on-failure=pass local cat", "need --agent", NULL},
    {"--event=Stop local cat", "need --agent", NULL},
    {"--self-test", "--self-test needs --agent", NULL},
    {"--check local cat", "one word too many", NULL},
    {"--check --self-test -a git", "only one of", "git"},
    {"-a git local cat -m", NULL, "git"},
    {"-a git -m", "-m needs a value", "git"},
    {"-a git --check=1", "does not take", "git"},
  // clang-format on
};

START_TEST(are_checked)
{
    const struct wrong *wrong = &wrongs[_i];
    char text[256], *words[MAX_WORDS];
    struct options options;
    int count;

    snprintf(text, sizeof text, "%s", wrong->text);
    count = split(text, words);
    options_read(&options, count, words);
    if (wrong->error)
        ck_assert_msg(strstr(options.error, wrong->error), "%s: %s", wrong->text, options.error);
    else
        ck_assert_str_eq(options.error, "");
    ck_assert_str_eq(options.protocol ? options.protocol->name : "-",
                     wrong->agent ? wrong->agent : "-");
    options_finish(&options);
}
END_TEST

START_TEST(are_read)
{
    char text[] = "-m /mnt -t 90s -C . -e A -e B=1 -a claude --event X --on-failure pass "
                  "--verdict exit gate C=2 cat -a git";
    char *words[32];
    struct options options;
    int count = 0;

    for (char *rest = text, *word; (word = strsep(&rest, " "));)
        words[++count] = word;
    words[0] = words[1];
    words[count + 1] = NULL;
    options_read(&options, count + 1, words);
    ck_assert_str_eq(options.error, "");
    ck_assert_str_eq(options.mount, "/mnt");
    ck_assert_uint_eq(options.timeout_ms, 90000);
    ck_assert_str_eq(options.workdir, ".");
    ck_assert_int_eq(options.variable_count, 2);
    ck_assert_str_eq(options.variables[1], "B=1");
    ck_assert_str_eq(options.protocol->name, "claude");
    ck_assert_str_eq(options.event, "X");
    ck_assert(options.passes);
    ck_assert_int_eq(options.rule, RULE_EXIT);
    ck_assert_str_eq(options.sandbox, "gate");
    ck_assert_str_eq(options.words[0], "C=2");
    ck_assert_str_eq(options.words[3], "git");
    ck_assert_ptr_null(options.words[4]);
    options_finish(&options);
}
END_TEST

int main(void)
{
    UNIT_RUN("options", EACH(are_checked, wrongs), ONCE(are_read));
}
