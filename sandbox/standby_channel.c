// SPDX-License-Identifier: Apache-2.0
// A standby as the channel of the job that took it. Until the command has been given something, a
// failure of the standby need not become a failure of the job.
#include "standby.h"
#include "standby_line.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

// The longest time between the refusal of the first bytes and the end of the process, if this end
// is the reason.
enum { REFUSAL_MS = 100 };

// The bytes were refused, and the process lives on. So the process has closed its stdin.
void standby_on_refusal_over(void *data)
{
    struct standby *standby = data;

    standby->has_given = true;
    standby->is_refused = false;
    if (standby->is_end_asked)
        standby->inner.ops->end_stdin(standby->inner.self);
    standby->events->on_stdin(standby->data);
}

// Writes the first bytes of stdin in one write with the key, so that they arrive together or not
// at all.
static ssize_t standby_write_first(struct standby *standby, const char *bytes, size_t size)
{
    char first[PIPE_BUF];
    size_t key = standby->is_gated ? sizeof STANDBY_GATE_KEY - 1 : 0;
    size_t room = sizeof first - key;
    ssize_t count;

    if (!standby->is_gated)
        return standby->inner.ops->write(standby->inner.self, bytes, size);
    size = size < room ? size : room;
    memcpy(first, STANDBY_GATE_KEY, key);
    if (size > 0)
        memcpy(first + key, bytes, size);
    count = standby->inner.ops->write(standby->inner.self, first, key + size);
    return count < (ssize_t)key ? (count < 0 ? count : -EPIPE) : count - (ssize_t)key;
}

static ssize_t standby_write(void *self, const char *bytes, size_t size)
{
    struct standby *standby = self;
    ssize_t count;
    ssize_t more;

    if (standby->is_refused || !standby->inner.self)
        return standby->inner.self ? 0 : -EPIPE;
    if (standby->has_given || size == 0)
        return size == 0 ? 0 : standby->inner.ops->write(standby->inner.self, bytes, size);
    count = standby_write_first(standby, bytes, size);
    if (count == -EPIPE && loop_arm(standby->loop, &standby->refusal, REFUSAL_MS) == 0) {
        standby->is_refused = true;
        return 0;
    }
    standby->has_given = count > 0;
    if (count < 0 || (size_t)count == size)
        return count;
    more = standby->inner.ops->write(standby->inner.self, bytes + count, size - (size_t)count);
    return more < 0 ? more : count + more;
}

static bool standby_is_writable(const void *self)
{
    const struct standby *standby = self;

    return !standby->inner.self ||
           (!standby->is_refused && standby->inner.ops->is_writable(standby->inner.self));
}

static void standby_end_stdin(void *self)
{
    struct standby *standby = self;

    if (!standby->inner.self)
        return;
    if (standby->is_refused) {
        standby->is_end_asked = true;
        return;
    }
    if (!standby->has_given)
        standby->has_given = !standby->is_gated || standby_write_first(standby, NULL, 0) == 0;
    standby->inner.ops->end_stdin(standby->inner.self);
}

static ssize_t standby_read(void *self, enum job_stream stream, char *bytes, size_t size)
{
    struct standby *standby = self;
    ssize_t count = standby->inner.self
                        ? standby->inner.ops->read(standby->inner.self, stream, bytes, size)
                        : 0;

    standby->has_output |= count > 0;
    return count;
}

static int standby_pause(void *self, enum job_stream stream, bool is_paused)
{
    struct standby *standby = self;
    return standby->inner.self ? standby->inner.ops->pause(standby->inner.self, stream, is_paused)
                               : 0;
}

static size_t standby_available(const void *self, enum job_stream stream)
{
    const struct standby *standby = self;
    return standby->inner.self ? standby->inner.ops->available(standby->inner.self, stream) : 0;
}

static bool standby_has_ended(const void *self, enum job_stream stream)
{
    const struct standby *standby = self;
    return !standby->inner.self || standby->inner.ops->has_ended(standby->inner.self, stream);
}

static void standby_signal(void *self, int signal)
{
    struct standby *standby = self;

    standby->is_stopped = true;
    if (standby->inner.self)
        standby->inner.ops->signal(standby->inner.self, signal);
}

static void standby_destroy(void *self)
{
    struct standby *standby = self;
    struct standby_owner owner = standby->owner;

    standby_free(standby);
    if (owner.on_job_end)
        owner.on_job_end(owner.data);
}

static const char *standby_waits_for(const void *self)
{
    const struct standby *standby = self;
    const struct channel *inner = &standby->inner;

    return inner->self && inner->ops->waits_for ? inner->ops->waits_for(inner->self) : NULL;
}

static bool standby_ran_out_of_memory(const void *self)
{
    const struct standby *standby = self;
    const struct channel *inner = &standby->inner;

    return inner->self && inner->ops->ran_out_of_memory &&
           inner->ops->ran_out_of_memory(inner->self);
}

static size_t standby_kept(const void *self)
{
    const struct standby *standby = self;
    const struct channel *inner = &standby->inner;

    return inner->self && inner->ops->kept ? inner->ops->kept(inner->self) : 0;
}

const struct channel_ops standby_ops = {
    .write = standby_write,
    .is_writable = standby_is_writable,
    .end_stdin = standby_end_stdin,
    .read = standby_read,
    .pause = standby_pause,
    .available = standby_available,
    .has_ended = standby_has_ended,
    .signal = standby_signal,
    .destroy = standby_destroy,
    .waits_for = standby_waits_for,
    .kept = standby_kept,
    .ran_out_of_memory = standby_ran_out_of_memory,
};
