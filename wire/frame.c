// SPDX-License-Identifier: Apache-2.0
#include "frame.h"

#include <errno.h>
#include <string.h>

static const char greeting[] = "hooksfs\n";

enum {
    GREETING = sizeof greeting - 1,
    NUMBER = 4,
    START_NUMBERS = 4 * NUMBER,
    LIMIT = NUMBER + 8,
};

// The rules for the frames of one type.
struct shape {
    bool is_known;
    bool has_job;
    uint32_t shortest; // payload, in bytes
    uint32_t longest;
};

// clang-format off
static const struct shape shapes[] = {
    [FRAME_HELLO]         = {true, false, GREETING + NUMBER,     256},
    [FRAME_STARTED]       = {true, true,  0,                     0},
    [FRAME_FAILED]        = {true, true,  1 + NUMBER,            1 + NUMBER},
    [FRAME_STDOUT]        = {true, true,  1,                     WIRE_MAX_PAYLOAD},
    [FRAME_STDERR]        = {true, true,  1,                     WIRE_MAX_PAYLOAD},
    [FRAME_STDOUT_END]    = {true, true,  0,                     0},
    [FRAME_STDERR_END]    = {true, true,  0,                     0},
    [FRAME_STDIN_CREDIT]  = {true, true,  NUMBER,                NUMBER},
    [FRAME_STDIN_CLOSED]  = {true, true,  0,                     0},
    [FRAME_ENDED]         = {true, true,  2,                     2},
    [FRAME_LOST]          = {true, true,  0,                     0},
    [FRAME_GONE]          = {true, true,  0,                     0},
    [FRAME_PONG]          = {true, false, 0,                     0},
    [FRAME_START]         = {true, true,  START_NUMBERS + 1 + 2, WIRE_MAX_START},
    [FRAME_STDIN]         = {true, true,  1,                     WIRE_MAX_PAYLOAD},
    [FRAME_STDIN_END]     = {true, true,  0,                     0},
    [FRAME_STDOUT_CREDIT] = {true, true,  NUMBER,                NUMBER},
    [FRAME_STDERR_CREDIT] = {true, true,  NUMBER,                NUMBER},
    [FRAME_TERM]          = {true, true,  0,                     0},
    [FRAME_KILL]          = {true, true,  0,                     0},
    [FRAME_RELEASE]       = {true, true,  0,                     0},
    [FRAME_PING]          = {true, false, 0,                     0},
};
// clang-format on

uint32_t frame_number(const char *payload)
{
    const unsigned char *bytes = (const unsigned char *)payload;
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

void frame_put_number(char *to, uint32_t number)
{
    for (int i = 0; i < NUMBER; i++)
        to[i] = (char)(number >> 8 * i & 0xff);
}

static bool limit_is_known(uint32_t kind)
{
    return kind < FRAME_RLIMITS || (kind >= FRAME_LIMIT_MEMORY && kind < FRAME_LIMIT_END);
}

// True if the limits in LENGTH bytes are known and in order.
static bool limits_are_valid(const char *at, size_t length, uint32_t count)
{
    uint32_t least = 0;

    if (count > FRAME_MAX_LIMITS || length < (size_t)count * LIMIT)
        return false;
    for (; count > 0; count--, at += LIMIT) {
        uint32_t kind = frame_number(at);
        if (kind < least || !limit_is_known(kind))
            return false;
        least = kind + 1;
    }
    return true;
}

// True if a START has as many limits and strings as it says, and the last string ends the payload.
static bool start_is_valid(const char *payload, size_t length)
{
    uint64_t arguments = frame_number(payload + NUMBER);
    uint64_t strings = 1 + arguments + frame_number(payload + (size_t)2 * NUMBER);
    uint32_t limits = frame_number(payload + (size_t)3 * NUMBER);
    const char *at = payload + START_NUMBERS;
    const char *end = payload + length;

    if (!limits_are_valid(at, length - START_NUMBERS, limits))
        return false;
    at += (size_t)limits * LIMIT;
    for (uint64_t i = 0; i < strings; i++) {
        const char *nul = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;
        if (!nul || (i == 1 && nul == at))
            return false;
        at = nul + 1;
    }
    return arguments > 0 && at == end;
}

ssize_t frame_parse(const char *bytes, size_t size, enum frame_sender sender, struct frame *frame)
{
    const struct shape *shape;
    uint32_t length;
    unsigned type;

    frame->type = FRAME_NONE;
    if (size < WIRE_HEADER)
        return 0;
    length = frame_number(bytes);
    type = (unsigned char)bytes[WIRE_HEADER - 1];
    if (type >= sizeof shapes / sizeof shapes[0] ||
        (type >= FRAME_START) != (sender == FROM_DAEMON))
        return -EBADMSG;
    shape = &shapes[type];
    frame->job = frame_number(bytes + NUMBER);
    if (!shape->is_known || shape->has_job != (frame->job != 0) || length < shape->shortest ||
        length > shape->longest)
        return -EBADMSG;
    frame->type = (enum frame_type)type;
    frame->payload = bytes + WIRE_HEADER;
    frame->length = length;
    if (size - WIRE_HEADER < length)
        return 0;
    if (type == FRAME_START && !start_is_valid(frame->payload, length))
        return -EBADMSG;
    return (ssize_t)(WIRE_HEADER + (size_t)length);
}

void frame_parse_start(const struct frame *frame, struct frame_start *start)
{
    start->time_limit_ms = frame_number(frame->payload);
    start->argument_count = frame_number(frame->payload + NUMBER);
    start->environment_count = frame_number(frame->payload + (size_t)2 * NUMBER);
    start->limit_count = frame_number(frame->payload + (size_t)3 * NUMBER);
    start->limits = frame->payload + START_NUMBERS;
    start->workdir = start->limits + (size_t)start->limit_count * LIMIT;
    start->strings = start->workdir + strlen(start->workdir) + 1;
}

struct frame_limit frame_parse_limit(const struct frame_start *start, uint32_t index)
{
    const char *at = start->limits + (size_t)index * LIMIT;

    return (struct frame_limit){
        .kind = frame_number(at),
        .value = frame_number(at + NUMBER) | (uint64_t)frame_number(at + (size_t)2 * NUMBER) << 32,
    };
}

bool frame_parse_hello(const struct frame *frame, uint32_t *version, const char **text,
                       size_t *length)
{
    *version = frame_number(frame->payload + GREETING);
    *text = frame->payload + GREETING + NUMBER;
    *length = frame->length - GREETING - NUMBER;
    return memcmp(frame->payload, greeting, GREETING) == 0;
}

// --- Writing

void frame_put_header(char *to, uint32_t job, enum frame_type type, size_t length)
{
    frame_put_number(to, (uint32_t)length);
    frame_put_number(to + NUMBER, job);
    to[WIRE_HEADER - 1] = (char)type;
}

static int frame_append_header(struct buffer *out, uint32_t job, enum frame_type type,
                               size_t length)
{
    char header[WIRE_HEADER];

    if (buffer_reserve(out, WIRE_HEADER + length) < 0)
        return -ENOMEM;
    frame_put_header(header, job, type, length);
    return buffer_append(out, header, sizeof header);
}

int frame_append(struct buffer *out, uint32_t job, enum frame_type type, const void *payload,
                 size_t length)
{
    int result = frame_append_header(out, job, type, length);
    return result < 0 || length == 0 ? result : buffer_append(out, payload, length);
}

int frame_append_number(struct buffer *out, uint32_t job, enum frame_type type, uint32_t number)
{
    char payload[NUMBER];

    frame_put_number(payload, number);
    return frame_append(out, job, type, payload, sizeof payload);
}

int frame_append_hello(struct buffer *out, const char *version)
{
    char payload[128];
    size_t length = strnlen(version, sizeof payload - GREETING - NUMBER);

    memcpy(payload, greeting, GREETING);
    frame_put_number(payload + GREETING, WIRE_VERSION);
    memcpy(payload + GREETING + NUMBER, version, length);
    return frame_append(out, 0, FRAME_HELLO, payload, GREETING + NUMBER + length);
}

static size_t strings_size(char *const *strings, uint32_t *count)
{
    size_t size = 0;

    for (*count = 0; strings[*count]; ++*count)
        size += strlen(strings[*count]) + 1;
    return size;
}

static int strings_append(struct buffer *out, char *const *strings)
{
    int result = 0;

    for (; *strings && result == 0; strings++)
        result = buffer_append(out, *strings, strlen(*strings) + 1);
    return result;
}

static int limits_append(struct buffer *out, const struct frame_limit *limits, size_t count)
{
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++) {
        char bytes[LIMIT];
        frame_put_number(bytes, limits[i].kind);
        frame_put_number(bytes + NUMBER, (uint32_t)limits[i].value);
        frame_put_number(bytes + (size_t)2 * NUMBER, (uint32_t)(limits[i].value >> 32));
        result = buffer_append(out, bytes, sizeof bytes);
    }
    return result;
}

int frame_append_start(struct buffer *out, uint32_t job, uint32_t time_limit_ms,
                       const struct frame_command *command)
{
    const char *directory = command->workdir ? command->workdir : "";
    uint32_t counts[2];
    size_t size = START_NUMBERS + command->limit_count * LIMIT + strlen(directory) + 1 +
                  strings_size(command->argv, &counts[0]) + strings_size(command->env, &counts[1]);
    char numbers[START_NUMBERS];
    size_t before = out->length;
    int result;

    if (size > WIRE_MAX_START)
        return -E2BIG;
    frame_put_number(numbers, time_limit_ms);
    frame_put_number(numbers + NUMBER, counts[0]);
    frame_put_number(numbers + (size_t)2 * NUMBER, counts[1]);
    frame_put_number(numbers + (size_t)3 * NUMBER, (uint32_t)command->limit_count);
    result = frame_append_header(out, job, FRAME_START, size);
    if (result == 0)
        result = buffer_append(out, numbers, sizeof numbers);
    if (result == 0)
        result = limits_append(out, command->limits, command->limit_count);
    if (result == 0)
        result = buffer_append(out, directory, strlen(directory) + 1);
    if (result == 0)
        result = strings_append(out, command->argv);
    if (result == 0)
        result = strings_append(out, command->env);
    if (result < 0)
        out->length = before;
    return result;
}
