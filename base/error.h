// SPDX-License-Identifier: Apache-2.0
// An error that a person will read: an errno value for the program, and a message for the
// person. A function sets it only when it fails.
#pragma once

struct error {
    int code;      // errno value, 0: no error
    char *message; // owned; NULL when there was no memory for it
};

// Sets ERR, unless it is set already: the first cause explains most. ERR may be NULL; then
// nothing is kept. Returns -CODE.
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Puts "PREFIX: " in front of the message of an error that is set.
void error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Returns the message of ERR, or the text of strerror for its code; never NULL.
const char *error_message(const struct error *err);

// Frees the message and makes ERR unset again.
void error_finish(struct error *err);
