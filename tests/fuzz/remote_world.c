// SPDX-License-Identifier: Apache-2.0
#include "remote_world.h"

#include "cleanup.h"
#include "connection_parts.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

enum {
    STDERR_KEPT = 4096,
    PIPE_KEPT = 128 * 1024,
};

struct world world;

// --- Functions that replace functions of the daemon and of the C library

// clang-format off
struct process *__wrap_process_start(struct loop *loop, const struct process_spec *spec,
                                     const struct channel_events *events, void *data,
                                     struct error *err);
ssize_t __wrap_process_write(struct process *process, const char *bytes, size_t size);
uint64_t __wrap_process_written(const struct process *process);
void __wrap_process_end_stdin(struct process *process);
ssize_t __wrap_process_read(struct process *process, enum job_stream which, char *bytes, size_t size);
size_t __wrap_process_output_size(const struct process *process, enum job_stream which);
bool __wrap_process_has_ended(const struct process *process, enum job_stream which);
void __wrap_process_signal(struct process *process, int signal);
void __wrap_process_destroy(struct process *process);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
void __wrap_log_warning(const char *format, ...);
void __wrap_log_info(const char *format, ...);
// clang-format on

void __wrap_log_warning(const char *format, ...)
{
    (void)format;
}

void __wrap_log_info(const char *format, ...)
{
    (void)format;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!world.loop)
        return __real_clock_gettime(clock, now);
    now->tv_sec = (time_t)(world.now_ms / 1000);
    now->tv_nsec = (long)(world.now_ms % 1000) * 1000000;
    return 0;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    (void)fd, (void)events, (void)count, (void)timeout;
    for (unsigned i = 0; i < world.client_count; i++)
        client_check(&world.clients[i]);
    world.step();
    return 0;
}

// One callback a turn, because it may destroy the client.
static void on_news(void *data)
{
    struct process *client = data;
    bool has_out = client->out.length > 0 || (client->is_out_closed && !client->is_out_ended);

    if (client->is_exiting) {
        client->is_exiting = false;
        client->has_exited = true;
        client->events->on_exit(client->data, false, (int)(client->written & 3));
        FUZZ_CHECK(client->is_destroyed, "it lives on without a client");
        return;
    }
    if (client->is_full && (client->room > 0 || client->is_in_closed)) {
        client->is_full = false;
        client_tell(client);
        client->events->on_stdin(client->data);
    } else if (client->err.length > 0) {
        client_tell(client);
        client->events->on_output(client->data, JOB_STDERR);
    } else if (has_out) {
        client_tell(client);
        client->events->on_output(client->data, JOB_STDOUT);
    }
}

void client_tell(struct process *client)
{
    if (!client->is_destroyed && !client->has_exited)
        loop_defer(world.loop, &client->news);
}

static void greet(struct process *client)
{
    AUTO(buffer_finish) struct buffer out = {0};

    frame_append_hello(&out, "fuzz");
    client_send(client, out.data, out.length);
}

struct process *__wrap_process_start(struct loop *loop, const struct process_spec *spec,
                                     const struct channel_events *events, void *data,
                                     struct error *err)
{
    struct process *client = &world.clients[world.client_count];

    (void)loop, (void)spec;
    if (world.start_fails || world.client_count == WORLD_CLIENTS) {
        error_set(err, EAGAIN, "no process");
        return NULL;
    }
    world.client_count++;
    client->events = events;
    client->data = data;
    client->next_number = 1;
    client->room = UINT32_MAX;
    client->piece = SIZE_MAX;
    task_init(&client->news, on_news, client);
    // Most agents greet, because little can be done before that.
    if (fuzz_byte(&world.input) % 8 != 7)
        greet(client);
    return client;
}

static void check_alive(const struct process *client)
{
    FUZZ_CHECK(client->events && !client->is_destroyed, "used after its destruction");
}

uint64_t __wrap_process_written(const struct process *client)
{
    check_alive(client);
    return client->written;
}

void __wrap_process_end_stdin(struct process *client)
{
    check_alive(client);
    client->is_in_ended = true;
}

size_t __wrap_process_output_size(const struct process *client, enum job_stream which)
{
    check_alive(client);
    return which == JOB_STDOUT ? client->out.length : client->err.length;
}

bool __wrap_process_has_ended(const struct process *client, enum job_stream which)
{
    check_alive(client);
    return which == JOB_STDOUT && client->is_out_ended;
}

void __wrap_process_signal(struct process *client, int signal)
{
    (void)signal;
    check_alive(client);
}

void __wrap_process_destroy(struct process *client)
{
    check_alive(client);
    client->is_destroyed = true;
    loop_undefer(&client->news);
}

// --- Frames from the daemon

unsigned char world_pattern(unsigned index, uint64_t offset)
{
    return (unsigned char)(index * 101 + offset * 7 + (offset >> 8));
}

static void take_start(struct process *client, const struct frame *frame)
{
    struct frame_start start;
    struct world_job *job;
    struct record *record = &client->records[frame->job];
    unsigned long index;

    FUZZ_CHECK(frame->job == client->next_number, "START of %u", frame->job);
    frame_parse_start(frame, &start);
    FUZZ_CHECK(start.argument_count == 1, "%u arguments", start.argument_count);
    index = strtoul(start.strings, NULL, 10);
    FUZZ_CHECK(index < world.job_count, "an unknown job");
    job = &world.jobs[index];
    FUZZ_CHECK(!job->record, "job %lu was started twice", index);
    client->next_number++;
    job->record = record;
    record->job = job;
    record->stdin_window = WIRE_STDIN_WINDOW;
}

static void take_stdin(struct record *record, const struct frame *frame)
{
    struct world_job *job = record->job;

    FUZZ_CHECK(!record->is_stdin_ended, "bytes after the end of stdin");
    FUZZ_CHECK(frame->length <= record->stdin_window, "stdin beyond its window");
    FUZZ_CHECK(record->stdin_sent + frame->length <= job->stdin_written, "nobody wrote that");
    for (size_t i = 0; i < frame->length; i++)
        FUZZ_CHECK((unsigned char)frame->payload[i] ==
                       world_pattern(job->index, record->stdin_sent + i),
                   "a wrong byte of stdin");
    record->stdin_sent += frame->length;
    record->stdin_window -= frame->length;
}

static void take_stdin_end(struct record *record)
{
    FUZZ_CHECK(record->job->is_stdin_ended && !record->is_stdin_ended, "the job did not end it");
    FUZZ_CHECK(record->stdin_sent == record->job->stdin_written, "bytes are lost");
    record->is_stdin_ended = true;
}

static void take_credit(struct record *record, enum job_stream which, uint32_t count)
{
    record->credit[which] += count;
    FUZZ_CHECK(count > 0 && record->credit[which] <= record->received[which],
               "credit for bytes that did not come");
}

static void take_daemon_frame(struct process *client, const struct frame *frame)
{
    struct record *record = &client->records[frame->job];

    if (frame->type == FRAME_PING || frame->type == FRAME_START) {
        if (frame->type == FRAME_START)
            take_start(client, frame);
        return;
    }
    FUZZ_CHECK(frame->job < client->next_number && record->job, "a job without START");
    FUZZ_CHECK(!record->is_released, "type %d after RELEASE", (int)frame->type);
    switch (frame->type) {
    case FRAME_STDIN:
        take_stdin(record, frame);
        break;
    case FRAME_STDIN_END:
        take_stdin_end(record);
        break;
    case FRAME_STDOUT_CREDIT:
    case FRAME_STDERR_CREDIT:
        take_credit(record, frame->type == FRAME_STDERR_CREDIT, frame_number(frame->payload));
        break;
    case FRAME_RELEASE:
        FUZZ_CHECK(!record->job->channel.self, "the job is still there");
        record->is_released = true;
        break;
    default:
        FUZZ_CHECK(record->job->is_signaled, "nobody sent a signal");
    }
}

// The client takes as many bytes as it has room for. Frames are handed over whole, so each
// that begins here is here to its end, even if the client takes only its first byte.
ssize_t __wrap_process_write(struct process *client, const char *bytes, size_t size)
{
    size_t taken = size < client->room ? size : (size_t)client->room;
    size_t done;
    struct frame frame;

    check_alive(client);
    if (client->is_in_closed)
        return -EPIPE;
    for (done = client->frame_left; done < taken; done += client->frame_left) {
        ssize_t length = frame_parse(bytes + done, size - done, FROM_DAEMON, &frame);
        FUZZ_CHECK(length > 0, "a wrong frame from the daemon");
        FUZZ_CHECK(frame.job <= WORLD_JOBS, "job %u", frame.job);
        client->frame_left = (size_t)length;
        take_daemon_frame(client, &frame);
    }
    client->frame_left = done - taken;
    client->written += taken;
    client->room -= taken;
    client->is_full = taken < size;
    if (client->is_full)
        client_tell(client);
    return (ssize_t)taken;
}

// --- Frames from the agent, as the daemon takes them

void client_send(struct process *client, const void *bytes, size_t size)
{
    // A client's pipe is full at some time: then the agent does not send the frame.
    if (client->is_destroyed || client->is_out_closed || client->out.length > PIPE_KEPT)
        return;
    FUZZ_CHECK(buffer_append(&client->out, bytes, size) == 0, "no memory");
    client_tell(client);
}

static uint32_t header_number(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static struct record *header_record(struct process *client)
{
    uint32_t number = header_number(client->header + 4);
    return number <= WORLD_JOBS && client->records[number].job ? &client->records[number] : NULL;
}

static void begin_agent_frame(struct process *client)
{
    struct record *record = header_record(client);
    unsigned type = client->header[8];

    client->payload_left = header_number(client->header);
    client->payload_done = 0;
    client->is_wrong |= client->payload_left > WIRE_MAX_PAYLOAD || type == 0 || type > FRAME_PONG;
    if (!record)
        return;
    if (type == FRAME_STARTED && record->outcome == RECORD_NONE)
        record->is_started = true;
    if (type == FRAME_STDOUT_END || type == FRAME_STDERR_END)
        record->has_end[type == FRAME_STDERR_END] = true;
    if (type == FRAME_LOST && record->outcome == RECORD_NONE)
        record->outcome = RECORD_LOST;
}

static void take_short_payload(struct process *client, struct record *record, const char *bytes)
{
    unsigned type = client->header[8];

    if ((type == FRAME_FAILED || type == FRAME_ENDED) && record->outcome == RECORD_NONE) {
        record->outcome = type == FRAME_FAILED ? RECORD_FAILED : RECORD_ENDED;
        memcpy(record->detail, bytes, type == FRAME_FAILED ? 5 : 2);
    } else if (type == FRAME_STDIN_CREDIT)
        record->stdin_window += header_number((const unsigned char *)bytes);
}

// Takes a part of a payload. Payloads other than output are short, and sent as a whole: only
// noise can split them, and that is wrong in any case.
static size_t take_payload(struct process *client, const char *bytes, size_t size)
{
    size_t count = size < client->payload_left ? size : client->payload_left;
    struct record *record = header_record(client);
    unsigned type = client->header[8];
    static char kept[8];

    if (record && (type == FRAME_STDOUT || type == FRAME_STDERR)) {
        record->received[type == FRAME_STDERR] += count;
        FUZZ_CHECK(buffer_append(&record->expected[type == FRAME_STDERR], bytes, count) == 0,
                   "no memory");
    }
    for (size_t i = 0; i < count && client->payload_done + i < sizeof kept; i++)
        kept[client->payload_done + i] = bytes[i];
    client->payload_done += count;
    client->payload_left -= count;
    if (record && client->payload_left == 0)
        take_short_payload(client, record, kept);
    return count;
}

static void take_agent_bytes(struct process *client, const char *bytes, size_t size)
{
    while (size > 0 && !client->is_wrong) {
        size_t count = 1;

        if (client->payload_left > 0)
            count = take_payload(client, bytes, size);
        else
            client->header[client->header_length++] = (unsigned char)*bytes;
        bytes += count;
        size -= count;
        if (client->header_length == WIRE_HEADER) {
            client->header_length = 0;
            begin_agent_frame(client);
        }
    }
}

ssize_t __wrap_process_read(struct process *client, enum job_stream which, char *bytes, size_t size)
{
    struct buffer *from = which == JOB_STDOUT ? &client->out : &client->err;
    size_t count = from->length < size ? from->length : size;

    check_alive(client);
    if (which == JOB_STDOUT && count > client->piece)
        count = client->piece;
    if (count == 0 && which == JOB_STDOUT && client->is_out_closed)
        client->is_out_ended = true;
    if (count == 0)
        return which == JOB_STDOUT && client->is_out_closed ? 0 : -EAGAIN;
    memcpy(bytes, from->data, count);
    buffer_drop(from, count);
    if (which == JOB_STDOUT)
        take_agent_bytes(client, bytes, count);
    return (ssize_t)count;
}

void client_check(const struct process *client)
{
    const struct connection *connection = client->data;

    if (client->is_destroyed)
        return;
    FUZZ_CHECK(!client->is_wrong || client->is_in_ended, "the daemon took a wrong frame");
    FUZZ_CHECK(connection->in.begun.length <= WIRE_HEADER + WIRE_MAX_PAYLOAD, "it keeps %zu bytes",
               connection->in.begun.length);
    FUZZ_CHECK(connection->err.length <= STDERR_KEPT, "it keeps %zu bytes of stderr",
               connection->err.length);
    FUZZ_CHECK(connection->load <= world.job_count, "a load of %u", connection->load);
}

// --- Beginning and end

void world_begin(const uint8_t *bytes, size_t size, void (*step)(void))
{
    memset(&world, 0, sizeof world);
    world.input = (struct fuzz_input){bytes, size};
    world.now_ms = 1000;
    world.step = step;
    world.loop = loop_create(NULL);
    FUZZ_CHECK(world.loop, "no loop");
}

static void client_finish(struct process *client)
{
    FUZZ_CHECK(client->is_destroyed, "a client is left");
    buffer_finish(&client->out);
    buffer_finish(&client->err);
    for (unsigned i = 0; i <= WORLD_JOBS; i++) {
        buffer_finish(&client->records[i].expected[JOB_STDOUT]);
        buffer_finish(&client->records[i].expected[JOB_STDERR]);
    }
}

void world_end(void)
{
    for (unsigned i = 0; i < world.client_count; i++)
        client_finish(&world.clients[i]);
    for (unsigned i = 0; i < world.job_count; i++)
        launch_finish(&world.jobs[i].launch);
    loop_destroy(world.loop);
    world.loop = NULL;
}
