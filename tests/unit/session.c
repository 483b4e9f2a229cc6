// SPDX-License-Identifier: Apache-2.0
// fs/session.c: messages of libfuse become lines of the log, with the right level. (The tests
// in tests/e2e mount.)
#include "unit.h"

#include "log.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct {
    enum fuse_log_level level;
    bool is_debug; // the daemon's -d
    const char *text;
    const char *line; // NULL: none
} messages[] = {
    {FUSE_LOG_ERR,     false, "fuse: bad\n",   "hooksfs: fuse: bad\n"  },
    {FUSE_LOG_EMERG,   false, "fuse: worse\n", "hooksfs: fuse: worse\n"},
    {FUSE_LOG_WARNING, false, "fuse: odd\n\n", "hooksfs: fuse: odd\n"  },
    {FUSE_LOG_INFO,    false, "fuse: a\nb",    "hooksfs: fuse: a b\n"  },
    {FUSE_LOG_DEBUG,   false, "unique: 2\n",   NULL                    },
    {FUSE_LOG_DEBUG,   true,  "unique: 2\n",   "hooksfs: unique: 2\n"  },
};

START_TEST(logs_what_libfuse_says)
{
    struct fs fs = {0};
    struct error err = {0};
    char got[200] = "";
    int pipe_fds[2];
    int saved = dup(STDERR_FILENO);

    log_init(messages[_i].is_debug ? 1U << DEBUG_FUSE : 0);
    ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
    // An unknown option: libfuse's message goes through the log as well.
    ck_assert_ptr_null(
        session_create(&fs, "source", "/nonexistent", "no-such-option", false, NULL, &err));
    ck_assert_int_gt(read(pipe_fds[0], got, sizeof got - 1), 0);
    ck_assert_ptr_nonnull(strstr(got, "no-such-option"));
    memset(got, 0, sizeof got);
    fuse_log(messages[_i].level, "%s", messages[_i].text);
    ssize_t count = read(pipe_fds[0], got, sizeof got - 1);
    dup2(saved, STDERR_FILENO);
    if (messages[_i].line)
        ck_assert_str_eq(got, messages[_i].line);
    else
        ck_assert_int_eq(count, -1);
    close(saved);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    ck_assert_int_eq(err.code, EINVAL);
    error_finish(&err);
}
END_TEST

int main(void)
{
    UNIT_RUN("session", EACH(logs_what_libfuse_says, messages));
}
