// SPDX-License-Identifier: Apache-2.0
#include "line.h"

#include <errno.h>
#include <string.h>

// Bytes that stand for themselves outside of quotes.
static const char plain_bytes[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%^";

static int append_quoted(struct buffer *line, const char *word)
{
    int result;

    if (*word && word[strspn(word, plain_bytes)] == '\0')
        return buffer_append(line, word, strlen(word));
    result = buffer_append(line, "'", 1);
    while (result == 0) {
        size_t length = strcspn(word, "'");

        result = buffer_append(line, word, length);
        word += length;
        if (result < 0 || *word == '\0')
            break;
        result = buffer_append(line, "'\\''", 4);
        word++;
    }
    return result < 0 ? result : buffer_append(line, "'", 1);
}

static int begin_word(struct buffer *line)
{
    return line->length > 0 ? buffer_append(line, " ", 1) : 0;
}

int line_add_word(struct buffer *line, const char *word)
{
    int result = begin_word(line);

    return result < 0 ? result : append_quoted(line, word);
}

int line_add_pair(struct buffer *line, const char *prefix, size_t prefix_length, const char *value)
{
    int result = begin_word(line);

    if (result == 0)
        result = buffer_append(line, prefix, prefix_length);
    if (result < 0 || *value == '\0')
        return result;
    return append_quoted(line, value);
}

static bool is_name_byte(char byte, bool is_first)
{
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_')
        return true;
    return !is_first && byte >= '0' && byte <= '9';
}

size_t line_name_length(const char *word)
{
    size_t length = 0;

    while (is_name_byte(word[length], length == 0))
        length++;
    return length > 0 && word[length] == '=' ? length + 1 : 0;
}
