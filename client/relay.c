// SPDX-License-Identifier: Apache-2.0
#include "relay.h"

#include "cleanup.h"
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 65536,
    AHEAD_BYTES = 49152,     // of a request: such a write fits into the command's pipe
    WAITING_BYTES = 262144,  // so much output may wait for a reader who is slow
    SAFE_WRITE_BYTES = 4096, // what a pipe takes at once that is ready
    ANSWER_TIME_MS = 60,     // for a reply when the deadline is over
    CODE_TIMEOUT = 124,
    CODE_UNREACHABLE = 125,
};

enum poll_index { POLL_STDIN, POLL_INPUT, POLL_ANSWER, POLL_STDOUT, POLL_STDERR, POLLS };

void relay_fail(struct relay *relay, int code, const char *format, ...)
{
    va_list arguments;

    if (*relay->failure)
        return;
    va_start(arguments, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    vsnprintf(relay->failure, sizeof relay->failure, format, arguments);
    va_end(arguments);
    relay->failure_code = code;
}

// A gate keeps all of stdout, since a part of it is no verdict; and of stderr the beginning.
static int relay_keep(struct relay *relay, enum answer_stream stream, const char *bytes,
                      size_t size)
{
    if (stream == ANSWER_STDERR) {
        size_t room = RELAY_MAX_ERR - relay->err.length;

        return buffer_append(&relay->err, bytes, size < room ? size : room);
    }
    if (size > RELAY_MAX_OUT - relay->out.length)
        return -EFBIG;
    return buffer_append(&relay->out, bytes, size);
}

static int on_bytes(void *context, enum answer_stream stream, const char *bytes, size_t size)
{
    struct relay *relay = context;

    if (relay->protocol)
        return relay_keep(relay, stream, bytes, size);
    return buffer_append(stream == ANSWER_STDOUT ? &relay->out : &relay->err, bytes, size);
}

void relay_init(struct relay *relay)
{
    relay->worker.input = relay->worker.answer = -1;
    relay->is_stdin_open = !relay->has_no_stdin;
    answer_init(&relay->answer, on_bytes, relay);
}

static void relay_refuse_input(struct relay *relay)
{
    relay->is_input_refused = true;
    buffer_finish(&relay->input);
    close_fd(&relay->worker.input);
}

// The event decides how much time there is.
static void relay_look(struct relay *relay, const char *bytes, size_t size)
{
    bool was_known = *relay->event.name;

    if (!relay->protocol)
        return;
    event_feed(&relay->event, bytes, size);
    if (!was_known && *relay->event.name && !relay->has_own_deadline)
        watch_set_deadline(protocol_deadline_ms(relay->protocol, relay->event.name));
}

// Reads stdin once, when poll(2) says that this does not wait.
static void relay_read_stdin(struct relay *relay)
{
    static char bytes[CHUNK_BYTES];
    ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);

    if (size < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (size < 0 && errno != EIO) // EIO: a terminal that is gone
        relay_fail(relay, CODE_UNREACHABLE, "stdin cannot be read: %s", strerror(errno));
    if (size <= 0) {
        relay->is_stdin_open = false;
        return;
    }
    relay_look(relay, bytes, (size_t)size);
    if (!relay->is_input_refused && buffer_append(&relay->input, bytes, (size_t)size) < 0)
        relay_fail(relay, CODE_UNREACHABLE, "no memory for stdin");
}

static void relay_pass_input(struct relay *relay)
{
    ssize_t size = write(relay->worker.input, relay->input.data, relay->input.length);

    if (size > 0)
        buffer_drop(&relay->input, (size_t)size);
    else if (size < 0 && errno != EAGAIN && errno != EINTR)
        relay_refuse_input(relay);
}

// Each failure of a call into the mount, for a person.
static void relay_explain(struct relay *relay)
{
    const struct worker_report *report = relay->worker.report;
    int error = report->error;

    if (report->stage == WORKER_NOTHING)
        relay_fail(relay, CODE_UNREACHABLE, "unreachable: the answer was cut off");
    else if (report->stage == WORKER_OPEN && error == ENOENT)
        relay_fail(relay, CODE_UNREACHABLE, "unreachable: there is no such sandbox");
    else if (report->stage == WORKER_OPEN && (error == EACCES || error == EPERM))
        relay_fail(relay, CODE_UNREACHABLE, "unreachable: no permission for the sandbox");
    else if (error == ENOTCONN || error == ECONNABORTED)
        relay_fail(relay, CODE_UNREACHABLE, "unreachable: the daemon is gone");
    else
        relay_fail(relay, CODE_UNREACHABLE, "unreachable: %s", strerror(error));
}

static void relay_read_answer(struct relay *relay)
{
    static char bytes[CHUNK_BYTES];
    ssize_t size = read(relay->worker.answer, bytes, sizeof bytes);
    int result;

    if (size < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (size <= 0) {
        relay_explain(relay);
        relay->is_answer_over = true;
        return;
    }
    result = answer_feed(&relay->answer, bytes, (size_t)size);
    if (result == -EFBIG)
        relay_fail(relay, CODE_UNREACHABLE, "its stdout is too large for a verdict");
    else if (result == -EPROTO)
        relay_fail(relay, CODE_UNREACHABLE, "unreachable: the answer is malformed");
    else if (result < 0)
        relay_fail(relay, CODE_UNREACHABLE, "%s", strerror(-result));
    relay->is_answer_over = result < 0 || relay->answer.is_done;
}

// A regular file takes any size at once. A pipe that is ready takes one page without a wait.
static size_t write_size(int fd, size_t size)
{
    struct stat status;

    if (size <= SAFE_WRITE_BYTES || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)))
        return size;
    return SAFE_WRITE_BYTES;
}

static void relay_pass_output(struct relay *relay, int fd, struct buffer *waiting)
{
    size_t written = 0;

    while (written < waiting->length) {
        ssize_t size =
            write(fd, waiting->data + written, write_size(fd, waiting->length - written));
        struct pollfd ready = {.fd = fd, .events = POLLOUT};

        if (size < 0 && errno != EINTR && errno != EAGAIN) {
            if (errno == EPIPE)
                relay->signal = SIGPIPE;
            relay_fail(relay, CODE_UNREACHABLE, "%s cannot be written: %s",
                       fd == STDOUT_FILENO ? "stdout" : "stderr", strerror(errno));
            break;
        }
        written += size > 0 ? (size_t)size : 0;
        if (size < 0 || poll(&ready, 1, 0) <= 0)
            break;
    }
    buffer_drop(waiting, written);
}

static void relay_set_polls(const struct relay *relay, struct pollfd polls[POLLS])
{
    bool is_gate = relay->protocol;
    bool has_room = relay->input.length < CHUNK_BYTES;
    bool may_read =
        is_gate || (relay->out.length < WAITING_BYTES && relay->err.length < WAITING_BYTES);
    bool wants_stdin = relay->is_stdin_open && (is_gate || !relay->is_input_refused);

    polls[POLL_STDIN] = (struct pollfd){wants_stdin && has_room ? STDIN_FILENO : -1, POLLIN, 0};
    polls[POLL_INPUT] =
        (struct pollfd){relay->input.length > 0 ? relay->worker.input : -1, POLLOUT, 0};
    polls[POLL_ANSWER] =
        (struct pollfd){relay->is_answer_over || !may_read ? -1 : relay->worker.answer, POLLIN, 0};
    // Without an event asked for, poll still tells that the reader is gone.
    polls[POLL_STDOUT] =
        (struct pollfd){STDOUT_FILENO, !is_gate && relay->out.length > 0 ? POLLOUT : 0, 0};
    polls[POLL_STDERR] =
        (struct pollfd){!is_gate && relay->err.length > 0 ? STDERR_FILENO : -1, POLLOUT, 0};
}

static void relay_check_end(struct relay *relay, const struct pollfd polls[POLLS])
{
    if (watch_signal()) {
        relay->signal = watch_signal();
        relay_fail(relay, 128 + relay->signal, "ended by SIG%s", sigabbrev_np(relay->signal));
    } else if (watch_left_ms() == 0) {
        // An outcome that came before the end of stdin does not count.
        relay_fail(relay, CODE_TIMEOUT,
                   relay->is_stdin_open && relay->protocol
                       ? "timeout: stdin did not end in time"
                       : "timeout: there was no answer in time");
    } else if (polls[POLL_STDOUT].revents & (POLLERR | POLLHUP)) {
        relay->signal = SIGPIPE;
        relay_fail(relay, 128 + SIGPIPE, "the reader of stdout is gone");
    } else {
        return;
    }
    relay->is_answer_over = true;
    relay->is_stdin_open = false; // nobody waits for its end now
}

static void relay_turn(struct relay *relay)
{
    struct pollfd polls[POLLS];

    relay_set_polls(relay, polls);
    if (poll(polls, POLLS, watch_left_ms()) < 0)
        memset(polls, 0, sizeof polls);
    relay_check_end(relay, polls);
    if (polls[POLL_STDIN].revents && relay->is_stdin_open)
        relay_read_stdin(relay);
    if (polls[POLL_INPUT].revents)
        relay_pass_input(relay);
    if (!relay->is_stdin_open && relay->input.length == 0 && relay->worker.input >= 0)
        close_fd(&relay->worker.input);
    if (polls[POLL_ANSWER].revents && !relay->is_answer_over)
        relay_read_answer(relay);
    if (polls[POLL_STDOUT].revents && !relay->protocol)
        relay_pass_output(relay, STDOUT_FILENO, &relay->out);
    if (polls[POLL_STDERR].revents)
        relay_pass_output(relay, STDERR_FILENO, &relay->err);
}

// A gate has to read its stdin to the end: some agents break when they cannot write it.
static bool relay_is_over(const struct relay *relay)
{
    if (relay->protocol)
        return relay->is_answer_over && !relay->is_stdin_open;
    return relay->signal || *relay->failure ||
           (relay->is_answer_over && relay->out.length == 0 && relay->err.length == 0);
}

// Mostly all of stdin is there already. Then the request is one write, and needs no pipe and no
// thread in the child. A gate waits for it: it says nothing before the end of stdin anyway.
static void relay_read_ahead(struct relay *relay)
{
    while (relay->is_stdin_open && relay->input.length < AHEAD_BYTES && !*relay->failure) {
        struct pollfd polls[POLLS];

        relay_set_polls(relay, polls);
        if (poll(polls, POLLS, relay->protocol ? watch_left_ms() : 0) < 0)
            memset(polls, 0, sizeof polls);
        relay_check_end(relay, polls);
        if (polls[POLL_STDIN].revents && relay->is_stdin_open)
            relay_read_stdin(relay);
        else if (!relay->protocol)
            break;
    }
}

static void relay_start(struct relay *relay, const char *path, const struct buffer *line)
{
    struct buffer head __attribute__((cleanup(buffer_finish))) = {0};
    size_t line_length;
    int result = 0;

    // The end of stdin needs no call of its own when its length is known.
    if (!relay->is_stdin_open)
        result = buffer_printf(&head, "--stdin=%zu ", relay->input.length);
    if (result == 0)
        result = buffer_append(&head, line->data, line->length);
    line_length = head.length;
    if (result == 0)
        result = buffer_append(&head, relay->input.data, relay->input.length);
    if (result == 0)
        result = worker_start(&relay->worker, path, head.data, head.length, line_length,
                              relay->is_stdin_open);
    buffer_drop(&relay->input, relay->input.length);
    if (result == 0)
        return;
    relay_fail(relay, CODE_UNREACHABLE, "the call cannot be started: %s", strerror(-result));
    relay->is_answer_over = true;
}

void relay_run(struct relay *relay, const char *path, const struct buffer *line)
{
    relay_read_ahead(relay);
    if (path && !*relay->failure) {
        relay_start(relay, path, line);
    } else {
        relay->is_input_refused = true;
        relay->is_answer_over = true;
    }
    while (!relay_is_over(relay))
        relay_turn(relay);
    worker_stop(&relay->worker);
}

int relay_write(int fd, const char *bytes, size_t size)
{
    uint64_t end_us = watch_elapsed_us() + (uint64_t)ANSWER_TIME_MS * 1000;
    int left = watch_left_ms();

    if (left < 0 || left > ANSWER_TIME_MS)
        end_us = left < 0 ? UINT64_MAX : watch_elapsed_us() + (uint64_t)left * 1000;
    while (size > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        ssize_t written;

        if (watch_elapsed_us() >= end_us)
            return -ETIMEDOUT;
        if (poll(&ready, 1, ANSWER_TIME_MS) <= 0)
            continue;
        written = write(fd, bytes, write_size(fd, size));
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        bytes += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}
