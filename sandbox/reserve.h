// SPDX-License-Identifier: Apache-2.0
// The standbys of one command: how many there should be, when the next one is started, and
// which one has to go. Pure: it starts nothing, and is told the time.
#pragma once

#include "list.h"

#include <stdbool.h>
#include <stdint.h>

// Embedded in what stands for a standby.
struct reserve_entry {
    struct list link; // in entries
    uint64_t born_ms;
};

struct reserve {
    unsigned wanted;
    uint64_t max_age_ms;
    struct list entries; // the oldest first
    unsigned count;      // of entries
    uint64_t pause_ms;   // after the last failure; 0: there was none lately
    uint64_t resume_ms;  // no start before, because of that pause
    uint64_t hold_ms;    // no start before, so as not to slow the job that took one
    uint64_t failed_ms;  // when the last one failed
    bool has_failed;
};

enum {
    RESERVE_FIRST_PAUSE_MS = 100, // doubled with each failure
    RESERVE_LONGEST_PAUSE_MS = 60000,
    RESERVE_HOLD_MS = 50,     // a job that lasts longer is slowed for a moment
    RESERVE_WARM_MS = 1000,   // a new one replaces an old one then
    RESERVE_LINGER_MS = 10000 // an old one goes, replaced or not
};

void reserve_init(struct reserve *reserve, unsigned wanted, uint64_t max_age_ms);

// A standby was started, or is gone, for whatever reason.
void reserve_add(struct reserve *reserve, struct reserve_entry *entry, uint64_t now_ms);
void reserve_remove(struct reserve *reserve, struct reserve_entry *entry);

// A job took a standby. The replacement waits for the end of the job, but not for long.
void reserve_on_taken(struct reserve *reserve, uint64_t now_ms);
void reserve_on_job_end(struct reserve *reserve, uint64_t now_ms);

// A standby could not be started, or ended before a job took it. Returns whether that is
// news.
bool reserve_on_failed(struct reserve *reserve, uint64_t now_ms);

// How many are to be started now. There is one more than wanted while an old one is being
// replaced.
unsigned reserve_missing(const struct reserve *reserve, uint64_t now_ms);

// One that is to go now, because of its age; NULL: none.
struct reserve_entry *reserve_expired(const struct reserve *reserve, uint64_t now_ms);

// When one of the last two can change; UINT64_MAX: not by time alone.
uint64_t reserve_next_ms(const struct reserve *reserve, uint64_t now_ms);
