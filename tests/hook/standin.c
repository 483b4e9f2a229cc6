// SPDX-License-Identifier: Apache-2.0
// A file system that looks like hooksfs to hook(1), and misbehaves on request, in ways that no
// real daemon can be told to. It is mounted as type fuse.hooksfs.
//
// usage: standin MOUNTPOINT FOLDER
//
// Any sandbox is there. Those named open-ERRNO, with a number, fail at the open; hang-open,
// hang-write, hang-end and hang-read never answer that operation. In any other one the request
//
//     [--OPTION...] COMMAND [ARGUMENT...] <newline> stdin
//
// is answered, when stdin has ended, with the bytes of the file FOLDER/COMMAND, whatever they
// are. FOLDER/COMMAND.error has the errno of the read after them. With FOLDER/COMMAND.die the
// process ends itself there. With FOLDER/COMMAND.early the answer does not wait for stdin's end.
// The request is left in FOLDER/COMMAND.request.
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_REQUEST = 80 << 20, MAX_LINE = 65536 };

static const char *folder;

// One open `call`.
struct call {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    char sandbox[64];
    char line[MAX_LINE];
    size_t line_length;
    size_t length; // of the request
    bool is_ended;
    int answer; // the file; -1: not begun
    off_t offset;
};

static _Noreturn void hang(void)
{
    for (;;)
        pause();
}

static void hang_in(const struct call *call, const char *name)
{
    if (strcmp(call->sandbox, name) == 0)
        hang();
}

// The sandboxes that somebody has looked up. The I-th has the id FIRST_ID + 2 * I, and its `call`
// the id after that.
enum { FIRST_ID = 2, MAX_SANDBOXES = 64 };

static char sandboxes[MAX_SANDBOXES][64];
static pthread_mutex_t sandboxes_mutex = PTHREAD_MUTEX_INITIALIZER;

static fuse_ino_t sandbox_id(const char *name)
{
    int i = 0;

    pthread_mutex_lock(&sandboxes_mutex);
    while (i < MAX_SANDBOXES - 1 && *sandboxes[i] && strcmp(sandboxes[i], name) != 0)
        i++;
    snprintf(sandboxes[i], sizeof *sandboxes, "%s", name);
    pthread_mutex_unlock(&sandboxes_mutex);
    return FIRST_ID + 2 * (fuse_ino_t)i;
}

static struct stat status_of(fuse_ino_t id)
{
    bool is_call = id >= FIRST_ID && (id - FIRST_ID) % 2;

    return (struct stat){.st_ino = id, .st_mode = is_call ? S_IFREG | 0666 : S_IFDIR | 0755};
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {0};

    if (parent != FUSE_ROOT_ID && strcmp(name, "call") == 0)
        entry.ino = parent + 1;
    else if (parent == FUSE_ROOT_ID && strcmp(name, "absent") != 0)
        entry.ino = sandbox_id(name);
    if (entry.ino == 0) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    entry.attr = status_of(entry.ino);
    fuse_reply_entry(request, &entry);
}

static void on_getattr(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
    struct stat status = status_of(id);

    (void)file;
    fuse_reply_attr(request, &status, 1);
}

static void on_readdir(fuse_req_t request, fuse_ino_t id, size_t size, off_t offset,
                       struct fuse_file_info *file)
{
    struct stat status = status_of(FIRST_ID);
    char bytes[64];
    size_t length;

    (void)id, (void)file;
    length = fuse_add_direntry(request, bytes, sizeof bytes, "local", &status, 1);
    fuse_reply_buf(request, bytes, offset > 0 || length > size ? 0 : length);
}

// libfuse 3.14 has no name for a stream, which can be written while it is read.
static void reply_stream(fuse_req_t request, struct call *call)
{
    struct fuse_open_out out = {.fh = (uint64_t)(uintptr_t)call,
                                .open_flags = FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE | FOPEN_STREAM};

    fuse_reply_buf(request, (const char *)&out, sizeof out);
}

static void on_open(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
    struct call *call = calloc(1, sizeof *call);
    int error = 0;

    (void)file;
    if (!call) {
        fuse_reply_err(request, ENOMEM);
        return;
    }
    strcpy(call->sandbox, sandboxes[(id - FIRST_ID) / 2]);
    hang_in(call, "hang-open");
    if (sscanf(call->sandbox, "open-%d", &error) == 1) {
        free(call);
        fuse_reply_err(request, error);
        return;
    }
    pthread_mutex_init(&call->mutex, NULL);
    pthread_cond_init(&call->changed, NULL);
    call->answer = -1;
    reply_stream(request, call);
}

static struct call *call_of(const struct fuse_file_info *file)
{
    return (struct call *)(uintptr_t)file->fh;
}

// The path of the file that goes with the command of CALL.
static void name_file(const struct call *call, const char *suffix, char *path, size_t size)
{
    char line[MAX_LINE], *rest = line, *word;

    memcpy(line, call->line, call->line_length);
    line[call->line_length] = '\0';
    line[strcspn(line, "\n")] = '\0';
    do
        word = strsep(&rest, " ");
    while (rest && (*word == '-' || strchr(word, '=')));
    snprintf(path, size, "%s/%s%s", folder, word, suffix);
}

static bool has_file(const struct call *call, const char *suffix)
{
    char path[MAX_LINE + 256];

    name_file(call, suffix, path, sizeof path);
    return access(path, F_OK) == 0;
}

static void on_write(fuse_req_t request, fuse_ino_t id, const char *bytes, size_t size,
                     off_t offset, struct fuse_file_info *file)
{
    struct call *call = call_of(file);
    size_t room = sizeof call->line - 1 - call->line_length;

    (void)id, (void)offset;
    hang_in(call, "hang-write");
    pthread_mutex_lock(&call->mutex);
    memcpy(call->line + call->line_length, bytes, size < room ? size : room);
    call->line_length += size < room ? size : room;
    call->length += size;
    if (call->line_length > 0 && memchr(call->line, '\n', call->line_length))
        pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->mutex);
    fuse_reply_write(request, size);
}

static void on_fsync(fuse_req_t request, fuse_ino_t id, int is_data, struct fuse_file_info *file)
{
    struct call *call = call_of(file);

    (void)id, (void)is_data;
    hang_in(call, "hang-end");
    pthread_mutex_lock(&call->mutex);
    call->is_ended = true;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->mutex);
    fuse_reply_err(request, 0);
}

// Whether stdin has come to its end: by fsync, or by its length in the option --stdin.
static bool is_stdin_over(const struct call *call)
{
    const char *end = memchr(call->line, '\n', call->line_length);
    size_t count;

    if (call->is_ended || !end)
        return call->is_ended;
    return sscanf(call->line, "--stdin=%zu ", &count) == 1 &&
           call->length >= (size_t)(end + 1 - call->line) + count;
}

static void keep_request(const struct call *call)
{
    char path[MAX_LINE + 256];
    FILE *kept;

    name_file(call, ".request", path, sizeof path);
    kept = fopen(path, "we");
    if (!kept)
        return;
    fwrite(call->line, 1, call->line_length, kept);
    fclose(kept);
}

static void begin_answer(struct call *call)
{
    char path[MAX_LINE + 256];

    while (!is_stdin_over(call) &&
           !(memchr(call->line, '\n', call->line_length) && has_file(call, ".early")))
        pthread_cond_wait(&call->changed, &call->mutex);
    keep_request(call);
    name_file(call, "", path, sizeof path);
    call->answer = open(path, O_RDONLY | O_CLOEXEC);
}

// The errno in FOLDER/COMMAND.error, or 0.
static int error_after(const struct call *call)
{
    char path[MAX_LINE + 256], text[16] = "";
    FILE *file;

    name_file(call, ".error", path, sizeof path);
    file = fopen(path, "re");
    if (!file)
        return 0;
    (void)!fread(text, 1, sizeof text - 1, file);
    fclose(file);
    return atoi(text);
}

static void on_read(fuse_req_t request, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
    struct call *call = call_of(file);
    static _Thread_local char bytes[1 << 20];
    ssize_t got;

    (void)id, (void)offset;
    hang_in(call, "hang-read");
    pthread_mutex_lock(&call->mutex);
    if (call->answer < 0)
        begin_answer(call);
    got = pread(call->answer, bytes, size < sizeof bytes ? size : sizeof bytes, call->offset);
    if (got > 0)
        call->offset += got;
    pthread_mutex_unlock(&call->mutex);
    if (got == 0 && has_file(call, ".die"))
        _exit(1);
    if (got == 0 && has_file(call, ".hang"))
        hang();
    if (got > 0)
        fuse_reply_buf(request, bytes, (size_t)got);
    else if (got < 0 || error_after(call) != 0)
        fuse_reply_err(request, got < 0 ? EIO : error_after(call));
    else
        fuse_reply_buf(request, NULL, 0);
}

static void on_release(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
    struct call *call = call_of(file);

    (void)id;
    if (call->answer >= 0)
        close(call->answer);
    free(call);
    fuse_reply_err(request, 0);
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = on_lookup,
    .getattr = on_getattr,
    .readdir = on_readdir,
    .open = on_open,
    .write = on_write,
    .fsync = on_fsync,
    .read = on_read,
    .release = on_release,
};

int main(int argc, char **argv)
{
    char options[] = "subtype=hooksfs,allow_other", dash_o[] = "-o";
    char *arguments[] = {argv[0], dash_o, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, arguments);
    struct fuse_loop_config *loop = fuse_loop_cfg_create();
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, NULL);

    if (argc != 3 || !session || !loop) {
        fprintf(stderr, "usage: standin MOUNTPOINT FOLDER\n");
        return 2;
    }
    folder = argv[2];
    if (fuse_session_mount(session, argv[1]) < 0)
        return 1;
    fuse_loop_cfg_set_max_threads(loop, 200);
    fuse_loop_cfg_set_idle_threads(loop, 200);
    return fuse_session_loop_mt(session, loop);
}
