// SPDX-License-Identifier: Apache-2.0
// One line for each record, to stderr or to the system log. Never blocks: a line that
// cannot be written at once is dropped and counted, and the count is logged later.
//
// Text from outside can be logged as it is: control characters become blanks (text.h), and
// a long record is cut after a whole character.
#pragma once

#include "error.h"

#include <stdbool.h>

// The parts of the daemon that can log each of their steps, for finding a fault. The option
// --debug of hooksfs(8) chooses them by name.
enum debug_module {
    DEBUG_CONFIG,     // the configuration, and what a reload changes
    DEBUG_CONNECTION, // each state of a connection to an agent
    DEBUG_FUSE,       // each operation of the file system, as libfuse reports it
    DEBUG_JOB,        // each state of a job, and the event that led to it
    DEBUG_QUEUE,      // each job that waits, and each job that is taken out of the queue
    DEBUG_MODULES,
};

// The name of each module.
extern const char *const debug_module_names[DEBUG_MODULES];

// NAMES are names of modules, separated by commas; "all" stands for all modules. Sets their
// bits (1 << DEBUG_...) in *MODULES. Returns 0, or -EINVAL with ERR set and *MODULES as it was.
int log_parse_modules(const char *names, unsigned *modules, struct error *err);

// Sets the modules that log their steps; MODULES has their bits. The log goes to stderr until
// log_to_syslog is called.
void log_init(unsigned modules);

// From now on the log goes to the system log (/dev/log), for a daemon without a terminal.
// The first line opens the connection; a line that finds it broken opens it again, because
// the system log may have been restarted. While nobody reads there, lines are dropped and
// counted.
void log_to_syslog(void);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

// For lines that a caller can cause as often as it likes, at little cost. They could push other
// lines out of the log, so at most LOG_MOST_A_SECOND of a kind are written in a second. The first
// line of a later second is preceded by the number of those left out.
enum { LOG_MOST_A_SECOND = 20 };
struct log_budget {
    const char *what; // of the lines left out: "refused requests"
    unsigned long long second;
    unsigned logged;
    unsigned dropped;
};

// May one more line of BUDGET's kind be written? If so, it counts as written.
bool log_take(struct log_budget *budget);

// Logs a step of MODULE, with the module's name in front (except for DEBUG_FUSE). If MODULE is
// off, the arguments are not even evaluated.
#define log_debug(module, ...)                                                                     \
    ((log_modules & 1U << (module)) ? log_debug_line(module, __VA_ARGS__) : (void)0)

// Only for log_debug.
extern unsigned log_modules;
void log_debug_line(enum debug_module module, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
