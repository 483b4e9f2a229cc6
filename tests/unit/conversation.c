// SPDX-License-Identifier: Apache-2.0
// fs/conversation.c: the results of reads and writes on one descriptor, from its opening to
// its close, with real jobs.
#include "world.h"

#include "conversation.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static struct loop *loop;
static struct config *config;
static struct sandboxes *sandboxes;
static struct sandbox *sandbox;
static struct conversation *conversation;

static void on_change(void *data)
{
    ck_assert_ptr_eq(data, &conversation);
    loop_stop(loop);
}

static void on_idle(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void setup(const char *settings)
{
    struct caller caller = world_caller();
    struct buffer text = {0};
    int errnum;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    buffer_printf(&text, "[s]\nmode = direct\n%s", settings);
    char *string = buffer_take_string(&text);
    config = world_config(string);
    free(string);
    loop = loop_create(NULL);
    sandboxes = sandboxes_create(loop, on_idle, NULL);
    sandbox = sandbox_create(sandboxes, config->sandboxes[0]);
    conversation =
        conversation_create(loop, sandbox, "x", &caller, on_change, &conversation, &errnum);
    ck_assert_ptr_nonnull(conversation);
}

static void finish(void)
{
    conversation_destroy(conversation);
    while (sandboxes_busy_count(sandboxes) > 0)
        loop_run(loop);
    sandbox_unref(sandbox);
    sandboxes_destroy(sandboxes);
    world_end(loop);
    config_destroy(config);
}

static ssize_t put(const char *text)
{
    return conversation_write(conversation, text, strlen(text));
}

// Reads up to the end into ANSWER. Returns the result of the last read.
static ssize_t get_all(struct buffer *answer)
{
    struct answer_pieces pieces;
    ssize_t count;

    for (;;) {
        count = conversation_read(conversation, 7, &pieces);
        if (count == -EAGAIN)
            loop_run(loop);
        else if (count <= 0)
            return count;
        else {
            for (int i = 0; i < pieces.count; i++)
                buffer_append(answer, pieces.parts[i].iov_base, pieces.parts[i].iov_len);
            conversation_take(conversation, &pieces, (size_t)count);
        }
    }
}

static const struct {
    const char *settings;
    const char *request;
    const char *answer;
    int result;
} ends[] = {
    {"",                  "cat\nhello, world",                               "hello, world", 0         },
    {"",                  "cat",                                             "",             0         },
    {"",                  "sh -c 'echo all; exit 3'",                        "all\n",        -EIO      },
    {"",                  "sh -c 'echo all; kill -KILL $$'",                 "all\n",        -EIO      },
    {"",                  "--timeout=100ms sh -c 'echo all; exec sleep 60'", "all\n",        -ETIMEDOUT},
    {"",                  "/no/such/file",                                   "",             -ENOENT   },
    {"",                  "/etc/passwd",                                     "",             -EACCES   },
    {"",                  "open 'quote",                                     "",             -EINVAL   },
    {"",                  "",                                                "",             -EINVAL   },
    {"max_output = 1K\n", "head -c 3000000 /dev/zero",                       NULL,           0         },
};

START_TEST(ends_as_its_outcome_says)
{
    struct buffer answer = {0};

    setup(ends[_i].settings);
    ck_assert_int_eq(put(ends[_i].request), (ssize_t)strlen(ends[_i].request));
    ck_assert_int_eq(get_all(&answer), ends[_i].result);
    if (ends[_i].answer) {
        ck_assert_uint_eq(answer.length, strlen(ends[_i].answer));
        ck_assert(answer.length == 0 || memcmp(answer.data, ends[_i].answer, answer.length) == 0);
    } else
        ck_assert_uint_eq(answer.length, 3000000);
    ck_assert_int_eq(get_all(&answer), ends[_i].result); // the same once more
    ck_assert_int_eq(put("more"), -EPIPE);
    buffer_finish(&answer);
    finish();
}
END_TEST

START_TEST(a_refused_write_is_the_writers_error_and_the_readers)
{
    struct buffer answer = {0};

    setup("allow = cat\n");
    ck_assert_int_eq(put("dog\n"), -EACCES);
    ck_assert_int_eq(put("more"), -EACCES);
    ck_assert(conversation_is_readable(conversation));
    ck_assert_int_eq(get_all(&answer), -EINVAL);
    finish();
}
END_TEST

START_TEST(is_not_readable_before_there_is_something)
{
    setup("");
    ck_assert(!conversation_is_readable(conversation));
    put("sh -c 'read x; echo $x; exec sleep 60'\n");
    ck_assert(!conversation_is_readable(conversation));
    put("hello\n");
    while (!conversation_is_readable(conversation))
        loop_run(loop);
    ck_assert_int_eq(put("still open"), 10); // a look does not begin the reading
    finish();
}
END_TEST

START_TEST(a_cancel_is_an_error)
{
    struct buffer answer = {0};

    setup("");
    put("sh -c 'echo all; exec sleep 60'\n");
    while (!conversation_is_readable(conversation))
        loop_run(loop);
    conversation_cancel(conversation);
    ck_assert_int_eq(get_all(&answer), -ECANCELED);
    ck_assert_uint_eq(answer.length, 4);
    buffer_finish(&answer);
    finish();
}
END_TEST

// The next read returns bytes again that did not reach the reader.
START_TEST(what_is_not_consumed_stays)
{
    struct buffer answer = {0};
    struct answer_pieces pieces;

    setup("");
    put("cat\nabc");
    while (conversation_read(conversation, 2, &pieces) == -EAGAIN)
        loop_run(loop);
    ck_assert_int_eq(get_all(&answer), 0);
    ck_assert_uint_eq(answer.length, 3);
    ck_assert_int_eq(memcmp(answer.data, "abc", 3), 0);
    buffer_finish(&answer);
    finish();
}
END_TEST

int main(void)
{
    UNIT_RUN("conversation", EACH(ends_as_its_outcome_says, ends),
             ONCE(a_refused_write_is_the_writers_error_and_the_readers),
             ONCE(is_not_readable_before_there_is_something), ONCE(a_cancel_is_an_error),
             ONCE(what_is_not_consumed_stays));
}
