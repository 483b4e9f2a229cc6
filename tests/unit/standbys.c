// SPDX-License-Identifier: Apache-2.0
// sandbox/standbys.c and standby.c, with real commands: which request gets a standby, and
// that nobody ever sees the end of a stdin that is no request's. Each command notes its start
// in a file.
#include "world.h"

#include "job.h"
#include "route.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct loop *loop;
static struct config *config;
static struct routes *routes;
static struct job *job;
static char notes[] = WORLD_PATH;
static char client[] = WORLD_PATH; // in place of kubectl; empty: there is none

static void on_change(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void on_done(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void on_pause(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void run_for(uint64_t ms)
{
    uint64_t end = loop_now_ns() + ms * 1000000;
    struct timer timer = {.on_time = on_pause};

    while (loop_now_ns() < end) {
        loop_arm(loop, &timer, 1 + (end - loop_now_ns()) / 1000000);
        loop_run(loop);
    }
    loop_disarm(loop, &timer);
}

static unsigned count_notes(void)
{
    FILE *file = fopen(notes, "re");
    unsigned count = 0;

    for (int c; file && (c = getc(file)) != EOF;)
        count += c == '\n';
    if (file)
        fclose(file);
    return count;
}

// The process that made the last note.
static pid_t last_note(void)
{
    FILE *file = fopen(notes, "re");
    int pid = 0;

    while (file && fscanf(file, "%d", &pid) == 1)
        ;
    if (file)
        fclose(file);
    return pid;
}

static void await_some(unsigned count)
{
    for (int i = 0; i < 2000 && count_notes() < count; i++)
        run_for(5);
    ck_assert_uint_ge(count_notes(), count);
}

static void await_notes(unsigned count)
{
    await_some(count);
    run_for(20); // it goes on from there to its read
    ck_assert_uint_eq(count_notes(), count);
}

// A configuration with SCRIPT, an sh script in which @ is the file of notes, as its standby.
static char *command_of(const char *script)
{
    struct buffer text = {0};

    buffer_printf(&text, "sh -c 'echo $$ >>%s; ", notes);
    for (; *script; script++)
        if (*script == '@')
            buffer_printf(&text, "%s", notes);
        else
            buffer_append(&text, script, 1);
    buffer_printf(&text, "'");
    return buffer_take_string(&text);
}

static void begin(const char *settings, const char *script, const char *client_script)
{
    struct buffer text = {0};
    char *command;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    world_file(notes, "", 0);
    setenv("UNIT_NOTES", notes, 1);
    command = command_of(script);
    if (client_script) {
        world_file(client, client_script, strlen(client_script));
        ck_assert_int_eq(chmod(client, 0700), 0);
        buffer_printf(&text, "[s]\nmode = kubectl_exec\npod = p\nkubectl_path = %s\n", client);
    } else {
        *client = '\0';
        buffer_printf(&text, "[s]\nmode = direct\nuser = %u\n", (unsigned)geteuid());
    }
    buffer_printf(&text, "%sstandby = %s\n", settings, command);
    char *string = buffer_take_string(&text);
    config = world_config(string);
    free(string);
    free(command);
    loop = loop_create(NULL);
    routes = routes_create(loop, config->sandboxes[0]);
    ck_assert_ptr_nonnull(routes);
}

static void make(const char *prefix, const char *script)
{
    struct buffer text = {0};
    char *command = command_of(script);
    struct caller caller = world_caller();
    struct job_spec spec = {
        .loop = loop,
        .config = config->sandboxes[0],
        .routes = routes,
        .caller = &caller,
        .keeping = JOB_KEEPS,
        .owner = {.on_change = on_change},
        .on_done = on_done,
    };

    buffer_printf(&text, "%s%s", prefix, command);
    free(command);
    char *line = buffer_take_string(&text);
    struct request request = world_request(line);
    free(line);
    job = job_create(&spec, &request, NULL);
    ck_assert_ptr_nonnull(job);
    job_start(job);
}

static void give(const char *bytes)
{
    size_t size = strlen(bytes);

    while (size > 0) {
        size_t count = job_write(job, bytes, size);
        bytes += count;
        size -= count;
        if (size > 0)
            loop_run(loop);
    }
    job_end_stdin(job);
}

static void ck_answer(const char *outcome, const char *out)
{
    char line[OUTCOME_MAX_LINE];
    const struct output *output;

    while (!job_is_done(job))
        loop_run(loop);
    outcome_format(job_outcome(job), line);
    ck_assert_msg(strncmp(line, outcome, strlen(outcome)) == 0, "%s", line);
    output = job_output(job, JOB_STDOUT);
    ck_assert_msg(output_visible(output) == strlen(out) &&
                      (!*out || memcmp(output->bytes.data, out, strlen(out)) == 0),
                  "%.*s", (int)output_visible(output), output->bytes.data);
    job_release(job);
}

// A process that was stopped in order to be killed must be killed.
static void ck_none_is_stopped(void)
{
    char command[1024];
    bool is_one_left = true;

    snprintf(command, sizeof command,
             "for p in $(grep -ls UNIT_NOTES=%s /proc/[0-9]*/environ); do "
             "! grep -qs '^State:.T' ${p%%/environ}/status || exit 1; done",
             notes);
    for (int i = 0; i < 100 && is_one_left; i++) {
        usleep(20000);
        is_one_left = system(command) != 0;
    }
    ck_assert(!is_one_left);
}

static void end(void)
{
    struct config *old = config;

    routes_retire(routes);
    routes_unref(routes);
    world_end(loop);
    config_destroy(old);
    ck_none_is_stopped();
    unlink(notes);
    if (*client)
        unlink(client);
}

// kubectl's place: the command is in a session of its own, as in a pod, and outlives it.
static const char far_client[] = "#!/bin/sh\n"
                                 "while [ \"$1\" != -- ]; do shift; done\n"
                                 "shift\n"
                                 "exec 3<&0\n"
                                 "setsid -w \"$@\" <&3 &\n"
                                 "exec 3<&-\n"
                                 "wait $!\n";

// One that finds no shell, after a while.
static const char shell_less_client[] =
    "#!/bin/sh\n"
    "while [ \"$1\" != -- ]; do shift; done\n"
    "shift\n"
    "case $3 in *\"hooksfs standby\"*) read -r line; exit 127 ;; esac\n"
    "exec \"$@\"\n";

static const char *const clients[] = {NULL, far_client};

START_TEST(gives_the_request_a_command_that_was_there)
{
    static const char script[] = "echo early $$; cat; echo late";
    char expected[100];

    begin("", script, clients[_i]);
    await_notes(1);
    snprintf(expected, sizeof expected, "early %d\nin the middle\nlate\n", (int)last_note());
    make("", script);
    give("in the middle\n");
    ck_answer(_i ? "0 exited unconfirmed" : "0 exited", expected);
    await_notes(2); // the next one
    snprintf(expected, sizeof expected, "early %d\nlate\n", (int)last_note());
    make("", script);
    give(""); // a request without a payload is one, too
    ck_answer("0 exited", expected);
    end();
}
END_TEST

START_TEST(passes_all_bytes_on)
{
    size_t size = 300000;
    char *bytes = calloc(1, size + 1);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(1 + i * 7 % 255);
    begin("", "cat", clients[_i]);
    await_notes(1);
    make("", "cat");
    give(bytes);
    ck_answer("0 exited", bytes);
    free(bytes);
    end();
}
END_TEST

START_TEST(does_not_wait_for_stdin_that_nobody_reads)
{
    begin("", "read -r line; echo $line", clients[_i]);
    await_notes(1);
    make("", "read -r line; echo $line");
    ck_assert_uint_eq(job_write(job, "one\ntwo\n", 8), 8); // and no end
    ck_answer("0 exited", "one\n");
    end();
}
END_TEST

// clang-format off
static const struct {
    const char *prefix;
    const char *script;
} others[] = {
    {"A=1 ", "cat"},
    {"PATH=/usr/bin:/bin ", "cat"},
    {"--workdir=/tmp ", "cat"},
    {"", "cat -"},
};
// clang-format on

START_TEST(is_not_for_any_other_request)
{
    begin("env = B=1\n", "cat", NULL);
    await_notes(1);
    make(others[_i].prefix, others[_i].script);
    give("x");
    ck_answer("0 exited", "x");
    ck_assert_uint_eq(count_notes(), 2);
    end();
}
END_TEST

START_TEST(is_for_a_request_with_a_time_limit)
{
    begin("", "cat; exec sleep 9", NULL);
    await_notes(1);
    make("--timeout=1s ", "cat; exec sleep 9");
    give("x");
    ck_answer("124 timeout after 1s", "x");
    ck_assert_uint_le(count_notes(), 2); // the second is the next standby
    end();
}
END_TEST

START_TEST(is_never_answered_by_one_that_has_ended)
{
    static const char script[] = "trap \"exit 9\" USR1; read -r line; echo $line";

    begin("", script, NULL);
    await_notes(1);
    pid_t first = last_note();
    siginfo_t info;
    ck_assert_int_eq(kill(first, _i ? SIGUSR1 : SIGKILL), 0);
    // It has ended, and the loop has not seen it yet.
    ck_assert_int_eq(waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT), 0);
    make("", script);
    give("line\n");
    ck_answer("0 exited", "line\n");
    ck_assert_uint_ge(count_notes(), 2);
    end();
}
END_TEST

START_TEST(starts_afresh_when_one_dies_before_it_got_anything)
{
    begin("standby_max_age = 365d\n", "cat", clients[_i]);
    await_notes(1);
    make("", "cat");
    ck_assert_int_eq(kill(last_note(), SIGKILL), 0);
    await_some(2); // a third one is the next standby's
    give("payload");
    ck_answer("0 exited", "payload");
    end();
}
END_TEST

START_TEST(is_not_started_again_when_it_was_cancelled)
{
    begin("", "cat", NULL);
    await_notes(1);
    make("", "cat");
    job_cancel(job);
    ck_answer("130 cancelled", "");
    await_notes(2); // the next standby's, and none for the request
    run_for(100);
    ck_assert_uint_eq(count_notes(), 2);
    end();
}
END_TEST

// "ran" would be a third note.
static const char runs_on_empty[] = "trap \"\" TERM; cat >/dev/null; echo 0 >>@";

START_TEST(is_killed_before_its_stdin_ends)
{
    begin("standby_count = 2\n", runs_on_empty, clients[_i % 2]);
    await_notes(2);
    if (_i < 2)
        routes_retire(routes);
    else { // a reload, after which there are two others
        routes_configure(routes, config->sandboxes[0]);
        await_notes(4);
        routes_retire(routes);
    }
    run_for(300);
    ck_assert_uint_eq(count_notes(), _i < 2 ? 2 : 4);
    end();
}
END_TEST

START_TEST(is_killed_when_its_client_is)
{
    begin("", runs_on_empty, far_client);
    await_notes(1);
    // The client is the process whose stdin the far shell has; it is found by its name.
    ck_assert_int_eq(system("pkill -KILL -f '^/bin/sh /tmp/hooksfs-unit-.* exec -i p -- sh' "
                            "-P $PPID 2>/dev/null"),
                     0);
    run_for(50);
    ck_assert_uint_eq(count_notes(), 1);
    end();
}
END_TEST

START_TEST(is_not_ready_before_the_client_is_connected)
{
    begin("", "cat", shell_less_client);
    run_for(50);
    make("", "cat");
    give("payload\n");
    ck_answer("0 exited", "payload\n");
    end();
}
END_TEST

START_TEST(pauses_after_one_that_ends_by_itself)
{
    begin("", "exit 3", NULL);
    run_for(1000); // after 100, 200 and 400 ms
    ck_assert_uint_le(count_notes(), 5);
    await_some(2);
    make("", "exit 3");
    give("");
    ck_answer("3 exited", "");
    end();
}
END_TEST

START_TEST(is_replaced_when_it_is_old)
{
    begin("standby_max_age = 300ms\n", "cat", NULL);
    await_notes(1);
    pid_t first = last_note();
    await_notes(2);
    ck_assert_int_eq(kill(first, 0), 0); // until the next one has had its time to begin
    for (int i = 0; i < 1000 && kill(first, 0) == 0; i++)
        run_for(10);
    ck_assert_int_eq(kill(first, 0), -1);
    end();
}
END_TEST

int main(void)
{
    UNIT_RUN("standbys", EACH(gives_the_request_a_command_that_was_there, clients),
             EACH(passes_all_bytes_on, clients),
             EACH(does_not_wait_for_stdin_that_nobody_reads, clients),
             EACH(is_not_for_any_other_request, others), ONCE(is_for_a_request_with_a_time_limit),
             {is_never_answered_by_one_that_has_ended, 2},
             EACH(starts_afresh_when_one_dies_before_it_got_anything, clients),
             ONCE(is_not_started_again_when_it_was_cancelled), {is_killed_before_its_stdin_ends, 4},
             ONCE(is_killed_when_its_client_is), ONCE(is_not_ready_before_the_client_is_connected),
             ONCE(pauses_after_one_that_ends_by_itself), ONCE(is_replaced_when_it_is_old));
}
