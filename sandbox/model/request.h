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
    struct words env;  // NAME=VALUE, a later one of the same name wins
    struct words argv; // at least one once parsed
};

void request_finish(struct request *request);

// A parser that takes the bytes as they come. All zero is its start.
struct request_parser {
    struct request request;
    struct buffer word;
    size_t length; // bytes seen
    unsigned char state;
    bool is_in_word;    // also for '', a word without bytes
    bool is_name;       // the word up to here could be a NAME, unquoted
    bool is_assignment; // ... and a = followed it
};

// Takes up to SIZE bytes. Returns how many belonged to the command line: all
// of them, or, when *IS_COMPLETE is set, those up to and with the newline; the
// rest is stdin. A command line that must be refused gives -EINVAL or -E2BIG,
// or -ENOMEM, with ERR saying why; the parser is then good for nothing but
// request_parser_finish.
ssize_t request_parse(struct request_parser *parser, const char *bytes, size_t size,
                      bool *is_complete, struct error *err);

// The end of the bytes without a newline: the whole was the command line.
// Returns 0 or as above.
int request_parse_end(struct request_parser *parser, struct error *err);

// The same for a command line that comes as words, of any length. 0 or as above.
int request_from_words(struct request_parser *parser, char *const *words, struct error *err);

// Has nothing at all been written?
bool request_is_empty(const struct request_parser *parser);

void request_parser_finish(struct request_parser *parser);
