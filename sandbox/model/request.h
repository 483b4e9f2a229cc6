// SPDX-License-Identifier: Apache-2.0
// The grammar of a request's command line, which hooksfs(5) describes:
// [OPTION...] [NAME=VALUE...] COMMAND [ARGUMENT...] NEWLINE.
#pragma once

#include "buffer.h"
#include "request_options.h"
#include "settings.h"

#include <sys/types.h>

enum {
    REQUEST_MAX_LINE = 128 * 1024, // bytes before the newline
    REQUEST_MAX_ENV = 1000,        // NAME=VALUE words
};

struct request {
    struct request_options options;
    struct words env;  // NAME=VALUE; of two with the same name the later one counts
    struct words argv; // at least one word once parsed
};

void request_finish(struct request *request);

// A parser that takes the bytes as they come. All zero is its start.
struct request_parser {
    struct request request;
    struct buffer word;
    size_t length; // bytes of the command line so far
    unsigned char state;
    bool is_in_word;    // also for '', a word without bytes
    bool is_name;       // the word up to here could be a NAME, unquoted
    bool is_assignment; // the word begins with an unquoted NAME and =
};

// Takes up to SIZE bytes. Returns how many belonged to the command line: all of them, or, when
// *IS_COMPLETE is set, the bytes up to the newline and with it; the rest is stdin. For a command
// line that must be refused, returns -EINVAL, -E2BIG or -ENOMEM with ERR set. Then only
// request_parser_finish may be called for the parser.
ssize_t request_parse(struct request_parser *parser, const char *bytes, size_t size,
                      bool *is_complete, struct error *err);

// The bytes end without a newline: all of them are the command line. Returns 0, or an error as
// request_parse does.
int request_parse_end(struct request_parser *parser, struct error *err);

// The same for a command line that comes as words, of any length. Returns as request_parse_end.
int request_from_words(struct request_parser *parser, char *const *words, struct error *err);

// Has the parser taken no byte at all?
bool request_is_empty(const struct request_parser *parser);

void request_parser_finish(struct request_parser *parser);
