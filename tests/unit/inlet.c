// SPDX-License-Identifier: Apache-2.0
// sandbox/remote/inlet.c: pieces become frames.
#include "unit.h"

#include "inlet.h"

#include <errno.h>
#include <string.h>

enum { LONG = 300, STOP = -ECANCELED };

static struct inlet inlet;
static struct buffer sent;
static struct buffer got; // the frames that were taken; pieces of output are joined
static size_t count;
static size_t stop_at; // 0: never

static int take(void *data, const struct frame *frame)
{
    static uint32_t last_job;
    static enum frame_type last;
    static size_t last_header;
    bool is_output = frame->type == FRAME_STDOUT || frame->type == FRAME_STDERR;

    ck_assert_ptr_eq(data, &sent);
    ck_assert(!is_output || frame->length > 0);
    count++;
    if (got.length > 0 && is_output && frame->type == last && frame->job == last_job) {
        size_t length = frame_number(got.data + last_header) + frame->length;
        frame_put_number(got.data + last_header, (uint32_t)length);
        ck_assert_int_eq(buffer_append(&got, frame->payload, frame->length), 0);
    } else {
        last_header = got.length;
        ck_assert_int_eq(frame_append(&got, frame->job, frame->type, frame->payload, frame->length),
                         0);
    }
    last = frame->type;
    last_job = frame->job;
    return count == stop_at ? STOP : 0;
}

// No frame of output follows another frame of the same stream: take would join them.
static void send_all(void)
{
    char bytes[LONG];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    frame_append_hello(&sent, "an agent");
    frame_append(&sent, 1, FRAME_STARTED, NULL, 0);
    frame_append(&sent, 1, FRAME_STDOUT, bytes, sizeof bytes);
    frame_append(&sent, 2, FRAME_STDOUT, bytes, 1);
    frame_append_number(&sent, 2, FRAME_STDIN_CREDIT, 77);
    frame_append(&sent, 2, FRAME_STDERR, bytes, 20);
    frame_append(&sent, 1, FRAME_ENDED, "\0\7", 2);
    frame_append(&sent, 1, FRAME_GONE, NULL, 0);
}

static void clean_up(void)
{
    inlet_finish(&inlet);
    buffer_finish(&sent);
    buffer_finish(&got);
}

START_TEST(puts_pieces_together)
{
    size_t all;

    send_all();
    all = sent.length;
    for (size_t size = 1; size <= all; size++) {
        for (size_t at = 0; at < all; at += size) {
            size_t left = all - at;
            ck_assert_int_eq(
                inlet_receive(&inlet, sent.data + at, left < size ? left : size, take, &sent), 0);
        }
        ck_assert_uint_eq(got.length, all);
        ck_assert_mem_eq(got.data, sent.data, all);
        ck_assert_uint_eq(inlet.begun.length, 0);
        buffer_finish(&got);
    }
    clean_up();
}
END_TEST

START_TEST(hands_on_output_as_it_comes)
{
    char byte = 'x';

    frame_append(&sent, 5, FRAME_STDERR, &byte, 1);
    frame_put_number(sent.data, WIRE_MAX_PAYLOAD);
    inlet_receive(&inlet, sent.data, sent.length, take, &sent);
    ck_assert_uint_eq(count, 1);
    for (size_t i = 1; i < WIRE_MAX_PAYLOAD; i++) {
        ck_assert_int_eq(inlet_receive(&inlet, &byte, 1, take, &sent), 0);
        ck_assert_uint_eq(count, i + 1);
        ck_assert_uint_eq(inlet.begun.capacity, 0);
    }
    // The next bytes are another frame.
    ck_assert_int_eq(inlet_receive(&inlet, "\0\0\0\0\5\0\0\0\7", WIRE_HEADER, take, &sent), 0);
    ck_assert_uint_eq(count, WIRE_MAX_PAYLOAD + 1);
    clean_up();
}
END_TEST

START_TEST(stops_when_it_is_told_to)
{
    send_all();
    stop_at = (size_t)_i + 1;
    ck_assert_int_eq(inlet_receive(&inlet, sent.data, sent.length, take, &sent), STOP);
    ck_assert_uint_eq(count, stop_at);
    clean_up();
}
END_TEST

// The wrong frame comes after right frames, at once or in two pieces.
START_TEST(refuses_what_is_no_frame)
{
    static const char *const bad[] = {
        "\0\0\0\0\1\0\0\0\0",           // type 0
        "\0\0\0\0\1\0\0\0\41",          // a type of the daemon
        "\0\0\0\0\1\0\0\0\4",           // output without bytes
        "\1\0\1\0\1\0\0\0\4",           // longer than a frame may be
        "\1\0\0\0\0\0\0\0\5",           // output of no job
        "\377\377\377\377\1\0\0\0\377", // each byte is 255
    };

    for (size_t size = 1; size <= 2; size++)
        for (size_t i = 0; i < COUNT(bad); i++) {
            int result = 0;
            send_all();
            buffer_append(&sent, bad[i], WIRE_HEADER);
            for (size_t at = 0; at < sent.length && result == 0; at += sent.length / size + 1) {
                size_t left = sent.length - at;
                size_t piece = sent.length / size + 1;
                result =
                    inlet_receive(&inlet, sent.data + at, left < piece ? left : piece, take, &sent);
            }
            ck_assert_int_eq(result, -EBADMSG);
            ck_assert_uint_eq(got.length, sent.length - WIRE_HEADER);
            clean_up();
            inlet = (struct inlet){0};
        }
}
END_TEST

int main(void)
{
    static const int frames[8]; // that send_all sends

    UNIT_RUN("inlet", ONCE(puts_pieces_together), ONCE(hands_on_output_as_it_comes),
             EACH(stops_when_it_is_told_to, frames), ONCE(refuses_what_is_no_frame));
}
