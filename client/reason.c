// SPDX-License-Identifier: Apache-2.0
#include "reason.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

// The bytes of the UTF-8 character at the start of BYTES, or 0 if there is none.
static size_t character_length(const unsigned char *bytes, size_t size)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code;
    size_t length;

    if (bytes[0] < 0x80)
        return 1;
    length = bytes[0] >= 0xf8 ? 0 : bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc2 || length == 0 || length > size)
        return 0;
    code = bytes[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (bytes[i] & 0x3f);
    }
    if (code < lowest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return length;
}

static int append_character(struct buffer *text, const char *bytes, size_t length)
{
    unsigned char byte = (unsigned char)*bytes;

    if (length == 0 || (byte == 0xc2 && (unsigned char)bytes[1] < 0xa0))
        return buffer_append(text, "?", 1);
    if (length == 1 && (byte < 0x20 || byte == 0x7f) && byte != '\n' && byte != '\t')
        return byte == '\r' ? 0 : buffer_append(text, "?", 1);
    return buffer_append(text, bytes, length);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

int reason_append(struct buffer *text, const char *bytes, size_t size)
{
    size_t begin = text->length;

    while (size > 0 && is_blank(bytes[size - 1]))
        size--;
    while (size > 0 && is_blank(*bytes)) {
        bytes++;
        size--;
    }
    while (size > 0 && text->length - begin + 4 <= REASON_MAX_BYTES) {
        size_t length = character_length((const unsigned char *)bytes, size);
        int result = append_character(text, bytes, length);

        if (result < 0)
            return result;
        bytes += length ? length : 1;
        size -= length ? length : 1;
    }
    return 0;
}

// Blanks of any script count as blanks for some, so all that is not ASCII does here.
static bool may_be_stripped(char byte)
{
    return is_blank(byte) || byte == '\v' || byte == '\f' || (unsigned char)byte >= 0x80;
}

bool reason_may_be_json(const char *text, size_t length)
{
    static const char *const literals[] = {"true", "false", "null"};
    size_t number = 0;

    while (length > 0 && may_be_stripped(text[length - 1]))
        length--;
    while (length > 0 && may_be_stripped(*text)) {
        text++;
        length--;
    }
    if (length > 0 && strchr("{[\"", *text))
        return true;
    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++)
        if (length == strlen(literals[i]) && memcmp(text, literals[i], length) == 0)
            return true;
    while (number < length && strchr("0123456789+-.eE", text[number]))
        number++;
    return length > 0 && number == length;
}

static int append_string(struct buffer *text, const char *reason, size_t length)
{
    int result = buffer_append(text, "\"", 1);

    for (size_t i = 0; i < length && result == 0; i++) {
        if (reason[i] == '"' || reason[i] == '\\')
            result = buffer_printf(text, "\\%c", reason[i]);
        else if ((unsigned char)reason[i] < 0x20)
            result = buffer_printf(text, "\\u%04x", (unsigned)reason[i]);
        else
            result = buffer_append(text, reason + i, 1);
    }
    return result < 0 ? result : buffer_append(text, "\"", 1);
}

int reason_append_json(struct buffer *text, const char *template, const char *reason, size_t length)
{
    int result = 0;

    for (; *template && result == 0; template ++)
        result = *template == '@' ? append_string(text, reason, length)
                                  : buffer_append(text, template, 1);
    return result;
}
