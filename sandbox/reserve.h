// SPDX-License-Identifier: Apache-2.0
// The standbys of one command: how many there should be, when the next one is started, and
// which one must go. The reserve is pure: it starts nothing, and its callers tell it the time.
#pragma once

#include "list.h"

#include <stdbool.h>
#include <stdint.h>

// Embedded in the struct of a standby.
struct reserve_entry {
    struct list link; // in entries
    uint64_t born_ms;
};

struct reserve {
    unsigned wanted;
    uint64_t max_age_ms;
    struct list entries; // the oldest first
    unsigned count;      // of entries
    uint64_t pause_ms;   // after the last failure; 0: there was no failure lately
    uint64_t resume_ms;  // because of this pause, no standby is started before this time
    uint64_t hold_ms;    // no start before this time, which would slow a job that took a standby
    uint64_t failed_ms;  // the time of the last failure
    bool has_failed;
};

enum {
    RESERVE_FIRST_PAUSE_MS = 100, // doubled with each failure
    RESERVE_LONGEST_PAUSE_MS = 60000,
    RESERVE_HOLD_MS = 50,     // a job that lasts longer is slowed by the start for a moment
    RESERVE_WARM_MS = 1000,   // the age of a new standby when it replaces an old one
    RESERVE_LINGER_MS = 10000 // after this time an old standby goes, replaced or not
};

void reserve_init(struct reserve *reserve, unsigned wanted, uint64_t max_age_ms);

// A standby was started, or is gone, for whatever reason.
void reserve_add(struct reserve *reserve, struct reserve_entry *entry, uint64_t now_ms);
void reserve_remove(struct reserve *reserve, struct reserve_entry *entry);

// A job took a standby. The replacement waits until the job ends, but not for long.
void reserve_on_taken(struct reserve *reserve, uint64_t now_ms);
void reserve_on_job_end(struct reserve *reserve, uint64_t now_ms);

// A standby could not be started, or ended before a job took it. Returns whether the log should
// have this.
bool reserve_on_failed(struct reserve *reserve, uint64_t now_ms);

// Returns how many standbys to start now. While an old standby is being replaced, there is one more
// than wanted.
unsigned reserve_missing(const struct reserve *reserve, uint64_t now_ms);

// Returns a standby that must go now because of its age; NULL: none.
struct reserve_entry *reserve_expired(const struct reserve *reserve, uint64_t now_ms);

// Returns when the results of the last two functions can change; UINT64_MAX: not by time alone.
uint64_t reserve_next_ms(const struct reserve *reserve, uint64_t now_ms);
