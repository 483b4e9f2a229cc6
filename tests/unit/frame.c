// SPDX-License-Identifier: Apache-2.0
// wire/frame.c: frames, and bytes that are no frame.
#include "unit.h"

#include "frame.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

static struct buffer buffer;

static void append(uint32_t job, unsigned type, const char *payload, size_t length)
{
    char header[WIRE_HEADER];

    frame_put_header(header, job, (enum frame_type)type, length);
    ck_assert_int_eq(buffer_append(&buffer, header, sizeof header), 0);
    ck_assert_int_eq(buffer_append(&buffer, payload, length), 0);
}

static const char zeros[2 * WIRE_MAX_PAYLOAD];

// The shortest and the longest payload of each type.
// clang-format off
static const struct {
    enum frame_type type;
    enum frame_sender sender;
    bool has_job;
    size_t shortest;
    size_t longest;
} shapes[] = {
    {FRAME_HELLO, FROM_AGENT, false, 12, 256},
    {FRAME_STARTED, FROM_AGENT, true, 0, 0},
    {FRAME_FAILED, FROM_AGENT, true, 5, 5},
    {FRAME_STDOUT, FROM_AGENT, true, 1, WIRE_MAX_PAYLOAD},
    {FRAME_STDERR, FROM_AGENT, true, 1, WIRE_MAX_PAYLOAD},
    {FRAME_STDOUT_END, FROM_AGENT, true, 0, 0},
    {FRAME_STDERR_END, FROM_AGENT, true, 0, 0},
    {FRAME_STDIN_CREDIT, FROM_AGENT, true, 4, 4},
    {FRAME_STDIN_CLOSED, FROM_AGENT, true, 0, 0},
    {FRAME_ENDED, FROM_AGENT, true, 2, 2},
    {FRAME_LOST, FROM_AGENT, true, 0, 0},
    {FRAME_GONE, FROM_AGENT, true, 0, 0},
    {FRAME_PONG, FROM_AGENT, false, 0, 0},
    {FRAME_STDIN, FROM_DAEMON, true, 1, WIRE_MAX_PAYLOAD},
    {FRAME_STDIN_END, FROM_DAEMON, true, 0, 0},
    {FRAME_STDOUT_CREDIT, FROM_DAEMON, true, 4, 4},
    {FRAME_STDERR_CREDIT, FROM_DAEMON, true, 4, 4},
    {FRAME_TERM, FROM_DAEMON, true, 0, 0},
    {FRAME_KILL, FROM_DAEMON, true, 0, 0},
    {FRAME_RELEASE, FROM_DAEMON, true, 0, 0},
    {FRAME_PING, FROM_DAEMON, false, 0, 0},
};
// clang-format on

static ssize_t parse(uint32_t job, unsigned type, size_t length, enum frame_sender sender)
{
    struct frame frame;
    ssize_t result;

    buffer.length = 0;
    append(job, type, zeros, length);
    result = frame_parse(buffer.data, buffer.length, sender, &frame);
    if (result > 0) {
        ck_assert_uint_eq(frame.job, job);
        ck_assert_uint_eq(frame.type, type);
        ck_assert_uint_eq(frame.length, length);
        ck_assert_ptr_eq(frame.payload, buffer.data + WIRE_HEADER);
    }
    return result;
}

START_TEST(checks_shape)
{
    enum frame_type type = shapes[_i].type;
    enum frame_sender sender = shapes[_i].sender;
    size_t shortest = shapes[_i].shortest;
    size_t longest = shapes[_i].longest;
    uint32_t job = shapes[_i].has_job ? 4711 : 0;

    ck_assert_int_eq(parse(job, type, shortest, sender), (ssize_t)(WIRE_HEADER + shortest));
    ck_assert_int_eq(parse(job, type, longest, sender), (ssize_t)(WIRE_HEADER + longest));
    if (shortest > 0)
        ck_assert_int_eq(parse(job, type, shortest - 1, sender), -EBADMSG);
    ck_assert_int_eq(parse(job, type, longest + 1, sender), -EBADMSG);
    ck_assert_int_eq(parse(job ? 0 : 1, type, shortest, sender), -EBADMSG);
    ck_assert_int_eq(parse(job, type, shortest, sender == FROM_AGENT ? FROM_DAEMON : FROM_AGENT),
                     -EBADMSG);
}
END_TEST

START_TEST(knows_no_other_type)
{
    for (unsigned type = 0; type < 256; type++) {
        bool is_known = type == FRAME_START;
        for (size_t i = 0; i < COUNT(shapes); i++)
            is_known = is_known || type == shapes[i].type;
        if (is_known)
            continue;
        for (uint32_t job = 0; job < 2; job++) {
            ck_assert_int_eq(parse(job, type, 4, FROM_AGENT), -EBADMSG);
            ck_assert_int_eq(parse(job, type, 4, FROM_DAEMON), -EBADMSG);
        }
    }
}
END_TEST

START_TEST(waits_for_the_whole_frame)
{
    struct frame frame;

    buffer.length = 0;
    append(7, FRAME_STDIN, "hello", 5);
    for (size_t size = 0; size < WIRE_HEADER + 5; size++)
        ck_assert_int_eq(frame_parse(buffer.data, size, FROM_DAEMON, &frame), 0);
    append(8, FRAME_KILL, "", 0);
    ck_assert_int_eq(frame_parse(buffer.data, buffer.length, FROM_DAEMON, &frame), WIRE_HEADER + 5);
    ck_assert_int_eq(memcmp(frame.payload, "hello", 5), 0);
}
END_TEST

// An error in the header is found before any byte of the payload is stored.
START_TEST(refuses_by_the_header)
{
    struct frame frame;

    buffer.length = 0;
    append(7, FRAME_STDIN, zeros, 1);
    frame_put_number(buffer.data, WIRE_MAX_PAYLOAD + 1);
    ck_assert_int_eq(frame_parse(buffer.data, WIRE_HEADER, FROM_DAEMON, &frame), -EBADMSG);
    frame_put_number(buffer.data, UINT32_MAX);
    ck_assert_int_eq(frame_parse(buffer.data, WIRE_HEADER, FROM_DAEMON, &frame), -EBADMSG);
    buffer.data[WIRE_HEADER - 1] = FRAME_START;
    ck_assert_int_eq(frame_parse(buffer.data, WIRE_HEADER, FROM_DAEMON, &frame), -EBADMSG);
    frame_put_number(buffer.data, WIRE_MAX_START + 1);
    ck_assert_int_eq(frame_parse(buffer.data, WIRE_HEADER, FROM_DAEMON, &frame), -EBADMSG);
    frame_put_number(buffer.data, WIRE_MAX_START);
    ck_assert_int_eq(frame_parse(buffer.data, WIRE_HEADER, FROM_DAEMON, &frame), 0);
}
END_TEST

#define STRINGS(text) text, sizeof(text) - 1

// clang-format off
static const struct {
    uint32_t arguments;
    uint32_t variables;
    const char *strings;
    size_t length;
    bool is_right;
} starts[] = {
    {1, 0, STRINGS("\0a\0"), true},
    {1, 0, STRINGS("/dir\0a\0"), true},
    {2, 0, STRINGS("\0a\0\0"), true},
    {1, 2, STRINGS("\0a\0B=c\0D=\0"), true},
    {0, 0, STRINGS("\0\0\0"), false},
    {0, 1, STRINGS("\0A=b\0"), false},
    {1, 0, STRINGS("\0\0\0"), false},
    {1, 0, STRINGS("\0\0"), false},
    {1, 0, STRINGS("\0aa"), false},
    {1, 0, STRINGS("aaa"), false},
    {1, 0, STRINGS("\0a\0b\0"), false},
    {1, 0, STRINGS("\0a\0b"), false},
    {2, 0, STRINGS("\0a\0"), false},
    {1, 1, STRINGS("\0a\0"), false},
    {1, 1, STRINGS("\0a\0B=c"), false},
    {UINT32_MAX, 0, STRINGS("\0a\0"), false},
    {1, UINT32_MAX, STRINGS("\0a\0"), false},
    {UINT32_MAX, UINT32_MAX, STRINGS("\0a\0"), false},
    {UINT32_MAX, 2, STRINGS("\0a\0b\0"), false}, // a sum that would wrap to two strings
};
// clang-format on

START_TEST(checks_a_start)
{
    char payload[64];
    struct frame frame;
    ssize_t result;

    frame_put_number(payload, 0);
    frame_put_number(payload + 4, starts[_i].arguments);
    frame_put_number(payload + 8, starts[_i].variables);
    frame_put_number(payload + 12, 0);
    memcpy(payload + 16, starts[_i].strings, starts[_i].length);
    buffer.length = 0;
    append(1, FRAME_START, payload, 16 + starts[_i].length);
    // The bytes behind a frame do not belong to it.
    append(1, FRAME_STDIN, "x\0y\0", 4);
    result = frame_parse(buffer.data, buffer.length, FROM_DAEMON, &frame);
    ck_assert_int_eq(result, starts[_i].is_right ? (ssize_t)(WIRE_HEADER + 16 + starts[_i].length)
                                                 : -EBADMSG);
}
END_TEST

START_TEST(start_comes_back)
{
    char *argv[] = {(char[]){"command"}, (char[]){""}, (char[]){"a b"}, NULL};
    char *env[] = {(char[]){"A=1"}, (char[]){"B="}, NULL};
    char *none[] = {NULL};
    const struct frame_limit limits[] = {
        {RLIMIT_CPU,    1             },
        {RLIMIT_NOFILE, 0             },
        {RLIMIT_AS,     UINT64_MAX - 1}
    };
    struct frame_command command = {.workdir = "/tmp",
                                    .argv = argv,
                                    .env = env,
                                    .limits = limits,
                                    .limit_count = COUNT(limits)};
    struct frame_command bare = {.argv = argv, .env = none};
    struct frame_start start;
    struct frame frame;

    buffer.length = 0;
    ck_assert_int_eq(frame_append_start(&buffer, 9, 1500, &command), 0);
    ck_assert_int_eq(frame_parse(buffer.data, buffer.length, FROM_DAEMON, &frame),
                     (ssize_t)buffer.length);
    ck_assert_uint_eq(frame.job, 9);
    frame_parse_start(&frame, &start);
    ck_assert_uint_eq(start.time_limit_ms, 1500);
    ck_assert_str_eq(start.workdir, "/tmp");
    ck_assert_uint_eq(start.argument_count, 3);
    ck_assert_uint_eq(start.environment_count, 2);
    ck_assert_int_eq(memcmp(start.strings, STRINGS("command\0\0a b\0A=1\0B=\0")), 0);
    ck_assert_uint_eq(start.limit_count, COUNT(limits));
    for (uint32_t i = 0; i < COUNT(limits); i++) {
        ck_assert_uint_eq(frame_parse_limit(&start, i).kind, limits[i].kind);
        ck_assert_uint_eq(frame_parse_limit(&start, i).value, limits[i].value);
    }

    buffer.length = 0;
    ck_assert_int_eq(frame_append_start(&buffer, 1, 0, &bare), 0);
    ck_assert_int_eq(frame_parse(buffer.data, buffer.length, FROM_DAEMON, &frame),
                     (ssize_t)buffer.length);
    frame_parse_start(&frame, &start);
    ck_assert_str_eq(start.workdir, "");
    ck_assert_uint_eq(start.environment_count, 0);
    ck_assert_uint_eq(start.limit_count, 0);
}
END_TEST

// clang-format off
static const struct {
    uint32_t count;
    uint32_t kinds[3]; // of the limits that are there
    size_t there;
    bool is_right;
} limited_starts[] = {
    {0, {0}, 0, true},
    {1, {0}, 1, true},
    {3, {0, 7, 15}, 3, true},
    {3, {15, 32, 34}, 3, true},
    {1, {31}, 1, false},
    {1, {35}, 1, false},
    {1, {16}, 1, false},
    {1, {UINT32_MAX}, 1, false},
    {2, {7, 7}, 2, false},
    {2, {7, 3}, 2, false},
    {2, {3}, 1, false},
    {1, {0}, 0, false},
    {0, {3}, 1, false},
    {20, {0, 1, 2}, 3, false},
    {UINT32_MAX, {0, 1, 2}, 3, false},
    {UINT32_MAX / 12 + 1, {0}, 0, false}, // a size that would wrap to 8 bytes
};
// clang-format on

START_TEST(checks_the_limits_of_a_start)
{
    char payload[16 + 3 * 12 + 3] = {0};
    size_t length = 16 + 12 * limited_starts[_i].there;
    struct frame frame;

    frame_put_number(payload + 4, 1);
    frame_put_number(payload + 12, limited_starts[_i].count);
    for (size_t i = 0; i < limited_starts[_i].there; i++) {
        frame_put_number(payload + 16 + 12 * i, limited_starts[_i].kinds[i]);
        memset(payload + 16 + 12 * i + 4, 'x', 8); // no NUL: a value cannot pass for a string
    }
    memcpy(payload + length, "\0a", 3);
    buffer.length = 0;
    append(1, FRAME_START, payload, length + 3);
    ck_assert_int_eq(frame_parse(buffer.data, buffer.length, FROM_DAEMON, &frame),
                     limited_starts[_i].is_right ? (ssize_t)buffer.length : -EBADMSG);
}
END_TEST

START_TEST(start_has_a_limit)
{
    char *word = malloc(WIRE_MAX_START);
    char *argv[] = {(char[]){"a"}, word, NULL};
    char *env[] = {NULL};
    struct frame_command command = {.argv = argv, .env = env};
    struct frame frame;
    // The four numbers, an empty directory, "a", and the last NUL.
    size_t longest = WIRE_MAX_START - 16 - 1 - 2 - 1;

    ck_assert_ptr_nonnull(word);
    memset(word, 'x', WIRE_MAX_START);
    word[longest] = '\0';
    buffer.length = 0;
    ck_assert_int_eq(frame_append_start(&buffer, 1, 0, &command), 0);
    ck_assert_uint_eq(buffer.length, WIRE_HEADER + WIRE_MAX_START);
    ck_assert_int_eq(frame_parse(buffer.data, buffer.length, FROM_DAEMON, &frame),
                     (ssize_t)buffer.length);
    word[longest] = 'x';
    word[longest + 1] = '\0';
    buffer.length = 0;
    ck_assert_int_eq(frame_append_start(&buffer, 1, 0, &command), -E2BIG);
    ck_assert_uint_eq(buffer.length, 0);
    free(word);
}
END_TEST

START_TEST(hello_comes_back)
{
    char long_text[300] = "";
    struct frame frame;
    uint32_t version;
    const char *text;
    size_t length;

    buffer.length = 0;
    ck_assert_int_eq(frame_append_hello(&buffer, "1.2.3"), 0);
    ck_assert_int_eq(frame_parse(buffer.data, buffer.length, FROM_AGENT, &frame),
                     (ssize_t)buffer.length);
    ck_assert(frame_parse_hello(&frame, &version, &text, &length));
    ck_assert_uint_eq(version, WIRE_VERSION);
    ck_assert_uint_eq(length, 5);
    ck_assert_int_eq(memcmp(text, "1.2.3", 5), 0);

    buffer.data[WIRE_HEADER] = 'H';
    ck_assert(!frame_parse_hello(&frame, &version, &text, &length));

    // A version that is too long is cut.
    buffer.length = 0;
    memset(long_text, 'v', sizeof long_text - 1);
    ck_assert_int_eq(frame_append_hello(&buffer, long_text), 0);
    ck_assert_int_gt(frame_parse(buffer.data, buffer.length, FROM_AGENT, &frame), 0);
}
END_TEST

START_TEST(numbers_are_little_endian)
{
    char bytes[4];

    frame_put_number(bytes, 0x81020384);
    ck_assert_int_eq(memcmp(bytes, "\x84\x03\x02\x81", 4), 0);
    ck_assert_uint_eq(frame_number(bytes), 0x81020384);
    buffer.length = 0;
    ck_assert_int_eq(frame_append_number(&buffer, 0x1020304, FRAME_STDIN_CREDIT, 5), 0);
    ck_assert_uint_eq(buffer.length, 13);
    ck_assert_int_eq(memcmp(buffer.data, "\4\0\0\0\4\3\2\1\x08\5\0\0\0", 13), 0);
}
END_TEST

int main(void)
{
    UNIT_RUN("frame", EACH(checks_shape, shapes), ONCE(knows_no_other_type),
             ONCE(waits_for_the_whole_frame), ONCE(refuses_by_the_header),
             EACH(checks_a_start, starts), EACH(checks_the_limits_of_a_start, limited_starts),
             ONCE(start_comes_back), ONCE(start_has_a_limit), ONCE(hello_comes_back),
             ONCE(numbers_are_little_endian));
}
