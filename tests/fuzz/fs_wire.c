// SPDX-License-Identifier: Apache-2.0
#include "fs_wire.h"

#include "cleanup.h"
#include "fs_world.h"
#include "list.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

struct message {
    struct list link;
    size_t size;
    char bytes[];
};

static struct {
    struct list messages; // not read by libfuse yet
    int event_fd;         // counts the messages
    uint64_t last_unique;
    uint64_t interrupts; // sent ones that may be answered
    const struct wire_events *events;
} wire;

// --- libfuse's side

static ssize_t read_message(int fd, void *bytes, size_t size, void *userdata)
{
    AUTO_FREE struct message *message = NULL;
    uint64_t one;

    (void)userdata;
    if (read(fd, &one, sizeof one) < 0)
        return -1; // EAGAIN
    message = LIST_ENTRY(wire.messages.next, struct message, link);
    list_remove(&message->link);
    WORLD_CHECK(message->size <= size, "a message of %zu bytes", message->size);
    memcpy(bytes, message->bytes, message->size);
    return (ssize_t)message->size;
}

static void take_notification(int code, const char *bytes, size_t size)
{
    struct fuse_notify_poll_wakeup_out wakeup;
    struct fuse_notify_inval_inode_out invalid;

    if (code == FUSE_NOTIFY_POLL && size == sizeof wakeup) {
        memcpy(&wakeup, bytes, sizeof wakeup);
        wire.events->on_poll(wakeup.kh);
    } else if (code == FUSE_NOTIFY_INVAL_INODE && size == sizeof invalid) {
        memcpy(&invalid, bytes, sizeof invalid);
        WORLD_CHECK(invalid.off < 0, "a notification that may wait for us");
        wire.events->on_invalid(invalid.ino);
    } else
        WORLD_CHECK(false, "notification %d, of %zu bytes", code, size);
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
    AUTO(buffer_finish) struct buffer reply = {0};
    struct fuse_out_header header;
    bool is_taken = true;

    (void)fd, (void)userdata;
    for (int i = 0; i < count; i++)
        buffer_append(&reply, iov[i].iov_base, iov[i].iov_len);
    memcpy(&header, reply.data, sizeof header);
    WORLD_CHECK(header.len == reply.length, "%zu bytes of %u", reply.length, header.len);
    const char *rest = reply.data + sizeof header;
    size_t size = reply.length - sizeof header;
    if (header.unique == 0)
        take_notification(header.error, rest, size);
    else if (header.unique & 1) { // the answer to an interrupt without a request, or before it
        WORLD_CHECK(wire.interrupts > 0 && header.error == -EAGAIN, "an interrupt's reply");
        wire.interrupts--;
    } else
        is_taken = wire.events->on_reply(header.unique, -header.error, rest, size);
    if (is_taken)
        return (ssize_t)reply.length;
    errno = ENOENT;
    return -1;
}

int __wrap_fuse_session_mount(struct fuse_session *session, const char *mountpoint);
int __wrap_fuse_session_mount(struct fuse_session *session, const char *mountpoint)
{
    static const struct fuse_custom_io io = {.writev = write_reply, .read = read_message};

    (void)mountpoint;
    return fuse_session_custom_io(session, &io, wire.event_fd);
}

// --- The kernel's side

void wire_begin(const struct wire_events *events)
{
    list_init(&wire.messages);
    wire.event_fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE); // libfuse closes it
    wire.last_unique = 0;
    wire.interrupts = 0;
    wire.events = events;
}

void wire_end(void)
{
    while (!list_is_empty(&wire.messages)) {
        struct message *message = LIST_ENTRY(wire.messages.next, struct message, link);
        list_remove(&message->link);
        free(message);
    }
}

static void post(const struct fuse_in_header *header, const void *arg, size_t size,
                 const void *more, size_t more_size)
{
    struct message *message = malloc(sizeof *message + header->len);
    uint64_t one = 1;

    message->size = header->len;
    list_init(&message->link);
    memcpy(message->bytes, header, sizeof *header);
    if (size > 0)
        memcpy(message->bytes + sizeof *header, arg, size);
    if (more_size > 0)
        memcpy(message->bytes + sizeof *header + size, more, more_size);
    list_append(&wire.messages, &message->link);
    WORLD_CHECK(write(wire.event_fd, &one, sizeof one) == sizeof one, "eventfd");
}

uint64_t wire_send(uint32_t opcode, uint64_t node, uid_t uid, const void *arg, size_t size,
                   const void *more, size_t more_size)
{
    struct fuse_in_header header = {
        .len = (uint32_t)(sizeof header + size + more_size),
        .opcode = opcode,
        .unique = wire.last_unique += 2,
        .nodeid = node,
        .uid = uid,
        .gid = uid,
        .pid = uid == 0 ? (uint32_t)getpid() : 0,
    };

    post(&header, arg, size, more, more_size);
    return header.unique;
}

void wire_interrupt(uint64_t unique)
{
    struct fuse_interrupt_in arg = {.unique = unique};
    struct fuse_in_header header = {
        .len = sizeof header + sizeof arg,
        .opcode = FUSE_INTERRUPT,
        .unique = unique | 1, // Linux numbers interrupts so
    };

    wire.interrupts++;
    post(&header, &arg, sizeof arg, NULL, 0);
}
