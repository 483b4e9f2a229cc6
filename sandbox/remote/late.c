// SPDX-License-Identifier: Apache-2.0
#include "late.h"

#include <errno.h>
#include <stdlib.h>

struct late_job {
    struct list link;
    uint32_t id;
    uint64_t frames; // that may come
};

void late_init(struct late *late)
{
    for (int i = 0; i < LATE_BUCKETS; i++)
        list_init(&late->buckets[i]);
}

static void late_forget(struct late *late, struct late_job *job)
{
    list_remove(&job->link);
    late->count--;
    free(job);
}

void late_finish(struct late *late)
{
    for (int i = 0; i < LATE_BUCKETS; i++)
        while (!list_is_empty(&late->buckets[i]))
            late_forget(late, LIST_ENTRY(late->buckets[i].next, struct late_job, link));
}

void late_add(struct late *late, uint32_t id, uint64_t frames)
{
    struct late_job *job = late->count < LATE_MOST_JOBS ? calloc(1, sizeof *job) : NULL;

    if (!job) {
        late->is_full |= late->count >= LATE_MOST_JOBS;
        late->has_lost = true;
        return;
    }
    job->id = id;
    job->frames = frames;
    list_append(&late->buckets[id % LATE_BUCKETS], &job->link);
    late->count++;
}

int late_take(struct late *late, const struct frame *frame)
{
    struct list *head = &late->buckets[frame->job % LATE_BUCKETS];

    if (late->is_full)
        return -EBADMSG;
    for (struct list *link = head->next; link != head; link = link->next) {
        struct late_job *job = LIST_ENTRY(link, struct late_job, link);
        if (job->id != frame->job)
            continue;
        if (job->frames-- == 0)
            return -EBADMSG;
        if (frame->type == FRAME_GONE)
            late_forget(late, job);
        return 0;
    }
    return late->has_lost ? 0 : -EBADMSG;
}
