// SPDX-License-Identifier: Apache-2.0
#include "queue.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

enum { SHARE = 3 }; // a user has at most so many times the number that is left

// A user who has an entry.
struct queue_user {
    struct list link; // in the queue's users
    uid_t uid;
    unsigned running;
    unsigned waiting_count;
    struct list waiting; // of queue_entry.turn
};

void queue_init(struct queue *queue, uid_t privileged)
{
    *queue = (struct queue){.privileged = privileged};
    list_init(&queue->running);
    list_init(&queue->waiting);
    list_init(&queue->users);
}

void queue_set_limits(struct queue *queue, const struct queue_limits *limits)
{
    queue->limits = *limits;
}

static struct queue_user *user_at(struct list *link)
{
    return LIST_ENTRY(link, struct queue_user, link);
}

static struct queue_user *find_user(const struct queue *queue, uid_t uid)
{
    for (struct list *link = queue->users.next; link != &queue->users; link = link->next)
        if (user_at(link)->uid == uid)
            return user_at(link);
    return NULL;
}

// May UID take one more? UID holds HELD, all users together hold TAKEN. The limits are MAXIMUM for
// all together and USER_MAXIMUM for each user.
static bool has_room(const struct queue *queue, uid_t uid, unsigned held, unsigned taken,
                     unsigned maximum, unsigned user_maximum)
{
    if (taken >= maximum)
        return false;
    if (uid == 0 || uid == queue->privileged)
        return true;
    return held < user_maximum &&
           (held == 0 || held < (uint64_t)SHARE * (uint64_t)(maximum - taken));
}

static bool may_run(const struct queue *queue, uid_t uid, unsigned held)
{
    return has_room(queue, uid, held, queue->running_count, queue->limits.running,
                    queue->limits.user_running);
}

bool queue_is_full(const struct queue *queue, uid_t uid)
{
    const struct queue_user *user = find_user(queue, uid);

    return !may_run(queue, uid, user ? user->running : 0) &&
           !has_room(queue, uid, user ? user->waiting_count : 0, queue->waiting_count,
                     queue->limits.waiting, queue->limits.user_waiting);
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
    entry->user->running++;
}

static void stop_waiting(struct queue *queue, struct queue_entry *entry)
{
    list_remove(&entry->link);
    list_remove(&entry->turn);
    queue->waiting_count--;
    entry->user->waiting_count--;
}

int queue_add(struct queue *queue, struct queue_entry *entry, uid_t uid)
{
    struct queue_user *user = find_user(queue, uid);

    if (!user) {
        user = calloc(1, sizeof *user);
        if (!user)
            return -ENOMEM;
        user->uid = uid;
        list_init(&user->waiting);
        list_append(&queue->users, &user->link);
    }
    *entry = (struct queue_entry){.user = user};
    list_init(&entry->link);
    list_init(&entry->turn);
    // Another entry of the same user that already waits goes first.
    if (list_is_empty(&user->waiting) && may_run(queue, uid, user->running)) {
        run(queue, entry);
        return 1;
    }
    list_append(&queue->waiting, &entry->link);
    list_append(&user->waiting, &entry->turn);
    queue->waiting_count++;
    user->waiting_count++;
    return 0;
}

struct queue_entry *queue_next(struct queue *queue)
{
    for (struct list *link = queue->users.next; link != &queue->users; link = link->next) {
        struct queue_user *user = user_at(link);
        struct queue_entry *entry;

        if (list_is_empty(&user->waiting) || !may_run(queue, user->uid, user->running))
            continue;
        entry = LIST_ENTRY(user->waiting.next, struct queue_entry, turn);
        list_remove(&user->link);
        list_append(&queue->users, &user->link);
        stop_waiting(queue, entry);
        run(queue, entry);
        return entry;
    }
    return NULL;
}

void queue_remove(struct queue *queue, struct queue_entry *entry)
{
    struct queue_user *user = entry->user;

    if (entry->is_running) {
        list_remove(&entry->link);
        queue->running_count--;
        user->running--;
    } else
        stop_waiting(queue, entry);
    if (user->running + user->waiting_count > 0)
        return;
    list_remove(&user->link);
    free(user);
}

struct queue_entry *queue_last_waiting(const struct queue *queue)
{
    return list_is_empty(&queue->waiting)
               ? NULL
               : LIST_ENTRY(queue->waiting.previous, struct queue_entry, link);
}
