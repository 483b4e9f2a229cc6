// SPDX-License-Identifier: Apache-2.0
// Fuzzes the grammar of a request. The result does not depend on the pieces in which the bytes
// come, an accepted request can be written again, the limits hold, and a refusal has a reason.
//
// The first two bytes choose the pieces. The third byte says whether the input is repeated until
// it is about as long as a command line may be.
#include "fuzz.h"

#include "cleanup.h"
#include "request.h"

#include <errno.h>

enum { REPEATS_FROM = 0xf0 }; // the lowest third byte with which the input is repeated

struct parsed {
    struct request_parser parser;
    struct error err;
    int result;
    size_t used; // bytes until the command line was complete or refused
    bool is_complete;
};

static void parsed_finish(struct parsed *parsed)
{
    request_parser_finish(&parsed->parser);
    error_finish(&parsed->err);
}

// Parses BYTES in pieces, or all at once when SEED is NULL.
static void parse(struct parsed *parsed, const char *bytes, size_t size, uint64_t *seed)
{
    ssize_t used = 0;

    *parsed = (struct parsed){0};
    for (size_t at = 0; at < size && used >= 0 && !parsed->is_complete;) {
        size_t piece = seed ? fuzz_piece(seed, size - at) : size - at;
        // A copy of exactly this size, so that a read beyond the end is found.
        AUTO_FREE char *copy = malloc(piece);

        memcpy(copy, bytes + at, piece);
        used = request_parse(&parsed->parser, copy, piece, &parsed->is_complete, &parsed->err);
        FUZZ_CHECK(used < 0 || (size_t)used <= piece, "took %zd of %zu", used, piece);
        FUZZ_CHECK(used < 0 || parsed->is_complete || (size_t)used == piece, "took %zd of %zu",
                   used, piece);
        at += piece;
        parsed->used += used > 0 ? (size_t)used : 0;
    }
    if (used >= 0 && !parsed->is_complete)
        used = request_parse_end(&parsed->parser, &parsed->err);
    parsed->result = used < 0 ? (int)used : 0;
}

static bool is_same_words(const struct words *a, const struct words *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static void check_same_request(const struct request *a, const struct request *b)
{
    FUZZ_CHECK(is_same_words(&a->env, &b->env), "another environment");
    FUZZ_CHECK(is_same_words(&a->argv, &b->argv), "other words");
    FUZZ_CHECK(a->options.has[REQUEST_TIMEOUT] == b->options.has[REQUEST_TIMEOUT] &&
                   a->options.timeout_ms == b->options.timeout_ms,
               "another timeout");
}

static void check_accepted(const struct parsed *parsed, const char *bytes, size_t size)
{
    const struct request *request = &parsed->parser.request;
    size_t length = parsed->is_complete ? parsed->used - 1 : size;

    FUZZ_CHECK(!parsed->err.code && !parsed->err.message, "accepted with an error");
    FUZZ_CHECK(length <= REQUEST_MAX_LINE, "a line of %zu bytes", length);
    FUZZ_CHECK(!memchr(bytes, '\0', length), "a NUL byte");
    FUZZ_CHECK(request->env.count <= REQUEST_MAX_ENV, "%zu variables", request->env.count);
    FUZZ_CHECK(request->argv.count >= 1, "no command");
    FUZZ_CHECK(*request->argv.items[0] && *request->argv.items[0] != '-', "the command is '%s'",
               request->argv.items[0]);
    for (size_t i = 0; i < request->env.count; i++)
        FUZZ_CHECK(environment_is_name(request->env.items[i], strcspn(request->env.items[i], "=")),
                   "the variable '%s'", request->env.items[i]);
    if (parsed->is_complete)
        FUZZ_CHECK(bytes[length] == '\n', "the end is no newline");
}

static void check_refused(const struct parsed *parsed)
{
    FUZZ_CHECK(parsed->result == -EINVAL || parsed->result == -E2BIG, "%d", parsed->result);
    FUZZ_CHECK(parsed->err.code == -parsed->result, "%d, not %d", parsed->err.code, parsed->result);
    FUZZ_CHECK(parsed->err.message && *parsed->err.message, "refused without a reason");
    FUZZ_CHECK(!parsed->is_complete, "refused, and complete");
}

// --- Writing the parsed request

static void quote(struct buffer *line, const char *text)
{
    buffer_append(line, "'", 1);
    for (size_t length; *text; text += length) {
        length = *text == '\'' ? 1 : strcspn(text, "'");
        buffer_append(line, *text == '\'' ? "'\\''" : text, *text == '\'' ? 4 : length);
    }
    buffer_append(line, "'", 1);
}

static void write_request(const struct request *request, struct buffer *line)
{
    if (request->options.has[REQUEST_TIMEOUT] && request->options.timeout_ms > 0)
        buffer_printf(line, "--timeout=%llums ", (unsigned long long)request->options.timeout_ms);
    else if (request->options.has[REQUEST_TIMEOUT])
        buffer_printf(line, "--timeout=none ");
    for (size_t i = 0; i < request->env.count; i++) {
        size_t name = strcspn(request->env.items[i], "=") + 1;
        buffer_append(line, request->env.items[i], name);
        quote(line, request->env.items[i] + name);
        buffer_append(line, " ", 1);
    }
    for (size_t i = 0; i < request->argv.count; i++) {
        quote(line, request->argv.items[i]);
        buffer_append(line, i + 1 < request->argv.count ? "\t" : "\n", 1);
    }
}

static void check_written_again(const struct request *request)
{
    AUTO(buffer_finish) struct buffer line = {0};
    AUTO(parsed_finish) struct parsed again;

    write_request(request, &line);
    parse(&again, line.data, line.length, NULL);
    if (line.length - 1 > REQUEST_MAX_LINE) {
        FUZZ_CHECK(again.result == -E2BIG, "%zu bytes: %d", line.length, again.result);
        return;
    }
    FUZZ_CHECK(again.result == 0 && again.is_complete, "%.*s: %s", (int)line.length, line.data,
               error_message(&again.err));
    check_same_request(request, &again.parser.request);
}

// Words, as --show-argv takes them, give the same request, unless the command looks like a
// variable: then only quotes show that it is no variable.
static void check_same_as_words(const struct request *request)
{
    AUTO(words_finish) struct words words = {0};
    AUTO(request_parser_finish) struct request_parser parser = {0};
    struct error err = {0};
    char timeout[64];
    int result;

    if (strchr(request->argv.items[0], '='))
        return;
    if (request->options.has[REQUEST_TIMEOUT] && request->options.timeout_ms > 0)
        snprintf(timeout, sizeof timeout, "--timeout=%llums",
                 (unsigned long long)request->options.timeout_ms);
    else
        strcpy(timeout, "--timeout=none");
    if (request->options.has[REQUEST_TIMEOUT])
        words_append(&words, timeout);
    for (size_t i = 0; i < request->env.count; i++)
        words_append(&words, request->env.items[i]);
    for (size_t i = 0; i < request->argv.count; i++)
        words_append(&words, request->argv.items[i]);
    result = request_from_words(&parser, words.items, &err);
    FUZZ_CHECK(result == 0, "%s", error_message(&err));
    check_same_request(request, &parser.request);
}

// --- One input

static void check_line(const char *bytes, size_t size, uint64_t seed)
{
    AUTO(parsed_finish) struct parsed whole;
    AUTO(parsed_finish) struct parsed cut;

    parse(&whole, bytes, size, NULL);
    parse(&cut, bytes, size, &seed);
    FUZZ_CHECK(whole.result == cut.result, "whole %d (%s), cut %d (%s)", whole.result,
               error_message(&whole.err), cut.result, error_message(&cut.err));
    if (whole.result < 0) {
        check_refused(&whole);
        check_refused(&cut);
        FUZZ_CHECK(strcmp(whole.err.message, cut.err.message) == 0, "'%s' and '%s'",
                   whole.err.message, cut.err.message);
        return;
    }
    FUZZ_CHECK(whole.used == cut.used && whole.is_complete == cut.is_complete,
               "whole takes %zu, cut %zu", whole.used, cut.used);
    check_accepted(&whole, bytes, size);
    check_same_request(&whole.parser.request, &cut.parser.request);
    check_written_again(&whole.parser.request);
    check_same_as_words(&whole.parser.request);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    uint64_t seed = fuzz_number16(&input);
    unsigned repeat = fuzz_byte(&input);
    AUTO(buffer_finish) struct buffer line = {0};

    buffer_append(&line, input.bytes, input.left);
    // Repeated until the length is near the limit; then a newline.
    if (repeat >= REPEATS_FROM && input.left > 0) {
        size_t length = REQUEST_MAX_LINE + repeat - 0xf8;
        while (line.length < length)
            buffer_append(&line, input.bytes,
                          input.left < length - line.length ? input.left : length - line.length);
        buffer_append(&line, "\n", 1);
    }
    check_line(line.data ? line.data : "", line.length, seed);
    return 0;
}
