// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include "cleanup.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

// A pipe takes up to PIPE_BUF (4096) bytes at once when poll says it is
// writable (pipe(7)), so a line below that never blocks.
enum { MAX_LINE = 2048 };

static struct {
    bool is_debug;
    bool is_to_syslog;
    int syslog_fd; // -1: not connected
    unsigned lost;
} state = {.syslog_fd = -1};

void log_init(bool debug)
{
    state.is_debug = debug;
}

void log_to_syslog(void)
{
    state.is_to_syslog = true;
}

static bool connect_syslog(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    close_fd(&state.syslog_fd);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return false;
    state.syslog_fd = take_fd(&fd);
    return true;
}

static bool send_line(int priority, const char *text)
{
    char line[MAX_LINE];
    int length = snprintf(line, sizeof line, "<%d>hooksfs[%d]: %s", LOG_DAEMON | priority,
                          (int)getpid(), text);

    if (length >= (int)sizeof line)
        length = sizeof line - 1;
    if (state.syslog_fd < 0 && !connect_syslog())
        return false;
    if (send(state.syslog_fd, line, (size_t)length, MSG_NOSIGNAL) >= 0)
        return true;
    // Whoever read there may have been started anew, with a new socket.
    return errno != EAGAIN && connect_syslog() &&
           send(state.syslog_fd, line, (size_t)length, MSG_NOSIGNAL) >= 0;
}

static bool write_line(int priority, const char *text)
{
    char line[MAX_LINE];
    int length;

    if (state.is_to_syslog)
        return send_line(priority, text);
    struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&writable, 1, 0) != 1 || !(writable.revents & POLLOUT))
        return false;
    length = snprintf(line, sizeof line - 1, "hooksfs: %s", text);
    if (length >= (int)sizeof line - 1)
        length = sizeof line - 2;
    line[length++] = '\n';
    return write(STDERR_FILENO, line, (size_t)length) == length;
}

__attribute__((format(printf, 2, 0))) static void log_line(int priority, const char *format,
                                                           va_list args)
{
    char text[MAX_LINE];
    int saved_errno = errno;

    vsnprintf(text, sizeof text, format, args); // NOLINT(clang-analyzer-valist.Uninitialized)
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    if (state.lost > 0) {
        char notice[64];
        snprintf(notice, sizeof notice, "%u log lines were lost", state.lost);
        if (write_line(LOG_WARNING, notice))
            state.lost = 0;
    }
    if (!write_line(priority, text))
        state.lost++;
    errno = saved_errno;
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

void log_debug(const char *format, ...)
{
    va_list args;
    if (!state.is_debug)
        return;
    va_start(args, format);
    log_line(LOG_DEBUG, format, args);
    va_end(args);
}
