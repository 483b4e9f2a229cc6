// SPDX-License-Identifier: Apache-2.0
// One line a record, to stderr or to the system log. Never blocks: a line that
// cannot be written at once is counted, and the count is logged later.
#pragma once

#include <stdbool.h>

// Starts as: to stderr, without debug lines.
void log_init(bool debug);

// From now on to the system log (/dev/log), for a daemon without a terminal.
// While nobody listens there, lines are lost, and counted.
void log_to_syslog(void);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
