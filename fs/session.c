// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include "buffer.h"
#include "cleanup.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <sys/epoll.h>

enum {
    REQUESTS_A_TURN = 16,  // then other events of the loop get their turn
    MAX_BACKGROUND = 4096, // asynchronous reads that the kernel lets wait at once
    PAUSE_MS = 10,         // the time until the next try when there is no memory
};

struct session {
    struct fs *fs;
    struct fuse_session *fuse;
    struct watch watch;
    struct fuse_buf buffer; // libfuse allocates it, once
    struct timer resume;    // ends a pause
    void (*on_end)(void *data);
};

static void on_init(void *data, struct fuse_conn_info *conn)
{
    struct fs *fs = data;

    // FUSE_CAP_ASYNC_DIO stays on: without it the kernel does not move the position of an
    // asynchronous read on, and io_uring, which repeats a short read for the rest, would
    // read the same bytes again and again. With it the kernel sends the parts of a large
    // asynchronous read or write side by side (see ops_read.c and ops_write.c).
    // With it the kernel sets the inode's size to 0 itself (see ops_setattr).
    conn->want &= ~(unsigned)FUSE_CAP_ATOMIC_O_TRUNC;
    // libfuse gives the session up when this differs from its option.
    conn->max_read = fs->max_read;
    conn->max_background = MAX_BACKGROUND;
    conn->congestion_threshold = MAX_BACKGROUND;
    fs->on_init(fs->data);
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = ops_lookup,
    .forget = ops_forget,
    .forget_multi = ops_forget_multi,
    .getattr = ops_getattr,
    .setattr = ops_setattr,
    .mknod = ops_mknod,
    .mkdir = ops_mkdir,
    .unlink = ops_unlink,
    .rmdir = ops_rmdir,
    .symlink = ops_symlink,
    .rename = ops_rename,
    .link = ops_link,
    .open = ops_open,
    .read = ops_read,
    .write = ops_write,
    .release = ops_release,
    .fsync = ops_fsync,
    .readdir = ops_readdir,
    .statfs = ops_statfs,
    .poll = ops_poll,
    // There is no flush, because a flush has no meaning here (a shell closes its duplicate before
    // anything is written). Without this operation the kernel stops sending it.
};

// When libfuse has no memory for a request, it answers ENOMEM, which the caller sees. The
// operations here have no caller who could see an error. If one of them were lost, a slot would
// stay busy, or a command would wait for the end of its stdin, for ever.
static void session_let_go(const struct fuse_buf *buffer)
{
    const struct fuse_in_header *request = buffer->mem;
    const void *argument = request + 1;
    const struct fuse_forget_one *forgets;

    switch (request->opcode) {
    case FUSE_RELEASE:
        ops_close(((const struct fuse_release_in *)argument)->fh, request->nodeid);
        break;
    case FUSE_FORGET:
        node_forget(request->nodeid, ((const struct fuse_forget_in *)argument)->nlookup);
        break;
    case FUSE_BATCH_FORGET:
        forgets = (const void *)((const struct fuse_batch_forget_in *)argument + 1);
        for (uint32_t i = 0; i < ((const struct fuse_batch_forget_in *)argument)->count; i++)
            node_forget(forgets[i].nodeid, forgets[i].nlookup);
        break;
    default:
        break;
    }
}

static void session_process(struct session *session)
{
    session->fs->has_let_go = false;
    fuse_session_process_buf(session->fuse, &session->buffer);
    if (!session->fs->has_let_go)
        session_let_go(&session->buffer);
}

// Reads no requests for a while; they stay in the kernel. If there is no memory for the timer
// either, the loop tries again at once.
static void session_pause(struct session *session)
{
    if (loop_arm(session->fs->loop, &session->resume, PAUSE_MS) == 0)
        loop_change(session->fs->loop, &session->watch, 0);
}

static void on_request(void *data, uint32_t events)
{
    struct session *session = data;

    (void)events;
    for (int i = 0; i < REQUESTS_A_TURN; i++) {
        int result = fuse_session_receive_buf(session->fuse, &session->buffer);
        if (result == -EAGAIN || result == -EINTR)
            return;
        if (result == -ENOMEM) {
            session_pause(session);
            return;
        }
        if (result <= 0) {
            // ENODEV: the mount is gone. libfuse has logged any other error.
            loop_unwatch(session->fs->loop, &session->watch);
            session->on_end(session->fs->data);
            return;
        }
        session_process(session);
    }
}

// With a negative offset this drops the kernel's attributes of the inode, and takes no lock that a
// process waiting for the daemon could hold.
static void on_directory_change(void *data, uint64_t id)
{
    struct session *session = data;
    fuse_lowlevel_notify_inval_inode(session->fuse, id, -1, 0);
}

static void on_resume(void *data)
{
    struct session *session = data;

    // There is memory for the timer, because it has only now been taken out of the heap.
    if (loop_change(session->fs->loop, &session->watch, EPOLLIN) < 0)
        loop_arm(session->fs->loop, &session->resume, PAUSE_MS);
}

__attribute__((format(printf, 2, 0))) static void log_fuse(enum fuse_log_level level,
                                                           const char *format, va_list args)
{
    char text[1024]; // on the stack, because the message may report a lack of memory

    vsnprintf(text, sizeof text, format, args);
    if (level <= FUSE_LOG_ERR)
        log_error("%s", text);
    else if (level <= FUSE_LOG_INFO)
        log_info("%s", text);
    else
        log_debug(DEBUG_FUSE, "%s", text);
}

// Adds "-o NAME=VALUE" with the commas and backslashes of VALUE escaped, as
// fuse_opt.h wants them.
static int add_escaped(struct fuse_args *args, const char *name, const char *value)
{
    AUTO(buffer_finish) struct buffer option = {0};
    AUTO_FREE char *text = NULL;

    buffer_printf(&option, "-o%s=", name);
    for (; *value; value++) {
        if (*value == ',' || *value == '\\')
            buffer_append(&option, "\\", 1);
        buffer_append(&option, value, 1);
    }
    text = buffer_take_string(&option);
    return text ? fuse_opt_add_arg(args, text) : -1;
}

static unsigned session_max_read(const char *options)
{
    static const char name[] = "max_read=";
    unsigned value = 0;

    for (const char *word = options; word && *word; word += strcspn(word, ",") + 1) {
        if (strncmp(word, name, sizeof name - 1) == 0)
            value = (unsigned)strtoul(word + sizeof name - 1, NULL, 10);
        if (!word[strcspn(word, ",")])
            break;
    }
    return value;
}

static int session_add_options(struct fuse_args *args, const char *source, const char *options,
                               bool is_debug)
{
    AUTO_FREE char *users = NULL;

    if (options && asprintf(&users, "-o%s", options) < 0) {
        users = NULL;
        return -1;
    }
    // The daemon's own options come last: of two contradicting options the last one counts, and
    // mount(8) adds suid and dev on its own.
    if (fuse_opt_add_arg(args, "hooksfs") < 0 || (users && fuse_opt_add_arg(args, users) < 0) ||
        add_escaped(args, "fsname", source) < 0 ||
        fuse_opt_add_arg(args, "-osubtype=hooksfs") < 0 ||
        fuse_opt_add_arg(args, "-onosuid,nodev,noexec,default_permissions") < 0)
        return -1;
    // Other users may come in where the permissions let them. Only root can always offer that; the
    // daemon of another user needs -o allow_other.
    if (geteuid() == 0 && fuse_opt_add_arg(args, "-oallow_other") < 0)
        return -1;
    return is_debug ? fuse_opt_add_arg(args, "-d") : 0;
}

static int session_start(struct session *session, const char *mountpoint, struct error *err)
{
    int fd;
    int flags;

    if (fuse_session_mount(session->fuse, mountpoint) < 0)
        return error_set(err, EIO, "%s: cannot mount there; what is above says why", mountpoint);
    fd = fuse_session_fd(session->fuse);
    flags = fcntl(fd, F_GETFL);
    session->watch = (struct watch){.fd = -1, .on_ready = on_request, .data = session};
    session->resume = (struct timer){.on_time = on_resume, .data = session};
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        loop_watch(session->fs->loop, &session->watch, fd, EPOLLIN) < 0) {
        fuse_session_unmount(session->fuse);
        return error_set(err, EIO, "cannot watch /dev/fuse");
    }
    return 0;
}

struct session *session_create(struct fs *fs, const char *source, const char *mountpoint,
                               const char *options, bool is_debug, void (*on_end)(void *data),
                               struct error *err)
{
    struct session *session = calloc(1, sizeof *session);
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

    fuse_set_log_func(log_fuse);
    if (!session || session_add_options(&args, source, options, is_debug) < 0) {
        error_set(err, ENOMEM, "no memory");
        goto fail;
    }
    session->fs = fs;
    fs->max_read = session_max_read(options);
    session->on_end = on_end;
    session->fuse = fuse_session_new(&args, &operations, sizeof operations, fs);
    if (!session->fuse) {
        error_set(err, EINVAL, "cannot use the mount options%s%s; what is above says why",
                  options ? " " : "", options ? options : "");
        goto fail;
    }
    if (session_start(session, mountpoint, err) < 0) {
        fuse_session_destroy(session->fuse);
        goto fail;
    }
    fs->session = session->fuse;
    tree_set_on_change(on_directory_change, session);
    fuse_opt_free_args(&args);
    return session;

fail:
    fuse_opt_free_args(&args);
    free(session);
    return NULL;
}

void session_destroy(struct session *session)
{
    if (!session)
        return;
    tree_set_on_change(NULL, NULL);
    loop_unwatch(session->fs->loop, &session->watch);
    loop_disarm(session->fs->loop, &session->resume);
    fuse_session_unmount(session->fuse);
    fuse_session_destroy(session->fuse);
    free(session->buffer.mem);
    free(session);
}
