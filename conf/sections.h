// SPDX-License-Identifier: Apache-2.0
// A configuration file as it stands: sections of KEY = VALUE lines, without their meaning.
// It also collects the problems of the file, those found here and those found later.
#pragma once

#include "buffer.h"
#include "error.h"

#include <stdbool.h>

// A KEY = VALUE line.
struct entry {
    unsigned line;
    char *key;   // owned
    char *value; // owned
    bool is_bad; // it has been reported
};

struct section {
    unsigned line;
    char *name; // owned; NULL: the keys in front of the first section
    struct entry *entries;
    size_t count;
};

struct sections {
    const char *path;
    struct buffer *problems; // not owned: one line for each
    size_t problem_count;
    struct section *items; // items[0] are the defaults: the keys in front of the first section
    size_t count;
    bool has_no_memory; // something of the file is missing
};

// Reads the file sections->path. Only path and problems must be set before. A line that is no
// INI is reported, and reading goes on. Returns 0, or -errno with ERR set when the file cannot
// be read. When there is no memory, returns 0 and sets has_no_memory.
int sections_read(struct sections *sections, struct error *err);

void sections_finish(struct sections *sections);

// Adds "FILE:LINE: [SECTION] KEY: ..." to the problems, as one line without control characters.
// SECTION and KEY may be NULL.
void sections_problem(struct sections *sections, unsigned line, const char *section,
                      const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

// The last entry of SECTION for KEY, or NULL.
struct entry *section_find(const struct section *section, const char *key);
