// SPDX-License-Identifier: Apache-2.0
#include "request.h"

#include "cleanup.h"

#include <errno.h>
#include <limits.h>

enum state {
    BETWEEN = 0, // between words, or inside an unquoted word
    ESCAPED,     // after a backslash
    SINGLE,      // in '...'
    DOUBLE,      // in "..."
    DOUBLE_ESCAPED,
};

static const char ask_for_shell[] = "no shell runs here: quote it, or ask for one with sh -c '...'";

void request_finish(struct request *request)
{
    request_options_finish(&request->options);
    words_finish(&request->env);
    words_finish(&request->argv);
    *request = (struct request){0};
}

void request_parser_finish(struct request_parser *parser)
{
    request_finish(&parser->request);
    buffer_finish(&parser->word);
    *parser = (struct request_parser){0};
}

bool request_is_empty(const struct request_parser *parser)
{
    return parser->length == 0;
}

// --- Words into options, environment and argv

static int request_take_option(struct request *request, const char *word, struct error *err)
{
    if (request->env.count > 0)
        return error_set(err, EINVAL,
                         "'%s': a command cannot begin with -, and options come before "
                         "NAME=VALUE",
                         word);
    return request_options_take(&request->options, word, err);
}

static int request_take_word(struct request *request, const char *word, bool is_assignment,
                             struct error *err)
{
    struct words *words = is_assignment ? &request->env : &request->argv;

    if (request->argv.count > 0)
        words = &request->argv;
    else if (*word == '-')
        return request_take_option(request, word, err);
    else if (is_assignment && request->env.count >= REQUEST_MAX_ENV)
        return error_set(err, EINVAL, "there are more than %d NAME=VALUE words", REQUEST_MAX_ENV);
    else if (!is_assignment && !*word)
        return error_set(err, EINVAL, "the command is an empty word");
    return words_append(words, word) < 0 ? error_set(err, ENOMEM, "no memory") : 0;
}

static int parser_end_word(struct request_parser *parser, struct error *err)
{
    bool is_assignment = parser->is_assignment;

    if (!parser->is_in_word)
        return 0;
    parser->is_in_word = false;
    parser->is_assignment = false;
    if (buffer_append(&parser->word, "", 1) < 0)
        return error_set(err, ENOMEM, "no memory");
    parser->word.length = 0; // its memory is for the next word
    return request_take_word(&parser->request, parser->word.data, is_assignment, err);
}

static int parser_end_line(struct request_parser *parser, struct error *err)
{
    int result = parser_end_word(parser, err);

    buffer_finish(&parser->word);
    if (result == 0 && parser->request.argv.count == 0)
        return error_set(err, EINVAL, "there is no command in the command line");
    return result;
}

// --- Bytes into words

static void parser_begin_word(struct request_parser *parser)
{
    if (parser->is_in_word)
        return;
    parser->is_in_word = true;
    parser->is_name = true;
    parser->is_assignment = false;
}

static int parser_add_byte(struct request_parser *parser, char byte, bool is_quoted,
                           struct error *err)
{
    parser_begin_word(parser);
    if (buffer_append(&parser->word, &byte, 1) < 0)
        return error_set(err, ENOMEM, "no memory");
    // Only a NAME without any quoting makes an assignment, as in sh.
    if (parser->is_name && !parser->is_assignment) {
        if (is_quoted)
            parser->is_name = false;
        else if (byte == '=')
            parser->is_assignment = environment_is_name(parser->word.data, parser->word.length - 1);
        if (byte == '=')
            parser->is_name = false;
    }
    return 0;
}

static int parser_refuse(const struct request_parser *parser, char byte, const char *where,
                         struct error *err)
{
    return error_set(err, EINVAL, "%s %c at byte %zu: %s", where, byte, parser->length,
                     ask_for_shell);
}

// The meaning of an unquoted byte.
enum meaning {
    PLAIN = 0, // a byte of a word
    BLANK,
    ESCAPE,
    QUOTE,
    FOR_A_SHELL,
    LOOKED_AT, // a byte of a word, or of none: '=', the end of the line, and NUL
};

static const unsigned char meanings[UCHAR_MAX + 1] = {
    [' '] = BLANK,       ['\t'] = BLANK,      ['\\'] = ESCAPE,     ['\''] = QUOTE,
    ['"'] = QUOTE,       ['|'] = FOR_A_SHELL, ['&'] = FOR_A_SHELL, [';'] = FOR_A_SHELL,
    ['<'] = FOR_A_SHELL, ['>'] = FOR_A_SHELL, ['('] = FOR_A_SHELL, [')'] = FOR_A_SHELL,
    ['$'] = FOR_A_SHELL, ['`'] = FOR_A_SHELL, ['='] = LOOKED_AT,   ['\n'] = LOOKED_AT,
    ['\0'] = LOOKED_AT,
};

static int parser_take_unquoted(struct request_parser *parser, char byte, struct error *err)
{
    switch ((enum meaning)meanings[(unsigned char)byte]) {
    case BLANK:
        return parser_end_word(parser, err);
    case ESCAPE:
        parser->state = ESCAPED;
        return 0;
    case QUOTE:
        parser_begin_word(parser);
        if (!parser->is_assignment)
            parser->is_name = false;
        parser->state = byte == '"' ? DOUBLE : SINGLE;
        return 0;
    case FOR_A_SHELL:
        return parser_refuse(parser, byte, "unquoted", err);
    case PLAIN:
    case LOOKED_AT:
        break;
    }
    return parser_add_byte(parser, byte, false, err);
}

static int parser_take_double_quoted(struct request_parser *parser, char byte, struct error *err)
{
    switch (byte) {
    case '"':
        parser->state = BETWEEN;
        return 0;
    case '\\':
        parser->state = DOUBLE_ESCAPED;
        return 0;
    case '$':
    case '`':
        return parser_refuse(parser, byte, "double-quoted", err);
    default:
        return parser_add_byte(parser, byte, true, err);
    }
}

static int parser_take_byte(struct request_parser *parser, char byte, struct error *err)
{
    int result;

    switch ((enum state)parser->state) {
    case BETWEEN:
        return parser_take_unquoted(parser, byte, err);
    case ESCAPED:
        parser->state = BETWEEN;
        return byte == '\n' ? 0 : parser_add_byte(parser, byte, true, err);
    case SINGLE:
        if (byte != '\'')
            return parser_add_byte(parser, byte, true, err);
        parser->state = BETWEEN;
        return 0;
    case DOUBLE:
        return parser_take_double_quoted(parser, byte, err);
    case DOUBLE_ESCAPED:
        parser->state = DOUBLE;
        if (byte == '\n')
            return 0;
        // In front of any other byte the backslash stands for itself: sh(1), 2.2.3.
        result = strchr("$`\"\\", byte) ? 0 : parser_add_byte(parser, '\\', true, err);
        return result < 0 ? result : parser_add_byte(parser, byte, true, err);
    }
    return -EINVAL;
}

// Returns how many bytes at the start of BYTES are plain.
static size_t plain_length(const char *bytes, size_t size)
{
    size_t length = 0;

    while (length < size && meanings[(unsigned char)bytes[length]] == PLAIN)
        length++;
    return length;
}

// Takes such bytes at once. Returns how many there were, or -ENOMEM with ERR set.
static ssize_t parser_take_plain(struct request_parser *parser, const char *bytes, size_t size,
                                 struct error *err)
{
    size_t room = REQUEST_MAX_LINE - parser->length;
    size_t length = parser->state == BETWEEN ? plain_length(bytes, size < room ? size : room) : 0;

    if (length == 0)
        return 0;
    parser_begin_word(parser);
    parser->length += length;
    return buffer_append(&parser->word, bytes, length) < 0 ? error_set(err, ENOMEM, "no memory")
                                                           : (ssize_t)length;
}

ssize_t request_parse(struct request_parser *parser, const char *bytes, size_t size,
                      bool *is_complete, struct error *err)
{
    *is_complete = false;
    for (size_t i = 0; i < size; i++) {
        ssize_t plain = parser_take_plain(parser, bytes + i, size - i, err);
        int result;

        if (plain < 0)
            return plain;
        i += (size_t)plain;
        if (i == size)
            break;
        if (bytes[i] == '\n' && parser->state == BETWEEN) {
            parser->length++;
            result = parser_end_line(parser, err);
            *is_complete = result == 0;
            return result < 0 ? result : (ssize_t)i + 1;
        }
        if (parser->length++ >= REQUEST_MAX_LINE)
            return error_set(err, E2BIG,
                             "the command line is longer than %d bytes; its end is the "
                             "first unquoted newline",
                             REQUEST_MAX_LINE);
        if (!bytes[i])
            return error_set(err, EINVAL, "the command line has a NUL byte at byte %zu",
                             parser->length);
        result = parser_take_byte(parser, bytes[i], err);
        if (result < 0)
            return result;
    }
    return (ssize_t)size;
}

int request_parse_end(struct request_parser *parser, struct error *err)
{
    switch ((enum state)parser->state) {
    case SINGLE:
        return error_set(err, EINVAL, "the command line ends inside '...'; a quote is not closed");
    case DOUBLE:
    case DOUBLE_ESCAPED:
        return error_set(err, EINVAL,
                         "the command line ends inside \"...\"; a quote is not closed");
    case ESCAPED:
        return error_set(err, EINVAL, "the command line ends with a backslash");
    case BETWEEN:
        break;
    }
    return parser_end_line(parser, err);
}

int request_from_words(struct request_parser *parser, char *const *words, struct error *err)
{
    for (; *words; words++) {
        const char *equals = strchr(*words, '=');
        int result = request_take_word(
            &parser->request, *words,
            equals && environment_is_name(*words, (size_t)(equals - *words)), err);

        if (result < 0)
            return result;
    }
    return parser_end_line(parser, err);
}
