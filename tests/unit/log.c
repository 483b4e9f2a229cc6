// SPDX-License-Identifier: Apache-2.0
// base/log.c: lines on stderr, the steps of modules, and lines that are lost.
#include "unit.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { MAX_LINE = 2048, PIPE_SIZE = 16384, RECORDS = 100 };

static int log_fds[2];

// Sends stderr into a pipe until end_log.
static int begin_log(void)
{
    int saved = dup(STDERR_FILENO);

    ck_assert_int_ge(saved, 0);
    ck_assert_int_eq(pipe2(log_fds, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_ge(fcntl(log_fds[1], F_SETPIPE_SZ, PIPE_SIZE), 0);
    ck_assert_int_ge(dup2(log_fds[1], STDERR_FILENO), 0);
    return saved;
}

// Reads all lines that were logged since, into GOT.
static void take_log(char *got, size_t size)
{
    ssize_t count = read(log_fds[0], got, size - 1);
    got[count > 0 ? count : 0] = '\0';
}

static void end_log(int saved)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(log_fds[0]);
    close(log_fds[1]);
}

START_TEST(writes_a_line_for_each_record)
{
    char got[500];
    int saved = begin_log();

    errno = ENOENT;
    log_error("one %d", 1);
    log_warning("two");
    log_info("three\nlines \x1b[1m \xc2\x9b"
             "1m\n");
    ck_assert_int_eq(errno, ENOENT);
    take_log(got, sizeof got);
    end_log(saved);
    ck_assert_str_eq(got, "hooksfs: one 1\nhooksfs: two\nhooksfs: three lines  [1m  1m\n");
}
END_TEST

// A text that is too long, with a character of three bytes at each of three places
// relative to the cut.
START_TEST(cuts_after_a_whole_character)
{
    char text[MAX_LINE + 100];
    char got[2 * MAX_LINE];
    int saved = begin_log();
    size_t length;

    memset(text, 'a', (size_t)_i + 1);
    text[_i + 1] = '\0';
    while (strlen(text) + 3 < sizeof text)
        strcat(text, "\xe2\x82\xac");
    log_info("%s", text);
    take_log(got, sizeof got);
    end_log(saved);
    length = strlen(got);
    ck_assert_uint_le(length, MAX_LINE);
    ck_assert_uint_gt(length, MAX_LINE - 100);
    ck_assert_str_eq(got + length - 4, "\xe2\x82\xac\n");
}
END_TEST

static int evaluated;

static int evaluate(void)
{
    return ++evaluated;
}

START_TEST(logs_steps_of_chosen_modules_only)
{
    char got[500];
    int saved = begin_log();

    log_init(0);
    log_debug(DEBUG_JOB, "step %d", evaluate());
    log_init(1U << DEBUG_QUEUE);
    log_debug(DEBUG_JOB, "step %d", evaluate());
    ck_assert_int_eq(evaluated, 0);
    log_init(1U << DEBUG_JOB | 1U << DEBUG_CONNECTION);
    log_debug(DEBUG_JOB, "step %d", evaluate());
    log_debug(DEBUG_QUEUE, "step %d", evaluate());
    log_debug(DEBUG_CONNECTION, "closed\n");
    take_log(got, sizeof got);
    end_log(saved);
    ck_assert_str_eq(got, "hooksfs: job: step 1\nhooksfs: connection: closed\n");
}
END_TEST

// clang-format off
static const struct {
    const char *names;
    unsigned modules; // 0: refused
} selections[] = {
    {"job", 1U << DEBUG_JOB},
    {"job,connection", 1U << DEBUG_JOB | 1U << DEBUG_CONNECTION},
    {"fuse,queue,config", 1U << DEBUG_FUSE | 1U << DEBUG_QUEUE | 1U << DEBUG_CONFIG},
    {"job,job", 1U << DEBUG_JOB},
    {"all", (1U << DEBUG_MODULES) - 1},
    {"job,all", (1U << DEBUG_MODULES) - 1},
    {"", 0},
    {"jo", 0},
    {"jobs", 0},
    {"job,", 0},
    {",job", 0},
    {"job, queue", 0},
    {"JOB", 0},
    {"none", 0},
};
// clang-format on

START_TEST(parses_names_of_modules)
{
    unsigned kept = 1U << DEBUG_FUSE;
    unsigned modules = kept;
    struct error err = {0};
    int result = log_parse_modules(selections[_i].names, &modules, &err);

    if (selections[_i].modules) {
        ck_assert_int_eq(result, 0);
        ck_assert_uint_eq(modules, selections[_i].modules | kept);
    } else {
        ck_assert_int_eq(result, -EINVAL);
        ck_assert_uint_eq(modules, kept);
        ck_assert_ptr_nonnull(
            strstr(error_message(&err), "config, connection, fuse, job, queue, all"));
    }
    error_finish(&err);
}
END_TEST

// The pipe takes some of these lines. The others are dropped, and no call blocks.
START_TEST(counts_lost_lines)
{
    char text[1500];
    char got[PIPE_SIZE + 1];
    int saved = begin_log();

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < RECORDS; i++)
        log_info("%s", text);
    take_log(got, sizeof got);
    unsigned written = 0;
    for (const char *c = got; (c = strchr(c, '\n')); c++)
        written++;
    ck_assert_uint_ge(written, 2);
    ck_assert_uint_lt(written, RECORDS);
    log_info("next");
    take_log(got, sizeof got);
    end_log(saved);
    snprintf(text, sizeof text, "hooksfs: %u log lines were lost\nhooksfs: next\n",
             RECORDS - written);
    ck_assert_str_eq(got, text);
}
END_TEST

START_TEST(leaves_out_what_a_caller_repeats)
{
    struct log_budget budget = {.what = "cries"};
    char got[500];
    int saved = begin_log();
    unsigned taken = 0;

    for (int i = 0; i < 1000; i++)
        taken += log_take(&budget);
    // The second may have changed meanwhile.
    ck_assert_uint_ge(taken, LOG_MOST_A_SECOND);
    ck_assert_uint_le(taken, 2 * LOG_MOST_A_SECOND);
    take_log(got, sizeof got);
    for (int i = 0; i < 300 && !log_take(&budget); i++)
        usleep(10000);
    take_log(got, sizeof got);
    end_log(saved);
    ck_assert_ptr_nonnull(strstr(got, " more cries were not logged\n"));
}
END_TEST

int main(void)
{
    static const int places[3] = {0};

    UNIT_RUN("log", ONCE(writes_a_line_for_each_record), EACH(cuts_after_a_whole_character, places),
             ONCE(logs_steps_of_chosen_modules_only), EACH(parses_names_of_modules, selections),
             ONCE(counts_lost_lines), ONCE(leaves_out_what_a_caller_repeats));
}
