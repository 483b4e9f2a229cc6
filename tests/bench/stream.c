// SPDX-License-Identifier: Apache-2.0
// Long streams: from a command's stdout or into its stdin, through a conversation, a
// slot, or the 64 KiB pipes of a child. The command is this program as well (`produce`,
// `consume`); whoever reads compares every byte. On stdin it is told when to start
// (`serve`).
//
// usage: stream out|in conversation|slot SANDBOX-DIRECTORY SIZE COMMAND [ARGUMENT...]
//        stream out|in pipe SIZE COMMAND [ARGUMENT...]
//        stream produce SIZE
//        stream consume
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A piece is what cat reads at once. The pattern has a length that divides no block,
// so that a piece lost or doubled shows, and is there twice, so that it can be
// compared, and written, from any place in it.
enum { PIECE = 131072, PERIOD = 65521 };

static char pattern[PERIOD + PIECE];
static char buffer[PIECE];

struct stream {
    const char *directory; // of the sandbox, or of the slot
    char *const *argv;
    struct bytes line;
    size_t size;
    bool is_slot;
    size_t done;
};

static void fill_pattern(void)
{
    uint32_t state = 1;

    for (size_t i = 0; i < sizeof pattern; i++) {
        state = state * 1664525 + 1013904223;
        pattern[i] = i < PERIOD ? (char)(state >> 24) : pattern[i - PERIOD];
    }
}

// The next piece of the stream, which has DONE of SIZE bytes behind it.
static size_t piece_at(size_t done, size_t size)
{
    return size - done < PIECE ? size - done : PIECE;
}

static void check(size_t done, const char *data, size_t size)
{
    if (memcmp(data, pattern + done % PERIOD, size) == 0)
        return;
    fprintf(stderr, "bench: a wrong byte after %zu\n", done);
    exit(1);
}

static void take(void *context, const char *data, size_t size)
{
    struct stream *stream = context;

    check(stream->done, data, size);
    stream->done += size;
}

static void write_stream(int fd, size_t size)
{
    for (size_t done = 0; done < size;) {
        size_t piece = piece_at(done, size);
        write_all(fd, pattern + done % PERIOD, piece);
        done += piece;
    }
}

static size_t read_stream(int fd)
{
    size_t done = 0;
    ssize_t count;

    while ((count = read(fd, buffer, sizeof buffer)) > 0) {
        check(done, buffer, (size_t)count);
        done += (size_t)count;
    }
    if (count < 0)
        die("read");
    return done;
}

static void expect_size(size_t got, size_t wanted)
{
    if (got == wanted)
        return;
    fprintf(stderr, "bench: %zu bytes instead of %zu\n", got, wanted);
    exit(1);
}

// The number of bytes that `consume` reports.
static void expect_report(char *report, size_t size, size_t wanted)
{
    report[size] = '\0';
    expect_size(parse_size(report), wanted);
}

static void out_by_conversation(void *context)
{
    struct stream *stream = context;
    int fd = open_file(stream->directory, "call", O_RDWR);

    write_all(fd, stream->line.data, stream->line.size);
    expect_size(read_stream(fd), stream->size);
    close(fd);
}

static void out_by_slot(void *context)
{
    struct stream *stream = context;
    int fd = open_file(stream->directory, "request", O_WRONLY);

    write_all(fd, stream->line.data, stream->line.size);
    close(fd);
    fd = open_file(stream->directory, "stdout", O_RDONLY);
    expect_size(read_stream(fd), stream->size);
    close(fd);
    expect_success(stream->directory);
}

static void out_by_pipe(void *context)
{
    struct stream *stream = context;
    struct child child = child_start(stream->argv);

    child_close_in(&child);
    stream->done = 0;
    child_finish(&child, buffer, sizeof buffer, take, stream);
    expect_size(stream->done, stream->size);
}

static void in_by_conversation(void *context)
{
    struct stream *stream = context;
    char report[64];
    int fd = open_file(stream->directory, "call", O_RDWR);

    write_all(fd, stream->line.data, stream->line.size);
    write_stream(fd, stream->size);
    expect_report(report, read_all(fd, report, sizeof report), stream->size);
    close(fd);
}

static void in_by_slot(void *context)
{
    struct stream *stream = context;
    char report[64];
    int fd = open_file(stream->directory, "request", O_WRONLY);

    write_all(fd, stream->line.data, stream->line.size);
    write_stream(fd, stream->size);
    close(fd);
    fd = open_file(stream->directory, "stdout", O_RDONLY);
    expect_report(report, read_all(fd, report, sizeof report), stream->size);
    close(fd);
    expect_success(stream->directory);
}

static void take_report(void *context, const char *data, size_t size)
{
    struct bytes *report = context;

    if (size < 64 - report->size) {
        memcpy(report->data + report->size, data, size);
        report->size += size;
    }
}

static void in_by_pipe(void *context)
{
    struct stream *stream = context;
    char text[64];
    struct bytes report = {text, 0};
    struct child child = child_start(stream->argv);

    write_stream(child.in, stream->size);
    child_close_in(&child);
    child_finish(&child, buffer, sizeof buffer, take_report, &report);
    expect_report(text, report.size, stream->size);
}

static int consume(void)
{
    printf("%zu", read_stream(0));
    return 0;
}

static int produce(const char *size)
{
    write_stream(1, parse_size(size));
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: stream out|in conversation|slot DIRECTORY SIZE COMMAND...\n"
                    "       stream out|in pipe SIZE COMMAND...\n"
                    "       stream produce SIZE\n"
                    "       stream consume\n");
    return 2;
}

static const struct {
    const char *direction;
    const char *way;
    void (*call)(void *context);
} ways[] = {
    {"in",  "conversation", in_by_conversation },
    {"in",  "pipe",         in_by_pipe         },
    {"in",  "slot",         in_by_slot         },
    {"out", "conversation", out_by_conversation},
    {"out", "pipe",         out_by_pipe        },
    {"out", "slot",         out_by_slot        },
};

static int run(void (*call)(void *), const char *way, int argc, char **argv)
{
    struct stream stream = {.is_slot = strcmp(way, "slot") == 0};
    int names = strcmp(way, "pipe") == 0 ? 0 : 1; // arguments in front of SIZE

    if (argc < names + 2)
        return usage();
    stream.directory = stream.is_slot ? make_slot(argv[0]) : argv[0];
    stream.size = parse_size(argv[names]);
    stream.argv = argv + names + 1;
    stream.line = request_line(stream.argv);
    serve(call, NULL, &stream);
    if (stream.is_slot && rmdir(stream.directory) < 0)
        die(stream.directory);
    return 0;
}

int main(int argc, char **argv)
{
    fill_pattern();
    if (argc == 2 && strcmp(argv[1], "consume") == 0)
        return consume();
    if (argc == 3 && strcmp(argv[1], "produce") == 0)
        return produce(argv[2]);
    for (size_t i = 0; argc > 3 && i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(argv[1], ways[i].direction) == 0 && strcmp(argv[2], ways[i].way) == 0)
            return run(ways[i].call, argv[2], argc - 3, argv + 3);
    return usage();
}
