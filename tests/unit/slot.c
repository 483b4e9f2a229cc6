// SPDX-License-Identifier: Apache-2.0
// fs/slot.c: the content of a slot's five files, from one opening of `request` to the next,
// with real jobs.
#include "world.h"

#include "slot.h"

#include <errno.h>
#include <signal.h>

static struct loop *loop;
static struct config *config;
static struct sandboxes *sandboxes;
static struct sandbox *sandbox;
static struct slot *slot;
static unsigned change_count;
static bool is_in_call;

static void on_change(void *data)
{
    ck_assert_ptr_eq(data, &slot);
    ck_assert(!is_in_call);
    change_count++;
    loop_stop(loop);
}

static void on_idle(void *data)
{
    (void)data;
    loop_stop(loop);
}

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
    sandboxes = sandboxes_create(loop, on_idle, NULL);
    sandbox = sandbox_create(sandboxes, config->sandboxes[0]);
    slot = slot_create(loop, sandbox, "job-7", on_change, &slot);
    ck_assert_ptr_nonnull(slot);
}

static void finish(void)
{
    slot_destroy(slot);
    while (sandboxes_busy_count(sandboxes) > 0)
        loop_run(loop);
    sandbox_unref(sandbox);
    sandboxes_destroy(sandboxes);
    world_end(loop);
    config_destroy(config);
}

static int begin(void)
{
    struct caller caller = world_caller();
    is_in_call = true;
    int result = slot_begin(slot, &caller);
    is_in_call = false;
    return result;
}

static ssize_t put(const char *text)
{
    is_in_call = true;
    ssize_t result = slot_write(slot, text, strlen(text));
    is_in_call = false;
    return result;
}

static void end(void)
{
    is_in_call = true;
    slot_end(slot);
    is_in_call = false;
}

// A whole request, as the shell writes one.
static void request(const char *text)
{
    size_t size = strlen(text);

    ck_assert_int_eq(begin(), 0);
    while (size > 0) {
        ssize_t count = slot_write(slot, text, size);
        ck_assert_int_ge(count, 0);
        text += count;
        size -= (size_t)count;
        while (size > 0 && !slot_is_writable(slot))
            loop_run(loop);
    }
    end();
}

// All of FILE by a new reader, waiting for it; at most SIZE bytes at a time.
static char *read_all(enum slot_file file, size_t size)
{
    struct slot_reader reader;
    struct buffer text = {0};

    slot_reader_init(slot, &reader);
    for (;;) {
        const char *bytes = NULL;
        ssize_t count = slot_read(slot, file, &reader, (off_t)text.length, size, &bytes);
        if (count == 0)
            break;
        if (count == -EAGAIN) {
            loop_run(loop);
            continue;
        }
        ck_assert_int_gt(count, 0);
        ck_assert_int_le(count, (ssize_t)size);
        buffer_append(&text, bytes, (size_t)count);
    }
    return buffer_take_string(&text);
}

static void ck_file(enum slot_file file, const char *expected)
{
    static const size_t sizes[] = {1, 3, 65536};

    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *text = read_all(file, sizes[i]);
        ck_assert_msg(strcmp(text, expected) == 0, "'%.*s'", (int)strcspn(text, "\n"), text);
        free(text);
    }
}

// Returns the result of a read at OFFSET by a new reader.
static ssize_t peek(enum slot_file file, off_t offset)
{
    struct slot_reader reader;
    const char *bytes;

    slot_reader_init(slot, &reader);
    return slot_read(slot, file, &reader, offset, 1, &bytes);
}

static const enum slot_file results[] = {SLOT_STDOUT, SLOT_STDERR, SLOT_STATUS};

START_TEST(is_empty_at_first)
{
    setup("");
    for (size_t i = 0; i < COUNT(results); i++) {
        ck_assert_int_eq(peek(results[i], 0), 0);
        ck_assert_int_eq(slot_size(slot, results[i]), 0);
    }
    ck_assert(!slot_is_busy(slot));
    slot_cancel(slot);
    slot_discard(slot);
    ck_assert(!slot_is_busy(slot));
    ck_assert_int_eq(peek(SLOT_STATUS, 0), 0);
    finish();
    slot_destroy(NULL);
}
END_TEST

// clang-format off
static const struct {
    const char *settings;
    const char *request;
    const char *out;
    const char *err;
    const char *status;
} requests[] = {
    {"", "cat\nhello", "hello", "", "0 exited\n"},
    {"", "cat\n", "", "", "0 exited\n"},
    {"", "cat", "", "", "0 exited\n"},
    {"", "echo no newline", "no newline\n", "", "0 exited\n"},
    {"", "cat\necho x\n", "echo x\n", "", "0 exited\n"},
    {"", "sh -c 'cat >&2; exit 3'\npay\nload", "", "pay\nload", "3 exited\n"},
    {"", "A=1 sh -c 'echo $A\nkill -9 $$'\n", "1\n", "", "137 signaled KILL\n"},
    {"", "--timeout=100ms sleep 60\n", "", "", "124 timeout after 100ms\n"},
    {"max_output = 4\n", "cat\n12345678", "1234", "", "141 overflow stdout exceeded 4\n"},
    {"", "true\nnobody reads this", "", "", "0 exited\n"},
};
// clang-format on

START_TEST(answers_a_request)
{
    setup(requests[_i].settings);
    request(requests[_i].request);
    ck_file(SLOT_STDOUT, requests[_i].out);
    ck_file(SLOT_STDERR, requests[_i].err);
    ck_file(SLOT_STATUS, requests[_i].status);
    ck_assert_int_eq(slot_size(slot, SLOT_STDOUT), (off_t)strlen(requests[_i].out));
    ck_assert_int_eq(slot_size(slot, SLOT_STDERR), (off_t)strlen(requests[_i].err));
    ck_assert_int_eq(slot_size(slot, SLOT_STATUS), (off_t)strlen(requests[_i].status));
    ck_assert_int_eq(slot_size(slot, SLOT_REQUEST), 0);
    ck_assert_int_eq(slot_size(slot, SLOT_CTL), 0);
    ck_assert(!slot_is_busy(slot));
    // Again, from any offset.
    ck_file(SLOT_STDOUT, requests[_i].out);
    for (off_t offset = 0; offset <= (off_t)strlen(requests[_i].status) + 2; offset++)
        ck_assert_int_eq(peek(SLOT_STATUS, offset), offset < (off_t)strlen(requests[_i].status));
    finish();
}
END_TEST

// The same however it is cut into writes; none of them is the end of it.
START_TEST(takes_a_request_in_pieces)
{
    static const char text[] = "sh -c 'cat; exit 3'\nbody";

    setup("");
    for (size_t step = 1; step < sizeof text; step += 5) {
        ck_assert_int_eq(begin(), 0);
        for (size_t at = 0; at < sizeof text - 1; at += step) {
            size_t size = sizeof text - 1 - at < step ? sizeof text - 1 - at : step;
            ck_assert_int_eq(slot_write(slot, text + at, size), (ssize_t)size);
        }
        end();
        ck_file(SLOT_STDOUT, "body");
        ck_file(SLOT_STATUS, "3 exited\n");
    }
    finish();
}
END_TEST

// Refused requests: the write that fails, its error, and the status afterwards.
// clang-format off
static const struct {
    const char *settings;
    const char *request;
    int code;
} refusals[] = {
    {"", "echo | wc\n", EINVAL},
    {"", "echo $HOME\n", EINVAL},
    {"", "--nope true\n", EINVAL},
    {"", "--timeout=soon true\n", EINVAL},
    {"", "\n", EINVAL},
    {"", "A=1\n", EINVAL},
    {"allow = true\n", "false\n", EACCES},
    {"max_timeout = 1s\n", "--timeout=2s true\n", EINVAL},
};
// clang-format on

START_TEST(refuses_in_the_write)
{
    setup(refusals[_i].settings);
    ck_assert_int_eq(begin(), 0);
    ck_assert_int_eq(put(refusals[_i].request), -refusals[_i].code);
    ck_assert_int_eq(put("more\n"), -refusals[_i].code);
    char *status = read_all(SLOT_STATUS, 100); // before it is closed as well
    ck_assert_int_eq(strncmp(status, "2 refused ", 10), 0);
    ck_assert_ptr_eq(strchr(status, '\n'), status + strlen(status) - 1);
    free(status);
    ck_file(SLOT_STDOUT, "");
    ck_assert(slot_is_busy(slot)); // it is open
    ck_assert_int_eq(begin(), -EBUSY);
    end();
    ck_assert(!slot_is_busy(slot));
    status = read_all(SLOT_STATUS, 100);
    ck_assert_int_eq(strncmp(status, "2 refused ", 10), 0);
    ck_assert_int_eq(slot_size(slot, SLOT_STATUS), (off_t)strlen(status));
    ck_assert_int_eq(slot_size(slot, SLOT_STDOUT), 0);
    free(status);
    request("true\n"); // the next request is not affected
    ck_file(SLOT_STATUS, "0 exited\n");
    finish();
}
END_TEST

// Without a newline a request can be refused only when it is closed.
static const char *const refused_at_the_end[] = {"echo 'x", "echo \\", "A=1", "   ", "echo \"x\n"};

START_TEST(refuses_at_the_end)
{
    setup("");
    ck_assert_int_eq(begin(), 0);
    ck_assert_int_eq(put(refused_at_the_end[_i]), (ssize_t)strlen(refused_at_the_end[_i]));
    ck_assert_int_eq(peek(SLOT_STATUS, 0), -EAGAIN);
    end();
    char *status = read_all(SLOT_STATUS, 100);
    ck_assert_int_eq(strncmp(status, "2 refused ", 10), 0);
    free(status);
    finish();
}
END_TEST

START_TEST(refuses_a_line_that_is_too_long)
{
    static char text[REQUEST_MAX_LINE + 2];

    memset(text, 'x', sizeof text - 1);
    setup("");
    ck_assert_int_eq(begin(), 0);
    ck_assert_int_eq(put(text), -E2BIG);
    end();
    finish();
}
END_TEST

START_TEST(refuses_when_the_queue_is_full)
{
    setup("max_running = 1\nmax_queued = 0\n");
    struct slot *other = slot;
    slot = slot_create(loop, sandbox, "other", on_change, &slot);
    struct slot *first = slot;
    ck_assert_int_eq(begin(), 0);
    ck_assert_int_eq(put("cat\n"), 4);
    slot = other;
    ck_assert_int_eq(begin(), 0);
    ck_assert_int_eq(put("cat\n"), -EAGAIN);
    end();
    char *status = read_all(SLOT_STATUS, 100);
    ck_assert_int_eq(strncmp(status, "2 refused ", 10), 0);
    free(status);
    slot_destroy(first);
    finish();
}
END_TEST

START_TEST(is_busy_until_its_job_is_done)
{
    setup("");
    ck_assert_int_eq(begin(), 0);
    ck_assert(slot_is_busy(slot));
    ck_assert_int_eq(begin(), -EBUSY);
    ck_assert_int_eq(put("cat\n"), 4);
    ck_assert_int_eq(begin(), -EBUSY);
    slot_discard(slot); // it is busy
    end();
    ck_assert_int_eq(begin(), -EBUSY); // its job runs
    ck_file(SLOT_STATUS, "0 exited\n");
    ck_assert_int_eq(begin(), 0);
    end();
    finish();
}
END_TEST

// A job may be done while request is still open: that is busy as well.
START_TEST(is_busy_while_it_is_open)
{
    setup("");
    ck_assert_int_eq(begin(), 0);
    ck_assert_int_eq(put("true\n"), 5);
    ck_file(SLOT_STATUS, "0 exited\n");
    ck_assert_int_eq(begin(), -EBUSY);
    ck_assert_int_eq(put("dropped"), 7);
    end();
    ck_file(SLOT_STATUS, "0 exited\n");
    ck_assert_int_eq(begin(), 0);
    end();
    finish();
}
END_TEST

START_TEST(is_empty_when_nothing_was_written)
{
    setup("");
    request("echo old\n");
    ck_file(SLOT_STDOUT, "old\n");
    ck_assert_int_eq(begin(), 0);
    end();
    for (size_t i = 0; i < COUNT(results); i++) {
        ck_assert_int_eq(peek(results[i], 0), 0);
        ck_assert_int_eq(slot_size(slot, results[i]), 0);
    }
    ck_assert(!slot_is_busy(slot));
    finish();
}
END_TEST

// From the opening on, nobody sees an older answer.
START_TEST(waits_for_the_new_request_from_its_opening)
{
    struct slot_reader reader;
    const char *bytes;

    setup("");
    request("echo old\n");
    ck_file(SLOT_STDOUT, "old\n");
    ck_assert_int_eq(begin(), 0);
    for (size_t i = 0; i < COUNT(results); i++) {
        ck_assert_int_eq(peek(results[i], 0), -EAGAIN);
        ck_assert_int_eq(slot_size(slot, results[i]), 0);
    }
    slot_reader_init(slot, &reader);
    put("sh -c 'cat; echo err >&2'");
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &reader, 0, 10, &bytes), -EAGAIN);
    put("\nnew");
    while (slot_read(slot, SLOT_STDOUT, &reader, 0, 10, &bytes) == -EAGAIN)
        loop_run(loop);
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &reader, 0, 10, &bytes), 3);
    ck_assert_int_eq(memcmp(bytes, "new", 3), 0);
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &reader, 3, 10, &bytes), -EAGAIN);
    ck_assert_int_eq(peek(SLOT_STATUS, 0), -EAGAIN);
    ck_assert_int_eq(slot_size(slot, SLOT_STDOUT), 0); // not final yet
    end();
    ck_file(SLOT_STATUS, "0 exited\n");
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &reader, 3, 10, &bytes), 0);
    ck_assert_int_eq(slot_size(slot, SLOT_STDOUT), 3);
    finish();
}
END_TEST

START_TEST(keeps_a_reader_out_of_other_results)
{
    struct slot_reader middle;
    struct slot_reader fresh;
    const char *bytes;

    setup("");
    request("echo old and long\n");
    ck_file(SLOT_STATUS, "0 exited\n");
    slot_reader_init(slot, &middle);
    slot_reader_init(slot, &fresh);
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &middle, 0, 4, &bytes), 4);
    request("echo new and longer than before\n");
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &middle, 4, 4, &bytes), -ESTALE);
    ck_file(SLOT_STATUS, "0 exited\n");
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &middle, 4, 4, &bytes), -ESTALE);
    // A read from offset 0 begins anew.
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &middle, 0, 4, &bytes), 4);
    ck_assert_int_eq(memcmp(bytes, "new ", 4), 0);
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &middle, 4, 3, &bytes), 3);
    // A reader who has opened the file but not read yet gets the new answer.
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &fresh, 0, 3, &bytes), 3);
    ck_assert_int_eq(memcmp(bytes, "new", 3), 0);
    // An emptied slot is stale as well.
    slot_discard(slot);
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &middle, 4, 3, &bytes), -ESTALE);
    ck_assert_int_eq(slot_read(slot, SLOT_STDOUT, &middle, 0, 3, &bytes), 0);
    finish();
}
END_TEST

START_TEST(streams_while_the_job_runs)
{
    setup("");
    ck_assert_int_eq(begin(), 0);
    put("cat\none\n");
    while (peek(SLOT_STDOUT, 3) == -EAGAIN)
        loop_run(loop);
    ck_assert_int_eq(peek(SLOT_STDOUT, 4), -EAGAIN);
    ck_assert_int_eq(put("two\n"), 4);
    while (peek(SLOT_STDOUT, 7) == -EAGAIN)
        loop_run(loop);
    end();
    ck_file(SLOT_STDOUT, "one\ntwo\n");
    finish();
}
END_TEST

START_TEST(passes_much_on_with_back_pressure)
{
    size_t size = 2 * 1024 * 1024;
    char *text = malloc(size + 1);

    memset(text, 'z', size);
    text[size] = '\0';
    memcpy(text, "cat\n", 4);
    setup("");
    request(text);
    ck_file(SLOT_STATUS, "0 exited\n");
    ck_assert_int_eq(slot_size(slot, SLOT_STDOUT), (off_t)size - 4);
    finish();
    free(text);
}
END_TEST

START_TEST(is_cancelled_while_it_is_written)
{
    setup("");
    ck_assert_int_eq(begin(), 0);
    put("ca");
    slot_cancel(slot);
    ck_assert_int_eq(put("t\n"), -ECANCELED);
    ck_file(SLOT_STATUS, "130 cancelled\n");
    ck_file(SLOT_STDOUT, "");
    slot_cancel(slot);
    end();
    ck_file(SLOT_STATUS, "130 cancelled\n");
    request("true\n");
    ck_file(SLOT_STATUS, "0 exited\n");
    finish();
}
END_TEST

START_TEST(is_cancelled_while_it_runs)
{
    setup("");
    ck_assert_int_eq(begin(), 0);
    put("sh -c 'echo partly; exec sleep 60'\n");
    while (peek(SLOT_STDOUT, 6) == -EAGAIN)
        loop_run(loop);
    slot_cancel(slot);
    ck_file(SLOT_STATUS, "130 cancelled\n");
    ck_file(SLOT_STDOUT, "partly\n"); // what was read stays readable
    ck_assert_int_eq(put("more"), 4); // dropped
    end();
    slot_cancel(slot);
    ck_file(SLOT_STATUS, "130 cancelled\n");
    finish();
}
END_TEST

START_TEST(is_destroyed_with_its_job)
{
    setup("");
    ck_assert_int_eq(begin(), 0);
    put("sleep 60\n");
    ck_assert_uint_eq(sandboxes_busy_count(sandboxes), 1);
    finish();
}
END_TEST

START_TEST(is_destroyed_while_it_is_written)
{
    setup("");
    ck_assert_int_eq(begin(), 0);
    put("A=1 echo 'half");
    finish();
}
END_TEST

// on_change tells waiting readers about a change, but never within the call that made it.
START_TEST(tells_who_waits)
{
    setup("");
    ck_assert_int_eq(begin(), 0);
    loop_run(loop);
    ck_assert_uint_gt(change_count, 0);
    change_count = 0;
    put("echo |\n");
    loop_run(loop);
    ck_assert_uint_gt(change_count, 0);
    end();
    finish();
}
END_TEST

START_TEST(knows_when_it_changed)
{
    setup("");
    struct timespec before = slot_time(slot);
    request("echo x\n");
    ck_file(SLOT_STATUS, "0 exited\n");
    struct timespec after = slot_time(slot);
    ck_assert(after.tv_sec > before.tv_sec ||
              (after.tv_sec == before.tv_sec && after.tv_nsec > before.tv_nsec));
    finish();
}
END_TEST

int main(void)
{
    UNIT_RUN("slot", ONCE(is_empty_at_first), EACH(answers_a_request, requests),
             ONCE(takes_a_request_in_pieces), EACH(refuses_in_the_write, refusals),
             EACH(refuses_at_the_end, refused_at_the_end), ONCE(refuses_a_line_that_is_too_long),
             ONCE(refuses_when_the_queue_is_full), ONCE(is_busy_until_its_job_is_done),
             ONCE(is_busy_while_it_is_open), ONCE(is_empty_when_nothing_was_written),
             ONCE(waits_for_the_new_request_from_its_opening),
             ONCE(keeps_a_reader_out_of_other_results), ONCE(streams_while_the_job_runs),
             ONCE(passes_much_on_with_back_pressure), ONCE(is_cancelled_while_it_is_written),
             ONCE(is_cancelled_while_it_runs), ONCE(is_destroyed_with_its_job),
             ONCE(is_destroyed_while_it_is_written), ONCE(tells_who_waits),
             ONCE(knows_when_it_changed));
}
