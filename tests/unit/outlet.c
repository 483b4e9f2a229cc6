// SPDX-License-Identifier: Apache-2.0
// sandbox/remote/outlet.c, with a real process as the client: which bytes leave, in which
// order, and which bytes do not leave yet.
#include "world.h"

#include "outlet.h"

#include <errno.h>
#include <signal.h>

enum {
    REMOTES = 20,
    LONG = 100 * 1024, // REMOTES times this is more than a pipe takes, which may be 1 MiB wide
    BACKLOG = 3 << 20, // more than a pipe takes
};

static struct loop *loop;
static struct process *client;
static struct outlet outlet;
static struct launch launch;
static struct remote *remotes[REMOTES];
static struct buffer got; // from the client, which returns its stdin
static unsigned numbered;
static int failure;
static uint64_t load; // bytes that are added while other bytes leave
static uint64_t added;

static void on_number(void *data, struct remote *remote)
{
    ck_assert_ptr_eq(data, &outlet);
    ck_assert_ptr_eq(remote, remotes[numbered]);
    ck_assert_uint_eq(remote->id, ++numbered);
}

static void on_failure(void *data, int errnum)
{
    ck_assert_ptr_eq(data, &outlet);
    failure = errnum;
    loop_stop(loop);
}

static const struct outlet_events outlet_events = {on_number, on_failure};

static char pattern(uint64_t offset)
{
    return (char)(offset * 7 + (offset >> 12));
}

static void add_pattern(uint64_t size)
{
    ck_assert_int_eq(buffer_reserve(&outlet.bytes, size), 0);
    for (uint64_t end = added + size; added < end; added++)
        outlet.bytes.data[outlet.bytes.length++] = pattern(added);
}

// Adds as many bytes as the client has taken, until the load is used up.
static void on_stdin(void *data)
{
    uint64_t waiting = outlet.bytes.length - outlet.done;

    if (load > 0 && waiting < BACKLOG) {
        uint64_t more = BACKLOG - waiting < load ? BACKLOG - waiting : load;
        load -= more;
        add_pattern(more);
    }
    outlet_go_on(data);
}

static void on_output(void *data, enum job_stream stream)
{
    char bytes[4096];
    ssize_t count = process_read(client, stream, bytes, sizeof bytes);

    ck_assert_ptr_eq(data, &outlet);
    if (count > 0)
        buffer_append(&got, bytes, (size_t)count);
    loop_stop(loop);
}

static void on_exit_of_client(void *data, bool is_signaled, int number)
{
    (void)data;
    (void)is_signaled;
    (void)number;
    loop_stop(loop);
}

static void on_unstarted(void *data, enum channel_stage stage, int errnum)
{
    (void)data;
    ck_abort_msg("stage %d, errno %d", (int)stage, errnum);
}

static const struct channel_events client_events = {.on_unstarted = on_unstarted,
                                                    .on_stdin = on_stdin,
                                                    .on_output = on_output,
                                                    .on_exit = on_exit_of_client};

static void start(const char *script)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL};
    char *const env[] = {(char *)"PATH=/usr/bin:/bin", NULL};
    struct process_spec spec = {.argv = argv, .env = env};
    struct error err = {0};

    signal(SIGPIPE, SIG_IGN); // as the daemon does
    loop = loop_create(NULL);
    outlet_init(&outlet, loop, &outlet_events, &outlet);
    client = process_start(loop, &spec, &client_events, &outlet, &err);
    ck_assert_ptr_nonnull(client);
    outlet.process = client;
}

static void pass(uint64_t ms)
{
    struct timer pause = {.on_time = world_on_pause, .data = loop};
    uint64_t end = loop_now_ns() + ms * 1000000;

    while (loop_now_ns() < end) {
        loop_arm(loop, &pause, 1);
        loop_run(loop);
        loop_disarm(loop, &pause);
    }
}

static void wait_for(const struct buffer *expected)
{
    while (got.length < expected->length)
        loop_run(loop);
    pass(20); // no more bytes come
    ck_assert_uint_eq(got.length, expected->length);
    ck_assert_int_eq(memcmp(got.data, expected->data, expected->length), 0);
}

// Makes remotes whose STARTs have LENGTH bytes and a few more.
static void make_remotes(size_t length)
{
    static const struct channel_events none;
    struct remote_spec spec = {.launch = &launch};
    char *word = malloc(length + 1);

    memset(word, 'x', length);
    word[length] = '\0';
    ck_assert_int_eq(words_append_owned(&launch.argv, word), 0);
    for (int i = 0; i < REMOTES; i++) {
        remotes[i] = remote_create(loop, NULL, &spec, &none, NULL);
        remote_on_chosen(remotes[i], NULL);
        outlet_add(&outlet, remotes[i]);
    }
}

static void finish(void)
{
    for (int i = 0; i < REMOTES; i++)
        if (remotes[i])
            remote_ops.destroy(remotes[i]);
    launch_finish(&launch);
    process_signal(client, SIGKILL);
    process_destroy(client);
    outlet_finish(&outlet);
    buffer_finish(&got);
    world_end(loop);
}

START_TEST(sends_in_order)
{
    struct buffer expected = {0};

    start("cat");
    outlet_send(&outlet, 0, FRAME_PING, 0);
    outlet_send_later(&outlet, 7, FRAME_RELEASE);
    outlet_send(&outlet, 7, FRAME_STDOUT_CREDIT, 5);
    frame_append(&expected, 0, FRAME_PING, NULL, 0);
    frame_append(&expected, 7, FRAME_RELEASE, NULL, 0);
    frame_append_number(&expected, 7, FRAME_STDOUT_CREDIT, 5);
    wait_for(&expected);
    // A frame that may wait does not wait for ever.
    outlet_send_later(&outlet, 8, FRAME_RELEASE);
    frame_append(&expected, 8, FRAME_RELEASE, NULL, 0);
    wait_for(&expected);
    ck_assert_int_eq(failure, 0);
    buffer_finish(&expected);
    finish();
}
END_TEST

START_TEST(numbers_the_starts)
{
    struct buffer expected = {0};
    struct frame_command command = {.env = (char *[]){NULL}};

    start("cat");
    make_remotes(10);
    command.argv = launch.argv.items;
    for (int i = 0; i < REMOTES; i++)
        frame_append_start(&expected, (uint32_t)i + 1, 0, &command);
    wait_for(&expected);
    ck_assert_uint_eq(outlet.next_job, REMOTES + 1);
    for (int i = 0; i < REMOTES; i++)
        ck_assert_int_eq(remotes[i]->phase, REMOTE_SENT);
    buffer_finish(&expected);
    finish();
}
END_TEST

// No more STARTs are framed than the client will take soon: the other jobs could still go
// to another connection. A START counts as sent once the client has taken its first byte.
START_TEST(does_not_run_ahead)
{
    uint64_t taken;
    int framed = 0;

    start("kill -STOP $$; exec cat");
    make_remotes(LONG);
    pass(50);
    taken = outlet.offset + outlet.done;
    while (framed < REMOTES && remotes[framed]->phase >= REMOTE_FRAMED) {
        bool is_sent = remotes[framed]->start_offset < taken;
        ck_assert_int_eq(remotes[framed]->phase, is_sent ? REMOTE_SENT : REMOTE_FRAMED);
        framed++;
    }
    ck_assert_int_gt(framed, 0);
    ck_assert_int_lt(framed, REMOTES - 1);
    ck_assert_uint_lt(outlet.bytes.length - outlet.done, 3 * LONG);
    ck_assert_uint_eq(outlet.next_job, (unsigned)framed + 1);
    for (int i = framed; i < REMOTES; i++)
        ck_assert_int_eq(remotes[i]->phase, REMOTE_CHOSEN);
    // A remote that leaves before it has a number uses none up.
    remote_ops.destroy(remotes[framed]);
    memmove(&remotes[framed], &remotes[framed + 1],
            (size_t)(REMOTES - framed - 1) * sizeof remotes[0]);
    remotes[REMOTES - 1] = NULL;
    process_signal(client, SIGCONT);
    while (remotes[REMOTES - 2]->phase != REMOTE_SENT)
        loop_run(loop);
    ck_assert_uint_eq(remotes[REMOTES - 2]->id, REMOTES - 1);
    finish();
}
END_TEST

// The client never takes all bytes that wait, and yet the bytes that have left are dropped.
START_TEST(holds_only_what_waits)
{
    size_t most = 0;

    start("cat");
    add_pattern(BACKLOG);
    load = 8 * BACKLOG;
    outlet_flush(&outlet);
    while (got.length < added || load > 0) {
        loop_run(loop);
        most = outlet.bytes.length > most ? outlet.bytes.length : most;
    }
    ck_assert_uint_lt(most, 3 * BACKLOG);
    ck_assert_uint_eq(outlet.offset + outlet.done, added);
    ck_assert_uint_eq(got.length, added);
    for (uint64_t i = 0; i < added; i++)
        if (got.data[i] != pattern(i))
            ck_abort_msg("byte %llu is wrong", (unsigned long long)i);
    finish();
}
END_TEST

START_TEST(says_that_nobody_takes_it)
{
    start("exec <&-; echo; exec sleep 100");
    while (got.length == 0)
        loop_run(loop);
    outlet_send(&outlet, 0, FRAME_PING, 0);
    while (failure == 0)
        loop_run(loop);
    ck_assert_int_eq(failure, EPIPE);
    finish();
}
END_TEST

START_TEST(sends_the_last_words)
{
    struct buffer expected = {0};

    start("cat");
    outlet_send(&outlet, 3, FRAME_KILL, 0);
    outlet_close(&outlet, true);
    frame_append(&expected, 3, FRAME_KILL, NULL, 0);
    wait_for(&expected);
    buffer_finish(&expected);
    finish();
}
END_TEST

START_TEST(keeps_them_where_there_is_no_agent)
{
    start("cat");
    outlet_send(&outlet, 3, FRAME_KILL, 0);
    outlet_close(&outlet, false);
    pass(50);
    ck_assert_uint_eq(got.length, 0);
    finish();
}
END_TEST

int main(void)
{
    UNIT_RUN("outlet", ONCE(sends_in_order), ONCE(numbers_the_starts), ONCE(does_not_run_ahead),
             ONCE(holds_only_what_waits), ONCE(says_that_nobody_takes_it),
             ONCE(sends_the_last_words), ONCE(keeps_them_where_there_is_no_agent));
}
