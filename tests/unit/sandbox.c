// SPDX-License-Identifier: Apache-2.0
// sandbox/sandbox.c: which requests are accepted, how many jobs run, which jobs wait, and the
// lines of the log.
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

static struct loop *loop;
static struct config *config;
static struct sandboxes *sandboxes;
static struct sandbox *sandbox;
static unsigned idle_count;

static void on_change(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void on_idle(void *data)
{
    ck_assert_ptr_eq(data, &idle_count);
    ck_assert_uint_eq(sandboxes_busy_count(sandboxes), 0);
    idle_count++;
    loop_stop(loop);
}

static const struct job_owner owner = {.on_change = on_change};

static void setup(const char *settings)
{
    struct buffer text = {0};

    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    buffer_printf(&text, "[s]\nmode = direct\n%s", settings);
    char *string = buffer_take_string(&text);
    config = world_config(string);
    free(string);
    loop = loop_create(NULL);
    sandboxes = sandboxes_create(loop, on_idle, &idle_count);
    sandbox = sandbox_create(sandboxes, config->sandboxes[0]);
    ck_assert_ptr_nonnull(sandbox);
}

static struct job *submit(const char *line, struct error *err)
{
    struct request request = world_request(line);
    struct caller caller = world_caller();
    struct job *job =
        sandbox_submit(sandbox, &request, &caller, NULL, "slot", JOB_KEEPS, &owner, err);

    ck_assert_ptr_null(request.argv.items);
    ck_assert_ptr_null(request.env.items);
    return job;
}

static struct job *accept(const char *line)
{
    struct error err = {0};
    struct job *job = submit(line, &err);

    ck_assert_msg(job != NULL, "%s", err.code ? error_message(&err) : "");
    return job;
}

static void refuse(const char *line, int code)
{
    struct error err = {0};

    ck_assert_ptr_null(submit(line, &err));
    ck_assert_int_eq(err.code, code);
    ck_assert_uint_gt(strlen(error_message(&err)), 5);
    error_finish(&err);
}

static void wait_done(const struct job *job)
{
    while (!job_is_done(job))
        loop_run(loop);
}

static void wait_idle(void)
{
    while (sandboxes_busy_count(sandboxes) > 0)
        loop_run(loop);
}

// Frees everything. Otherwise a sanitizer reports a leak.
static void finish(void)
{
    wait_idle();
    sandboxes_destroy(sandboxes);
    world_end(loop);
    config_destroy(config);
}

// clang-format off
static const struct {
    const char *patterns;
    const char *line;
    bool is_allowed;
} allows[] = {
    {"", "true", true},
    {"", "/bin/true", true},
    {"allow = true\n", "true", true},
    {"allow = true\n", "true x y", true},
    {"allow = true\n", "A=1 true", true},
    {"allow = true\n", "/bin/true", false},
    {"allow = true\n", "false", false},
    {"allow = true\n", "truee", false},
    {"allow = true\n", "tru", false},
    {"allow = true\n", "sh -c true", false},
    {"allow = true\n", "'true=1'", false},
    {"allow = true\n", "TRUE", false},
    {"allow = false\nallow = true\n", "true", true},
    {"allow = t*\n", "true", true},
    {"allow = t*\n", "test", true},
    {"allow = *\n", "true", true},
    {"allow = *\n", "/bin/true", false}, // FNM_PATHNAME: * has no /
    {"allow = /bin/*\n", "/bin/true", true},
    {"allow = /bin/*\n", "/bin/../bin/true", false},
    {"allow = /*/true\n", "/bin/true", true},
    {"allow = /bin/*\n", "/bin", false},
    {"allow = tru[a-f]\n", "true", true},
    {"allow = tru?\n", "true", true},
    {"allow = tru?\n", "'tru/'", false},
};
// clang-format on

START_TEST(allows_what_a_pattern_matches)
{
    setup(allows[_i].patterns);
    if (allows[_i].is_allowed) {
        struct job *job = accept(allows[_i].line);
        job_end_stdin(job);
        wait_done(job);
        job_release(job);
    } else
        refuse(allows[_i].line, EACCES);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

// clang-format off
static const struct {
    const char *settings;
    const char *line;
    bool is_accepted;
} timeouts[] = {
    {"", "--timeout=1h true", true},
    {"", "--timeout=none true", false},
    {"max_timeout = 10s\n", "true", true},
    {"max_timeout = 10s\n", "--timeout=10s true", true},
    {"max_timeout = 10s\n", "--timeout=9s true", true},
    {"max_timeout = 10s\n", "--timeout=10001ms true", false},
    {"max_timeout = 10s\n", "--timeout=1d true", false},
    {"max_timeout = 10s\n", "--timeout=none true", false},
    {"max_timeout = none\n", "--timeout=none true", true},
    // The limit is for a request's own timeout. The configuration's timeout may be longer.
    {"timeout = 20s\nmax_timeout = 10s\n", "true", true},
    {"timeout = none\nmax_timeout = 10s\n", "true", true},
};
// clang-format on

START_TEST(limits_the_timeout)
{
    setup(timeouts[_i].settings);
    if (timeouts[_i].is_accepted) {
        struct job *job = accept(timeouts[_i].line);
        wait_done(job);
        job_release(job);
    } else
        refuse(timeouts[_i].line, EINVAL);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

// A job runs until its stdin ends, and before it runs it takes none.
START_TEST(runs_in_order)
{
    struct job *jobs[5];

    setup("max_running = 1\n");
    for (int i = 0; i < 5; i++)
        jobs[i] = accept("cat");
    ck_assert_uint_eq(sandboxes_busy_count(sandboxes), 5);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 5; j++) {
            ck_assert_int_eq(job_is_done(jobs[j]), j < i);
            if (j >= i)
                ck_assert_int_eq(job_is_writable(jobs[j]), j == i);
        }
        ck_assert_uint_eq(job_write(jobs[i], "x", 1), 1);
        job_end_stdin(jobs[i]);
        wait_done(jobs[i]);
        ck_assert_uint_eq(sandboxes_busy_count(sandboxes), (unsigned)(4 - i));
    }
    ck_assert_uint_eq(idle_count, 1);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(job_outcome(jobs[i])->kind, OUTCOME_EXITED);
        job_release(jobs[i]);
    }
    sandbox_unref(sandbox);
    finish();
}
END_TEST

START_TEST(runs_so_many_at_once)
{
    struct job *jobs[5];

    setup("max_running = 3\n");
    for (int i = 0; i < 5; i++)
        jobs[i] = accept("cat");
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(job_is_writable(jobs[i]), i < 3);
    job_end_stdin(jobs[1]);
    wait_done(jobs[1]);
    ck_assert(job_is_writable(jobs[3]) && !job_is_writable(jobs[4]));
    for (int i = 0; i < 5; i++)
        job_end_stdin(jobs[i]);
    wait_idle();
    for (int i = 0; i < 5; i++)
        job_release(jobs[i]);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

START_TEST(queues_so_many)
{
    struct job *jobs[4];

    setup("max_running = 1\nmax_queued = 2\n");
    for (int i = 0; i < 3; i++)
        jobs[i] = accept("cat");
    refuse("cat", EAGAIN);
    ck_assert_uint_eq(sandboxes_busy_count(sandboxes), 3);
    job_cancel(jobs[2]); // one leaves the queue: there is room for one
    jobs[3] = accept("cat");
    refuse("cat", EAGAIN);
    job_end_stdin(jobs[0]);
    wait_done(jobs[0]);
    ck_assert(job_is_writable(jobs[1]) && !job_is_writable(jobs[3]));
    job_release(accept("cat"));
    for (int i = 0; i < 4; i++)
        job_release(jobs[i]);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

START_TEST(queues_none_when_told_so)
{
    setup("max_running = 1\nmax_queued = 0\n");
    struct job *job = accept("cat");
    refuse("cat", EAGAIN);
    job_end_stdin(job);
    wait_done(job);
    job_release(job);
    job_release(accept("true"));
    sandbox_unref(sandbox);
    finish();
}
END_TEST

START_TEST(cancels_all)
{
    struct job *jobs[6];

    setup("max_running = 2\n");
    for (int i = 0; i < 6; i++)
        jobs[i] = accept("sleep 60");
    sandboxes_cancel_all(sandboxes);
    for (int i = 2; i < 6; i++) {
        ck_assert(job_is_done(jobs[i]));
        ck_assert_uint_eq(job_duration_ms(jobs[i]), 0); // it was never started
    }
    wait_idle();
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(job_outcome(jobs[i])->kind, OUTCOME_CANCELLED);
        job_release(jobs[i]);
    }
    ck_assert_uint_eq(idle_count, 1);
    sandboxes_cancel_all(sandboxes);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

START_TEST(goes_on_after_a_job_that_cannot_start)
{
    setup("max_running = 1\n");
    struct job *first = accept("nope-nope");
    struct job *second = accept("nope-nope");
    struct job *third = accept("true");
    wait_idle();
    ck_assert_int_eq(job_outcome(first)->kind, OUTCOME_UNSTARTED);
    ck_assert_int_eq(job_outcome(second)->kind, OUTCOME_UNSTARTED);
    ck_assert_int_eq(job_outcome(third)->code, 0);
    job_release(first);
    job_release(second);
    job_release(third);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

START_TEST(is_freed_after_its_last_job)
{
    setup("max_running = 1\n");
    struct job *first = accept("cat");
    struct job *second = accept("cat");
    sandbox_unref(sandbox);
    config_destroy(config);
    config = NULL;
    job_end_stdin(first);
    job_end_stdin(second);
    wait_idle();
    ck_assert_int_eq(job_outcome(second)->code, 0);
    job_release(first);
    job_release(second);
    finish();
    sandbox_unref(NULL);
}
END_TEST

START_TEST(cancels_a_released_job)
{
    setup("max_running = 1\n");
    job_release(accept("sleep 60"));
    job_release(accept("sleep 60"));
    ck_assert_uint_eq(sandboxes_busy_count(sandboxes), 1);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

START_TEST(takes_a_new_configuration)
{
    struct config *other;
    struct job *jobs[4];

    setup("max_running = 1\n");
    jobs[0] = accept("cat");
    jobs[1] = accept("cat");
    jobs[2] = accept("cat");
    other = world_config("[s]\nmode = direct\nmax_running = 2\nallow = true\nenv = A=new\n");
    sandbox_configure(sandbox, other->sandboxes[0]);
    ck_assert_ptr_eq(sandbox_config(sandbox), other->sandboxes[0]);
    ck_assert(job_is_writable(jobs[1])); // there is room for one more at once
    ck_assert(!job_is_writable(jobs[2]));
    refuse("cat", EACCES);
    jobs[3] = accept("true");
    config_destroy(other);
    for (int i = 0; i < 4; i++)
        job_end_stdin(jobs[i]);
    wait_idle();
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(job_outcome(jobs[i])->code, 0);
        job_release(jobs[i]);
    }
    sandbox_unref(sandbox);
    finish();
}
END_TEST

START_TEST(refuses_what_the_mode_cannot_run)
{
    setup("");
    sandbox_unref(sandbox);
    config_destroy(config);
    config = world_config("[s]\nmode = kubectl_exec\npod = p\n");
    sandbox = sandbox_create(sandboxes, config->sandboxes[0]);
    refuse("A=1 /x=y", EINVAL);
    ck_assert_uint_eq(sandboxes_busy_count(sandboxes), 0);
    ck_assert_uint_eq(idle_count, 0);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

// Returns everything that was written to stderr while CALL ran.
static char *capture(void (*call)(void))
{
    char path[sizeof WORLD_PATH];
    char text[8192];
    int saved = dup(STDERR_FILENO);
    int fd;
    ssize_t size;

    world_file(path, "", 0);
    fd = open(path, O_RDWR | O_CLOEXEC);
    unlink(path);
    dup2(fd, STDERR_FILENO);
    call();
    dup2(saved, STDERR_FILENO);
    close(saved);
    size = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    ck_assert_int_ge(size, 0);
    text[size] = '\0';
    return strdup(text);
}

static void run_one(void)
{
    struct job *job =
        accept("SECRET_NAME=secret-value sh -c 'cat; echo err >&2; exit 3' secret-arg");
    job_write(job, "secret-stdin", 12);
    job_end_stdin(job);
    wait_done(job);
    job_release(job);
}

START_TEST(logs_a_job_in_one_line)
{
    char expected[100];

    setup("");
    char *log = capture(run_one);
    ck_assert_ptr_eq(strchr(log, '\n'), log + strlen(log) - 1);
    ck_assert_ptr_null(strstr(log, "secret"));
    ck_assert_ptr_null(strstr(log, "SECRET"));
    ck_assert_ptr_nonnull(strstr(log, "sandbox=s "));
    ck_assert_ptr_nonnull(strstr(log, "slot=slot "));
    snprintf(expected, sizeof expected, "uid=%u pid=%d ", (unsigned)geteuid(), (int)getpid());
    ck_assert_ptr_nonnull(strstr(log, expected));
    ck_assert_ptr_nonnull(strstr(log, "command=sh "));
    ck_assert_ptr_nonnull(strstr(log, "in=12 out=12 err=4 "));
    ck_assert_ptr_nonnull(strstr(log, "ms="));
    ck_assert_ptr_nonnull(strstr(log, "outcome=3 exited"));
    free(log);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

static void run_odd_name(void)
{
    struct job *job = accept("'odd \"name\"\n\x1b[1m' x");
    wait_done(job);
    job_release(job);
}

START_TEST(logs_an_odd_name_in_one_line)
{
    setup("");
    char *log = capture(run_odd_name);
    ck_assert_ptr_eq(strchr(log, '\n'), log + strlen(log) - 1);
    ck_assert_ptr_null(strchr(log, '\x1b'));
    ck_assert_ptr_nonnull(strstr(log, "command=\"odd \\\"name\\\""));
    free(log);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

static void refuse_one(void)
{
    struct error err = {0};
    struct caller caller = world_caller();

    error_set(&err, EACCES, "does not allow secret-command");
    sandbox_log_refusal(sandbox, &caller, "job-7", &err);
    error_finish(&err);
}

START_TEST(logs_a_refusal)
{
    setup("");
    char *log = capture(refuse_one);
    ck_assert_ptr_eq(strchr(log, '\n'), log + strlen(log) - 1);
    ck_assert_ptr_null(strstr(log, "secret"));
    ck_assert_ptr_nonnull(strstr(log, "sandbox=s "));
    ck_assert_ptr_nonnull(strstr(log, "slot=job-7 "));
    ck_assert_ptr_nonnull(strstr(log, "EACCES"));
    free(log);
    sandbox_unref(sandbox);
    finish();
}
END_TEST

int main(void)
{
    UNIT_RUN("sandbox", EACH(allows_what_a_pattern_matches, allows),
             EACH(limits_the_timeout, timeouts), ONCE(runs_in_order), ONCE(runs_so_many_at_once),
             ONCE(queues_so_many), ONCE(queues_none_when_told_so), ONCE(cancels_all),
             ONCE(goes_on_after_a_job_that_cannot_start), ONCE(is_freed_after_its_last_job),
             ONCE(cancels_a_released_job), ONCE(takes_a_new_configuration),
             ONCE(refuses_what_the_mode_cannot_run), ONCE(logs_a_job_in_one_line),
             ONCE(logs_an_odd_name_in_one_line), ONCE(logs_a_refusal));
}
