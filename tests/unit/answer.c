// SPDX-License-Identifier: Apache-2.0
// client/answer.c: frames, however they are cut, and nothing that is not one.
#include "unit.h"

#include "answer.h"
#include "buffer.h"

#include <errno.h>
#include <string.h>

struct streams {
    struct buffer out, err;
};

static int take(void *context, enum answer_stream stream, const char *bytes, size_t size)
{
    struct streams *streams = context;

    return buffer_append(stream == ANSWER_STDOUT ? &streams->out : &streams->err, bytes, size);
}

#define OUT(length, text) "\1\0\0\0\0\0\0" length text
#define ERR(length, text) "\2\0\0\0\0\0\0" length text
#define END(length, text) "\3\0\0\0\0\0\0" length text
static const char good[] = OUT("\5", "hello") ERR("\3", "bad") OUT("\0", "") OUT("\1", "!")
    END("\x16", "137 signaled KILL ugh\n");

START_TEST(takes_frames_in_pieces)
{
    for (size_t piece = 1; piece < sizeof good; piece++) {
        struct streams streams = {0};
        struct answer answer;

        answer_init(&answer, take, &streams);
        for (size_t at = 0; at < sizeof good - 1; at += piece) {
            size_t left = sizeof good - 1 - at;

            ck_assert(!answer.is_done);
            ck_assert_int_eq(answer_feed(&answer, good + at, piece < left ? piece : left), 0);
        }
        ck_assert(answer.is_done);
        ck_assert_int_eq(answer.outcome.kind, ANSWER_SIGNALED);
        ck_assert_int_eq(answer.outcome.code, 137);
        ck_assert_str_eq(answer.outcome.detail, "KILL ugh");
        ck_assert_uint_eq(streams.out.length, 6);
        ck_assert_int_eq(memcmp(streams.out.data, "hello!", 6), 0);
        ck_assert_uint_eq(streams.err.length, 3);
        ck_assert_int_eq(answer_feed(&answer, "x", 1), -EPROTO);
        buffer_finish(&streams.out);
        buffer_finish(&streams.err);
    }
}
END_TEST

START_TEST(has_no_outcome_of_a_part)
{
    struct streams streams = {0};
    struct answer answer;

    for (size_t length = 0; length < sizeof good - 1; length++) {
        answer_init(&answer, take, &streams);
        ck_assert_int_eq(answer_feed(&answer, good, length), 0);
        ck_assert(!answer.is_done);
    }
    buffer_finish(&streams.out);
    buffer_finish(&streams.err);
}
END_TEST

static const struct bad {
    const char *bytes;
    size_t size;
} bad[] = {
#define BAD(text)                                                                                  \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }
    // clang-format off
    BAD("\0\0\0\0\0\0\0\1x"),
    BAD("\4\0\0\0\0\0\0\1x"),
    BAD("\1\1\0\0\0\0\0\1x"),
    BAD("\1\0\0\1\0\0\0\1x"),
    BAD("\3\0\0\0\0\0\0\0"),
    BAD("\3\0\0\0\0\1\0\0"),
    BAD("{\"allow\":true}\n"),
    BAD(END("\x9", "0 exited\n") "\n"),
    // clang-format on
};

START_TEST(refuses)
{
    struct streams streams = {0};
    struct answer answer;

    answer_init(&answer, take, &streams);
    ck_assert_int_eq(answer_feed(&answer, bad[_i].bytes, bad[_i].size), -EPROTO);
    buffer_finish(&streams.out);
}
END_TEST

static const struct line {
    const char *text;
    int kind; // -1: refused
    int code;
    const char *detail;
} lines[] = {
  // clang-format off
    {"0 exited\n",                   ANSWER_EXITED,      0,   ""},
    {"0 exited unconfirmed\n",       ANSWER_EXITED,      0,   "unconfirmed"},
    {"255 exited\n",                 ANSWER_EXITED,      255, ""},
    {"124 timeout after 1s\n",       ANSWER_TIMEOUT,     124, "after 1s"},
    {"125 unreachable a b\n",        ANSWER_UNREACHABLE, 125, "a b"},
    {"126 unstarted\n",              ANSWER_UNSTARTED,   126, ""},
    {"130 cancelled\n",              ANSWER_CANCELLED,   130, ""},
    {"141 overflow stdout\n",        ANSWER_OVERFLOW,    141, "stdout"},
    {"2 refused\n",                  ANSWER_REFUSED,     2,   ""},
    {"0 exited",                     -1, 0, NULL},
    {"0 exited\n\n",                 -1, 0, NULL},
    {"0  exited\n",                  -1, 0, NULL},
    {"0 exit\n",                     -1, 0, NULL},
    {"0 exitedx\n",                  -1, 0, NULL},
    {"0 timeout\n",                  -1, 0, NULL},
    {"256 exited\n",                 -1, 0, NULL},
    {"0000 exited\n",                -1, 0, NULL},
    {" 0 exited\n",                  -1, 0, NULL},
    {"-1 exited\n",                  -1, 0, NULL},
    {"exited 0\n",                   -1, 0, NULL},
    {"0\n",                          -1, 0, NULL},
    {"0 \n",                         -1, 0, NULL},
    {"\n",                           -1, 0, NULL},
  // clang-format on
};

START_TEST(reads_a_status)
{
    const struct line *line = &lines[_i];
    struct answer_outcome outcome;
    int result = answer_parse_status(line->text, strlen(line->text), &outcome);

    ck_assert_int_eq(result, line->kind < 0 ? -EPROTO : 0);
    if (result < 0)
        return;
    ck_assert_int_eq((int)outcome.kind, line->kind);
    ck_assert_int_eq(outcome.code, line->code);
    ck_assert_str_eq(outcome.detail, line->detail);
    ck_assert(outcome.is_unconfirmed == (strcmp(line->detail, "unconfirmed") == 0));
}
END_TEST

int main(void)
{
    UNIT_RUN("answer", ONCE(takes_frames_in_pieces), ONCE(has_no_outcome_of_a_part),
             EACH(refuses, bad), EACH(reads_a_status, lines));
}
