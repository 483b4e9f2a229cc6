// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <errno.h>
#include <string.h>

// Each kind, and the codes that it can have.
static const struct kind {
    const char *name;
    int lowest, highest;
} kinds[] = {
  // clang-format off
    [ANSWER_EXITED]      = {"exited",      0,   255},
    [ANSWER_SIGNALED]    = {"signaled",    129, 255},
    [ANSWER_TIMEOUT]     = {"timeout",     124, 124},
    [ANSWER_UNREACHABLE] = {"unreachable", 125, 125},
    [ANSWER_UNSTARTED]   = {"unstarted",   126, 127},
    [ANSWER_CANCELLED]   = {"cancelled",   130, 130},
    [ANSWER_OVERFLOW]    = {"overflow",    141, 141},
    [ANSWER_REFUSED]     = {"refused",     2,   2},
  // clang-format on
};

const char *answer_kind_name(enum answer_kind kind)
{
    return kinds[kind].name;
}

void answer_init(struct answer *answer,
                 int (*take)(void *, enum answer_stream, const char *, size_t), void *context)
{
    memset(answer, 0, sizeof *answer);
    answer->take = take;
    answer->context = context;
}

// The digits at the start of LINE. Returns how many there are, 0 to 3.
static size_t read_code(const char *line, size_t length, int *code)
{
    size_t digits = 0;

    *code = 0;
    while (digits < length && line[digits] >= '0' && line[digits] <= '9') {
        if (digits == 3)
            return 0;
        *code = *code * 10 + (line[digits++] - '0');
    }
    return digits;
}

static int find_kind(const char *name, size_t length, int code, enum answer_kind *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strlen(kinds[i].name) != length || memcmp(kinds[i].name, name, length) != 0)
            continue;
        *kind = (enum answer_kind)i;
        return code >= kinds[i].lowest && code <= kinds[i].highest ? 0 : -EPROTO;
    }
    return -EPROTO;
}

int answer_parse_status(const char *line, size_t length, struct answer_outcome *outcome)
{
    const char *end, *kind;
    size_t digits;

    memset(outcome, 0, sizeof *outcome);
    if (length == 0 || length > ANSWER_MAX_STATUS_BYTES || line[length - 1] != '\n' ||
        memchr(line, '\n', length) != line + length - 1 || memchr(line, '\0', length))
        return -EPROTO;
    length--;
    digits = read_code(line, length, &outcome->code);
    if (digits == 0 || digits + 1 >= length || line[digits] != ' ')
        return -EPROTO;
    kind = line + digits + 1;
    end = memchr(kind, ' ', (size_t)(line + length - kind));
    if (end)
        memcpy(outcome->detail, end + 1, (size_t)(line + length - end - 1));
    else
        end = line + length;
    outcome->is_unconfirmed = strcmp(outcome->detail, "unconfirmed") == 0;
    return find_kind(kind, (size_t)(end - kind), outcome->code, &outcome->kind);
}

// The header is whole.
static int begin_frame(struct answer *answer)
{
    const unsigned char *header = answer->header;

    answer->left = (uint32_t)header[4] << 24 | (uint32_t)header[5] << 16 |
                   (uint32_t)header[6] << 8 | header[7];
    if (header[1] || header[2] || header[3] || header[0] < ANSWER_STDOUT ||
        header[0] > ANSWER_STATUS)
        return -EPROTO;
    if (header[0] == ANSWER_STATUS && (answer->left == 0 || answer->left > ANSWER_MAX_STATUS_BYTES))
        return -EPROTO;
    if (answer->left == 0)
        answer->header_length = 0;
    return 0;
}

// Bytes of the present frame, at most as many as are left of it.
static int take_content(struct answer *answer, const char *bytes, size_t size)
{
    int result = 0;

    answer->left -= (uint32_t)size;
    if (answer->header[0] == ANSWER_STATUS) {
        memcpy(answer->status + answer->status_length, bytes, size);
        answer->status_length += size;
    } else {
        result = answer->take(answer->context, answer->header[0], bytes, size);
    }
    if (result < 0 || answer->left > 0)
        return result;
    answer->header_length = 0;
    if (answer->header[0] != ANSWER_STATUS)
        return 0;
    result = answer_parse_status(answer->status, answer->status_length, &answer->outcome);
    answer->is_done = result == 0;
    return result;
}

int answer_feed(struct answer *answer, const char *bytes, size_t size)
{
    while (size > 0) {
        size_t part;
        int result;

        if (answer->is_done)
            return -EPROTO;
        if (answer->header_length < ANSWER_HEADER_BYTES) {
            part = ANSWER_HEADER_BYTES - answer->header_length;
            part = part < size ? part : size;
            memcpy(answer->header + answer->header_length, bytes, part);
            answer->header_length += part;
            result = answer->header_length == ANSWER_HEADER_BYTES ? begin_frame(answer) : 0;
        } else {
            part = answer->left < size ? answer->left : size;
            result = take_content(answer, bytes, part);
        }
        if (result < 0)
            return result;
        bytes += part;
        size -= part;
    }
    return 0;
}
