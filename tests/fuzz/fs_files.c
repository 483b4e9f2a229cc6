// SPDX-License-Identifier: Apache-2.0
#include "cleanup.h"
#include "fs_kernel.h"
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

static struct file *pick(struct fuzz_input *input)
{
    unsigned start = fuzz_byte(input);

    for (unsigned i = 0; i < kernel_file_count; i++) {
        struct file *file = &kernel_files[(start + i) % kernel_file_count];
        if (file->is_open)
            return file;
    }
    return NULL;
}

struct model_call *kernel_call_of(struct file *file)
{
    return file->is_conversation ? &file->call : &file->dir->call;
}

// --- Open and close

static int expect_open(const struct inode *inode, int access, uid_t uid)
{
    static const mode_t wanted[] = {[O_RDONLY] = 04, [O_WRONLY] = 02, [O_RDWR] = 06};
    bool is_allowed = access == O_RDONLY;

    if (!inode->dir || inode->dir->is_removed)
        return ESTALE;
    if (inode->file == SLOT_REQUEST)
        is_allowed = access != O_RDONLY;
    else if (inode->file == SLOT_CALL)
        is_allowed = access == O_RDWR;
    else if (inode->file == SLOT_CTL)
        is_allowed = access == O_WRONLY;
    if (!is_allowed || !names_has_permission(inode, uid, wanted[access]) ||
        !names_may_enter(inode->dir->parent, uid))
        return EACCES;
    if (!names_is_single(inode))
        return 0;
    if (inode->is_claimed && inode->owner != uid)
        return EBUSY;
    if (inode->opens > 0)
        return inode->is_refused[uid != 0] ? EBUSY : ESTALE;
    if (kernel_is_ending)
        return ESHUTDOWN;
    return inode->file == SLOT_REQUEST && model_is_busy(inode->dir) ? EBUSY : 0;
}

// After ESTALE the caller looks the name up again, and gets another inode. A caller that cannot
// look it up gets EBUSY the second time.
static void refused(struct inode *inode, uid_t uid, int error)
{
    if (error != ESTALE || !names_is_single(inode) || inode->opens == 0)
        return;
    inode->is_refused[0] = inode->is_refused[1] = false;
    inode->is_refused[uid != 0] = true;
}

static void opened(struct file *file, unsigned kind)
{
    struct model_dir *dir = file->dir;
    struct model_dir *sandbox = dir->is_sandbox ? dir : dir->parent;

    file->is_open = true;
    file->inode->opens++;
    file->inode->owner = file->uid;
    file->inode->is_claimed = file->inode->is_handed_out = names_is_single(file->inode);
    dir->handles++;
    if (!names_is_single(file->inode))
        file->generation = dir->generation;
    else if (file->is_conversation)
        model_call_begin(&file->call, sandbox, true, file->uid, kind);
    else {
        dir->generation++;
        dir->has_writer = true;
        file->generation = dir->generation;
        model_call_begin(&dir->call, sandbox, false, file->uid, kind);
    }
}

// The last close.
static void closed(struct file *file)
{
    struct model_dir *dir = file->dir;

    file->is_open = false;
    file->is_polled = false;
    dir->handles--;
    dir->last_use_ms = world_now_ms;
    if (--file->inode->opens == 0)
        file->inode->is_handed_out = false;
    if (file->is_conversation)
        model_call_clear(&file->call);
    if (file->is_writer && file->generation == dir->generation) {
        dir->has_writer = false;
        model_call_end(&dir->call);
    }
}

static struct file *add_file(struct inode *inode, int access, uid_t uid, const char *reply)
{
    struct file *file = &kernel_files[kernel_file_count++];
    struct fuse_open_out out;

    memcpy(&out, reply, sizeof out);
    *file = (struct file){
        .fh = out.fh,
        .inode = inode,
        .dir = inode->dir,
        .file = inode->file,
        .flags = access,
        .uid = uid,
        .is_writer = inode->file == SLOT_REQUEST,
        .is_conversation = inode->file == SLOT_CALL,
    };
    WORLD_CHECK(out.open_flags & FOPEN_DIRECT_IO, "not direct_io");
    WORLD_CHECK(!(out.open_flags & FOPEN_STREAM) == !file->is_conversation, "seekable?");
    return file;
}

void files_open(struct fuzz_input *input)
{
    struct inode *inode = names_pick(input);
    unsigned choice = fuzz_byte(input);
    unsigned kind = fuzz_byte(input);
    enum slot_file file_in = (enum slot_file)(SLOT_REQUEST + (kind >> 4) % 6);
    uid_t uid = choice % 8 == 7 ? KERNEL_USER : 0;
    static const int natural[SLOT_FILES] = {0,        O_WRONLY, O_RDONLY, O_RDONLY,
                                            O_RDONLY, O_WRONLY, O_RDWR};
    int access;
    bool is_gone = (choice & 0x0f) == 0x0e;
    struct fuse_open_in arg;
    AUTO_FREE char *bytes = NULL;

    if (kernel_file_count == KERNEL_FILES)
        return;
    // The kernel opens directories in another way, so a file in the directory is opened.
    if (inode->file == SLOT_DIRECTORY && inode->dir)
        inode = names_find(inode, node_file_name(choice % 2 ? SLOT_REQUEST : file_in), uid, false);
    if (!inode || !inode->dir)
        return;
    access = (choice & 0x70) == 0 ? (int)(choice % 3) : natural[inode->file];
    if (inode->file == SLOT_REQUEST && choice & 0x80)
        access = O_RDWR;
    arg = (struct fuse_open_in){.flags = (uint32_t)access};
    world_trace("open %llx with %d by %u for line %u%s", (unsigned long long)inode->id, access, uid,
                kind, is_gone ? ", gone" : "");
    int expected = expect_open(inode, access, uid);
    struct reply reply = kernel_call(FUSE_OPEN, inode->id, uid, &arg, sizeof arg, NULL, 0, is_gone);
    bytes = reply.bytes;
    WORLD_CHECK(reply.error == expected, "error %d, not %d", reply.error, expected);
    refused(inode, uid, reply.error);
    if (reply.error)
        return;
    struct file *file = add_file(inode, access, uid, bytes);
    opened(file, kind);
    if (is_gone)
        closed(file);
}

void files_close(struct file *file)
{
    struct fuse_release_in arg = {.fh = file->fh, .flags = (uint32_t)file->flags};
    int error;

    world_trace("release of %llx", (unsigned long long)file->inode->id);
    error = kernel_ask(FUSE_RELEASE, file->inode->id, 0, &arg, sizeof arg, NULL, 0);
    WORLD_CHECK(error == 0, "error %d", error);
    closed(file);
}

void files_release(struct fuzz_input *input)
{
    struct file *file = pick(input);
    // The kernel does not close a file during a read or a write.
    if (file && !kernel_is_waiting(file))
        files_close(file);
}

// --- Requests that may wait

static struct pending *add_pending(struct file *file, bool is_write, size_t size, unsigned choice)
{
    struct pending *pending = &kernel_pending[kernel_pending_count++];

    *pending = (struct pending){
        .is_write = is_write,
        .file = file,
        .size = size,
        .is_gone = choice % 16 == 15,
        .is_nonblocking = choice % 4 == 2,
    };
    return pending;
}

static void send_pending(struct pending *pending, uint32_t opcode, const void *arg, size_t size,
                         const void *more, size_t more_size, bool is_interrupted)
{
    pending->unique = wire_send(opcode, pending->file->inode->id, 0, arg, size, more, more_size);
    if (is_interrupted)
        kernel_interrupt(pending);
    world_settle(0);
}

// Stdin of a conversation ends.
static void end_stdin(struct file *file)
{
    file->has_read = true;
    model_call_end(&file->call);
    file->end_error = file->call.phase == MODEL_REFUSED ? file->call.error
                      : file->call.phase == MODEL_EMPTY ? EINVAL
                                                        : 0;
}

void files_fsync(struct fuzz_input *input)
{
    struct file *file = pick(input);
    struct fuse_fsync_in arg = {0};
    int expected = 0;
    int error;

    if (!file)
        return;
    arg.fh = file->fh;
    world_trace("fsync of %llx", (unsigned long long)file->inode->id);
    if (file->is_conversation && !file->has_read)
        end_stdin(file);
    if (file->is_conversation)
        expected = file->end_error;
    error = kernel_ask(FUSE_FSYNC, file->inode->id, 0, &arg, sizeof arg, NULL, 0);
    WORLD_CHECK(error == expected, "error %d, not %d", error, expected);
}

void files_read(struct fuzz_input *input)
{
    struct file *file = pick(input);
    unsigned choice = fuzz_byte(input);
    unsigned where = fuzz_byte(input);
    unsigned size = fuzz_number16(input) % 8192 + 1;
    struct fuse_read_in arg;

    if (!file || kernel_pending_count == KERNEL_PENDING || (file->flags & O_ACCMODE) == O_WRONLY)
        return;
    struct pending *pending = add_pending(file, false, size, choice);
    pending->offset = where % 4 == 0 ? 0 : file->read_to;
    if (where % 4 == 3)
        pending->offset = where;
    if (file->is_conversation) {
        pending->is_later_part = where % 8 == 7;
        pending->offset = pending->is_later_part ? 1 << 20 : 0;
    }
    if (choice % 32 == 9)
        pending->error = EINVAL; // the kernel reads for itself
    if (file->file == SLOT_REQUEST)
        pending->error = EBADF;
    pending->ends_stdin = file->is_conversation && !pending->error && !pending->is_later_part &&
                          !file->has_read && !file->call.is_framed;
    arg = (struct fuse_read_in){
        .fh = file->fh,
        .offset = pending->offset,
        .size = size,
        .lock_owner = pending->error == EINVAL ? 0 : 1,
        .flags = (uint32_t)file->flags | (pending->is_nonblocking ? O_NONBLOCK : 0),
    };
    world_trace("read %u from %llu of %llx%s%s", size, (unsigned long long)arg.offset,
                (unsigned long long)file->inode->id, pending->is_nonblocking ? ", nonblocking" : "",
                pending->is_gone ? ", gone" : "");
    send_pending(pending, FUSE_READ, &arg, sizeof arg, NULL, 0, choice % 64 == 33);
    if (pending->ends_stdin)
        end_stdin(file);
}

char files_byte(const struct pending *pending, size_t index)
{
    return (char)(pending->unique * 29 + index * 131 + (index >> 8));
}

static void write_ctl(struct file *file, unsigned choice)
{
    static const char *const words[] = {"cancel", "cancel\n", "cancel\n", "kill\n", "cance"};
    const char *word = words[choice % 5];
    struct fuse_write_in arg = {.fh = file->fh, .size = (uint32_t)strlen(word)};
    struct reply reply;
    AUTO_FREE char *bytes = NULL;
    bool is_right = choice % 5 < 3;

    world_trace("write %s to ctl of %s", word, file->dir->name);
    reply =
        kernel_call(FUSE_WRITE, file->inode->id, 0, &arg, sizeof arg, word, strlen(word), false);
    bytes = reply.bytes;
    WORLD_CHECK(reply.error == (is_right ? 0 : EINVAL), "error %d", reply.error);
    if (is_right)
        model_cancel(file->dir);
}

static bool has_earlier_write(const struct file *file, const struct pending *before)
{
    for (const struct pending *pending = kernel_pending; pending < before; pending++)
        if (pending->is_write &&
            kernel_call_of(pending->file) == kernel_call_of((struct file *)(uintptr_t)file))
            return true;
    return false;
}

uint64_t files_written(const struct file *file)
{
    uint64_t written = file->written;

    for (unsigned i = 0; i < kernel_pending_count; i++) {
        const struct pending *pending = &kernel_pending[i];
        if (pending->file == file && pending->is_write && !pending->error)
            written += pending->hole - pending->hole_left + pending->size - pending->left;
    }
    return written;
}

// Chooses the offset of a write of a request: at the end, further on or back, or anywhere with
// O_APPEND.
static void place_write(struct pending *pending, struct fuse_write_in *arg, unsigned choice)
{
    struct file *file = pending->file;
    const struct model_call *call = kernel_call_of(file);

    arg->offset = file->written;
    if (has_earlier_write(file, pending) || choice % 8 == 3) {
        arg->flags |= O_APPEND;
        arg->offset = choice * 1000;
    } else if (file->is_conversation)
        arg->offset = 0;
    else if (choice % 8 == 5 && file->written > 0) {
        arg->offset--;
        pending->error = EINVAL;
    } else if (choice % 8 == 7 && call->phase == MODEL_JOB) {
        pending->hole = pending->hole_left = choice * 600;
        arg->offset += pending->hole;
    }
}

static void write_request(struct file *file, unsigned choice, size_t size)
{
    struct model_call *call = kernel_call_of(file);
    size_t line = call->phase == MODEL_WRITING ? call->length - call->position : 0;
    struct pending *pending;
    AUTO_FREE char *bytes = NULL;
    struct fuse_write_in arg;
    ssize_t result;

    // Nothing can follow a command line without a newline.
    if (line < size && call->phase == MODEL_WRITING && call->line[call->length - 1] != '\n')
        size = line;
    if (size == 0)
        return;
    pending = add_pending(file, true, size, choice);
    pending->left = size;
    arg = (struct fuse_write_in){
        .fh = file->fh,
        .size = (uint32_t)size,
        .flags = (uint32_t)file->flags | (pending->is_nonblocking ? O_NONBLOCK : 0),
    };
    place_write(pending, &arg, choice);
    world_trace("write %zu at %llu, of which %zu to the line, to %llx%s", size,
                (unsigned long long)arg.offset, size < line ? size : line,
                (unsigned long long)file->inode->id,
                pending->is_nonblocking ? ", nonblocking" : "");
    bytes = malloc(size);
    pending->unique =
        wire_send(FUSE_STATFS, 1, 0, NULL, 0, NULL, 0) + 2; // for the number of the next request
    for (size_t i = 0; i < size; i++)
        bytes[i] = i < line ? call->line[call->position + i] : files_byte(pending, i);
    if (file->has_read)
        pending->error = EPIPE;
    if (file->is_conversation && call->phase == MODEL_WRITING && !file->dir->is_removed &&
        (!names_has_permission(&(struct inode){.dir = file->dir, .file = SLOT_CALL}, file->uid,
                               06) ||
         !names_may_enter(file->dir, file->uid)))
        pending->error = EACCES;
    if (file->is_writer && file->generation != file->dir->generation)
        pending->error = ECANCELED;
    result = pending->error || has_earlier_write(file, pending) ? 0 : model_call_write(call, size);
    if (result < 0)
        pending->error = (int)-result;
    else
        pending->left -= (size_t)result;
    send_pending(pending, FUSE_WRITE, &arg, sizeof arg, bytes, size, choice % 64 == 33);
}

void files_write(struct fuzz_input *input)
{
    struct file *file = pick(input);
    unsigned choice = fuzz_byte(input);
    size_t size = fuzz_number16(input);

    if (!file || kernel_pending_count == KERNEL_PENDING || (file->flags & O_ACCMODE) == O_RDONLY)
        return;
    if (file->file == SLOT_CTL)
        write_ctl(file, choice);
    else
        write_request(file, choice, choice & 0x40 ? size % 12000 : size % 32);
}

void files_interrupt(struct fuzz_input *input)
{
    unsigned number = fuzz_byte(input);

    if (kernel_pending_count == 0)
        return;
    kernel_interrupt(&kernel_pending[number % kernel_pending_count]);
    world_settle(0);
}

// --- Poll

void files_poll(struct fuzz_input *input)
{
    struct file *file = pick(input);
    unsigned choice = fuzz_byte(input);
    struct fuse_poll_in arg;
    struct fuse_poll_out out;
    AUTO_FREE char *bytes = NULL;
    unsigned perhaps;

    if (!file)
        return;
    arg = (struct fuse_poll_in){
        .fh = file->fh,
        .kh = (uint64_t)(file - kernel_files) + 1,
        .flags = choice % 4 ? FUSE_POLL_SCHEDULE_NOTIFY : 0,
        .events = POLLIN | POLLOUT,
    };
    world_trace("poll %llx%s", (unsigned long long)file->inode->id,
                arg.flags ? ", to be told" : "");
    struct reply reply =
        kernel_call(FUSE_POLL, file->inode->id, 0, &arg, sizeof arg, NULL, 0, false);
    bytes = reply.bytes;
    WORLD_CHECK(reply.error == 0 && reply.size == sizeof out, "error %d", reply.error);
    memcpy(&out, bytes, sizeof out);
    unsigned events = answers_events(file, &perhaps);
    WORLD_CHECK((out.revents & ~perhaps) == (events & ~perhaps), "events %x, not %x (%x)",
                out.revents, events, perhaps);
    if (arg.flags) {
        file->is_polled = true;
        file->seen_events = out.revents;
    }
}
