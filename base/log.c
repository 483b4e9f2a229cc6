// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include "buffer.h"
#include "cleanup.h"
#include "loop.h"
#include "text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

enum {
    // A pipe takes up to PIPE_BUF (4096) bytes at once when poll says that it is writable
    // (pipe(7)), so that writing a line of less than that never blocks.
    MAX_LINE = 2048,
    MAX_TEXT = MAX_LINE - 48, // 48 bytes are for the prefix and the newline
};

static struct {
    bool is_to_syslog;
    int syslog_fd; // -1: not connected
    unsigned lost;
} state = {.syslog_fd = -1};

unsigned log_modules;

const char *const debug_module_names[DEBUG_MODULES] = {
    [DEBUG_CONFIG] = "config", [DEBUG_CONNECTION] = "connection", [DEBUG_FUSE] = "fuse",
    [DEBUG_JOB] = "job",       [DEBUG_QUEUE] = "queue",
};

void log_init(unsigned modules)
{
    log_modules = modules;
}

// Returns the bits that the first LENGTH bytes of NAME stand for: one module, or all. 0: no
// module has this name.
static unsigned log_find_module(const char *name, size_t length)
{
    if (length == strlen("all") && strncmp(name, "all", length) == 0)
        return (1U << DEBUG_MODULES) - 1;
    for (unsigned i = 0; i < DEBUG_MODULES; i++)
        if (strlen(debug_module_names[i]) == length &&
            strncmp(debug_module_names[i], name, length) == 0)
            return 1U << i;
    return 0;
}

int log_parse_modules(const char *names, unsigned *modules, struct error *err)
{
    AUTO(buffer_finish) struct buffer known = {0};
    unsigned all = 0;
    unsigned found;

    for (const char *name = names;; name++) {
        size_t length = strcspn(name, ",");
        found = log_find_module(name, length);
        all |= found;
        name += length;
        if (!found || !*name)
            break;
    }
    if (found) {
        *modules |= all;
        return 0;
    }
    for (unsigned i = 0; i < DEBUG_MODULES; i++)
        buffer_printf(&known, "%s, ", debug_module_names[i]);
    return error_set(err, EINVAL, "'%s' has a word that is none of %.*sall", names,
                     (int)known.length, known.data ? known.data : "");
}

void log_to_syslog(void)
{
    state.is_to_syslog = true;
}

static bool log_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    close_fd(&state.syslog_fd);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return false;
    state.syslog_fd = take_fd(&fd);
    return true;
}

static bool log_send(int priority, const char *text)
{
    char line[MAX_LINE];
    int length = snprintf(line, sizeof line, "<%d>hooksfs[%d]: %s", LOG_DAEMON | priority,
                          (int)getpid(), text);

    if (state.syslog_fd < 0 && !log_connect())
        return false;
    if (send(state.syslog_fd, line, (size_t)length, MSG_NOSIGNAL) >= 0)
        return true;
    // If the system log was restarted, it has a new socket.
    return errno != EAGAIN && log_connect() &&
           send(state.syslog_fd, line, (size_t)length, MSG_NOSIGNAL) >= 0;
}

static bool log_write(int priority, const char *text)
{
    char line[MAX_LINE];
    int length;

    if (state.is_to_syslog)
        return log_send(priority, text);
    struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&writable, 1, 0) != 1 || !(writable.revents & POLLOUT))
        return false;
    length = snprintf(line, sizeof line, "hooksfs: %s\n", text);
    return write(STDERR_FILENO, line, (size_t)length) == length;
}

__attribute__((format(printf, 2, 0))) static void log_line(int priority, const char *format,
                                                           va_list args)
{
    char text[MAX_TEXT + 1];
    int saved_errno = errno;
    int length =
        vsnprintf(text, sizeof text, format, args); // NOLINT(clang-analyzer-valist.Uninitialized)

    if (length >= (int)sizeof text)
        text[text_whole(text, MAX_TEXT)] = '\0';
    text_make_line(text, MAX_TEXT);
    if (state.lost > 0) {
        char notice[64];
        snprintf(notice, sizeof notice, "%u log lines were lost", state.lost);
        if (log_write(LOG_WARNING, notice))
            state.lost = 0;
    }
    if (!log_write(priority, text))
        state.lost++;
    errno = saved_errno;
}

__attribute__((format(printf, 2, 3))) static void log_record(int priority, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(priority, format, args);
    va_end(args);
}

void log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(LOG_ERR, format, args);
    va_end(args);
}

void log_warning(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(LOG_WARNING, format, args);
    va_end(args);
}

void log_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(LOG_INFO, format, args);
    va_end(args);
}

bool log_take(struct log_budget *budget)
{
    uint64_t now = loop_now_ns() / 1000000000;

    if (now != budget->second && budget->dropped > 0)
        log_warning("%u more %s were not logged", budget->dropped, budget->what);
    if (now != budget->second)
        budget->logged = budget->dropped = 0;
    budget->second = now;
    if (budget->logged >= LOG_MOST_A_SECOND) {
        budget->dropped++;
        return false;
    }
    budget->logged++;
    return true;
}

void log_debug_line(enum debug_module module, const char *format, ...)
{
    char text[MAX_TEXT + 1];
    va_list args;

    va_start(args, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (module == DEBUG_FUSE) // libfuse's lines have their own form
        log_record(LOG_DEBUG, "%s", text);
    else
        log_record(LOG_DEBUG, "%s: %s", debug_module_names[module], text);
}
