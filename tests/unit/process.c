// SPDX-License-Identifier: Apache-2.0
// sandbox/local/process.c, with real children: how they begin, talk and end.
#include "world.h"

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct loop *loop;

// A child and all that was noticed of it.
static struct {
    struct process *process;
    struct buffer out[JOB_STREAMS];
    bool is_unstarted;
    enum channel_stage stage;
    int errnum;
    bool has_exited;
    bool is_signaled;
    int number;
    unsigned stdin_calls;
    bool is_in_start;
} child;

static void on_unstarted(void *data, enum channel_stage stage, int errnum)
{
    ck_assert_ptr_eq(data, &child);
    ck_assert(!child.is_in_start && !child.is_unstarted && !child.has_exited);
    child.is_unstarted = true;
    child.stage = stage;
    child.errnum = errnum;
    loop_stop(loop);
}

static void on_stdin(void *data)
{
    ck_assert_ptr_eq(data, &child);
    child.stdin_calls++;
    loop_stop(loop);
}

static void on_output(void *data, enum job_stream stream)
{
    char chunk[4096];
    ssize_t count = process_read(child.process, stream, chunk, sizeof chunk);

    ck_assert_ptr_eq(data, &child);
    if (count > 0)
        buffer_append(&child.out[stream], chunk, (size_t)count);
    else
        ck_assert(count == 0 || count == -EAGAIN);
    loop_stop(loop);
}

static void on_exit_of_child(void *data, bool is_signaled, int number)
{
    ck_assert_ptr_eq(data, &child);
    ck_assert(!child.is_in_start && !child.has_exited);
    child.has_exited = true;
    child.is_signaled = is_signaled;
    child.number = number;
    loop_stop(loop);
}

static const struct channel_events events = {on_unstarted, on_stdin, on_output, on_exit_of_child};

static char *const plain_env[] = {(char *)"PATH=/usr/bin:/bin", NULL};

static void start_with(struct process_spec spec)
{
    struct error err = {0};

    signal(SIGPIPE, SIG_IGN); // as the daemon does
    loop = loop_create(NULL);
    if (!spec.env)
        spec.env = plain_env;
    child.is_in_start = true;
    child.process = process_start(loop, &spec, &events, &child, &err);
    child.is_in_start = false;
    ck_assert_msg(child.process != NULL, "%s", err.code ? error_message(&err) : "");
}

static void start(const char *script)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL};
    start_with((struct process_spec){.argv = argv});
}

static bool is_closed(void)
{
    return process_has_ended(child.process, JOB_STDOUT) &&
           process_has_ended(child.process, JOB_STDERR);
}

static void wait_exit(void)
{
    while (!child.has_exited || !is_closed())
        loop_run(loop);
}

static void wait_output(const char *text)
{
    while (child.out[0].length < strlen(text))
        loop_run(loop);
    ck_assert_int_eq(memcmp(child.out[0].data, text, strlen(text)), 0);
}

static void end(void)
{
    process_destroy(child.process);
    world_end(loop);
    ck_assert_uint_eq(process_ending_count(geteuid()), 0);
    buffer_finish(&child.out[0]);
    buffer_finish(&child.out[1]);
}

static void ck_out(const char *text)
{
    buffer_append(&child.out[0], "", 1);
    ck_assert_str_eq(child.out[0].data, text);
}

START_TEST(echoes)
{
    start("cat; echo err >&2");
    ck_assert(process_is_writable(child.process));
    ck_assert_int_eq(process_write(child.process, "hello\n", 6), 6);
    wait_output("hello\n");
    ck_assert(!child.has_exited);
    process_end_stdin(child.process);
    process_end_stdin(child.process);
    wait_exit();
    ck_out("hello\n");
    ck_assert_uint_eq(child.out[1].length, 4);
    ck_assert(!child.is_unstarted && !child.is_signaled);
    ck_assert_int_eq(child.number, 0);
    ck_assert_int_eq(process_read(child.process, JOB_STDOUT, (char[1]){0}, 1), 0);
    ck_assert_int_eq(process_write(child.process, "x", 1), -EPIPE);
    end();
}
END_TEST

// clang-format off
static const struct {
    const char *script;
    bool is_signaled;
    int number;
} endings[] = {
    {"exit 0", false, 0},
    {"exit 1", false, 1},
    {"exit 3", false, 3},
    {"exit 127", false, 127},
    {"exit 255", false, 255},
    {"exit 128", false, 128},
    {"kill -KILL $$", true, SIGKILL},
    {"kill -TERM $$", true, SIGTERM},
    {"kill -USR1 $$", true, SIGUSR1},
    {"ulimit -c 0; kill -SEGV $$", true, SIGSEGV},
};
// clang-format on

START_TEST(tells_how_it_ended)
{
    start(endings[_i].script);
    wait_exit();
    ck_assert(!child.is_unstarted);
    ck_assert_int_eq(child.is_signaled, endings[_i].is_signaled);
    ck_assert_int_eq(child.number, endings[_i].number);
    end();
}
END_TEST

// --- Commands that cannot be executed

static char directory[] = WORLD_PATH;

static const char *make_file(const char *name, const char *content, mode_t mode)
{
    static char path[200];
    int fd;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
    chmod(path, mode);
    return path;
}

static void make_directory(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    chmod(directory, 0755);
    make_file("unit-script", "#!/bin/sh\necho found\n", 0755);
    make_file("noformat", "echo a shell ran this\n", 0755);
    make_file("empty", "", 0755);
    make_file("plain", "#!/bin/sh\n", 0644);
    make_file("lost", "#!/nonexistent/interpreter\n", 0755);
    char path[200];
    snprintf(path, sizeof path, "%s/dir", directory);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/other", directory);
    mkdir(path, 0755);
    make_file("other/plain", "#!/bin/sh\necho other\n", 0755);
}

static void remove_directory(void)
{
    char command[200];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0); // NOLINT(cert-env33-c)
}

// clang-format off
static const struct {
    const char *command; // @ is the directory
    const char *path;
    int errnum; // 0: it runs and writes
    const char *out;
} executions[] = {
    {"nope-nope", "PATH=/usr/bin:/bin", ENOENT, NULL},
    {"@/nope", "PATH=/bin", ENOENT, NULL},
    {"@/plain", "PATH=/bin", EACCES, NULL},
    {"@/dir", "PATH=/bin", EACCES, NULL},
    {"@/plain/x", "PATH=/bin", ENOTDIR, NULL},
    {"@/noformat", "PATH=/bin", ENOEXEC, NULL},
    {"@/empty", "PATH=/bin", ENOEXEC, NULL},
    {"@/lost", "PATH=/bin", ENOENT, NULL},
    {"@/unit-script", "PATH=/bin", 0, "found\n"},
    {"@/unit-script", NULL, 0, "found\n"},
    {"unit-script", "PATH=/bin", ENOENT, NULL},
    {"unit-script", "PATH=@", 0, "found\n"},
    {"unit-script", "PATH=/nonexistent:@:/bin", 0, "found\n"},
    {"unit-script", "PATH=/dev/null:@", 0, "found\n"}, // ENOTDIR is passed over
    {"unit-script", "PATH=/dev/null", ENOENT, NULL},
    {"unit-script", "PATH=:@", 0, "found\n"},
    {"unit-script", "PATH=", ENOENT, NULL},
    {"unit-script", "XPATH=@", ENOENT, NULL},
    {"plain", "PATH=@", EACCES, NULL},
    {"plain", "PATH=@:/bin", EACCES, NULL},
    {"plain", "PATH=@:@/other", 0, "other\n"},
    {"noformat", "PATH=@", ENOEXEC, NULL},
    {"dir", "PATH=@", EACCES, NULL},
    {"true", NULL, 0, ""}, // without PATH there is a usual one
};
// clang-format on

static char *with_directory(const char *text)
{
    struct buffer result = {0};

    for (; *text; text++)
        if (*text == '@')
            buffer_printf(&result, "%s", directory);
        else
            buffer_append(&result, text, 1);
    return buffer_take_string(&result);
}

START_TEST(finds_the_command_or_says_why_not)
{
    // Valgrind cannot go on after this one's execve.
    if (strcmp(executions[_i].command, "@/lost") == 0 && getenv("HOOKSFS_VALGRIND"))
        return;
    make_directory();
    char *command = with_directory(executions[_i].command);
    char *path = executions[_i].path ? with_directory(executions[_i].path) : NULL;
    char *const argv[] = {command, NULL};
    char *const env[] = {path, NULL};
    setenv("PATH", directory, 1); // the child's PATH counts, not the daemon's
    start_with((struct process_spec){.argv = argv, .env = env});
    setenv("PATH", "/usr/bin:/bin", 1);
    while (!child.is_unstarted && (!child.has_exited || !is_closed()))
        loop_run(loop);
    remove_directory();
    ck_assert_int_eq(child.is_unstarted, executions[_i].errnum != 0);
    if (child.is_unstarted) {
        ck_assert_int_eq(child.stage, STAGE_EXEC);
        ck_assert_int_eq(child.errnum, executions[_i].errnum);
    } else {
        ck_assert_int_eq(child.number, 0);
        ck_out(executions[_i].out);
    }
    end();
    free(command);
    free(path);
}
END_TEST

// An empty part of PATH is the working directory.
START_TEST(finds_the_command_where_it_starts)
{
    char *const argv[] = {(char *)"unit-script", NULL};
    char *const env[] = {(char *)(_i == 0 ? "PATH=/nonexistent:" : "PATH=:/nonexistent"), NULL};

    make_directory();
    start_with((struct process_spec){.argv = argv, .env = env, .workdir = directory});
    wait_exit();
    remove_directory();
    ck_out("found\n");
    end();
}
END_TEST

START_TEST(finds_no_command_whose_path_is_too_long)
{
    char name[PATH_MAX];
    char *const argv[] = {name, NULL};

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    start_with((struct process_spec){.argv = argv});
    while (!child.is_unstarted)
        loop_run(loop);
    ck_assert_int_eq(child.stage, STAGE_EXEC);
    ck_assert_int_eq(child.errnum, ENOENT);
    end();
}
END_TEST

START_TEST(needs_its_working_directory)
{
    char *const argv[] = {(char *)"pwd", NULL};

    start_with((struct process_spec){.argv = argv, .workdir = "/nonexistent"});
    while (!child.is_unstarted)
        loop_run(loop);
    ck_assert_int_eq(child.stage, STAGE_WORKDIR);
    ck_assert_int_eq(child.errnum, ENOENT);
    end();
}
END_TEST

START_TEST(starts_in_its_working_directory)
{
    char *const argv[] = {(char *)"pwd", NULL};
    static const char *const workdirs[] = {NULL, "/", "/usr/bin"};

    for (size_t i = 0; i < COUNT(workdirs); i++) {
        memset(&child, 0, sizeof child);
        start_with((struct process_spec){.argv = argv, .workdir = workdirs[i]});
        wait_exit();
        ck_out(i == 2 ? "/usr/bin\n" : "/\n");
        end();
    }
}
END_TEST

// --- Descriptors, signals and rights of a child

START_TEST(has_exactly_this_environment)
{
    char *const argv[] = {(char *)"env", NULL};
    char *const env[] = {(char *)"PATH=/usr/bin:/bin", (char *)"A=x y", NULL};

    setenv("HOOKSFS_SECRET", "s", 1);
    start_with((struct process_spec){.argv = argv, .env = env});
    wait_exit();
    ck_out("PATH=/usr/bin:/bin\nA=x y\n");
    end();
}
END_TEST

START_TEST(inherits_no_descriptor)
{
    int leaks[2];

    ck_assert_int_eq(pipe(leaks), 0); // not close-on-exec
    ck_assert_int_ge(dup2(leaks[0], 200), 0);
    start("ls /proc/self/fd"); // 3 is ls's own
    wait_exit();
    ck_out("0\n1\n2\n3\n");
    end();
}
END_TEST

START_TEST(works_with_low_descriptors_closed)
{
    // As a daemon may be started: the pipes get the numbers 0 to 2.
    int saved = dup(STDERR_FILENO);

    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    start("cat; echo err >&2");
    ck_assert_int_eq(process_write(child.process, "hi", 2), 2);
    process_end_stdin(child.process);
    wait_exit();
    ck_assert_int_eq(child.number, 0);
    ck_out("hi");
    ck_assert_uint_eq(child.out[1].length, 4);
    end();
    dup2(saved, STDOUT_FILENO);
    close(saved);
}
END_TEST

START_TEST(has_clean_signals)
{
    sigset_t mask;

    for (int number = 1; number < SIGRTMIN; number++)
        signal(number, SIG_DFL); // some are ignored when a shell starts us in the background
    sigfillset(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    start("grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n0'");
    sigemptyset(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    wait_exit();
    ck_out("SigBlk:SigIgn:");
    end();
}
END_TEST

// SIGTERM ends a command also when the daemon was started with it ignored.
START_TEST(can_be_terminated_even_if_we_ignore_it)
{
    signal(SIGTERM, SIG_IGN);
    start("grep SigIgn /proc/self/status | tr -d '\\t\\n0'");
    wait_exit();
    signal(SIGTERM, SIG_DFL);
    ck_out("SigIgn:");
    end();
}
END_TEST

START_TEST(has_a_session_of_its_own)
{
    int pid;
    int group;
    int session;

    start("exec cat /proc/self/stat");
    wait_exit();
    buffer_append(&child.out[0], "", 1);
    ck_assert_int_eq(sscanf(child.out[0].data, "%d %*s %*c %*d %d %d", &pid, &group, &session), 3);
    ck_assert_int_eq(pid, group);
    ck_assert_int_eq(pid, session);
    ck_assert_int_ne(session, getsid(0));
    end();
}
END_TEST

START_TEST(takes_on_an_identity)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"id -u; id -g; id -G", NULL};
    gid_t groups[] = {54323, 54324};
    struct identity identity = {.uid = 54321, .gid = 54322, .groups = groups, .group_count = 2};

    if (geteuid() != 0)
        UNIT_SKIP("only root runs commands as somebody else");
    start_with((struct process_spec){.argv = argv, .identity = &identity});
    wait_exit();
    ck_out("54321\n54322\n54322 54323 54324\n");
    end();
}
END_TEST

START_TEST(reports_an_identity_it_cannot_have)
{
    char *const argv[] = {(char *)"true", NULL};
    struct identity identity = {.uid = 54321, .gid = 54322};

    if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        return;
    start_with((struct process_spec){.argv = argv, .identity = &identity});
    while (!child.is_unstarted)
        loop_run(loop);
    ck_assert_int_eq(child.stage, STAGE_IDENTITY);
    ck_assert_int_eq(child.errnum, EPERM);
    end();
}
END_TEST

// --- stdin

START_TEST(notices_a_closed_stdin)
{
    start("read x; exec 0<&-; echo closed; exec sleep 60");
    ck_assert_int_eq(process_write(child.process, "go\n", 3), 3);
    wait_output("closed\n");
    ck_assert_int_eq(process_write(child.process, "x", 1), -EPIPE);
    ck_assert_int_eq(process_write(child.process, "x", 1), -EPIPE);
    ck_assert_uint_eq(process_written(child.process), 3);
    ck_assert(process_is_writable(child.process)); // a write is possible, and fails
    process_signal(child.process, SIGKILL);
    wait_exit();
    end();
}
END_TEST

// It reads only after a line was written to a FIFO.
START_TEST(presses_back)
{
    char fifo[200];
    char script[300];
    char chunk[10000] = "";
    size_t total = 0;
    ssize_t count;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(fifo, sizeof fifo, "%s/f", directory);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    int gate = open(fifo, O_RDWR | O_CLOEXEC);
    snprintf(script, sizeof script, "read x < %s; exec wc -c", fifo);
    start(script);
    while ((count = process_write(child.process, chunk, sizeof chunk)) == sizeof chunk)
        total += (size_t)count;
    ck_assert_int_ge(count, 0);
    total += (size_t)count;
    ck_assert_uint_gt(total, 0);
    ck_assert_uint_eq(process_written(child.process), total);
    ck_assert(!process_is_writable(child.process));
    ck_assert_int_eq(process_write(child.process, chunk, sizeof chunk), 0);
    ck_assert_uint_eq(child.stdin_calls, 0);
    ck_assert_int_eq(write(gate, "go\n", 3), 3);
    while (child.stdin_calls == 0)
        loop_run(loop);
    ck_assert(process_is_writable(child.process));
    count = process_write(child.process, chunk, 1);
    ck_assert_int_eq(count, 1);
    process_end_stdin(child.process);
    wait_exit();
    buffer_append(&child.out[0], "", 1);
    ck_assert_uint_eq(strtoul(child.out[0].data, NULL, 10), total + 1);
    close(gate);
    unlink(fifo);
    rmdir(directory);
    end();
}
END_TEST

START_TEST(wakes_a_writer_when_stdin_is_closed)
{
    char chunk[10000] = "";

    // It reads nothing: each page that it read would wake the writer, too.
    start("exec sleep 60");
    while (process_write(child.process, chunk, sizeof chunk) > 0)
        ;
    process_signal(child.process, SIGKILL);
    while (child.stdin_calls == 0)
        loop_run(loop);
    ck_assert_int_eq(process_write(child.process, chunk, sizeof chunk), -EPIPE);
    wait_exit();
    end();
}
END_TEST

// --- Signals and the end

START_TEST(signals_the_whole_group)
{
    start("sleep 60 & echo started; wait");
    wait_output("started\n");
    process_signal(child.process, SIGTERM);
    wait_exit(); // the streams end only when sleep has
    ck_assert(child.is_signaled);
    ck_assert_int_eq(child.number, SIGTERM);
    end();
}
END_TEST

START_TEST(can_be_signalled_at_once)
{
    start("exec sleep 60");
    process_signal(child.process, SIGKILL);
    wait_exit();
    ck_assert(child.is_signaled);
    ck_assert_int_eq(child.number, SIGKILL);
    end();
}
END_TEST

static struct timer poll_timer;
static pid_t polled;

static void on_poll(void *data)
{
    (void)data;
    if (kill(polled, 0) < 0)
        loop_stop(loop);
    else
        loop_arm(loop, &poll_timer, 1);
}

START_TEST(is_reaped_after_it_was_destroyed)
{
    start("echo $$; exec cat");
    while (!child.out[0].length || child.out[0].data[child.out[0].length - 1] != '\n')
        loop_run(loop);
    polled = (pid_t)atoi(child.out[0].data);
    ck_assert_int_eq(kill(polled, 0), 0);
    ck_assert_uint_eq(process_ending_count(geteuid()), 0);
    kill(polled, SIGSTOP);          // otherwise it could end within process_destroy
    process_destroy(child.process); // closes its stdin, on which it ends
    ck_assert_uint_eq(process_ending_count(geteuid()), 1);
    ck_assert_uint_eq(process_ending_count(geteuid() + 1), 0);
    kill(polled, SIGCONT);
    poll_timer = (struct timer){.on_time = on_poll};
    loop_arm(loop, &poll_timer, 0);
    loop_run(loop);
    world_end(loop);
    buffer_finish(&child.out[0]);
}
END_TEST

// The memory that the child was given must last until the child has begun, even if the
// struct process is destroyed before that.
START_TEST(begins_though_it_was_destroyed)
{
    enum { CHILDREN = 50 };
    char path[sizeof WORLD_PATH];
    char script[sizeof "echo >>" + sizeof path];
    struct stat st;

    world_file(path, "", 0);
    snprintf(script, sizeof script, "echo >>%s", path);
    loop = loop_create(NULL);
    for (int i = 0; i < CHILDREN; i++) {
        char *argv[] = {(char *)"sh", (char *)"-c", strdup(script), NULL};
        struct process_spec spec = {.argv = argv, .env = plain_env};

        child.process = process_start(loop, &spec, &events, &child, NULL);
        memset(argv[2], 'x', strlen(argv[2]));
        free(argv[2]);
        ck_assert_ptr_nonnull(child.process);
        process_destroy(child.process);
        free(memset(malloc(sizeof script), 'x', sizeof script));
    }
    world_end(loop);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, CHILDREN);
    unlink(path);
}
END_TEST

static void destroy_on_output(void *data, enum job_stream stream)
{
    (void)data;
    (void)stream;
    process_signal(child.process, SIGKILL);
    process_destroy(child.process);
    child.has_exited = true;
    loop_stop(loop);
}

START_TEST(may_be_destroyed_in_a_callback)
{
    static const struct channel_events destroying = {on_unstarted, on_stdin, destroy_on_output,
                                                     on_exit_of_child};
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"echo a; echo b >&2; cat", NULL};
    struct process_spec spec = {.argv = argv, .env = plain_env};

    loop = loop_create(NULL);
    child.process = process_start(loop, &spec, &destroying, &child, NULL);
    while (!child.has_exited)
        loop_run(loop);
    world_end(loop);
}
END_TEST

START_TEST(leaves_no_descriptor_behind)
{
    int before = dup(0);
    int after;

    close(before);
    for (int i = 0; i < 20; i++) {
        memset(&child, 0, sizeof child);
        start(i % 2 ? "cat" : "exit 1");
        process_end_stdin(child.process);
        wait_exit();
        end();
    }
    after = dup(0);
    ck_assert_int_eq(before, after);
    close(after);
}
END_TEST

START_TEST(says_when_there_are_no_descriptors)
{
    char *const argv[] = {(char *)"true", NULL};
    struct process_spec spec = {.argv = argv, .env = plain_env};
    struct rlimit limit;
    struct error err = {0};
    int next;

    // Valgrind keeps this limit by itself, and does not see what clone opens.
    if (getenv("HOOKSFS_VALGRIND"))
        return;
    loop = loop_create(NULL);
    next = dup(0);
    close(next);
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int free_ones = 0; free_ones < 7; free_ones++) {
        limit.rlim_cur = (rlim_t)(next + free_ones);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        child.process = process_start(loop, &spec, &events, &child, &err);
        ck_assert_ptr_null(child.process);
        ck_assert_int_eq(err.code, EMFILE);
        error_finish(&err);
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_int_eq(dup(0), next); // the failures left nothing open
    close(next);
    child.process = process_start(loop, &spec, &events, &child, &err);
    ck_assert_ptr_nonnull(child.process);
    wait_exit();
    end();
}
END_TEST

int main(void)
{
    UNIT_RUN("process", ONCE(echoes), EACH(tells_how_it_ended, endings),
             EACH(finds_the_command_or_says_why_not, executions),
             {finds_the_command_where_it_starts, 2}, ONCE(finds_no_command_whose_path_is_too_long),
             ONCE(needs_its_working_directory), ONCE(starts_in_its_working_directory),
             ONCE(has_exactly_this_environment), ONCE(inherits_no_descriptor),
             ONCE(works_with_low_descriptors_closed), ONCE(has_clean_signals),
             ONCE(can_be_terminated_even_if_we_ignore_it), ONCE(has_a_session_of_its_own),
             ONCE(takes_on_an_identity), ONCE(reports_an_identity_it_cannot_have),
             ONCE(notices_a_closed_stdin), ONCE(presses_back),
             ONCE(wakes_a_writer_when_stdin_is_closed), ONCE(signals_the_whole_group),
             ONCE(can_be_signalled_at_once), ONCE(is_reaped_after_it_was_destroyed),
             ONCE(begins_though_it_was_destroyed), ONCE(may_be_destroyed_in_a_callback),
             ONCE(leaves_no_descriptor_behind), ONCE(says_when_there_are_no_descriptors));
}
