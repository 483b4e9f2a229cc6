// SPDX-License-Identifier: Apache-2.0
// sandbox/job.c, with real commands in mode direct: every way in which a job can end, the
// output that is kept, and the announcements.
#include "world.h"

#include "job.h"
#include "route.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

static struct loop *loop;
static struct config *config;
static struct job *job;
static unsigned done_count;
static unsigned change_count;
static bool is_in_call; // a call to the job is running: it must not call back

static void on_change(void *data)
{
    ck_assert_ptr_eq(data, &job);
    ck_assert(!is_in_call);
    change_count++;
    loop_stop(loop);
}

static void on_done(void *data)
{
    ck_assert_ptr_eq(data, &done_count);
    done_count++;
    loop_stop(loop);
}

// Makes the job of REQUEST in the sandbox of the configuration. Takes REQUEST over.
static struct job *make(struct request *request, struct error *err)
{
    struct caller caller = world_caller();
    struct job_spec spec = {
        .loop = loop,
        .config = config->sandboxes[0],
        .routes = routes_create(loop, config->sandboxes[0]),
        .caller = &caller,
        .keeping = JOB_KEEPS,
        .owner = {.on_change = on_change, .data = &job},
        .on_done = on_done,
        .done_data = &done_count,
    };
    struct job *made = job_create(&spec, request, err);

    routes_unref(spec.routes); // the job has a reference
    return made;
}

static void create(const char *settings, const char *line)
{
    struct buffer text = {0};
    struct request request = world_request(line);
    struct error err = {0};

    signal(SIGPIPE, SIG_IGN); // as the daemon does
    signal(SIGTERM, SIG_DFL); // check has a handler, which a child would run
    buffer_printf(&text, "[s]\nmode = direct\n%s", settings);
    char *string = buffer_take_string(&text);
    config = world_config(string);
    free(string);
    loop = loop_create(NULL);
    job = make(&request, &err);
    ck_assert_msg(job != NULL, "%s", err.code ? error_message(&err) : "");
    ck_assert_ptr_null(request.argv.items); // REQUEST was taken over
    ck_assert(!job_is_done(job));
}

static void start(const char *settings, const char *line)
{
    create(settings, line);
    is_in_call = true;
    job_start(job);
    is_in_call = false;
}

static void wait_done(void)
{
    while (!job_is_done(job))
        loop_run(loop);
    ck_assert_uint_eq(done_count, 1);
}

// Writes all of BYTES, and runs the loop until the job has taken them.
static void feed(const char *bytes, size_t size)
{
    while (size > 0) {
        is_in_call = true;
        size_t count = job_write(job, bytes, size);
        is_in_call = false;
        bytes += count;
        size -= count;
        while (size > 0 && !job_is_writable(job))
            loop_run(loop);
    }
}

static void end(void)
{
    struct config *old = config;

    // After on_done the loop announces the end once more.
    job_release(job);
    world_end(loop);
    config_destroy(old);
    ck_assert_uint_eq(done_count, 1);
}

static void ck_outcome(const char *expected)
{
    char line[OUTCOME_MAX_LINE];
    size_t length = outcome_format(job_outcome(job), line);

    line[length - 1] = '\0';
    ck_assert_str_eq(line, expected);
}

static void ck_output(enum job_stream stream, const char *text)
{
    const struct output *output = job_output(job, stream);

    ck_assert(output->is_ended);
    ck_assert_uint_eq(output_visible(output), strlen(text));
    if (*text)
        ck_assert_int_eq(memcmp(output->bytes.data, text, strlen(text)), 0);
    ck_assert_uint_eq(output->total, strlen(text));
}

static void wait_output(const char *text)
{
    while (output_visible(job_output(job, JOB_STDOUT)) < strlen(text))
        loop_run(loop);
    ck_assert_int_eq(memcmp(job_output(job, JOB_STDOUT)->bytes.data, text, strlen(text)), 0);
}

// --- Outcomes of commands that end; their stdin is "stdin".

// clang-format off
static const struct {
    const char *settings;
    const char *line;
    const char *outcome; // a * at the end: only the beginning is compared
    const char *out;
    const char *err;
} runs[] = {
    {"", "true", "0 exited", "", ""},
    {"", "false", "1 exited", "", ""},
    {"", "sh -c 'exit 3'", "3 exited", "", ""},
    {"", "sh -c 'exit 255'", "255 exited", "", ""},
    {"", "cat", "0 exited", "stdin", ""},
    {"", "sh -c 'echo out; echo err >&2; exit 7'", "7 exited", "out\n", "err\n"},
    {"", "sh -c 'cat; cat >&2'", "0 exited", "stdin", ""},
    {"", "sh -c 'kill -KILL $$'", "137 signaled KILL", "", ""},
    {"", "sh -c 'echo out; kill -TERM $$'", "143 signaled TERM", "out\n", ""},
    {"", "sh -c 'ulimit -c 0; kill -SEGV $$'", "139 signaled SEGV", "", ""},
    {"", "sh -c 'kill -RTMIN $$'", "162 signaled *", "", ""},
    {"", "sh -c 'exec >&- 2>&-; exit 4'", "4 exited", "", ""},
    {"", "A='x y' sh -c 'echo \"$A\"'", "0 exited", "x y\n", ""},
    {"env = A=config\nenv = B=config\n", "A=own sh -c 'echo $A $B'", "0 exited", "own config\n",
     ""},
    {"workdir = /usr/bin\n", "pwd", "0 exited", "/usr/bin\n", ""},
    {"", "pwd", "0 exited", "/\n", ""},
    {"", "printf '%s,' a 'b  c' ''", "0 exited", "a,b  c,,", ""},
    {"", "nope-nope", "127 unstarted *", "", ""},
    {"", "/nope/nope", "127 unstarted *", "", ""},
    {"", "/etc/passwd", "126 unstarted *", "", ""},
    {"", "/tmp", "126 unstarted *", "", ""},
    {"workdir = /nonexistent\n", "true", "126 unstarted *", "", ""},
    {"", "--timeout=100ms sleep 60", "124 timeout after 100ms", "", ""},
    {"timeout = 100ms\n", "sleep 60", "124 timeout after 100ms", "", ""},
    {"timeout = 100ms\n", "--timeout=none sleep 0.2", "0 exited", "", ""},
    {"timeout = none\n", "sh -c 'echo out; exit 3'", "3 exited", "out\n", ""},
    {"timeout = 300ms\n", "sh -c 'echo partly; exec sleep 60'", "124 timeout after 300ms",
     "partly\n", ""},
    // It exits with 0 after SIGTERM, but it has run past its time.
    {"timeout = 300ms\n", "sh -c 'trap \"exit 0\" TERM; echo on; sleep 60 & wait'",
     "124 timeout after 300ms", "on\n", ""},
    {"max_output = 5\n", "printf 12345", "0 exited", "12345", ""},
};
// clang-format on

START_TEST(runs_a_command)
{
    size_t length = strlen(runs[_i].outcome);
    char line[OUTCOME_MAX_LINE];

    start(runs[_i].settings, runs[_i].line);
    feed("stdin", 5);
    is_in_call = true;
    job_end_stdin(job);
    job_end_stdin(job);
    is_in_call = false;
    wait_done();
    if (runs[_i].outcome[length - 1] == '*') {
        outcome_format(job_outcome(job), line);
        ck_assert_msg(strncmp(line, runs[_i].outcome, length - 1) == 0, "%.*s",
                      (int)strcspn(line, "\n"), line);
    } else
        ck_outcome(runs[_i].outcome);
    ck_output(JOB_STDOUT, runs[_i].out);
    ck_output(JOB_STDERR, runs[_i].err);
    end();
}
END_TEST

// More than max_output: the bytes up to the limit stay.
// clang-format off
static const struct {
    const char *line;
    const char *outcome;
    size_t out;
    size_t err;
} overflows[] = {
    {"head -c 1024 /dev/zero", "0 exited", 1024, 0},
    {"head -c 1025 /dev/zero", "141 overflow stdout exceeded 1K", 1024, 0},
    {"yes", "141 overflow stdout exceeded 1K", 1024, 0},
    {"sh -c 'exec yes >&2'", "141 overflow stderr exceeded 1K", 0, 1024},
    {"sh -c 'head -c 1024 /dev/zero; head -c 1024 /dev/zero >&2'", "0 exited", 1024, 1024},
    // It has exited with 0, but a part of its output is missing.
    {"sh -c 'head -c 60000 /dev/zero'", "141 overflow stdout exceeded 1K", 1024, 0},
};
// clang-format on

START_TEST(limits_output)
{
    start("max_output = 1K\n", overflows[_i].line);
    wait_done();
    ck_outcome(overflows[_i].outcome);
    ck_assert_uint_eq(output_visible(job_output(job, JOB_STDOUT)), overflows[_i].out);
    ck_assert_uint_eq(output_visible(job_output(job, JOB_STDERR)), overflows[_i].err);
    ck_assert(job_output(job, JOB_STDOUT)->is_ended && job_output(job, JOB_STDERR)->is_ended);
    end();
}
END_TEST

// --- stdin

START_TEST(passes_a_large_stdin_on)
{
    size_t size = 3 * 1024 * 1024 + 17;
    char *bytes = malloc(size);
    unsigned seed = 1;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)rand_r(&seed);
    start("", "cat");
    feed(bytes, size);
    job_end_stdin(job);
    wait_done();
    ck_outcome("0 exited");
    ck_assert_uint_eq(output_visible(job_output(job, JOB_STDOUT)), size);
    ck_assert_int_eq(memcmp(job_output(job, JOB_STDOUT)->bytes.data, bytes, size), 0);
    ck_assert_uint_eq(job_input_bytes(job), size);
    end();
    free(bytes);
}
END_TEST

START_TEST(drops_what_is_never_read)
{
    size_t size = 1024 * 1024;
    char *bytes = calloc(1, size);

    start("", "sh -c 'exec 0<&-; echo closed'");
    feed(bytes, size);
    wait_done();
    ck_outcome("0 exited");
    ck_assert(job_is_writable(job));
    ck_assert_uint_eq(job_write(job, bytes, size), size); // the same after its end
    end();
    free(bytes);
}
END_TEST

START_TEST(ends_an_empty_stdin_that_was_ended_before_the_start)
{
    create("", "cat");
    ck_assert(!job_is_writable(job));
    ck_assert_uint_eq(job_write(job, "early", 5), 0);
    job_end_stdin(job);
    job_start(job);
    wait_done();
    ck_outcome("0 exited");
    ck_output(JOB_STDOUT, "");
    end();
}
END_TEST

START_TEST(tells_a_writer_when_the_job_starts)
{
    create("", "cat");
    ck_assert_uint_eq(job_write(job, "x", 1), 0);
    job_start(job);
    while (!job_is_writable(job) || change_count == 0)
        loop_run(loop);
    ck_assert_uint_eq(job_write(job, "x", 1), 1);
    job_end_stdin(job);
    wait_done();
    ck_output(JOB_STDOUT, "x");
    end();
}
END_TEST

// --- Timeouts, cancellation, and processes that stay

START_TEST(is_cancelled_before_it_starts)
{
    create("", "sh -c 'echo never'");
    job_cancel(job);
    ck_assert(job_is_done(job));
    ck_assert_uint_eq(done_count, 1);
    ck_outcome("130 cancelled");
    ck_output(JOB_STDOUT, "");
    ck_assert_uint_eq(job_duration_ms(job), 0);
    job_cancel(job);
    loop_run(loop);
    ck_assert_uint_ge(change_count, 1);
    end();
}
END_TEST

START_TEST(is_cancelled_while_it_runs)
{
    start("", "sh -c 'echo ready; exec sleep 60'");
    wait_output("ready\n");
    is_in_call = true;
    job_cancel(job);
    job_cancel(job);
    is_in_call = false;
    wait_done();
    ck_outcome("130 cancelled");
    ck_output(JOB_STDOUT, "ready\n");
    job_cancel(job); // too late
    ck_outcome("130 cancelled");
    end();
}
END_TEST

START_TEST(is_cancelled_at_once)
{
    start("", "sleep 60");
    job_cancel(job);
    wait_done();
    ck_outcome("130 cancelled");
    end();
}
END_TEST

START_TEST(stays_as_it_ended_when_cancelled_later)
{
    start("", "sh -c 'exit 5'");
    wait_done();
    job_cancel(job);
    loop_run_tasks(loop);
    ck_outcome("5 exited");
    end();
}
END_TEST

START_TEST(kills_who_ignores_sigterm)
{
    start("kill_grace = 100ms\n", "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 60; done'");
    wait_output("ready\n");
    uint64_t before = loop_now_ns();
    job_cancel(job);
    wait_done();
    ck_assert_uint_ge(loop_now_ns() - before, 100 * 1000000); // it had its grace
    ck_outcome("130 cancelled");
    ck_output(JOB_STDOUT, "ready\n");
    end();
}
END_TEST

START_TEST(lets_it_say_its_last_words)
{
    start("kill_grace = 20s\n",
          "sh -c 'trap \"echo last words; exit 0\" TERM; sleep 60 >/dev/null 2>&1 & echo ready; "
          "wait'");
    wait_output("ready\n");
    job_cancel(job);
    wait_done();
    ck_outcome("130 cancelled");
    ck_output(JOB_STDOUT, "ready\nlast words\n");
    end();
}
END_TEST

// After a job was stopped, the rest of its process group is killed as well.
START_TEST(leaves_nobody_of_a_stopped_job)
{
    const struct output *out;
    pid_t pid;

    // The child says + when it ignores SIGTERM, before or after its number is said.
    start("kill_grace = 20s\n",
          "sh -c 'trap \"exit 0\" TERM; (trap \"\" TERM; echo +; exec sleep 60 >/dev/null 2>&1) & "
          "echo $!; wait'");
    out = job_output(job, JOB_STDOUT);
    while (output_visible(out) < 3 || !memchr(out->bytes.data, '+', out->bytes.length) ||
           out->bytes.data[out->bytes.length - 1] != '\n' ||
           memchr(out->bytes.data, '\n', out->bytes.length - 1) == NULL)
        loop_run(loop);
    pid = (pid_t)atoi(out->bytes.data + (*out->bytes.data == '+' ? 2 : 0));
    ck_assert_int_gt(pid, 1);
    job_cancel(job);
    wait_done();
    end();
    // It is init's child now. Wait until it is gone, or a zombie.
    for (;;) {
        char path[64];
        char state = 'X';
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%*d %*s %c", &state) != 1)
            state = 'X';
        if (file)
            fclose(file);
        if (state == 'X' || state == 'Z')
            break;
        usleep(1000);
    }
}
END_TEST

// A grandchild that holds the pipes cannot hold up the answer.
START_TEST(does_not_wait_for_a_grandchild)
{
    start("timeout = none\n", "sh -c 'sleep 60 & echo $!; exit 3'");
    wait_done();
    ck_outcome("3 exited");
    pid_t grandchild = (pid_t)atoi(job_output(job, JOB_STDOUT)->bytes.data);
    ck_assert(job_output(job, JOB_STDOUT)->is_ended && job_output(job, JOB_STDERR)->is_ended);
    ck_assert_uint_ge(job_duration_ms(job), JOB_DRAIN_MS);
    ck_assert_int_gt(grandchild, 1);
    kill(grandchild, SIGKILL);
    end();
}
END_TEST

START_TEST(reads_what_a_grandchild_writes_soon)
{
    start("", "sh -c '(sleep 0.05; echo late) & exit 3'");
    wait_done();
    ck_outcome("3 exited");
    ck_output(JOB_STDOUT, "late\n");
    end();
}
END_TEST

// The exit is known already, so that a timeout does not change the outcome.
START_TEST(does_not_time_out_after_its_exit)
{
    start("timeout = 300ms\n", "sh -c 'sleep 60 & echo $!; exit 0'");
    wait_done();
    ck_outcome("0 exited");
    kill((pid_t)atoi(job_output(job, JOB_STDOUT)->bytes.data), SIGKILL);
    end();
}
END_TEST

// --- Release

START_TEST(is_freed_after_its_release)
{
    start("", "sh -c 'echo ready; exec sleep 60'");
    wait_output("ready\n");
    change_count = 0;
    job_release(job);
    while (done_count == 0)
        loop_run(loop);
    loop_run_tasks(loop);
    ck_assert_uint_eq(done_count, 1);
    ck_assert_uint_eq(change_count, 0); // the owner is not called any more
    world_end(loop);
    config_destroy(config);
}
END_TEST

START_TEST(is_freed_when_released_in_the_queue)
{
    create("", "true");
    job_release(job);
    ck_assert_uint_eq(done_count, 1);
    loop_run_tasks(loop);
    ck_assert_uint_eq(change_count, 0);
    world_end(loop);
    config_destroy(config);
    job_release(NULL);
}
END_TEST

START_TEST(outlives_its_configuration)
{
    start("", "cat");
    config_destroy(config);
    config = NULL;
    feed("x", 1);
    job_end_stdin(job);
    wait_done();
    ck_outcome("0 exited");
    end();
}
END_TEST

START_TEST(does_not_outlive_its_release_in_drain)
{
    start("", "sh -c 'sleep 60 & echo $!; exit 0'");
    while (!output_visible(job_output(job, JOB_STDOUT)))
        loop_run(loop);
    pid_t grandchild = (pid_t)atoi(job_output(job, JOB_STDOUT)->bytes.data);
    job_release(job);
    while (done_count == 0)
        loop_run(loop);
    loop_run_tasks(loop);
    kill(grandchild, SIGKILL);
    world_end(loop);
    config_destroy(config);
}
END_TEST

START_TEST(is_known_to_the_log)
{
    start("", "sh -c 'cat >/dev/null; echo 123; echo 45 >&2'");
    feed("1234567", 7);
    job_end_stdin(job);
    wait_done();
    ck_assert_str_eq(job_command(job), "sh");
    ck_assert_uint_eq(job_input_bytes(job), 7);
    ck_assert_uint_eq(job_output(job, JOB_STDOUT)->total, 4);
    ck_assert_uint_eq(job_output(job, JOB_STDERR)->total, 3);
    end();
}
END_TEST

// --- A client that cannot be started, or fails: nothing is known of the command

// clang-format off
static const struct {
    const char *path;
    const char *outcome;
    const char *err;
} clients[] = {
    {"/nope/kubectl", "125 unreachable ", ""},
    {"/etc/passwd", "125 unreachable ", ""},
    {"nope-nope-kubectl", "125 unreachable ", ""},
    {"@echo 'command terminated with exit code 3' >&2; exit 3", "3 exited\n", ""},
    {"@printf 'own\ncommand terminated with exit code 3\n' >&2; exit 3", "3 exited\n", "own\n"},
    {"@printf own >&2; echo 'command terminated with exit code 3' >&2; exit 3", "3 exited\n",
     "own"},
    {"@echo 'Error from server (NotFound): pods \"p\" not found' >&2; exit 1",
     "125 unreachable Error from server (NotFound): pods \"p\" not found\n",
     "Error from server (NotFound): pods \"p\" not found\n"},
    {"@kill -KILL $$", "125 unreachable ", ""},
    {"@exit 0", "0 exited unconfirmed\n", ""},
    {"@exit 1", "125 unreachable ", ""},
    // An engine's message on stdout, in two pieces, is not the command's answer.
    {"@printf 'OCI runtime '; sleep 0.1; printf 'exec failed: exec failed: exec: \"x\": executable "
     "file not found in $PATH: unknown\n'; echo 'command terminated with exit code 126' >&2; exit 126",
     "127 unstarted OCI runtime exec failed: ", ""},
};
// clang-format on

START_TEST(knows_a_client_from_a_command)
{
    char path[sizeof WORLD_PATH] = "";
    struct buffer text = {0};
    const char *client = clients[_i].path;
    struct request request = world_request("cmd");
    char line[OUTCOME_MAX_LINE];

    if (*client == '@') {
        buffer_printf(&text, "#!/bin/sh\n%s\n", client + 1);
        world_file(path, text.data, text.length);
        buffer_finish(&text);
        ck_assert_int_eq(chmod(path, 0700), 0);
        client = path;
    }
    buffer_printf(&text, "[s]\nmode = kubectl_exec\npod = p\nkubectl_path = %s\n", client);
    char *string = buffer_take_string(&text);
    config = world_config(string);
    free(string);
    loop = loop_create(NULL);
    job = make(&request, NULL);
    job_start(job);
    job_end_stdin(job);
    wait_done();
    outcome_format(job_outcome(job), line);
    ck_assert_msg(strncmp(line, clients[_i].outcome, strlen(clients[_i].outcome)) == 0, "%.*s",
                  (int)strcspn(line, "\n"), line);
    ck_output(JOB_STDERR, clients[_i].err);
    ck_output(JOB_STDOUT, "");
    end();
    if (*path)
        unlink(path);
}
END_TEST

START_TEST(refuses_what_the_mode_cannot_run)
{
    struct request request = world_request("A=1 /x=y");
    struct error err = {0};

    config = world_config("[s]\nmode = kubectl_exec\npod = p\n");
    loop = loop_create(NULL);
    job = make(&request, &err);
    ck_assert_ptr_null(job);
    ck_assert_int_eq(err.code, EINVAL);
    ck_assert_ptr_null(request.argv.items);
    ck_assert_uint_eq(done_count, 0);
    error_finish(&err);
    world_end(loop);
    config_destroy(config);
}
END_TEST

int main(void)
{
    UNIT_RUN("job", EACH(runs_a_command, runs), EACH(limits_output, overflows),
             ONCE(passes_a_large_stdin_on), ONCE(drops_what_is_never_read),
             ONCE(ends_an_empty_stdin_that_was_ended_before_the_start),
             ONCE(tells_a_writer_when_the_job_starts), ONCE(is_cancelled_before_it_starts),
             ONCE(is_cancelled_while_it_runs), ONCE(is_cancelled_at_once),
             ONCE(stays_as_it_ended_when_cancelled_later), ONCE(kills_who_ignores_sigterm),
             ONCE(lets_it_say_its_last_words), ONCE(leaves_nobody_of_a_stopped_job),
             ONCE(does_not_wait_for_a_grandchild), ONCE(reads_what_a_grandchild_writes_soon),
             ONCE(does_not_time_out_after_its_exit), ONCE(is_freed_after_its_release),
             ONCE(is_freed_when_released_in_the_queue), ONCE(outlives_its_configuration),
             ONCE(does_not_outlive_its_release_in_drain), ONCE(is_known_to_the_log),
             EACH(knows_a_client_from_a_command, clients), ONCE(refuses_what_the_mode_cannot_run));
}
