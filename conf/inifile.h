// SPDX-License-Identifier: Apache-2.0
// Reading an INI file line by line, through inih, with exact line numbers.
//
// inih decides what is a comment (# or ; at the start of a line, ; after a blank), where a
// key ends (= or :), and what is trimmed. The reader that feeds inih does the rest, which the
// packaged inih cannot do: line numbers, lines over 199 bytes, section names over 49 bytes,
// empty sections, and more than one error.
#pragma once

#include "error.h"

enum { INIFILE_MAX_SIZE = 1024 * 1024 }; // bytes

struct inifile_events {
    void (*on_section)(void *data, unsigned line, const char *name);
    void (*on_value)(void *data, unsigned line, const char *key, const char *value);
    // For a line that is neither a section nor a value. MESSAGE says what to do. Reading
    // goes on.
    void (*on_problem)(void *data, unsigned line, const char *message);
};

// Reads the file at PATH. Strings are valid during the call only. Returns 0, or
// -errno with ERR set when the file cannot be read or is over INIFILE_MAX_SIZE.
int inifile_read(const char *path, const struct inifile_events *events, void *data,
                 struct error *err);
