// SPDX-License-Identifier: Apache-2.0
// The time, and signals that end: all that can cut a call short. There is one of it, since a
// process has one of each.
#pragma once

#include <stdint.h>

// Takes the present as the start, and looks out for SIGTERM, SIGINT and SIGHUP, those of them
// that are not ignored. SIGPIPE is ignored from here on.
void watch_begin(void);

// Sets the deadline, counted from the start. 0: none. A system call that still waits when it is
// over fails with EINTR, again and again.
void watch_set_deadline(uint64_t ms);

// How long until the deadline, for poll(2): -1 without one, 0 when it is over.
int watch_left_ms(void);

uint64_t watch_elapsed_us(void);

// The signal that has arrived, or 0.
int watch_signal(void);

// Ends the process as SIGNAL does by itself. Does not return.
_Noreturn void watch_die_of(int signal);
