// SPDX-License-Identifier: Apache-2.0
// One line for each record, to stderr or to the system log. Never blocks: a line that
// cannot be written at once is dropped and counted, and the count is logged later.
//
// A record may be given text from outside: control characters in it become blanks
// (text.h), and a long one is cut after a whole character.
#pragma once

#include "error.h"

#include <stdbool.h>

// Parts of the daemon that can report each of their steps, for somebody who looks for
// a fault. hooksfs(8), --debug, has a name for each.
enum debug_module {
    DEBUG_CONFIG,     // the configuration, and what a reload changes
    DEBUG_CONNECTION, // each state of a connection to an agent
    DEBUG_FUSE,       // each operation of the file system, as libfuse reports it
    DEBUG_JOB,        // each state of a job, and the event that led to it
    DEBUG_QUEUE,      // which job has to wait, and which one is next
    DEBUG_MODULES,
};

// The names of the modules that MODULES has as bits, for --debug and its help.
extern const char *const debug_module_names[DEBUG_MODULES];

// Adds to *MODULES the bits, 1 << DEBUG_..., of the modules in NAMES, which are separated
// by commas; "all" is all of them. Returns 0, or -EINVAL with ERR set.
int log_parse_modules(const char *names, unsigned *modules, struct error *err);

// The log begins on stderr. MODULES: the bits of those that report their steps.
void log_init(unsigned modules);

// From now on the log goes to the system log (/dev/log), for a daemon without a terminal.
// It is connected to when there is a line to send, and again after whoever reads there
// was started anew. While nobody reads there, lines are dropped and counted.
void log_to_syslog(void);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Logs a step of MODULE, with its name in front (but for DEBUG_FUSE), if it has been asked
// for. Otherwise the arguments are not even evaluated.
#define log_debug(module, ...)                                                                     \
    ((log_modules & 1U << (module)) ? log_debug_line(module, __VA_ARGS__) : (void)0)

// Only for log_debug.
extern unsigned log_modules;
void log_debug_line(enum debug_module module, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
