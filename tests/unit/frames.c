// SPDX-License-Identifier: Apache-2.0
// fs/frames.c: the frames of an answer, for readers with room for any number of bytes.
#include "unit.h"

#include "buffer.h"
#include "frames.h"

#include <stdlib.h>
#include <string.h>

static struct buffer answer; // as a reader has it

static size_t fill(struct frames *frames, struct frames_source *source, size_t size)
{
    struct frames_pieces pieces;
    size_t total = 0;

    frames_fill(frames, source, size, &pieces);
    for (int i = 0; i < pieces.count; i++) {
        ck_assert_uint_gt(pieces.parts[i].iov_len, 0);
        buffer_append(&answer, pieces.parts[i].iov_base, pieces.parts[i].iov_len);
        total += pieces.parts[i].iov_len;
    }
    ck_assert_uint_eq(total, pieces.size);
    ck_assert_uint_le(total, size);
    for (int i = 0; i < JOB_STREAMS; i++) {
        source->bytes[i] += pieces.used[i];
        source->sizes[i] -= pieces.used[i];
    }
    return pieces.size;
}

static void ck_answer(const char *expected, size_t size)
{
    ck_assert_uint_eq(answer.length, size);
    ck_assert_int_eq(memcmp(answer.data, expected, size), 0);
    buffer_finish(&answer);
}

static struct frames_source source_of(const char *out, const char *err, const char *status)
{
    return (struct frames_source){
        .bytes = {out,         err        },
        .sizes = {strlen(out), strlen(err)},
        .status = status,
        .status_size = status ? strlen(status) : 0,
    };
}

START_TEST(has_a_frame_for_each_stream_and_the_status_last)
{
    static const char whole[] = "\1\0\0\0\0\0\0\3out\2\0\0\0\0\0\0\2er\3\0\0\0\0\0\0\11"
                                "0 exited\n";
    struct frames frames = {0};
    struct frames_source source = source_of("out", "er", "0 exited\n");

    ck_assert(frames_is_ready(&frames, &source));
    ck_assert_uint_eq(fill(&frames, &source, 1000), sizeof whole - 1);
    ck_answer(whole, sizeof whole - 1);
    ck_assert(frames_is_ready(&frames, &source)); // the end
    ck_assert_uint_eq(fill(&frames, &source, 1000), 0);
}
END_TEST

START_TEST(waits_for_bytes_or_the_status)
{
    struct frames frames = {0};
    struct frames_source source = source_of("", "", NULL);

    ck_assert(!frames_is_ready(&frames, &source));
    ck_assert_uint_eq(fill(&frames, &source, 100), 0);
    source = source_of("", "x", NULL);
    ck_assert(frames_is_ready(&frames, &source));
    ck_assert_uint_eq(fill(&frames, &source, 100), 9);
    ck_assert(!frames_is_ready(&frames, &source));
    source = source_of("", "", "1 exited\n");
    ck_assert(frames_is_ready(&frames, &source));
    ck_assert_uint_eq(fill(&frames, &source, 100), 17);
    ck_assert_uint_eq(fill(&frames, &source, 100), 0);
    buffer_finish(&answer);
}
END_TEST

// A large length is in the header as it is.
START_TEST(says_lengths_big_endian)
{
    static const size_t size = 0x123456;
    char *bytes = calloc(1, size);
    struct frames frames = {0};
    struct frames_source source = {
        .bytes = {bytes, ""},
          .sizes = {size,  0 }
    };

    ck_assert_uint_eq(fill(&frames, &source, 2 * size), size + 8);
    ck_assert_int_eq(memcmp(answer.data, "\1\0\0\0\0\x12\x34\x56", 8), 0);
    buffer_finish(&answer);
    free(bytes);
}
END_TEST

// A full stream does not keep the other one from its reader.
START_TEST(takes_turns)
{
    static char much[10000];
    struct frames frames = {0};
    struct frames_source source = {
        .bytes = {much,  much },
          .sizes = {10000, 10000}
    };

    for (int i = 0; i < 6; i++) {
        fill(&frames, &source, 1008);
        ck_assert_int_eq(answer.data[0], 1 + i % 2);
        buffer_finish(&answer);
    }
}
END_TEST

// Takes the frames of the answer apart again.
static void ck_streams(const char *out, size_t out_size, const char *err, size_t err_size)
{
    struct buffer streams[3] = {{0}};
    bool has_status = false;

    for (size_t at = 0; at < answer.length;) {
        const unsigned char *header = (const unsigned char *)answer.data + at;
        size_t size =
            (size_t)header[4] << 24 | (size_t)header[5] << 16 | (size_t)header[6] << 8 | header[7];
        ck_assert(!has_status);
        ck_assert_uint_ge(answer.length - at, 8 + size);
        ck_assert_uint_gt(size, 0);
        ck_assert(header[0] >= 1 && header[0] <= 3 && !header[1] && !header[2] && !header[3]);
        has_status = header[0] == 3;
        buffer_append(&streams[header[0] - 1], header + 8, size);
        at += 8 + size;
    }
    ck_assert(has_status);
    ck_assert_uint_eq(streams[0].length, out_size);
    ck_assert_uint_eq(streams[1].length, err_size);
    ck_assert(!out_size || memcmp(streams[0].data, out, out_size) == 0);
    ck_assert(!err_size || memcmp(streams[1].data, err, err_size) == 0);
    for (int i = 0; i < 3; i++)
        buffer_finish(&streams[i]);
    buffer_finish(&answer);
}

// However the bytes come and are read, each stream is whole.
START_TEST(puts_each_stream_together_for_any_reader)
{
    static char bytes[2][5000];
    struct frames frames = {0};
    struct frames_source source = {
        .bytes = {bytes[0], bytes[1]}
    };
    size_t come[2] = {0, 0};

    srand((unsigned)_i);
    for (int i = 0; i < 2; i++)
        for (size_t j = 0; j < sizeof bytes[i]; j++)
            bytes[i][j] = (char)(rand() >> 4);
    while (come[0] < 5000 || come[1] < 5000) {
        int i = rand() % 2;
        size_t more = (size_t)rand() % 700;
        if (more > 5000 - come[i])
            more = 5000 - come[i];
        come[i] += more;
        source.sizes[i] += more;
        fill(&frames, &source, 1 + (size_t)rand() % (_i % 2 ? 12 : 1500));
    }
    source.status = "0 exited\n";
    source.status_size = 9;
    while (fill(&frames, &source, 1 + (size_t)rand() % 40) > 0)
        ;
    ck_streams(bytes[0], 5000, bytes[1], 5000);
}
END_TEST

int main(void)
{
    static const int seeds[20];

    UNIT_RUN("frames", ONCE(has_a_frame_for_each_stream_and_the_status_last),
             ONCE(waits_for_bytes_or_the_status), ONCE(says_lengths_big_endian), ONCE(takes_turns),
             EACH(puts_each_stream_together_for_any_reader, seeds));
}
