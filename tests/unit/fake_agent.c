// SPDX-License-Identifier: Apache-2.0
// A client and an agent in one program, which follow a plan: a real agent does not misbehave.
//
// With --serve the program is the agent of the next connection. $FAKE_DIR/plan.N is the plan
// of connection N; without that file the plan is `hello serve`. A plan consists of words:
//
//     hello[=VERSION]       greet
//     raw=HEX               send these bytes
//     f=TYPE,JOB[,HEX]      send a frame
//     much=TYPE,JOB,COUNT   send frames with COUNT bytes in all
//     wait=TYPE             read until a frame of this type has come
//     serve                 play commands that write their stdin to stdout, and end with 0
//     deaf                  answer no PING from here on
//     ms=COUNT              sleep
//     eof                   read until the end of stdin
//     exit=CODE             end
//     err=TEXT              write TEXT to stderr; each _ becomes a blank
//
// Each START adds the number of the connection to $FAKE_DIR/starts, and each frame adds its
// type to $FAKE_DIR/frames.N. Without --serve the program executes the words behind --.
#include "frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char *folder;
static int number;
static uint32_t last_job;
static bool is_deaf;
static struct buffer in;
static struct buffer out;

// Ends without a message: the test sees how the connection ended.
_Noreturn static void leave(int code)
{
    buffer_finish(&in);
    buffer_finish(&out);
    exit(code);
}

static void flush(void)
{
    size_t done = 0;

    while (done < out.length) {
        ssize_t count = write(STDOUT_FILENO, out.data + done, out.length - done);
        if (count < 0)
            leave(0);
        done += (size_t)count;
    }
    buffer_finish(&out);
}

static void note(const char *name, int suffix, int value)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, suffix ? "%s/%s.%d" : "%s/%s", folder, name, suffix);
    file = fopen(path, "a");
    if (!file)
        leave(70);
    fprintf(file, "%d\n", value);
    fclose(file);
}

static int count_connection(void)
{
    char path[4096];
    int fd;
    int count = 0;

    snprintf(path, sizeof path, "%s/count", folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        leave(70);
    while (read(fd, &(char){0}, 1) == 1)
        count++;
    if (write(fd, "x", 1) != 1)
        leave(70);
    close(fd);
    return count + 1;
}

static void end(uint32_t job, char kind, char code)
{
    const char ending[] = {kind, code};

    frame_append(&out, job, FRAME_STDOUT_END, NULL, 0);
    frame_append(&out, job, FRAME_STDERR_END, NULL, 0);
    frame_append(&out, job, FRAME_ENDED, ending, sizeof ending);
    frame_append(&out, job, FRAME_GONE, NULL, 0);
}

static void answer(const struct frame *frame)
{
    if (frame->type == FRAME_START)
        frame_append(&out, frame->job, FRAME_STARTED, NULL, 0);
    else if (frame->type == FRAME_STDIN) {
        frame_append(&out, frame->job, FRAME_STDOUT, frame->payload, frame->length);
        frame_append_number(&out, frame->job, FRAME_STDIN_CREDIT, (uint32_t)frame->length);
    } else if (frame->type == FRAME_STDIN_END)
        end(frame->job, 0, 0);
    else if (frame->type == FRAME_TERM)
        end(frame->job, 1, 15);
}

// Reads frames until a frame of TYPE has come; 0: until the end of stdin.
static void receive(unsigned type, bool is_serving)
{
    static char bytes[65536];
    struct frame frame;

    for (;;) {
        ssize_t length = frame_parse(in.data, in.length, FROM_DAEMON, &frame);
        if (length < 0)
            leave(71);
        if (length == 0) {
            ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
            if (count <= 0)
                leave(0);
            buffer_append(&in, bytes, (size_t)count);
            continue;
        }
        note("frames", number, (int)frame.type);
        if (frame.type == FRAME_START && frame.job != ++last_job)
            leave(72);
        if (frame.type == FRAME_START)
            note("starts", 0, number);
        if (frame.type == FRAME_PING && !is_deaf)
            frame_append(&out, 0, FRAME_PONG, NULL, 0);
        if (is_serving)
            answer(&frame);
        unsigned came = frame.type;
        buffer_drop(&in, (size_t)length);
        flush();
        if (came == type)
            return;
    }
}

static void append_hex(struct buffer *buffer, const char *hex)
{
    unsigned byte;

    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        buffer_append(buffer, &(char){(char)byte}, 1);
}

static void send_frame(const char *text)
{
    struct buffer payload = {0};
    unsigned type;
    unsigned job;
    int used = 0;

    sscanf(text, "%u,%u%n", &type, &job, &used);
    if (text[used] == ',')
        append_hex(&payload, text + used + 1);
    frame_append(&out, job, (enum frame_type)type, payload.data, payload.length);
    buffer_finish(&payload);
}

static void send_much(const char *text)
{
    static const char zeros[WIRE_MAX_PAYLOAD];
    unsigned type;
    unsigned job;
    unsigned count;

    sscanf(text, "%u,%u,%u", &type, &job, &count);
    for (; count > 0; flush()) {
        unsigned size = count < sizeof zeros ? count : (unsigned)sizeof zeros;
        frame_append(&out, job, (enum frame_type)type, zeros, size);
        count -= size;
    }
}

static void greet(unsigned version)
{
    frame_append_hello(&out, "fake");
    out.data[WIRE_HEADER + 8] = (char)version;
}

static void say(char *words)
{
    for (char *at = words; (at = strchr(at, '_'));)
        *at = ' ';
    fprintf(stderr, "%s\n", words);
}

static void act(char *word)
{
    char *value = strchr(word, '=');

    if (value)
        *value++ = '\0';
    if (strcmp(word, "hello") == 0)
        greet(value ? (unsigned)atoi(value) : WIRE_VERSION);
    else if (strcmp(word, "raw") == 0)
        append_hex(&out, value);
    else if (strcmp(word, "f") == 0)
        send_frame(value);
    else if (strcmp(word, "much") == 0)
        send_much(value);
    else if (strcmp(word, "wait") == 0)
        receive((unsigned)atoi(value), false);
    else if (strcmp(word, "serve") == 0)
        receive(0, true);
    else if (strcmp(word, "deaf") == 0)
        is_deaf = true;
    else if (strcmp(word, "eof") == 0)
        receive(0, false);
    else if (strcmp(word, "ms") == 0)
        usleep((unsigned)atoi(value) * 1000);
    else if (strcmp(word, "err") == 0)
        say(value);
    else if (strcmp(word, "exit") == 0)
        leave(atoi(value));
    else
        leave(72);
    flush();
}

static void serve(void)
{
    char path[4096];
    char plan[4096] = "hello serve";
    FILE *file;

    folder = getenv("FAKE_DIR");
    if (!folder)
        leave(70);
    number = count_connection();
    snprintf(path, sizeof path, "%s/plan.%d", folder, number);
    file = fopen(path, "r");
    if (file) {
        if (!fgets(plan, sizeof plan, file))
            leave(70);
        fclose(file);
    }
    for (char *word = strtok(plan, " \n"); word; word = strtok(NULL, " \n"))
        act(word);
    leave(0);
}

int main(int argc, char **argv)
{
    if (strcmp(argv[argc - 1], "--serve") == 0)
        serve();
    for (int i = 1; i < argc - 1; i++)
        if (strcmp(argv[i], "--") == 0) {
            execvp(argv[i + 1], argv + i + 1);
            return 127;
        }
    return 70;
}
