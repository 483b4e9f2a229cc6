// SPDX-License-Identifier: Apache-2.0
// The outcome of a request: the typed result that `status` shows as one line.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum outcome_kind {
    OUTCOME_NONE, // not known yet: never a success
    OUTCOME_EXITED,
    OUTCOME_SIGNALED,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
    OUTCOME_UNSTARTED,
    OUTCOME_CANCELLED,
    OUTCOME_OVERFLOW,
    OUTCOME_REFUSED,
};

enum {
    OUTCOME_MAX_DETAIL = 512, // bytes
    OUTCOME_MAX_LINE = OUTCOME_MAX_DETAIL + 32,
    CODE_REFUSED = 2,
    CODE_TIMEOUT = 124,
    CODE_UNREACHABLE = 125,
    CODE_NOT_EXECUTABLE = 126,
    CODE_NOT_FOUND = 127,
    CODE_SIGNALED = 128, // and the signal's number
    CODE_CANCELLED = 130,
    CODE_OVERFLOW = 141,
};

struct outcome {
    enum outcome_kind kind;
    int code;
    char *detail;        // owned; NULL: none
    bool is_unconfirmed; // `0 exited`, known only from a client
};

// Sets OUTCOME, freeing what it held. FORMAT may be NULL for no detail. Of the
// detail at most OUTCOME_MAX_DETAIL bytes of whole characters are kept, in one line:
// newlines and other control characters become blanks (text.h).
void outcome_set(struct outcome *outcome, enum outcome_kind kind, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Sets OUTCOME for a command that exited with code NUMBER, or was ended by
// signal NUMBER.
void outcome_set_ending(struct outcome *outcome, bool is_signaled, int number);

// Sets OUTCOME for a client that ended with 0. The command did not necessarily end with 0:
// a client does so too when its connection is cut.
void outcome_set_unconfirmed(struct outcome *outcome);

// Returns the text after the kind; "" when there is none. Valid until OUTCOME changes.
const char *outcome_detail(const struct outcome *outcome);

// Writes "CODE KIND[ DETAIL]\n" into LINE. Returns its length.
size_t outcome_format(const struct outcome *outcome, char line[OUTCOME_MAX_LINE]);

const char *outcome_kind_name(enum outcome_kind kind);

void outcome_finish(struct outcome *outcome);
