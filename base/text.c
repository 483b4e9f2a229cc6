// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <stdbool.h>
#include <string.h>

enum { MAX_CHARACTER = 4 }; // bytes of a UTF-8 character

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

// Returns the length of a UTF-8 character whose first byte is C; 1 if C cannot be a first byte.
static size_t character_length(char c)
{
    unsigned char byte = (unsigned char)c;

    if (byte < 0xc0 || byte >= 0xf8)
        return 1;
    return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

// Decodes the character at the start of TEXT, LENGTH bytes, and sets *USED to its length.
// A byte that is part of no character counts as a character with its own value.
static unsigned decode(const char *text, size_t length, size_t *used)
{
    size_t expected = character_length(*text);
    unsigned value = (unsigned char)*text;

    *used = 1;
    if (expected == 1 || expected > length)
        return value;
    value &= 0xffU >> (expected + 1);
    for (size_t i = 1; i < expected; i++) {
        if (!is_continuation(text[i]))
            return (unsigned char)*text;
        value = value << 6 | ((unsigned char)text[i] & 0x3f);
    }
    *used = expected;
    return value;
}

// Only the value counts: an encoding that is longer than necessary is not valid UTF-8, but
// some terminals decode it.
static bool is_control(unsigned value)
{
    return value < 0x20 || (value >= 0x7f && value <= 0x9f);
}

bool text_is_utf8(const char *text, size_t length)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000}; // by the length
    size_t used;

    for (size_t i = 0; i < length; i += used) {
        unsigned value = decode(text + i, length - i, &used);
        if ((unsigned char)text[i] >= 0x80 && (used == 1 || value < least[used]))
            return false;
        if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return false;
    }
    return true;
}

size_t text_clean(char *text, size_t length)
{
    size_t plain = 0; // bytes at the start that stay: nearly always all of them
    char *to;
    size_t used;

    while (plain < length && text[plain] >= ' ' && text[plain] < 0x7f)
        plain++;
    to = text + plain;
    for (size_t i = plain; i < length; i += used) {
        if (is_control(decode(text + i, length - i, &used)))
            *to++ = ' ';
        else
            for (size_t j = 0; j < used; j++)
                *to++ = text[i + j];
    }
    return (size_t)(to - text);
}

size_t text_whole(const char *text, size_t length)
{
    for (size_t back = 1; back < MAX_CHARACTER && back <= length; back++)
        if (!is_continuation(text[length - back]))
            return character_length(text[length - back]) > back ? length - back : length;
    return length;
}

size_t text_character(const char *text, size_t length)
{
    static const unsigned least[MAX_CHARACTER + 1] = {0, 0, 0x80, 0x800, 0x10000};
    size_t used;
    unsigned value;

    if (length == 0)
        return 0;
    value = decode(text, length, &used);
    if (used == 1)
        return (unsigned char)*text < 0x80;
    return value >= least[used] && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff) ? used
                                                                                           : 0;
}

void text_make_line(char *text, size_t maximum)
{
    size_t length = text_clean(text, strlen(text));

    if (length > maximum)
        length = text_whole(text, maximum);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    text[length] = '\0';
}
