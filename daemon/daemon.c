// SPDX-License-Identifier: Apache-2.0
#include "daemon.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static int parent_fd = -1; // the parent waits for a byte on its other end

static _Noreturn void wait_for_child(pid_t child, int fd)
{
    char byte;
    int status;

    if (read(fd, &byte, 1) == 1)
        _exit(0);
    // The child ended before that, and has printed the reason.
    if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) != 0)
        _exit(WEXITSTATUS(status));
    _exit(1);
}

int daemon_fork(struct error *err)
{
    int fds[2];
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_set(err, errno, "cannot make a pipe: %s", strerror(errno));
    child = fork();
    if (child < 0) {
        close(fds[0]);
        close(fds[1]);
        return error_set(err, errno, "cannot fork: %s", strerror(errno));
    }
    if (child > 0) {
        close(fds[1]);
        wait_for_child(child, fds[0]);
    }
    close(fds[0]);
    parent_fd = fds[1];
    setsid();
    return 0;
}

void daemon_detach(void)
{
    int fd;

    if (parent_fd < 0)
        return;
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        close(fd);
    }
    if (write(parent_fd, "", 1) < 0) {
        // The parent was killed. The daemon serves all the same.
    }
    close_fd(&parent_fd);
}

int daemon_open_standard_fds(void)
{
    int fd;

    // open returns the lowest free number.
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

void daemon_notify(const char *state)
{
    static struct sockaddr_un address = {.sun_family = AF_UNIX};
    static socklen_t length; // 0: there is no service manager
    const char *path = getenv("NOTIFY_SOCKET");
    AUTO_CLOSE int fd = -1;

    // Commands must not inherit the variable: they are not the service.
    if (path && *path && strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
        length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
        if (*path == '@')
            address.sun_path[0] = '\0'; // an abstract socket
    }
    unsetenv("NOTIFY_SOCKET");
    if (!length || !*state)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 &&
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length) < 0) {
        // The service manager does not listen. There is nothing to do about it.
    }
}
