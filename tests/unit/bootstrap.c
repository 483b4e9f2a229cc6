// SPDX-License-Identifier: Apache-2.0
// sandbox/remote/bootstrap.c: the script with every shell of this machine, up to the greeting
// of the agent; and containers that answer with something else.
#include "unit.h"

#include "bootstrap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OTHER_USER = 65534 };

static struct bootstrap bootstrap;
static struct buffer out;
static struct error err;

static void setup(void)
{
    ck_assert_int_eq(bootstrap_init(&bootstrap, &err), 0);
    ck_assert_uint_eq(strlen(bootstrap.key), WIRE_KEY);
    ck_assert_uint_eq(strlen(bootstrap.name), WIRE_KEY);
    ck_assert_str_ne(bootstrap.key, bootstrap.name);
}

static void finish(void)
{
    bootstrap_finish(&bootstrap);
    buffer_finish(&out);
    error_finish(&err);
}

// --- With real shells

// A shell that runs the script. Its TMPDIR is a folder of its own.
struct container {
    char folder[64];
    pid_t pid;
    int in_fd;
    int out_fd;
    struct buffer said; // frames of the agent, after the way in
    bool is_attacked;   // another user replaces the agent's file
};

// clang-format off
static const struct {
    const char *shell[3]; // in front of -c; "sh" is left out
} shells[] = {
    {{"dash"}},
    {{"bash"}},
    {{"bash", "--posix"}},
    {{"mksh"}},
    {{"busybox", "sh"}},
};
// clang-format on

// Is NAME one of the programs that can be started?
static bool is_installed(const char *name)
{
    char command[PATH_MAX];

    snprintf(command, sizeof command, "command -v %s >/dev/null", name);
    return system(command) == 0;
}

// Skips a test whose shell is not installed.
#define NEEDS_SHELL(index)                                                                         \
    do {                                                                                           \
        if (!is_installed(shells[index].shell[0]))                                                 \
            UNIT_SKIP("there is no %s here", shells[index].shell[0]);                              \
    } while (0)

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(path, 0755), 0);
}

static void become(int shell, const char *folder, int in, int output)
{
    struct words argv = {0};
    char *items[16];
    size_t count = 0;

    for (int i = 0; i < 3 && shells[shell].shell[i]; i++)
        items[count++] = (char *)shells[shell].shell[i];
    if (bootstrap_add_argv(&bootstrap, &argv) < 0)
        _exit(99);
    for (size_t i = 1; i < argv.count; i++)
        items[count++] = argv.items[i];
    items[count] = NULL;
    setenv("TMPDIR", folder, 1);
    dup2(in, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO); // the test does not look at stderr
    if (chdir("/") == 0)
        execvp(items[0], items);
    _exit(98);
}

static struct container enter(int shell)
{
    struct container container = {.folder = "/tmp/hooksfs-unit-XXXXXX"};
    int in[2];
    int output[2];

    setup();
    signal(SIGPIPE, SIG_IGN);
    ck_assert_ptr_nonnull(mkdtemp(container.folder));
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
    container.pid = fork();
    if (container.pid == 0)
        become(shell, container.folder, in[0], output[1]);
    close(in[0]);
    close(output[1]);
    container.in_fd = in[1];
    container.out_fd = output[0];
    fcntl(container.in_fd, F_SETFL, O_NONBLOCK);
    return container;
}

// Puts a program in the place of the agent in FOLDER, as an ordinary user, if there is a file.
static void replace_agent(const char *folder)
{
    char text[PATH_MAX];
    char name[NAME_MAX];
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        snprintf(name, sizeof name, ".hooksfs-%s", bootstrap.name);
        if (chdir(folder) < 0 || setgid(OTHER_USER) < 0 || setuid(OTHER_USER) < 0)
            _exit(EXIT_FAILURE);
        snprintf(text, sizeof text, "#!/bin/sh\n: >%s/executed\nexit 0\n", folder);
        if (access("replaced", F_OK) == 0 || rename(name, "replaced") < 0)
            _exit(EXIT_SUCCESS);
        write_file(".", name, text);
        // The script compares the size with the number in the daemon's first line.
        if (truncate(name, strtol(out.data, NULL, 10)) < 0)
            _exit(EXIT_FAILURE);
        _exit(EXIT_SUCCESS);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

// Passes bytes both ways until frames follow, or there is an error.
static int converse(struct container *container)
{
    char bytes[4096];
    size_t done = 0;
    ssize_t used = 0;

    while (!bootstrap.is_done && used >= 0) {
        struct pollfd fds[] = {
            {.fd = container->out_fd,                         .events = POLLIN },
            {.fd = done < out.length ? container->in_fd : -1, .events = POLLOUT}
        };
        ck_assert_int_gt(poll(fds, 2, 20000), 0);
        if (fds[1].revents) {
            if (container->is_attacked)
                replace_agent(container->folder);
            ssize_t count = write(container->in_fd, out.data + done, out.length - done);
            ck_assert_msg(count > 0, "%s", strerror(errno));
            done += (size_t)count;
        }
        if (!fds[0].revents)
            continue;
        ssize_t count = read(container->out_fd, bytes, sizeof bytes);
        ck_assert_msg(count > 0, "it ended");
        used = bootstrap_take(&bootstrap, bytes, (size_t)count, &out, &err);
        if (used >= 0)
            buffer_append(&container->said, bytes + used, (size_t)(count - used));
    }
    return used < 0 ? (int)used : 0;
}

static void leave(struct container *container)
{
    int status;
    char *command;

    close(container->in_fd);
    close(container->out_fd);
    ck_assert_int_eq(waitpid(container->pid, &status, 0), container->pid);
    ck_assert_int_gt(asprintf(&command, "test -z \"$(find %s -name '.hooksfs*')\" && rm -r %s",
                              container->folder, container->folder),
                     0);
    ck_assert_msg(system(command) == 0, "files are left in %s", container->folder);
    free(command);
    buffer_finish(&container->said);
    finish();
}

// Stores the first three words of PID's command line.
static void words_of(pid_t pid, char words[3][PATH_MAX])
{
    char path[64];
    char *line = NULL;
    size_t size = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_gt(getdelim(&line, &size, '\0', file), 0);
        snprintf(words[i], sizeof words[i], "%s", line);
    }
    free(line);
    fclose(file);
}

START_TEST(gets_in)
{
    NEEDS_SHELL(_i);
    struct container container = enter(_i);
    static char words[3][PATH_MAX];
    struct frame frame;
    uint32_t version;
    const char *text;
    size_t length;
    ssize_t parsed;
    char path[PATH_MAX];

    ck_assert_msg(converse(&container) == 0, "%s", err.code ? error_message(&err) : "");
    while ((parsed = frame_parse(container.said.data, container.said.length, FROM_AGENT, &frame)) ==
           0) {
        char bytes[256];
        ssize_t count = read(container.out_fd, bytes, sizeof bytes);
        ck_assert_int_gt(count, 0);
        buffer_append(&container.said, bytes, (size_t)count);
    }
    ck_assert_int_gt(parsed, 0);
    ck_assert_int_eq(frame.type, FRAME_HELLO);
    ck_assert(frame_parse_hello(&frame, &version, &text, &length));
    ck_assert_uint_eq(version, WIRE_VERSION);
    // The agent was executed from the file with the right name, and has unlinked it.
    words_of(container.pid, words);
    snprintf(path, sizeof path, "%s/.hooksfs-%s", container.folder, bootstrap.name);
    ck_assert_str_eq(words[0], "/proc/self/fd/5");
    ck_assert_str_eq(words[1], "--serve");
    ck_assert_str_eq(strchr(words[2], '=') + 1, path);
    ck_assert_int_eq(access(path, F_OK), -1);
    leave(&container);
}
END_TEST

START_TEST(executes_no_file_of_another_user)
{
    NEEDS_SHELL(_i);
    struct container container;
    char path[PATH_MAX];

    if (geteuid() != 0)
        UNIT_SKIP("only root can be another user");
    container = enter(_i);
    container.is_attacked = true;
    ck_assert_int_eq(chmod(container.folder, 0777), 0);
    ck_assert_msg(converse(&container) == 0, "%s", err.code ? error_message(&err) : "");
    snprintf(path, sizeof path, "%s/replaced", container.folder);
    ck_assert_int_eq(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/executed", container.folder);
    ck_assert_int_eq(access(path, F_OK), -1);
    leave(&container);
}
END_TEST

// Mounts a file system over FOLDER, for this test only.
static void mount_on(const char *folder, unsigned long flags, const char *options)
{
    ck_assert_int_eq(mount("none", folder, "tmpfs", flags, options), 0);
}

// Makes everything read-only but FOLDER.
static void make_alone(void)
{
    static const char *const others[] = {"/dev/shm", "/tmp", "/var/tmp", "/run", "/root"};

    for (size_t i = 0; i < COUNT(others); i++)
        if (access(others[i], F_OK) == 0)
            mount_on(others[i], MS_RDONLY, NULL);
}

// clang-format off
static const struct {
    unsigned long flags;
    const char *options;
    const char *reason;
} hurdles[] = {
    {MS_NOEXEC, NULL, "nothing can be executed in "},
    {0, "size=8k", " has no room for the agent"},
    {MS_RDONLY, NULL, "no directory of the container can be written"},
};
// clang-format on

// Can this process have a mount namespace of its own? Only root can, and not in a folder that
// became the root by chroot alone.
static bool can_mount(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

// Tries all rows with one shell, in a mount namespace whose root is read-only.
START_TEST(says_why_it_does_not_get_in)
{
    int shell = _i / (int)COUNT(hurdles);
    int hurdle = _i % (int)COUNT(hurdles);
    char folder[] = "/mnt/hooksfs-unit-XXXXXX";
    struct container container = {.in_fd = -1};
    int in[2];
    int output[2];

    NEEDS_SHELL(shell);
    if (!can_mount())
        UNIT_SKIP("no mounts of its own here");
    setup();
    signal(SIGPIPE, SIG_IGN);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
    container.pid = fork();
    if (container.pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("/", "/", NULL, MS_BIND | MS_REC, NULL) < 0 || chroot("/") < 0)
            _exit(97);
        mount_on(folder, hurdles[hurdle].flags, hurdles[hurdle].options);
        make_alone();
        setenv("HOME", folder, 1);
        if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
            _exit(96);
        become(shell, folder, in[0], output[1]);
    }
    close(in[0]);
    close(output[1]);
    container.in_fd = in[1];
    container.out_fd = output[0];
    fcntl(container.in_fd, F_SETFL, O_NONBLOCK);
    ck_assert_int_eq(converse(&container), -EPROTO);
    ck_assert_msg(strstr(error_message(&err), hurdles[hurdle].reason), "%s", error_message(&err));
    close(container.in_fd);
    close(container.out_fd);
    ck_assert_int_eq(waitpid(container.pid, NULL, 0), container.pid);
    ck_assert_int_eq(rmdir(folder), 0);
    finish();
}
END_TEST

// Only for shells that look for uname in PATH. busybox has its own.
START_TEST(asks_for_the_machine_first)
{
    NEEDS_SHELL(_i);
    struct container container;
    char folder[] = "/tmp/hooksfs-unit-XXXXXX";
    char path[PATH_MAX];

    ck_assert_ptr_nonnull(mkdtemp(folder));
    write_file(folder, "uname", "#!/bin/sh\necho vax\n");
    snprintf(path, sizeof path, "%s:%s", folder, getenv("PATH"));
    setenv("PATH", path, 1);
    container = enter(_i);
    ck_assert_int_eq(converse(&container), -EPROTO);
    ck_assert_str_eq(error_message(&err),
                     "the container is vax, and this hooksfs has no agent for that machine");
    ck_assert_uint_eq(out.length, 0); // nothing was sent
    leave(&container);
    snprintf(path, sizeof path, "%s/uname", folder);
    unlink(path);
    rmdir(folder);
}
END_TEST

START_TEST(asks_for_its_tools_first)
{
    NEEDS_SHELL(_i);
    struct container container;
    char link[] = "/tmp/hooksfs-unit-XXXXXX";
    char target[PATH_MAX];
    char path[PATH_MAX];
    const char *name = shells[_i].shell[0];

    // Only the shell is in PATH.
    ck_assert_ptr_nonnull(mkdtemp(link));
    snprintf(target, sizeof target, "/bin/%s", name);
    snprintf(path, sizeof path, "%s/%s", link, name);
    ck_assert_int_eq(symlink(target, path), 0);
    setenv("PATH", link, 1);
    container = enter(_i);
    ck_assert_int_eq(converse(&container), -EPROTO);
    ck_assert_str_eq(error_message(&err), "the container has no head");
    setenv("PATH", "/bin:/usr/bin", 1);
    leave(&container);
    unlink(path);
    rmdir(link);
}
END_TEST

// A profile that writes to stdout, and a file that has the agent's name already and must not
// be touched.
START_TEST(passes_over_what_others_say)
{
    NEEDS_SHELL(_i);
    static const char noise[] = "Welcome!\n\n";
    struct container container = enter(_i);

    ck_assert_int_eq(bootstrap_take(&bootstrap, noise, sizeof noise - 1, &out, &err),
                     (ssize_t)sizeof noise - 1);
    ck_assert_int_eq(converse(&container), 0);
    leave(&container);
}
END_TEST

START_TEST(does_not_touch_a_file_that_is_there)
{
    NEEDS_SHELL(_i);
    struct container container = enter(_i);
    char name[WIRE_KEY + 16];
    char path[PATH_MAX];
    struct stat status;

    // The shell waits for its first line: so the file is there before the shell looks.
    snprintf(name, sizeof name, ".hooksfs-%s", bootstrap.name);
    write_file(container.folder, name, "mine");
    snprintf(path, sizeof path, "%s/%s", container.folder, name);
    ck_assert_int_eq(converse(&container), 0); // the script takes the next directory
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_size, 4);
    unlink(path);
    leave(&container);
}
END_TEST

// A connection that breaks in the middle of the agent says nothing of the container.
START_TEST(says_nothing_when_it_is_cut_off)
{
    NEEDS_SHELL(_i);
    struct container container = enter(_i);
    char bytes[4096];
    ssize_t count;
    size_t line = 0;

    // Up to `send`, whose answer is the agent; half of it is sent.
    while (out.length < 10000) {
        count = read(container.out_fd, bytes, sizeof bytes);
        ck_assert_int_gt(count, 0);
        ck_assert_int_eq(bootstrap_take(&bootstrap, bytes, (size_t)count, &out, &err), count);
        if (line == 0 && out.length > 0) {
            line = (size_t)((char *)memchr(out.data, '\n', out.length) + 1 - out.data);
            ck_assert_int_eq(write(container.in_fd, out.data, line), (ssize_t)line);
        }
    }
    ck_assert_int_gt(write(container.in_fd, out.data + line, 10000 - line), 0);
    close(container.in_fd);
    container.in_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while ((count = read(container.out_fd, bytes, sizeof bytes)) > 0)
        buffer_append(&container.said, bytes, (size_t)count);
    buffer_append(&container.said, "", 1);
    ck_assert_msg(!strstr(container.said.data, " none "), "%s", container.said.data);
    leave(&container);
}
END_TEST

// --- Hostile containers: %k stands for the key, and a NUL for itself

// clang-format off
#define TEXT(text) text, sizeof(text) - 1
static const struct {
    const char *text;
    size_t length;
    const char *error;  // NULL: no error
    const char *answer; // %n: the name, %b: the agent, %s: its size
    bool is_done;
} says[] = {
    {TEXT(""), NULL, "", false},
    {TEXT("hello\n"), NULL, "", false},
    {TEXT("%k arch x86_6"), NULL, "", false},
    {TEXT("%k arch %m\n"), NULL, "%s %n\n", false},
    {TEXT("hello\n%k arch %m\n"), NULL, "%s %n\n", false},
    {TEXT("%k arch %m\n%k send\n"), NULL, "%s %n\n%b", false},
    {TEXT("%k arch %m\n%k send\n%k sent\n"), NULL, "%s %n\n%b\n%n\n", false},
    {TEXT("%k arch %m\n%k send\n%k sent\n%k exec\nmore"), NULL, "%s %n\n%b\n%n\n", true},
    {TEXT("%k arch %m\n%k send\n%k sent\n%k send\n%k sent\n"), NULL, "%s %n\n%b\n%n\n%b\n%n\n", false},
    {TEXT("%k arch vax\n"), "the container is vax, and", "", false},
    {TEXT("%k arch \n"), "does not name the machine", "", false},
    {TEXT("%k arch %m x\n"), "no agent for that machine", "", false},
    {TEXT("%k arch %m\n%k arch %m\n"), "twice", "", false},
    {TEXT("%k send\n"), "the shell there says 'send'", "", false},
    {TEXT("%k sent\n"), "the shell there says 'sent'", "", false},
    {TEXT("%k exec\n"), "the shell there says 'exec'", "", false},
    {TEXT("%k arch %m\n%k sent\n"), "the shell there says 'sent'", "", false},
    {TEXT("%k arch %m\n%k send\n%k send\n"), "the shell there says 'send'", "", false},
    {TEXT("%k none the container has no head\n"), "the container has no head", "", false},
    {TEXT("%k none \n"), "", "", false},
    {TEXT("%k nonsense\n"), "the shell there says 'nonsense'", "", false},
    {TEXT("%k \n"), "the shell there says ''", "", false},
    {TEXT("%k\n"), NULL, "", false},
    {TEXT("%karch %m\n"), NULL, "", false},
    {TEXT(" %k arch %m\n"), NULL, "", false},
    {TEXT("%k arch %m\0\n"), NULL, "", false},
    {TEXT("\0\n%k arch %m\n"), NULL, "%s %n\n", false},
    {TEXT("0123456789abcdef0123456789abcdef arch %m\n"), NULL, "", false},
};
// clang-format on

static void expand(struct buffer *text, const char *format, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (format[i] != '%')
            buffer_append(text, &format[i], 1);
        else if (format[++i] == 'k')
            buffer_printf(text, "%s", bootstrap.key);
        else if (format[i] == 'n')
            buffer_printf(text, "%s", bootstrap.name);
        else if (format[i] == 'm')
            buffer_printf(text, "%s", agent_blobs[0].machine);
        else if (format[i] == 's')
            buffer_printf(text, "%zu", agent_blobs[0].size);
        else
            buffer_append(text, agent_blobs[0].bytes, agent_blobs[0].size);
}

// Takes all bytes at once, or one byte at a time.
static void take(int row, bool is_slow)
{
    struct buffer text = {0};
    struct buffer answer = {0};
    size_t done = 0;
    ssize_t used = 0;

    setup();
    expand(&text, says[row].text, says[row].length);
    expand(&answer, says[row].answer, strlen(says[row].answer));
    while (used >= 0 && done < text.length && !bootstrap.is_done) {
        used = bootstrap_take(&bootstrap, text.data + done, is_slow ? 1 : text.length - done, &out,
                              &err);
        done += used > 0 ? (size_t)used : 0;
    }
    ck_assert_int_eq(bootstrap.is_done, says[row].is_done);
    if (says[row].error) {
        ck_assert_int_eq(used, -EPROTO);
        ck_assert_msg(strstr(error_message(&err), says[row].error), "%s", error_message(&err));
    } else {
        ck_assert_int_ge(used, 0);
        ck_assert_uint_eq(done, text.length - (says[row].is_done ? strlen("more") : 0));
        ck_assert_uint_eq(out.length, answer.length);
        if (out.length > 0)
            ck_assert_int_eq(memcmp(out.data, answer.data, out.length), 0);
    }
    buffer_finish(&text);
    buffer_finish(&answer);
    finish();
}

START_TEST(takes_what_a_container_says)
{
    take(_i, false);
}
END_TEST

START_TEST(takes_it_byte_by_byte)
{
    take(_i, true);
}
END_TEST

// Otherwise a container could fill our memory with agents.
START_TEST(does_not_send_for_ever)
{
    struct buffer text = {0};
    ssize_t used;

    setup();
    expand(&text, "%k arch %m\n", strlen("%k arch %m\n"));
    for (int i = 0; i < 1000; i++)
        expand(&text, "%k send\n%k sent\n", strlen("%k send\n%k sent\n"));
    used = bootstrap_take(&bootstrap, text.data, text.length, &out, &err);
    ck_assert_int_eq(used, -EPROTO);
    ck_assert_uint_lt(out.length, 16 * agent_blobs[0].size);
    buffer_finish(&text);
    finish();
}
END_TEST

// clang-format off
static const struct {
    const char *piece;
    size_t times;
} floods[] = {
    {"x", 100000},
    {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", 1000},
    {"%k arch ", 1000},
};
// clang-format on

START_TEST(does_not_listen_for_ever)
{
    struct buffer text = {0};
    ssize_t used = 0;

    setup();
    expand(&text, floods[_i].piece, strlen(floods[_i].piece));
    for (size_t i = 0; i < floods[_i].times && used >= 0; i++)
        used = bootstrap_take(&bootstrap, text.data, text.length, &out, &err);
    ck_assert_int_eq(used, -EPROTO);
    ck_assert_str_eq(error_message(&err),
                     "the shell there writes much, and nothing about an agent");
    ck_assert_uint_lt(bootstrap.line.capacity, 64 * 1024);
    buffer_finish(&text);
    finish();
}
END_TEST

START_TEST(draws_other_secrets_each_time)
{
    struct bootstrap other = {0};

    setup();
    ck_assert_int_eq(bootstrap_init(&other, &err), 0);
    ck_assert_str_ne(bootstrap.key, other.key);
    ck_assert_str_ne(bootstrap.name, other.name);
    ck_assert_uint_eq(strspn(other.key, "0123456789abcdef"), WIRE_KEY);
    bootstrap_finish(&other);
    finish();
}
END_TEST

int main(void)
{
    const int shell_count = (int)COUNT(shells);

    UNIT_RUN("bootstrap", EACH(gets_in, shells), EACH(executes_no_file_of_another_user, shells),
             EACH(passes_over_what_others_say, shells),
             EACH(does_not_touch_a_file_that_is_there, shells),
             EACH(says_nothing_when_it_is_cut_off, shells),
             {asks_for_the_machine_first, shell_count - 1},
             {asks_for_its_tools_first, shell_count - 1}, EACH(takes_what_a_container_says, says),
             EACH(takes_it_byte_by_byte, says), ONCE(does_not_send_for_ever),
             EACH(does_not_listen_for_ever, floods), ONCE(draws_other_secrets_each_time),
             {says_why_it_does_not_get_in, shell_count * (int)COUNT(hurdles)});
}
