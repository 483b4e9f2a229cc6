// SPDX-License-Identifier: Apache-2.0
#include "queue.h"

void queue_init(struct queue *queue)
{
    *queue = (struct queue){0};
    list_init(&queue->running);
    list_init(&queue->waiting);
}

void queue_set_limits(struct queue *queue, unsigned max_running, unsigned max_waiting)
{
    queue->max_running = max_running;
    queue->max_waiting = max_waiting;
}

bool queue_is_full(const struct queue *queue)
{
    return queue->running_count >= queue->max_running && queue->waiting_count >= queue->max_waiting;
}

bool queue_is_empty(const struct queue *queue)
{
    return queue->running_count + queue->waiting_count == 0;
}

static void run(struct queue *queue, struct queue_entry *entry)
{
    entry->is_running = true;
    list_append(&queue->running, &entry->link);
    queue->running_count++;
}

bool queue_add(struct queue *queue, struct queue_entry *entry)
{
    *entry = (struct queue_entry){0};
    list_init(&entry->link);
    if (queue->running_count < queue->max_running) {
        run(queue, entry);
        return true;
    }
    list_append(&queue->waiting, &entry->link);
    queue->waiting_count++;
    return false;
}

struct queue_entry *queue_next(struct queue *queue)
{
    struct queue_entry *entry;

    if (list_is_empty(&queue->waiting) || queue->running_count >= queue->max_running)
        return NULL;
    entry = LIST_ENTRY(queue->waiting.next, struct queue_entry, link);
    queue_remove(queue, entry);
    run(queue, entry);
    return entry;
}

void queue_remove(struct queue *queue, struct queue_entry *entry)
{
    list_remove(&entry->link);
    if (entry->is_running)
        queue->running_count--;
    else
        queue->waiting_count--;
}

struct queue_entry *queue_last_waiting(const struct queue *queue)
{
    return list_is_empty(&queue->waiting)
               ? NULL
               : LIST_ENTRY(queue->waiting.previous, struct queue_entry, link);
}
