// SPDX-License-Identifier: Apache-2.0
#include "worker.h"

#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    ANSWER_FD = 0, // the child's ends of the pipes
    INPUT_FD = 1,
    READ_BYTES = 131072,
    INPUT_BYTES = 65536,
};

struct task {
    const char *path;
    const char *head;
    size_t length;
    size_t line_length; // of the command line at its beginning
    bool has_more;
    bool is_list;
    struct worker_report *report;
    int file;
};

// Only the first failure is kept: others follow from it. Two threads can come here, and either
// one's is right.
static void report_failure(struct worker_report *report, enum worker_stage stage)
{
    int error = errno;

    if (report->stage != WORKER_NOTHING)
        return;
    report->error = error;
    report->stage = (int)stage;
}

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

static void end_stdin(const struct task *task)
{
    if (fsync(task->file) < 0)
        report_failure(task->report, WORKER_END);
}

// The rest of the request, in a thread of its own: a command may answer before it has read it
// all. A refused write is no reason to stop reading, because the answer says why.
static void *pass_input(void *context)
{
    const struct task *task = context;
    static char bytes[INPUT_BYTES];

    if (write_all(task->file, task->head + task->line_length, task->length - task->line_length) < 0)
        goto failed;
    for (;;) {
        ssize_t size = read(INPUT_FD, bytes, sizeof bytes);

        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            break;
        if (write_all(task->file, bytes, (size_t)size) < 0)
            goto failed;
    }
    end_stdin(task);
    return NULL;

failed:
    report_failure(task->report, WORKER_WRITE);
    close(INPUT_FD);
    return NULL;
}

static void write_request(struct task *task)
{
    pthread_t thread;

    if (!task->has_more) {
        if (write_all(task->file, task->head, task->length) < 0)
            report_failure(task->report, WORKER_WRITE);
        return;
    }
    // A read before the command line is an error.
    if (write_all(task->file, task->head, task->line_length) < 0) {
        report_failure(task->report, WORKER_WRITE);
        return;
    }
    errno = pthread_create(&thread, NULL, pass_input, task);
    if (errno)
        report_failure(task->report, WORKER_WRITE);
    else
        pthread_detach(thread);
}

static void converse(struct task *task)
{
    static char bytes[READ_BYTES];

    task->file = open(task->path, O_RDWR | O_CLOEXEC);
    if (task->file < 0) {
        report_failure(task->report, WORKER_OPEN);
        return;
    }
    write_request(task);
    for (;;) {
        ssize_t size = read(task->file, bytes, sizeof bytes);

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            report_failure(task->report, WORKER_READ);
        if (size <= 0 || write_all(ANSWER_FD, bytes, (size_t)size) < 0)
            return;
    }
}

static void list(struct task *task)
{
    DIR *directory = opendir(task->path);
    struct dirent *entry;

    if (!directory) {
        report_failure(task->report, WORKER_OPEN);
        return;
    }
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.' &&
            write_all(ANSWER_FD, entry->d_name, strlen(entry->d_name) + 1) < 0)
            break;
    closedir(directory);
}

// Nothing of the caller's stays open here: an agent may wait until every copy of its pipes is
// closed.
static void take_pipes(int answer, int input)
{
    dup3(answer, ANSWER_FD, O_CLOEXEC);
    if (input >= 0)
        dup3(input, INPUT_FD, O_CLOEXEC);
    else
        close(INPUT_FD);
    if (close_range(INPUT_FD + 1, UINT32_MAX, 0) < 0)
        for (int fd = INPUT_FD + 1; fd < 1024; fd++)
            close(fd);
}

static _Noreturn void work(struct task *task, int answer, int input, pid_t parent)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        take_pipes(answer, input);
        if (task->is_list)
            list(task);
        else
            converse(task);
    }
    _exit(0);
}

static int start(struct worker *worker, struct task *task)
{
    AUTO_CLOSE int answer = -1;
    AUTO_CLOSE int input = -1;
    int pipes[2];
    pid_t parent = getpid();

    worker->input = worker->answer = -1;
    worker->report = mmap(NULL, sizeof *worker->report, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (worker->report == MAP_FAILED)
        return -errno;
    task->report = worker->report;
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return -errno;
    worker->answer = pipes[0];
    answer = pipes[1];
    if (task->has_more) {
        if (pipe2(pipes, O_CLOEXEC) < 0 || fcntl(pipes[1], F_SETFL, O_NONBLOCK) < 0)
            return -errno;
        input = pipes[0];
        worker->input = pipes[1];
    }
    worker->pid = fork();
    if (worker->pid < 0)
        return -errno;
    if (worker->pid == 0)
        work(task, answer, input, parent);
    return 0;
}

int worker_start(struct worker *worker, const char *path, const char *head, size_t length,
                 size_t line_length, bool has_more)
{
    struct task task = {.path = path,
                        .head = head,
                        .length = length,
                        .line_length = line_length,
                        .has_more = has_more};

    return start(worker, &task);
}

int worker_start_list(struct worker *worker, const char *path)
{
    struct task task = {.path = path, .is_list = true};

    return start(worker, &task);
}

void worker_stop(struct worker *worker)
{
    if (worker->pid > 0)
        kill(worker->pid, SIGKILL);
    worker->pid = 0;
    close_fd(&worker->input);
    close_fd(&worker->answer);
}
