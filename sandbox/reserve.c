// SPDX-License-Identifier: Apache-2.0
#include "reserve.h"

static struct reserve_entry *entry_of(struct list *link)
{
    return LIST_ENTRY(link, struct reserve_entry, link);
}

void reserve_init(struct reserve *reserve, unsigned wanted, uint64_t max_age_ms)
{
    *reserve = (struct reserve){.wanted = wanted, .max_age_ms = max_age_ms};
    list_init(&reserve->entries);
}

void reserve_add(struct reserve *reserve, struct reserve_entry *entry, uint64_t now_ms)
{
    entry->born_ms = now_ms;
    list_init(&entry->link);
    list_append(&reserve->entries, &entry->link);
    reserve->count++;
}

void reserve_remove(struct reserve *reserve, struct reserve_entry *entry)
{
    list_remove(&entry->link);
    reserve->count--;
}

void reserve_on_taken(struct reserve *reserve, uint64_t now_ms)
{
    reserve->pause_ms = 0;
    reserve->resume_ms = 0;
    // A hold is not renewed: otherwise many jobs would put the start off for ever.
    if (reserve->hold_ms <= now_ms)
        reserve->hold_ms = now_ms + RESERVE_HOLD_MS;
}

void reserve_on_job_end(struct reserve *reserve, uint64_t now_ms)
{
    if (reserve->hold_ms > now_ms)
        reserve->hold_ms = now_ms;
}

bool reserve_on_failed(struct reserve *reserve, uint64_t now_ms)
{
    bool is_news =
        !reserve->has_failed || now_ms - reserve->failed_ms > RESERVE_LONGEST_PAUSE_MS + 1000;

    reserve->has_failed = true;
    reserve->failed_ms = now_ms;
    if (now_ms < reserve->resume_ms)
        return is_news; // many standbys die with one connection: they count as one failure
    if (reserve->pause_ms == 0 || is_news)
        reserve->pause_ms = RESERVE_FIRST_PAUSE_MS;
    else if (reserve->pause_ms < RESERVE_LONGEST_PAUSE_MS / 2)
        reserve->pause_ms *= 2;
    else
        reserve->pause_ms = RESERVE_LONGEST_PAUSE_MS;
    reserve->resume_ms = now_ms + reserve->pause_ms;
    return is_news;
}

static bool is_old(const struct reserve *reserve, const struct list *link, uint64_t now_ms)
{
    return now_ms - entry_of((struct list *)link)->born_ms >= reserve->max_age_ms;
}

static unsigned count_young(const struct reserve *reserve, uint64_t now_ms)
{
    unsigned count = 0;

    for (const struct list *link = reserve->entries.previous;
         link != &reserve->entries && !is_old(reserve, link, now_ms); link = link->previous)
        count++;
    return count;
}

static uint64_t blocked_until_ms(const struct reserve *reserve)
{
    return reserve->resume_ms > reserve->hold_ms ? reserve->resume_ms : reserve->hold_ms;
}

static unsigned missing(const struct reserve *reserve, uint64_t now_ms)
{
    unsigned young = count_young(reserve, now_ms);
    unsigned most = young < reserve->count ? reserve->wanted + 1 : reserve->wanted;
    unsigned lacking = young < reserve->wanted ? reserve->wanted - young : 0;
    unsigned room = reserve->count < most ? most - reserve->count : 0;

    return lacking < room ? lacking : room;
}

unsigned reserve_missing(const struct reserve *reserve, uint64_t now_ms)
{
    return now_ms < blocked_until_ms(reserve) ? 0 : missing(reserve, now_ms);
}

struct reserve_entry *reserve_expired(const struct reserve *reserve, uint64_t now_ms)
{
    struct list *oldest = reserve->entries.next;
    const struct list *newest = reserve->entries.previous;

    if (oldest == &reserve->entries || !is_old(reserve, oldest, now_ms))
        return NULL;
    if (reserve->count > reserve->wanted &&
        now_ms - entry_of((struct list *)newest)->born_ms >= RESERVE_WARM_MS)
        return entry_of(oldest);
    return now_ms - entry_of(oldest)->born_ms >= reserve->max_age_ms + RESERVE_LINGER_MS
               ? entry_of(oldest)
               : NULL;
}

static void put_off(uint64_t *next_ms, uint64_t time_ms, uint64_t now_ms)
{
    if (time_ms > now_ms && time_ms < *next_ms)
        *next_ms = time_ms;
}

uint64_t reserve_next_ms(const struct reserve *reserve, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;

    if (missing(reserve, now_ms) > 0)
        put_off(&next_ms, blocked_until_ms(reserve), now_ms);
    for (struct list *link = reserve->entries.next; link != &reserve->entries; link = link->next) {
        uint64_t old_ms = entry_of(link)->born_ms + reserve->max_age_ms;
        put_off(&next_ms, old_ms, now_ms);
        put_off(&next_ms, old_ms + RESERVE_LINGER_MS, now_ms);
    }
    if (reserve->count > reserve->wanted)
        put_off(&next_ms, entry_of(reserve->entries.previous)->born_ms + RESERVE_WARM_MS, now_ms);
    return next_ms;
}
