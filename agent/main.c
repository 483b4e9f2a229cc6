// SPDX-License-Identifier: Apache-2.0
// hooksfs-agent runs commands for a daemon at the other end of stdin and stdout.
#include "agent.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int complain(const char *what)
{
    dprintf(STDERR_FILENO, "hooksfs-agent: %s: %s\n", what, strerror(errno));
    return EXIT_FAILURE;
}

// Otherwise a descriptor that is opened later would get one of these three numbers.
static bool has_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            return false;
    return true;
}

// A write to stdout must not block. The flag for that belongs to the open file, which
// other processes may share. So a pipe is opened once more, which makes an open file of the
// agent's own. Where that is not possible (a socket, another user's pipe), the flag is set on the
// shared open file, and *GIVEN_FLAGS becomes its old flags; otherwise it becomes -1.
static int make_output(int *given_flags)
{
    struct stat status;

    *given_flags = -1;
    if (fstat(STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode)) {
        AUTO_CLOSE int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0)
            return dup2(fd, STDOUT_FILENO) < 0 ? -errno : 0;
    }
    *given_flags = fcntl(STDOUT_FILENO, F_GETFL);
    if (*given_flags < 0 || fcntl(STDOUT_FILENO, F_SETFL, *given_flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

// Each command inherits the default dispositions from here; so it needs no call for each
// signal when it starts.
static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    // Supervisors report the ends of their jobs. Their own ends say nothing more, so the
    // kernel reaps them.
    signal(SIGCHLD, SIG_IGN);
    // It does not reap children that this process had before its execve.
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

static int serve(void)
{
    struct agent_spec spec = {.in_fd = STDIN_FILENO, .out_fd = STDOUT_FILENO, .env = environ};
    struct rlimit limit;
    int given_flags;
    int exit_code;

    if (!has_standard_streams())
        return complain("stdin, stdout and stderr must be open");
    if (make_output(&given_flags) < 0)
        return complain("stdout");
    reset_signals();
    prctl(PR_SET_NAME, "hooksfs-agent"); // it may have been executed by the name of a descriptor
    // From here on /proc/PID/fd is closed to the commands, and so is ptrace.
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return complain("prctl");
    if (getrlimit(RLIMIT_NOFILE, &spec.descriptors) < 0)
        return complain("getrlimit");
    limit = spec.descriptors;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    exit_code = agent_serve(&spec);
    if (given_flags >= 0)
        fcntl(STDOUT_FILENO, F_SETFL, given_flags);
    return exit_code;
}

int main(int argc, char **argv)
{
    static const char unlink_option[] = "--unlink";
    const char *own_file = NULL;

    if (argc == 2 && strcmp(argv[1], "--probe") == 0)
        return EXIT_SUCCESS;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("hooksfs-agent %s\n", HOOKSFS_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc == 3 && strncmp(argv[2], unlink_option, sizeof unlink_option - 1) == 0) {
        own_file = argv[2] + sizeof unlink_option - 1;
        own_file = *own_file == '=' ? own_file + 1 : *own_file ? NULL : argv[0];
    }
    if (argc < 2 || strcmp(argv[1], "--serve") != 0 || (argc > 2 && !own_file)) {
        dprintf(STDERR_FILENO, "usage: hooksfs-agent --serve [--unlink[=PATH]] | --probe | "
                               "--version\n");
        return 2;
    }
    if (own_file && unlink(own_file) < 0)
        return complain(own_file);
    return serve();
}
