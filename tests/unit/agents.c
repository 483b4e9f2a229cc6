// SPDX-License-Identifier: Apache-2.0
// sandbox/remote/agents.c, connection*.c and remote*.c with an agent that follows a plan
// (fake_agent.c). There are right and hostile plans, agents that break, and no agent at all.
#include "world.h"

#include "agents.h"
#include "frame.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>

static struct loop *loop;
static struct config *config;
static struct sandboxes *sandboxes;
static struct sandbox *sandbox;
static char folder[] = "/tmp/hooksfs-unit-XXXXXX";
static struct timer limit;
static size_t scarce_from; // the next reallocation of so many bytes fails; 0: none does

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_realloc(void *old, size_t size)
{
    if (scarce_from == 0 || size < scarce_from)
        return __real_realloc(old, size);
    scarce_from = 0;
    errno = ENOMEM;
    return NULL;
}

static void on_change(void *data)
{
    (void)data;
    loop_stop(loop);
}

static const struct job_owner owner = {.on_change = on_change};

static void on_limit(void *data)
{
    (void)data;
    ck_abort_msg("it takes too long");
}

static void plan(int number, const char *text)
{
    char path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof path, "%s/plan.%d", folder, number);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

// Makes a folder for plans.
static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("FAKE_DIR", folder, 1);
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); // in the fake agent
}

// Makes a sandbox whose client is the fake agent. The plans must be there.
static void begin(const char *settings)
{
    struct buffer text = {0};

    buffer_printf(&text,
                  "connections = 1\nkill_grace = 200ms\ntimeout = 20s\n"
                  "[s]\nmode = kubectl_exec\npod = p\nkubectl_path = %s\nagent_path = /agent\n%s",
                  FAKE_AGENT, settings);
    char *string = buffer_take_string(&text);
    config = world_config(string);
    free(string);
    loop = loop_create(NULL);
    limit = (struct timer){.on_time = on_limit};
    loop_arm(loop, &limit, 35000);
    sandboxes = sandboxes_create(loop, NULL, NULL);
    sandbox = sandbox_create(sandboxes, config->sandboxes[0]);
    ck_assert_ptr_nonnull(sandbox);
}

static struct job *submit_for(struct account *account, const char *line, enum job_keeping keeping)
{
    struct request request = world_request(line);
    struct caller caller = world_caller();
    struct error err = {0};
    struct job *job =
        sandbox_submit(sandbox, &request, &caller, account, "slot", keeping, &owner, &err);

    ck_assert_msg(job != NULL, "%s", err.code ? error_message(&err) : "");
    return job;
}

static struct job *submit(const char *line, enum job_keeping keeping)
{
    return submit_for(NULL, line, keeping);
}

// Writes TEXT to stdin as fast as the job takes it, and ends stdin.
static void feed(struct job *job, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t count = job_write(job, text, left);
        text += count;
        left -= count;
        while (left > 0 && !job_is_writable(job))
            loop_run(loop);
    }
    job_end_stdin(job);
}

static struct job *ask(const char *line, const char *text)
{
    struct job *job = submit(line, JOB_KEEPS);

    feed(job, text);
    return job;
}

static void on_pause(void *data)
{
    *(bool *)data = true;
    loop_stop(loop);
}

static void pass(uint64_t ms)
{
    bool is_over = false;
    struct timer pause = {.on_time = on_pause, .data = &is_over};

    loop_arm(loop, &pause, ms);
    while (!is_over)
        loop_run(loop);
}

// Waits for the end of JOB. Its outcome must begin with OUTCOME, and its stdout be OUT.
static void ck_ends(struct job *job, const char *outcome, const char *out)
{
    char line[OUTCOME_MAX_LINE];
    const struct output *output = job_output(job, JOB_STDOUT);

    while (!job_is_done(job))
        loop_run(loop);
    line[outcome_format(job_outcome(job), line) - 1] = '\0';
    ck_assert_msg(strncmp(line, outcome, strlen(outcome)) == 0, "'%s', not '%s'", line, outcome);
    ck_assert_uint_eq(output_visible(output), strlen(out));
    if (*out)
        ck_assert_int_eq(memcmp(output->bytes.data, out, strlen(out)), 0);
    job_release(job);
}

// Counts the lines that are VALUE in a file of the fake agent.
static int count(const char *name, int value)
{
    char path[PATH_MAX];
    FILE *file;
    int found;
    int result = 0;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "r");
    while (file && fscanf(file, "%d", &found) == 1)
        result += found == value;
    if (file)
        fclose(file);
    return result;
}

static int connection_count(void)
{
    char path[PATH_MAX];
    struct stat status = {0};

    snprintf(path, sizeof path, "%s/count", folder);
    return stat(path, &status) == 0 ? (int)status.st_size : 0;
}

static void finish(void)
{
    char command[PATH_MAX];

    sandbox_unref(sandbox);
    loop_run_tasks(loop);
    loop_disarm(loop, &limit);
    world_end(loop);
    sandboxes_destroy(sandboxes);
    config_destroy(config);
    snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

// --- A plan for the first connection, and the outcome of the first job

#define STARTED "hello wait=32 f=2,1 "
#define BROKE   "125 unreachable the connection to the agent broke"
#define HOSTILE "125 unreachable the agent does not keep to the protocol"

// clang-format off
static const struct {
    const char *plan;
    const char *outcome;
    const char *out;
} plans[] = {
    {"hello serve", "0 exited", "hello"},
    {STARTED "f=4,1,6f6b f=6,1 f=7,1 f=10,1,0003 f=12,1 eof", "3 exited", "ok"},
    {STARTED "f=6,1 f=7,1 f=10,1,0000 f=12,1 eof", "0 exited", ""},
    {STARTED "f=6,1 f=7,1 f=10,1,0109 f=12,1 eof", "137 signaled KILL", ""},
    {STARTED "f=6,1 f=7,1 f=10,1,010f f=12,1 eof", "143 signaled TERM", ""},
    {STARTED "f=10,1,0000 f=6,1 f=7,1 f=12,1 eof", "0 exited", ""},
    {STARTED "f=10,1,0000 f=4,1,6f6b f=6,1 f=7,1 f=12,1 eof", "0 exited", "ok"},
    // Frames come in pieces: the header, the payload, and both together with the next frame.
    {STARTED "raw=0300000001 ms=30 raw=00000004616263 f=6,1 f=7,1 f=10,1,0000 f=12,1 eof", "0 exited", "abc"},
    {STARTED "raw=030000000100000004 ms=30 raw=616263 f=6,1 f=7,1 f=10,1,0000 f=12,1 eof", "0 exited", "abc"},
    {STARTED "raw=03000000010000000461 ms=30 raw=62 ms=30 raw=630000000001000000060000 ms=30 "
             "raw=00000100000007 f=10,1,0000 f=12,1 eof", "0 exited", "abc"},
    {STARTED "f=6,1 f=7,1 raw=02000000010000000a00 ms=30 raw=00 f=12,1 eof", "0 exited", ""},
    {STARTED "f=9,1 f=6,1 f=7,1 f=10,1,0000 f=12,1 eof", "0 exited", ""},
    {STARTED "f=8,1,05000000 f=6,1 f=7,1 f=10,1,0000 f=12,1 eof", "0 exited", ""},
    {"hello wait=32 f=3,1,0302000000 f=12,1 eof", "127 unstarted cannot execute cat: No such file", ""},
    {"hello wait=32 f=3,1,030d000000 f=12,1 eof", "126 unstarted cannot execute cat: Permission denied", ""},
    {"hello wait=32 f=3,1,0202000000 f=12,1 eof", "126 unstarted cannot enter the working directory: No such", ""},
    {STARTED "f=6,1 f=7,1 f=10,1,0209 f=12,1 eof", "137 signaled KILL out of memory", ""},
    {"hello wait=32 f=3,1,041e000000 f=12,1 eof", "126 unstarted cannot limit the command: Read-only file system", ""},
    {"hello wait=32 f=3,1,010b000000 f=12,1 eof", "126 unstarted cannot start a process: Resource temp", ""},
    {STARTED "f=11,1 f=12,1 eof", "125 unreachable the agent lost its hold on the command", ""},
    // The connection breaks. An end that was reported stays true; a part of the output
    // without an end is no success.
    {STARTED "f=4,1,6f6b exit=0", BROKE, "ok"},
    {STARTED "f=4,1,6f6b f=6,1 f=7,1 exit=0", BROKE, "ok"},
    {STARTED "f=4,1,6f6b err=some_words exit=1", BROKE ": some words", "ok"},
    {"hello wait=32 exit=0", BROKE, ""},
    {STARTED "f=4,1,6f6b f=6,1 f=7,1 f=10,1,0000 exit=0", "0 exited", "ok"},
    {STARTED "f=4,1,6f6b f=10,1,0000 exit=0", "0 exited", "ok"},
    {STARTED "f=4,1,6f raw=0200000001000000046f exit=0", BROKE, "oo"}, // in mid-frame
    // Frames that the agent must not send about a job.
    {"hello wait=32 f=10,1,0000 eof", HOSTILE, ""},
    {STARTED "f=2,1 eof", HOSTILE, ""},
    {STARTED "f=3,1,0302000000 eof", HOSTILE, ""},
    {STARTED "f=6,1 f=6,1 eof", HOSTILE, ""},
    {STARTED "f=7,1 f=5,1,78 eof", HOSTILE, ""},
    {STARTED "f=6,1 f=4,1,78 eof", HOSTILE, ""},
    {STARTED "f=12,1 eof", HOSTILE, ""},
    {STARTED "f=10,1,0200 eof", HOSTILE, ""},
    {STARTED "f=10,1,0100 eof", HOSTILE, ""},
    {STARTED "f=10,1,0141 eof", HOSTILE, ""},
    {STARTED "f=10,1,01ff eof", HOSTILE, ""},
    {STARTED "f=8,1,01000000 f=8,1,ffffffff eof", HOSTILE, ""},
    {STARTED "f=8,1,01000400 eof", HOSTILE, ""},
    {STARTED "f=8,1,00000000 eof", HOSTILE, ""},
    {STARTED "f=9,1 f=9,1 eof", HOSTILE, ""},
    {"hello wait=32 f=3,1,0002000000 eof", HOSTILE, ""},
    {"hello wait=32 f=3,1,0502000000 eof", HOSTILE, ""},
    {"hello wait=32 f=3,1,0300000000 eof", HOSTILE, ""},
    {"hello wait=32 f=3,1,03ffffffff eof", HOSTILE, ""},
    {"hello wait=32 f=2,2 eof", HOSTILE, ""}, // there is no such job
    {"hello wait=32 f=4,2,78 eof", HOSTILE, ""},
    {"hello wait=32 raw=02000000020000000478 eof", HOSTILE, ""},
    {STARTED "f=6,1 raw=02000000010000000478 ms=5000 eof", HOSTILE, ""}, // wrong from its first byte
    {"hello wait=32 f=12,4294967295 eof", HOSTILE, ""},
    // An outcome stays as it was first, and nothing that comes after the last frame counts.
    {STARTED "f=10,1,0003 f=10,1,0000 eof", "3 exited", ""},
    {STARTED "f=10,1,0003 f=11,1 eof", "3 exited", ""},
    {STARTED "f=10,1,0003 f=3,1,0302000000 eof", "3 exited", ""},
    {STARTED "f=10,1,0003 f=12,1 eof", "3 exited", ""}, // the streams have not ended
    {STARTED "f=10,1,0003 f=6,1 f=12,1 f=4,1,78 eof", "3 exited", ""},
    {STARTED "f=11,1 f=10,1,0000 eof", "125 unreachable the agent lost its hold on the command", ""},
    {STARTED "f=11,1 f=4,1,78 f=6,1 f=7,1 f=12,1 eof", "125 unreachable the agent lost its hold", ""},
    {"hello wait=32 f=3,1,0302000000 f=10,1,0000 eof", "127 unstarted cannot execute cat: No such", ""},
    {"hello wait=32 f=3,1,0302000000 f=2,1 f=10,1,0000 eof", "127 unstarted cannot execute cat: No such", ""},
    {"hello wait=32 f=4,1,78 f=10,1,0000 eof", HOSTILE, "x"}, // an end without a start
    // Bytes that are no frame of an agent.
    {"hello wait=32 hello eof", HOSTILE, ""},
    {STARTED "f=2,0 eof", HOSTILE, ""},
    {STARTED "f=13,1 eof", HOSTILE, ""},
    {STARTED "f=13,0 eof", HOSTILE, ""}, // nobody asked
    {STARTED "f=0,1 eof", HOSTILE, ""},
    {STARTED "f=14,1 eof", HOSTILE, ""},
    {STARTED "f=32,1,00 eof", HOSTILE, ""},
    {STARTED "f=33,1,00 eof", HOSTILE, ""},
    {STARTED "f=40,0 eof", HOSTILE, ""},
    {STARTED "f=255,1 eof", HOSTILE, ""},
    {STARTED "f=4,1 eof", HOSTILE, ""},           // output without bytes
    {STARTED "f=6,1,00 eof", HOSTILE, ""},
    {STARTED "f=10,1,00 eof", HOSTILE, ""},
    {STARTED "f=10,1,000000 eof", HOSTILE, ""},
    {STARTED "f=10,1,0309 eof", HOSTILE, ""},
    {STARTED "f=10,1,020f eof", HOSTILE, ""}, // out of memory, and ended by SIGTERM
    {STARTED "f=8,1,010000 eof", HOSTILE, ""},
    {STARTED "raw=010001000100000004 eof", HOSTILE, ""}, // 64 KiB and one byte
    {STARTED "raw=ffffffff0100000004 eof", HOSTILE, ""},
    {STARTED "raw=ffffffffffffffffffffffffffffffff eof", HOSTILE, ""},
    // There is no agent: another version, another program, a client that reports an exit.
    {"hello=1 eof", "125 unreachable the agent there, fake, speaks version 1 of the protocol", ""},
    {"hello=3 eof", "125 unreachable the agent there, fake, speaks version 3 of the protocol", ""},
    {"hello=0 eof", "125 unreachable the agent there, fake, speaks version 0 of the protocol", ""},
    {"raw=48656c6c6f2c20776f726c64210a0a0a0a eof", "125 unreachable the answer there is not from an agent of hooksfs", ""},
    {"f=2,1 eof", "125 unreachable the answer there is not from an agent of hooksfs", ""},
    {"f=13,0 eof", "125 unreachable the answer there is not from an agent of hooksfs", ""},
    {"f=1,0,686f6f6b6667730a01000000 eof", "125 unreachable the answer there is not from an agent of hooksfs", ""},
    {"err=command_terminated_with_exit_code_3 exit=3", "125 unreachable the agent there ended with 3", ""},
    {"err=it_is_broken err=command_terminated_with_exit_code_1 exit=1", "125 unreachable the agent there ended with 1: it is broken", ""},
};
// clang-format on

START_TEST(takes_what_an_agent_says)
{
    setup();
    plan(1, plans[_i].plan);
    begin("agent = require\n");
    ck_ends(ask("cat", "hello"), plans[_i].outcome, plans[_i].out);
    ck_assert_int_le(count("starts", 1), 1);
    ck_assert_int_eq(count("starts", 2), 0); // the job was not started again
    finish();
}
END_TEST

// No plan has an effect on the next connection.
START_TEST(goes_on_after_a_bad_agent)
{
    bool is_declined =
        strstr(plans[_i].outcome, " unreachable ") && !strstr(plans[_i].plan, "wait");

    setup();
    plan(1, plans[_i].plan);
    begin("agent = require\n");
    ck_ends(ask("cat", "hello"), plans[_i].outcome, plans[_i].out);
    if (is_declined) // the container is not tried again for a minute
        ck_ends(ask("cat", "again"), plans[_i].outcome, "");
    else if (strstr(plans[_i].outcome, "unreachable") &&
             !strstr(plans[_i].outcome, "lost its hold"))
        ck_ends(ask("cat", "again"), "0 exited", "again");
    finish();
}
END_TEST

static const char *const early[] = {"f=2,1",       "f=4,1,78", "f=6,1", "f=8,1,01000000",
                                    "f=10,1,0000", "f=11,1",   "f=12,1"};

// Frames about a job that has not been sent yet: it was not started, and goes to the next
// connection.
START_TEST(takes_no_answer_to_what_it_has_not_asked)
{
    char text[64];

    setup();
    snprintf(text, sizeof text, "hello %s ms=5000 eof", early[_i]);
    plan(1, text);
    begin("agent = require\n");
    while (connection_count() < 2) // the first has been cut
        pass(10);
    ck_ends(ask("cat", "hello"), "0 exited", "hello");
    ck_assert_int_eq(count("starts", 1), 0);
    ck_assert_int_eq(count("starts", 2), 1);
    finish();
}
END_TEST

// An agent says that a standby has written, and has ended well, before there was a job for it.
START_TEST(takes_no_standby_that_ended_before_its_job)
{
    setup();
    plan(1, "hello wait=32 f=2,1 f=4,1,78 f=6,1 f=7,1 f=10,1,0000 f=12,1 serve");
    begin("agent = require\nstandby = cat\n");
    while (count("starts", 1) == 0)
        pass(10);
    pass(100);
    ck_ends(ask("cat", "hello"), "0 exited", "hello");
    ck_assert_int_eq(connection_count(), 1);
    finish();
}
END_TEST

// --- Without an agent

START_TEST(has_a_client_for_each_job_instead)
{
    struct job *jobs[5];

    setup();
    plan(1, "err=command_terminated_with_exit_code_1 ms=300 exit=1");
    begin("agent = auto\n");
    for (int i = 0; i < 5; i++)
        jobs[i] = submit("cat", JOB_KEEPS); // the jobs wait
    for (int i = 0; i < 5; i++)
        feed(jobs[i], "hello");
    for (int i = 0; i < 5; i++)
        ck_ends(jobs[i], "0 exited", "hello");
    ck_ends(ask("A=b sh -c 'cat; echo $A'", "hello "), "0 exited", "hello b\n");
    ck_assert_int_eq(connection_count(), 1);
    finish();
}
END_TEST

START_TEST(has_none_of_an_agent_that_breaks_either)
{
    setup();
    plan(1, STARTED "exit=0");
    begin("agent = auto\n");
    ck_ends(ask("cat", "hello"), BROKE, "");
    ck_ends(ask("cat", "again"), "0 exited", "again");
    ck_assert_int_eq(count("starts", 2), 1); // over the next connection
    finish();
}
END_TEST

// --- Waiting

START_TEST(opens_again_what_cannot_be_reached)
{
    setup();
    for (int i = 1; i <= 3; i++)
        plan(i, "err=Unable_to_connect_to_the_server:_refused exit=1");
    begin("agent = require\n");
    ck_ends(ask("cat", "hello"), "0 exited", "hello");
    ck_assert_int_eq(connection_count(), 4);
    finish();
}
END_TEST

START_TEST(says_why_there_was_no_connection)
{
    setup();
    for (int i = 1; i <= 30; i++)
        plan(i, "err=Unable_to_connect_to_the_server:_refused exit=1");
    begin("agent = require\ntimeout = 1s\n");
    ck_ends(ask("cat", "hello"), "125 unreachable Unable to connect to the server: refused", "");
    ck_assert_int_ge(connection_count(), 2);
    ck_assert_int_le(connection_count(), 8); // the pauses grow
    finish();
}
END_TEST

START_TEST(waits_no_longer_than_its_time)
{
    setup();
    plan(1, "ms=5000");
    begin("agent = require\ntimeout = 300ms\n");
    struct job *job = ask("cat", "hello");
    uint64_t before = loop_now_ns();
    ck_ends(job, "125 unreachable there is no connection to an agent", "");
    ck_assert_uint_lt(loop_now_ns() - before, 3000000000U);
    finish();
}
END_TEST

START_TEST(is_cancelled_while_it_waits)
{
    setup();
    plan(1, "ms=5000");
    begin("agent = require\n");
    struct job *job = ask("cat", "hello");
    pass(100);
    job_cancel(job);
    ck_ends(job, "130 cancelled", "");
    job = submit("cat", JOB_KEEPS);
    job_release(job);
    while (sandboxes_busy_count(sandboxes) > 0)
        pass(10);
    finish();
}
END_TEST

// Job 1 was released; job 2 shows whether the connection holds.
// clang-format off
static const struct {
    const char *plan;
    bool is_cancelled; // job 1, before it was gone
    const char *outcome; // of job 2
} late_plans[] = {
    {STARTED "f=6,1 f=7,1 f=10,1,0000 f=12,1 wait=32 f=2,2 f=8,1,01000000 eof", false, HOSTILE},
    {STARTED "f=6,1 f=7,1 f=10,1,0000 f=12,1 wait=32 f=2,2 f=12,1 eof", false, HOSTILE},
    {STARTED "wait=39 f=5,1,78 f=6,1 f=7,1 f=10,1,0109 f=12,1 serve", true, "0 exited"},
    {STARTED "wait=39 f=5,1,78 f=12,1 wait=32 f=2,2 f=5,1,78 eof", true, HOSTILE},
};
// clang-format on

START_TEST(takes_no_more_of_a_released_job_than_was_on_its_way)
{
    setup();
    plan(1, late_plans[_i].plan);
    begin("agent = require\nconnections = 1\nkill_grace = 100ms\n");
    if (late_plans[_i].is_cancelled) {
        struct job *job = submit("cat", JOB_KEEPS);
        pass(200);
        job_cancel(job);
        ck_ends(job, "130 cancelled", "");
    } else
        ck_ends(ask("cat", "hello"), "0 exited", "");
    pass(200);
    ck_ends(ask("cat", "x"), late_plans[_i].outcome, *late_plans[_i].outcome == '0' ? "x" : "");
    finish();
}
END_TEST

START_TEST(gives_no_number_to_what_is_not_started)
{
    setup();
    begin("agent = require\nconnections = 1\n");
    ck_ends(ask("cat", "hello"), "0 exited", "hello");
    struct job *other = submit("cat", JOB_KEEPS);
    pass(100);
    struct job *job = submit("cat", JOB_KEEPS);
    job_cancel(job); // before the end of the turn, when its START would be sent
    ck_ends(job, "130 cancelled", "");
    ck_ends(ask("cat", "again"), "0 exited", "again");
    feed(other, "hello");
    ck_ends(other, "0 exited", "hello");
    ck_assert_int_eq(connection_count(), 1);
    finish();
}
END_TEST

START_TEST(takes_a_stdin_of_many_windows)
{
    struct buffer text = {0};

    setup();
    begin("agent = require\n");
    for (int i = 0; i < 200000; i++)
        buffer_printf(&text, "%d\n", i);
    char *string = buffer_take_string(&text);
    ck_ends(ask("cat", string), "0 exited", string);
    free(string);
    finish();
}
END_TEST

// --- Ends

START_TEST(asks_for_the_end_and_then_makes_it)
{
    bool is_stubborn = _i == 1;

    setup();
    plan(1, is_stubborn ? STARTED "wait=37 wait=38 f=6,1 f=7,1 f=10,1,0109 f=12,1 eof"
                        : STARTED "wait=37 f=6,1 f=7,1 f=10,1,010f f=12,1 eof");
    begin("agent = require\n");
    struct job *job = ask("cat", "hello");
    while (count("frames.1", FRAME_START) == 0)
        pass(10);
    job_cancel(job);
    ck_ends(job, "130 cancelled", "");
    pass(300);
    ck_assert_int_eq(count("frames.1", FRAME_TERM), 1);
    ck_assert_int_ge(count("frames.1", FRAME_KILL), 1); // for the other processes of the job
    finish();
}
END_TEST

// The agent never says that the job is gone.
START_TEST(does_not_wait_for_a_silent_agent)
{
    setup();
    plan(1, STARTED "eof");
    begin("agent = require\n");
    struct job *job = ask("--timeout=300ms cat", "hello");
    uint64_t before = loop_now_ns();
    ck_ends(job, "124 timeout after 300ms", "");
    ck_assert_uint_lt(loop_now_ns() - before, 5000000000U);
    pass(100);
    ck_assert_int_ge(count("frames.1", FRAME_KILL), 1);
    ck_assert_int_eq(count("frames.1", FRAME_RELEASE), 1);
    finish();
}
END_TEST

// Frames about a job that was released are ignored, and are no error.
START_TEST(lets_a_released_job_be_spoken_of)
{
    setup();
    plan(1, STARTED "wait=39 f=4,1,78 f=6,1 f=7,1 f=10,1,0000 f=12,1 serve");
    begin("agent = require\n");
    struct job *job = ask("cat", "hello");
    while (count("frames.1", FRAME_START) == 0)
        pass(10);
    job_release(job);
    while (sandboxes_busy_count(sandboxes) > 0)
        pass(10);
    ck_ends(ask("cat", "again"), "0 exited", "again");
    ck_assert_int_eq(connection_count(), 1);
    finish();
}
END_TEST

START_TEST(closes_the_connection_at_the_end)
{
    setup();
    begin("agent = require\n");
    ck_ends(ask("cat", "hello"), "0 exited", "hello");
    finish(); // it waits for the client
}
END_TEST

// --- Windows

// Bytes that a connection holds while a job is paused are counted to the job's user.
START_TEST(counts_what_it_keeps_to_the_user)
{
    enum { SIZE = 1572864 }; // more than a paused job takes, and less than that and a window
    struct account *account;
    struct job *job;

    setup();
    plan(1, STARTED "much=4,1,1572864 wait=37 exit=0");
    begin("agent = require\n");
    account = sandbox_open_account(sandbox, 4711);
    job = submit_for(account, "cat", JOB_STREAMS_OUT);
    job_end_stdin(job);
    while (account_held(account, ACCOUNT_BYTES) < SIZE)
        pass(10);
    ck_assert_uint_lt(output_visible(job_output(job, JOB_STDOUT)), SIZE);
    job_cancel(job);
    while (!job_is_done(job))
        loop_run(loop);
    ck_assert_uint_eq(account_held(account, ACCOUNT_BYTES),
                      job_output(job, JOB_STDOUT)->bytes.capacity);
    job_release(job);
    while (account_held(account, ACCOUNT_BYTES) > 0) // the job is freed from the loop
        pass(10);
    account_unref(account);
    finish();
}
END_TEST

START_TEST(ends_a_job_whose_user_has_too_much_in_connections)
{
    struct account *account;
    struct job *job;

    setup();
    plan(1, STARTED "much=4,1,1572864 eof");
    begin("agent = require\n");
    account = sandbox_open_account(sandbox, 4711);
    // So much that the job may keep what it takes, and not what its connection holds besides.
    account_take(account, ACCOUNT_BYTES, (256U << 20) - (5 << 18), UINT64_MAX);
    job = submit_for(account, "cat", JOB_STREAMS_OUT);
    job_end_stdin(job);
    while (!job_is_done(job))
        loop_run(loop);
    ck_assert_int_eq(job_outcome(job)->kind, OUTCOME_OVERFLOW);
    ck_assert_str_eq(job_outcome(job)->detail, "stdout exceeded what one user may have kept");
    job_release(job);
    account_unref(account);
    finish();
}
END_TEST

START_TEST(holds_the_agent_to_its_window)
{
    char text[200];

    setup();
    // First as much as the job takes while nobody reads, then more than the window.
    snprintf(text, sizeof text, STARTED "much=4,1,%d ms=300 much=4,1,%d eof", 3 << 20, 1 << 20);
    plan(1, text);
    begin("agent = require\n");
    struct job *job = submit("cat", JOB_STREAMS_OUT);
    job_end_stdin(job);
    while (!job_is_done(job))
        loop_run(loop);
    ck_assert_int_eq(job_outcome(job)->kind, OUTCOME_UNREACHABLE);
    ck_assert_msg(strstr(job_outcome(job)->detail, "does not keep to the protocol"), "%s",
                  job_outcome(job)->detail);
    ck_assert_uint_le(job_output(job, JOB_STDOUT)->bytes.capacity, 8 << 20);
    job_release(job);
    finish();
}
END_TEST

// --- No memory

// Output with bytes missing is never taken for the whole output, whether the command still
// runs or has ended well.
// clang-format off
static const struct {
    const char *plan;
    const char *outcome;
} scarcities[] = {
    {STARTED "much=4,1,70000 wait=37 f=6,1 f=7,1 f=10,1,010f f=12,1 eof",
     "141 overflow stdout exceeded the memory"},
    {STARTED "much=5,1,70000 wait=37 f=6,1 f=7,1 f=10,1,010f f=12,1 eof",
     "141 overflow stderr exceeded the memory"},
    {STARTED "f=10,1,0000 ms=100 much=4,1,70000 f=6,1 f=7,1 f=12,1 eof",
     "141 overflow stdout exceeded the memory"},
    // The agent may send as much as a window after the loss, and needs credit for more.
    {STARTED "much=4,1,600000 wait=37 wait=35 much=4,1,900000 f=6,1 f=7,1 f=10,1,010f f=12,1 eof",
     "141 overflow stdout exceeded the memory"},
};
// clang-format on

START_TEST(says_that_output_is_missing)
{
    setup();
    plan(1, scarcities[_i].plan);
    begin("agent = require\nkill_grace = 10s\n");
    struct job *job = ask("cat", "hello");
    uint64_t before = loop_now_ns();
    scarce_from = 4096; // that is the buffer in which the remote keeps output for the job
    ck_ends(job, scarcities[_i].outcome, "");
    ck_assert_uint_eq(scarce_from, 0);
    ck_assert_uint_lt(loop_now_ns() - before, 9000000000U); // it ended before its grace was over
    finish();
}
END_TEST

// --- Several

START_TEST(spreads_jobs)
{
    struct job *jobs[6];

    setup();
    begin("agent = require\nconnections = 3\n");
    pass(500);
    for (int i = 0; i < 6; i++)
        jobs[i] = submit("cat", JOB_KEEPS);
    for (int i = 1; i <= 3; i++)
        while (count("starts", i) < 2)
            pass(10);
    for (int i = 0; i < 6; i++) {
        feed(jobs[i], "hello");
        ck_ends(jobs[i], "0 exited", "hello");
    }
    ck_assert_int_eq(connection_count(), 3);
    finish();
}
END_TEST

START_TEST(opens_none_before_the_first_use)
{
    setup();
    begin("agent = require\nconnections = 2\nconnect = use\n");
    pass(300);
    ck_assert_int_eq(connection_count(), 0);
    ck_ends(ask("cat", "hello"), "0 exited", "hello");
    while (connection_count() < 2)
        pass(10);
    finish();
}
END_TEST

// One of two connections breaks; the jobs of the other go on.
START_TEST(breaks_one_of_two)
{
    struct job *jobs[2];

    setup();
    plan(1, STARTED "ms=300 exit=0");
    begin("agent = require\nconnections = 2\n");
    while (connection_count() < 2)
        pass(10);
    pass(300);
    for (int i = 0; i < 2; i++)
        jobs[i] = submit("cat", JOB_KEEPS);
    while (!job_is_done(jobs[0]) && !job_is_done(jobs[1]))
        loop_run(loop);
    int broken = job_is_done(jobs[0]) ? 0 : 1;
    pass(300);
    ck_assert(!job_is_done(jobs[1 - broken]));
    ck_ends(jobs[broken], BROKE, "");
    feed(jobs[1 - broken], "hello");
    ck_ends(jobs[1 - broken], "0 exited", "hello");
    finish();
}
END_TEST

// --- The debug log

// Every state of a connection is one line, with the reason of its end.
START_TEST(logs_each_state)
{
    static const char *const lines[] = {
        "connection: sandbox s: connection 1: opens\n",
        "connection: sandbox s: connection 1: the greeting of the agent is awaited\n",
        "connection: sandbox s: connection 1: is ready\n",
        "connection: sandbox s: connection 1: ends: the connection to the agent broke: so it is\n",
        "connection: sandbox s: connection 1: is opened again in 100 ms\n",
        "connection: sandbox s: connection 1: opens\n",
        "connection: sandbox s: connection 1: the greeting of the agent is awaited\n",
        "connection: sandbox s: connection 1: is ready\n",
        "connection: sandbox s: connection 1: is closed\n",
    };
    char path[PATH_MAX];
    char text[8192] = "";
    FILE *file;

    setup();
    plan(1, STARTED "err=so_it_is exit=0");
    snprintf(path, sizeof path, "%s/log", folder);
    ck_assert_ptr_nonnull(freopen(path, "w", stderr));
    log_init(1U << DEBUG_CONNECTION);
    begin("agent = require\n");
    ck_ends(ask("cat", "hello"), BROKE, "");
    ck_ends(ask("cat", "again"), "0 exited", "again");
    file = fopen(path, "r");
    sandbox_unref(sandbox);
    sandbox = NULL;
    pass(50);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
    fclose(file);
    const char *at = text;
    for (size_t i = 0; i < COUNT(lines); i++) {
        const char *found = strstr(at, lines[i]);
        ck_assert_msg(found != NULL, "no line '%s' in\n%s", lines[i], at);
        at = found + strlen(lines[i]);
    }
    finish();
}
END_TEST

// --- The beat; these tests take long

// The silence counts from the last bytes of the agent, not from the beat.
START_TEST(notices_silence)
{
    setup();
    plan(1, "hello wait=32 f=2,1 wait=40 deaf eof");
    begin("agent = require\ntimeout = 60s\n");
    struct job *job = ask("cat", "hello");
    while (count("frames.1", FRAME_PING) == 0)
        pass(50);
    uint64_t before = loop_now_ns();
    ck_ends(job, "125 unreachable the agent was silent for 15 s", "");
    uint64_t took_ms = (loop_now_ns() - before) / 1000000;
    ck_assert_uint_ge(took_ms, WIRE_SILENCE_MS - 1000);
    ck_assert_uint_lt(took_ms, WIRE_SILENCE_MS + 2500);
    ck_assert_int_ge(count("frames.1", FRAME_PING), 3);
    finish();
}
END_TEST

// A client that does not get through to the agent.
START_TEST(gives_up_an_attempt)
{
    setup();
    plan(1, "ms=30000");
    begin("agent = require\nconnect_timeout = 700ms\n");
    uint64_t before = loop_now_ns();
    ck_ends(ask("cat", "hello"), "0 exited", "hello");
    ck_assert_uint_gt(loop_now_ns() - before, 690000000U);
    ck_assert_int_eq(connection_count(), 2);
    finish();
}
END_TEST

// A client may ask a slow credential plugin: with auto the jobs do not wait for it.
START_TEST(has_a_client_for_each_job_when_an_attempt_takes_too_long)
{
    setup();
    plan(1, "ms=30000");
    begin("agent = auto\nconnect_timeout = 300ms\n");
    ck_ends(ask("cat", "hello"), "0 exited unconfirmed", "hello");
    ck_assert_int_eq(connection_count(), 1);
    finish();
}
END_TEST

// A shell that cannot make a process, and an agent whose connection is cut before it has
// greeted, say nothing of the container.
static const char *const passing[] = {"err=sh:_can't_fork exit=2", "exit=1", "exit=137"};

START_TEST(does_not_refuse_for_what_may_pass)
{
    setup();
    plan(1, passing[_i]);
    begin("agent = require\n");
    ck_ends(ask("cat", "hello"), "0 exited", "hello");
    ck_assert_int_eq(connection_count(), 2);
    finish();
}
END_TEST

START_TEST(forgets_what_was_said_before_the_greeting)
{
    char line[OUTCOME_MAX_LINE];

    setup();
    plan(1, "err=sh:_Permission_denied ms=300 " STARTED "exit=0");
    begin("agent = require\n");
    struct job *job = ask("cat", "hello");
    while (!job_is_done(job))
        loop_run(loop);
    outcome_format(job_outcome(job), line);
    ck_assert_str_eq(line, BROKE "\n");
    job_release(job);
    finish();
}
END_TEST

int main(void)
{
    UNIT_RUN(
        "agents", EACH(takes_what_an_agent_says, plans), EACH(goes_on_after_a_bad_agent, plans),
        EACH(takes_no_answer_to_what_it_has_not_asked, early),
        ONCE(takes_no_standby_that_ended_before_its_job), ONCE(has_a_client_for_each_job_instead),
        ONCE(has_none_of_an_agent_that_breaks_either), ONCE(opens_again_what_cannot_be_reached),
        ONCE(says_why_there_was_no_connection), ONCE(waits_no_longer_than_its_time),
        ONCE(is_cancelled_while_it_waits), ONCE(gives_no_number_to_what_is_not_started),
        EACH(takes_no_more_of_a_released_job_than_was_on_its_way, late_plans),
        ONCE(takes_a_stdin_of_many_windows), {asks_for_the_end_and_then_makes_it, 2},
        ONCE(does_not_wait_for_a_silent_agent), ONCE(lets_a_released_job_be_spoken_of),
        ONCE(closes_the_connection_at_the_end), ONCE(holds_the_agent_to_its_window),
        ONCE(counts_what_it_keeps_to_the_user),
        ONCE(ends_a_job_whose_user_has_too_much_in_connections),
        EACH(says_that_output_is_missing, scarcities), ONCE(spreads_jobs),
        ONCE(opens_none_before_the_first_use), ONCE(breaks_one_of_two), ONCE(logs_each_state),
        ONCE(notices_silence), ONCE(gives_up_an_attempt),
        ONCE(has_a_client_for_each_job_when_an_attempt_takes_too_long),
        EACH(does_not_refuse_for_what_may_pass, passing),
        ONCE(forgets_what_was_said_before_the_greeting));
}
