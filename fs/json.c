// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum part {
    PART_HEAD,
    PART_DETAIL,
    PART_BEFORE_STDOUT,
    PART_STDOUT,
    PART_BEFORE_STDERR,
    PART_STDERR,
    PART_END,
    PARTS,
};

// Looks at up to BUDGET bytes more of the stream. Returns how many are left of it.
static size_t check_stream(struct json *json, const struct json_source *source,
                           enum job_stream stream, size_t budget)
{
    const char *bytes = source->bytes[stream];
    size_t size = source->sizes[stream];
    size_t at = json->checked[stream];
    size_t end = size - at < budget ? size : at + budget;

    while (at < end) {
        size_t used = (unsigned char)bytes[at] < 0x80 ? 1 : text_character(bytes + at, size - at);
        if (used == 0) {
            json->is_binary[stream] = true;
            return 0;
        }
        at += used;
    }
    json->checked[stream] = at;
    return size - at;
}

bool json_prepare(struct json *json, const struct json_source *source)
{
    for (int i = 0; i < JOB_STREAMS; i++)
        if (!json->is_binary[i] && check_stream(json, source, (enum job_stream)i, JSON_CHECK) > 0)
            return false;
    return true;
}

static void put(struct json *json, const char *text, size_t size)
{
    memcpy(json->rest, text, size);
    json->rest_at = 0;
    json->rest_left = size;
}

static bool is_plain(char c)
{
    return (unsigned char)c >= ' ' && c != '"' && c != '\\';
}

// Writes the next character of a string, escaped if necessary. Returns the number of its bytes in
// the source.
static size_t escape(struct json *json, const char *bytes, size_t size)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    size_t used = text_character(bytes, size);
    char text[8];

    if (used == 0) {
        put(json, "\xef\xbf\xbd", 3); // U+FFFD; only a detail can have such bytes
        return 1;
    }
    if (is_plain(*bytes)) {
        put(json, bytes, used);
        return used;
    }
    for (size_t i = 0; i < sizeof shorts - 1; i += 2)
        if (shorts[i] == *bytes) {
            text[0] = '\\';
            text[1] = shorts[i + 1];
            put(json, text, 2);
            return 1;
        }
    put(json, text, (size_t)snprintf(text, sizeof text, "\\u%04x", (unsigned char)*bytes));
    return 1;
}

// Writes the next three bytes of the source, or all that are left.
static size_t encode(struct json *json, const char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t used = size < 3 ? size : 3;
    uint32_t value = 0;
    char text[4];

    for (size_t i = 0; i < 3; i++)
        value = value << 8 | (i < used ? (unsigned char)bytes[i] : 0);
    for (size_t i = 0; i < 4; i++)
        text[i] = (char)(i <= used ? digits[value >> (18 - 6 * i) & 63] : '=');
    put(json, text, 4);
    return used;
}

// Returns the fixed text of a part.
static void put_fixed(struct json *json, const struct json_source *source)
{
    char text[sizeof json->rest];
    int length = 0;

    if (json->part == PART_HEAD)
        length = snprintf(text, sizeof text, "{\"code\":%d,\"kind\":\"%s\",\"detail\":\"",
                          source->code, source->kind);
    else if (json->part == PART_BEFORE_STDOUT)
        length = snprintf(text, sizeof text, "\",\"stdout%s\":\"",
                          json->is_binary[JOB_STDOUT] ? "_base64" : "");
    else if (json->part == PART_BEFORE_STDERR)
        length = snprintf(text, sizeof text, "\",\"stderr%s\":\"",
                          json->is_binary[JOB_STDERR] ? "_base64" : "");
    else
        length = snprintf(text, sizeof text, "\",\"ms\":%" PRIu64 "}\n", source->ms);
    put(json, text, (size_t)length);
    json->part++;
}

// Copies the bytes that need no escape. Returns their number.
static size_t copy_plain(const char *from, size_t left, char *to, size_t room)
{
    size_t count = 0;

    while (count < left && count < room && is_plain(from[count]))
        count++;
    memcpy(to, from, count);
    return count;
}

static size_t fill_string(struct json *json, const char *from, size_t size, bool is_text, char *to,
                          size_t room)
{
    size_t left = size - json->at;
    // A detail may have bytes that are no UTF-8, so it goes byte by byte.
    size_t count =
        is_text && json->part != PART_DETAIL ? copy_plain(from + json->at, left, to, room) : 0;

    json->at += count;
    if (count == 0 && left > 0)
        json->at +=
            is_text ? escape(json, from + json->at, left) : encode(json, from + json->at, left);
    else if (left == 0) {
        json->at = 0;
        json->part++;
    }
    return count;
}

size_t json_fill(struct json *json, const struct json_source *source, char *bytes, size_t size)
{
    size_t count = 0;

    while (count < size && (json->rest_left > 0 || json->part < PARTS)) {
        size_t room = size - count;
        if (json->rest_left > 0) {
            size_t part = json->rest_left < room ? json->rest_left : room;
            memcpy(bytes + count, json->rest + json->rest_at, part);
            json->rest_at += part;
            json->rest_left -= part;
            count += part;
        } else if (json->part == PART_DETAIL)
            count += fill_string(json, source->detail, strlen(source->detail), true, bytes + count,
                                 room);
        else if (json->part == PART_STDOUT || json->part == PART_STDERR) {
            enum job_stream stream = json->part == PART_STDOUT ? JOB_STDOUT : JOB_STDERR;
            count += fill_string(json, source->bytes[stream], source->sizes[stream],
                                 !json->is_binary[stream], bytes + count, room);
        } else
            put_fixed(json, source);
    }
    return count;
}
