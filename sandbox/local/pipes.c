// SPDX-License-Identifier: Apache-2.0
#include "pipes.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_pair(int pair[2])
{
    close_fd(&pair[0]);
    close_fd(&pair[1]);
}

void pipes_close(struct pipes *pipes)
{
    close_pair(pipes->in);
    close_pair(pipes->out);
    close_pair(pipes->err);
}

int pipes_open(struct pipes *pipes)
{
    *pipes = (struct pipes){
        {-1, -1},
        {-1, -1},
        {-1, -1}
    };
    if (pipe2(pipes->in, O_CLOEXEC) < 0 || pipe2(pipes->out, O_CLOEXEC) < 0 ||
        pipe2(pipes->err, O_CLOEXEC) < 0)
        return -errno;
    // O_NONBLOCK belongs to the open file: it is set for the daemon's ends only.
    if (fcntl(pipes->in[1], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(pipes->out[0], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(pipes->err[0], F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

void pipes_open_by_name(const struct pipes *pipes)
{
    // Without this right the command runs as well.
    (void)!fchmod(pipes->in[0], 0666);
    (void)!fchmod(pipes->out[1], 0666);
    (void)!fchmod(pipes->err[1], 0666);
}

bool pipe_widen(int fd, bool *is_wide)
{
    bool was_wide = *is_wide;

    *is_wide = true;
    return !was_wide && geteuid() == 0 && fcntl(fd, F_SETPIPE_SZ, PIPE_WIDTH) >= 0;
}

int pipes_memory_file(const char *bytes, size_t size, int *fd)
{
    size_t done = 0;

    *fd = -1;
    if (size == 0)
        return 0;
    *fd = memfd_create("hooksfs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return -errno;
    while (done < size) {
        ssize_t count = write(*fd, bytes + done, size - done);
        if (count < 0)
            return -errno;
        done += (size_t)count;
    }
    return fcntl(*fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0
               ? -errno
               : 0;
}

// The kernel sends the signal of O_ASYNC while it holds the lock of the pipe, and a reader
// needs that lock to learn of the end. PR_SET_PDEATHSIG comes too late for this: the kernel
// closes the files of a process first, and tells its children afterwards.
int pipes_guard(int fd, pid_t pid)
{
    return fcntl(fd, F_SETSIG, SIGKILL) < 0 || fcntl(fd, F_SETOWN, -pid) < 0 ||
                   fcntl(fd, F_SETFL, O_ASYNC) < 0
               ? -errno
               : 0;
}

void pipes_unguard(int fd)
{
    fcntl(fd, F_SETFL, 0);
    fcntl(fd, F_SETOWN, 0);
    fcntl(fd, F_SETSIG, 0);
}
