// SPDX-License-Identifier: Apache-2.0
// An answer in frames, hooksfs(5), taken apart: bytes of stdout and stderr as they come, and the
// line of `status`, without which there is no outcome.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ANSWER_HEADER_BYTES = 8,
    ANSWER_MAX_STATUS_BYTES = 1024,
};

enum answer_stream { ANSWER_STDOUT = 1, ANSWER_STDERR = 2, ANSWER_STATUS = 3 };

enum answer_kind {
    ANSWER_EXITED,
    ANSWER_SIGNALED,
    ANSWER_TIMEOUT,
    ANSWER_UNREACHABLE,
    ANSWER_UNSTARTED,
    ANSWER_CANCELLED,
    ANSWER_OVERFLOW,
    ANSWER_REFUSED,
};

// How the job ended.
struct answer_outcome {
    enum answer_kind kind;
    int code;
    bool is_unconfirmed; // `0 exited` is only the word of a client
    char detail[ANSWER_MAX_STATUS_BYTES];
};

struct answer {
    // Takes SIZE bytes of one of the two streams. Returns 0, or a negative errno that ends the
    // parsing.
    int (*take)(void *context, enum answer_stream stream, const char *bytes, size_t size);
    void *context;
    unsigned char header[ANSWER_HEADER_BYTES];
    size_t header_length;
    uint32_t left; // bytes of the present frame that have not come yet
    char status[ANSWER_MAX_STATUS_BYTES];
    size_t status_length;
    bool is_done; // OUTCOME is set
    struct answer_outcome outcome;
};

void answer_init(struct answer *answer,
                 int (*take)(void *, enum answer_stream, const char *, size_t), void *context);

// Takes SIZE bytes apart. Returns 0; -EPROTO when they are no answer, or go on after the status;
// or the error of take.
int answer_feed(struct answer *answer, const char *bytes, size_t size);

// Reads the LENGTH bytes of LINE, `CODE KIND[ DETAIL]` and a newline, into OUTCOME. Returns 0 or
// -EPROTO.
int answer_parse_status(const char *line, size_t length, struct answer_outcome *outcome);

// The word for KIND, as in the status.
const char *answer_kind_name(enum answer_kind kind);
