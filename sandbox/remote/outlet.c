// SPDX-License-Identifier: Apache-2.0
#include "outlet.h"

#include <errno.h>

enum {
    LATER_MS = 5,        // the longest wait of a frame that may wait
    ENOUGH = 128 * 1024, // no more is framed while so many bytes wait for the client
};

static size_t outlet_waiting(const struct outlet *outlet)
{
    return outlet->bytes.length - outlet->done;
}

// A remote gets its number as late as this, because the agent wants a START for each number:
// a remote that leaves before it has one must not use one up.
static void give_number(struct outlet *outlet, struct remote *remote)
{
    remote->id = outlet->next_job;
    remote->start_offset = outlet->offset + outlet->bytes.length;
    outlet->events->on_number(outlet->data, remote);
}

// Frames the bytes of the remotes, but no more than the client will take soon: so the other
// jobs can still go to another connection.
static int outlet_fill(struct outlet *outlet)
{
    while (outlet_waiting(outlet) < ENOUGH && !list_is_empty(&outlet->senders)) {
        struct remote *remote = LIST_ENTRY(outlet->senders.next, struct remote, turn);
        bool is_start = remote->phase == REMOTE_CHOSEN;
        int more;

        list_remove(&remote->turn);
        if (is_start)
            give_number(outlet, remote);
        more = remote_fill(remote, &outlet->bytes);
        if (more < 0)
            return more;
        if (is_start && remote->phase == REMOTE_FRAMED) {
            outlet->next_job++;
            list_append(&outlet->framed, &remote->turn);
        } else if (more > 0)
            list_append(&outlet->senders, &remote->turn);
    }
    return 0;
}

static void outlet_note_sent(struct outlet *outlet)
{
    uint64_t sent = outlet->offset + outlet->done;

    while (!list_is_empty(&outlet->framed)) {
        struct remote *remote = LIST_ENTRY(outlet->framed.next, struct remote, turn);
        if (remote->start_offset >= sent)
            break;
        list_remove(&remote->turn);
        remote_on_sent(remote);
    }
}

// Like process_write. The bytes that were written before an error count as sent too.
static ssize_t outlet_write(struct outlet *outlet)
{
    uint64_t before = process_written(outlet->process);
    ssize_t count =
        process_write(outlet->process, outlet->bytes.data + outlet->done, outlet_waiting(outlet));

    outlet->done += (size_t)(process_written(outlet->process) - before);
    outlet_note_sent(outlet);
    return count;
}

// Drops the bytes that were sent, as soon as they are more than the bytes that wait: so each
// byte is moved once at most, and the buffer stays short even if it is never empty.
static void outlet_drop_sent(struct outlet *outlet)
{
    size_t left = outlet_waiting(outlet);

    if (outlet->done <= left)
        return;
    outlet->offset += outlet->done;
    if (left == 0)
        buffer_finish(&outlet->bytes);
    else
        buffer_drop(&outlet->bytes, outlet->done);
    outlet->done = 0;
}

// Returns 0, or -EPIPE or -ENOMEM.
static int outlet_fill_and_write(struct outlet *outlet)
{
    while (!outlet->has_lost && !outlet->is_blocked) {
        ssize_t count;

        if (outlet_fill(outlet) < 0)
            return -ENOMEM;
        if (outlet->bytes.length == 0)
            break;
        count = outlet_write(outlet);
        if (count < 0)
            return count == -EPIPE ? -EPIPE : -ENOMEM;
        outlet->is_blocked = outlet_waiting(outlet) > 0;
        outlet_drop_sent(outlet);
    }
    return outlet->has_lost ? -ENOMEM : 0;
}

static void on_flush(void *data)
{
    struct outlet *outlet = data;
    int result;

    loop_disarm(outlet->loop, &outlet->later);
    result = outlet_fill_and_write(outlet);
    if (result < 0)
        outlet->events->on_failure(outlet->data, -result);
}

void outlet_init(struct outlet *outlet, struct loop *loop, const struct outlet_events *events,
                 void *data)
{
    outlet->loop = loop;
    outlet->events = events;
    outlet->data = data;
    outlet->next_job = 1;
    list_init(&outlet->framed);
    list_init(&outlet->senders);
    outlet->later = (struct timer){.on_time = on_flush, .data = outlet};
    task_init(&outlet->flush, on_flush, outlet);
}

static void outlet_stop(struct outlet *outlet)
{
    loop_disarm(outlet->loop, &outlet->later);
    loop_undefer(&outlet->flush);
}

void outlet_finish(struct outlet *outlet)
{
    outlet_stop(outlet);
    buffer_finish(&outlet->bytes);
}

void outlet_add(struct outlet *outlet, struct remote *remote)
{
    if (list_is_empty(&remote->turn))
        list_append(&outlet->senders, &remote->turn);
    outlet_flush(outlet);
}

void outlet_send(struct outlet *outlet, uint32_t job, enum frame_type type, uint32_t number)
{
    int result = number ? frame_append_number(&outlet->bytes, job, type, number)
                        : frame_append(&outlet->bytes, job, type, NULL, 0);

    outlet->has_lost |= result < 0;
    outlet_flush(outlet);
}

void outlet_send_later(struct outlet *outlet, uint32_t job, enum frame_type type)
{
    outlet->has_lost |= frame_append(&outlet->bytes, job, type, NULL, 0) < 0;
    if (!timer_is_armed(&outlet->later) && loop_arm(outlet->loop, &outlet->later, LATER_MS) < 0)
        outlet_flush(outlet);
}

void outlet_flush(struct outlet *outlet)
{
    loop_defer(outlet->loop, &outlet->flush);
}

void outlet_go_on(struct outlet *outlet)
{
    outlet->is_blocked = false;
    on_flush(outlet);
}

void outlet_close(struct outlet *outlet, bool has_agent)
{
    if (has_agent && outlet_waiting(outlet) > 0)
        process_write(outlet->process, outlet->bytes.data + outlet->done, outlet_waiting(outlet));
    outlet_stop(outlet);
}
