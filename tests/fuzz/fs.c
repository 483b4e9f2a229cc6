// SPDX-License-Identifier: Apache-2.0
// The FUSE operations: any sequence of raw messages, as a kernel sends them, and of acts of
// commands, compared with a model of the promises of hooksfs(5). Every request must be answered
// once, as the model says, and not earlier; otherwise the program ends, and prints the whole
// sequence.
//
// fs/, sandbox/, conf/, base/ and libfuse are real, from the bytes of a message to the bytes of
// its reply. fs_world.c stands for time and for the commands, fs_wire.c for /dev/fuse. The first
// byte of the input says how the input ends; each of the other bytes chooses an operation, or a
// part of one.
#include "cleanup.h"
#include "fs_kernel.h"
#include "handle.h"
#include "session.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { OPERATIONS = 150 }; // in one input

static const char *const texts[] = {
    "timeout = 2s\nmax_timeout = none\nkill_grace = 300ms\nmax_output = 16K\nslot_ttl = 5s\n"
    "mode = direct\nconfinement = no\n"
    "[open]\npermissions = 0777\nmax_running = 2\nmax_queued = 1\nmax_slots = 3\n"
    "[strict]\nmax_running = 1\nmax_queued = 2\nmax_slots = 1\nmax_timeout = 5s\n"
    "allow = run\nallow = late\nallow = stubborn\n"
    "user = ${FUZZ_USER}\nstandby = run 1000\nstandby = run 1001\nstandby = run 1003 x\n"
    "standby_count = 2\n",
    // A sandbox is gone, one is new, and one has other limits.
    "timeout = 2s\nmax_timeout = none\nkill_grace = 300ms\nmax_output = 16K\nslot_ttl = 5s\n"
    "mode = direct\nconfinement = no\n"
    "[open]\npermissions = 0711\nmax_running = 1\nmax_queued = 3\nmax_slots = 2\n"
    "[more]\nmax_running = 1\nmax_queued = 0\n",
};
static struct config *configs[2];

struct inode kernel_inodes[KERNEL_INODES];
unsigned kernel_inode_count;
struct file kernel_files[KERNEL_FILES];
unsigned kernel_file_count;
struct pending kernel_pending[KERNEL_PENDING];
unsigned kernel_pending_count;
bool kernel_is_ending;

static struct fs fs;
static struct sandboxes *sandboxes;
static struct session *session;
static struct pending now; // the request that must be answered at once
static bool is_initialized;
static bool is_unmounted;
static unsigned stale_interrupts;

// --- The number of slots

static unsigned slot_count;

struct slot *__real_slot_create(struct loop *loop, struct sandbox *sandbox, const char *name,
                                void (*on_change)(void *data), void *data);
struct slot *__wrap_slot_create(struct loop *loop, struct sandbox *sandbox, const char *name,
                                void (*on_change)(void *data), void *data);
struct slot *__wrap_slot_create(struct loop *loop, struct sandbox *sandbox, const char *name,
                                void (*on_change)(void *data), void *data)
{
    slot_count++;
    return __real_slot_create(loop, sandbox, name, on_change, data);
}

void __real_slot_destroy(struct slot *slot);
void __wrap_slot_destroy(struct slot *slot);
void __wrap_slot_destroy(struct slot *slot)
{
    slot_count -= slot != NULL;
    __real_slot_destroy(slot);
}

// --- Replies

static bool on_reply(uint64_t unique, int error, const char *bytes, size_t size)
{
    struct pending *pending = now.unique == unique ? &now : NULL;

    for (unsigned i = 0; i < kernel_pending_count; i++)
        if (kernel_pending[i].unique == unique)
            pending = &kernel_pending[i];
    if (!pending && size == sizeof(struct fuse_statfs_out))
        return true; // the answer to a request that was sent only for its number
    WORLD_CHECK(pending, "a reply to %llu, which is nobody's", (unsigned long long)unique);
    WORLD_CHECK(!pending->reply.is_there, "%llu is answered twice", (unsigned long long)unique);
    WORLD_CHECK(error >= 0 && (error == 0 || size == 0), "error %d", error);
    pending->reply = (struct reply){true, error, malloc(size), size};
    if (size > 0)
        memcpy(pending->reply.bytes, bytes, size);
    return !pending->is_gone;
}

static void on_poll(uint64_t handle)
{
    struct file *file = &kernel_files[handle - 1];

    WORLD_CHECK(handle >= 1 && handle <= kernel_file_count && file->is_open && file->is_polled,
                "somebody is told who does not poll");
    file->is_polled = false;
}

static void on_invalid(uint64_t id)
{
    struct inode *inode = kernel_inode(id);
    if (inode)
        inode->seen_mode = 0;
}

const struct wire_events kernel_events = {on_reply, on_poll, on_invalid};

struct reply kernel_call(uint32_t opcode, uint64_t node, uid_t uid, const void *arg, size_t size,
                         const void *more, size_t more_size, bool is_gone)
{
    now = (struct pending){.is_gone = is_gone};
    now.unique = wire_send(opcode, node, uid, arg, size, more, more_size);
    world_settle(0);
    WORLD_CHECK(now.reply.is_there, "operation %u is not answered", opcode);
    now.unique = 0;
    return now.reply;
}

int kernel_ask(uint32_t opcode, uint64_t node, uid_t uid, const void *arg, size_t size,
               const void *more, size_t more_size)
{
    struct reply reply = kernel_call(opcode, node, uid, arg, size, more, more_size, false);
    free(reply.bytes);
    return reply.error;
}

struct inode *kernel_inode(uint64_t id)
{
    for (unsigned i = 0; i < kernel_inode_count; i++)
        if (kernel_inodes[i].id == id)
            return &kernel_inodes[i];
    return NULL;
}

bool kernel_is_waiting(const struct file *file)
{
    for (unsigned i = 0; i < kernel_pending_count; i++)
        if (kernel_pending[i].file == file)
            return true;
    return false;
}

void kernel_interrupt(struct pending *pending)
{
    world_trace("interrupt of %llu", (unsigned long long)pending->unique);
    if (pending->is_interrupted)
        return; // a kernel sends only one
    pending->is_interrupted = true;
    stale_interrupts++; // the request may have been answered already
    wire_interrupt(pending->unique);
}

// --- Facts that are true between two events

static void check_streams(struct model_job *job)
{
    const int *fds[JOB_STREAMS] = {&job->child->out, &job->child->err};

    for (int i = 0; i < JOB_STREAMS && job->state == MODEL_RUNNING; i++) {
        int left = 0;
        if (*fds[i] < 0 || ioctl(*fds[i], FIONREAD, &left) < 0 || left == 0)
            continue;
        WORLD_CHECK(job->streams && (i == JOB_STDOUT || job->is_framed) &&
                        job->written[i] - (unsigned)left - job->consumed[i] >= MODEL_WINDOW,
                    "%d bytes of %s are not read", left, job->words);
    }
}

static void check_dir(struct model_dir *dir)
{
    enum slot_file file;
    const struct node *node = dir->id ? node_find(dir->id, &file) : NULL;
    uint64_t idle_ms = world_now_ms - dir->last_event_ms;

    if (model_is_busy(dir) || dir->handles > 0)
        dir->last_event_ms = world_now_ms;
    if (dir->id && !dir->is_sandbox && !dir->is_removed && (!node || !node->parent)) {
        world_trace("%s has expired", dir->name);
        WORLD_CHECK(!model_is_busy(dir) && dir->handles == 0, "%s expires in use", dir->name);
        WORLD_CHECK(world_now_ms - dir->last_use_ms >= MODEL_TTL_MS, "%s expires early", dir->name);
        dir->is_removed = true;
        dir->removed_ms = world_now_ms;
    }
    WORLD_CHECK(dir->is_sandbox || dir->is_removed || dir->last_event_ms == world_now_ms ||
                    idle_ms <= 2 * MODEL_TTL_MS,
                "%s does not expire", dir->name);
    if (dir->is_removed && !model_is_busy(dir) && dir->handles == 0 &&
        dir->call.phase != MODEL_EMPTY) {
        model_call_clear(&dir->call);
        dir->generation++;
    }
}

void kernel_settle(uint64_t ms)
{
    world_settle(ms);
    model_catch_up();
    answers_check();
    for (unsigned i = 0; i < model_job_count; i++)
        if (model_jobs[i].child)
            check_streams(&model_jobs[i]);
    for (unsigned i = 0; i < model_dir_count; i++)
        check_dir(&model_dirs[i]);
    for (unsigned i = 0; i < kernel_inode_count; i++)
        names_check_memory(&kernel_inodes[i]);
}

// --- Reload and end

static void configure(unsigned which)
{
    static const struct {
        const char *name;
        mode_t permissions;
        unsigned max_running, max_queued, max_slots;
    } settings[2][2] = {
        {{"open", 0777, 2, 1, 3}, {"strict", 0700, 1, 2, 1} },
        {{"open", 0711, 1, 3, 2}, {"more", 0700, 1, 0, 1024}},
    };

    world_trace("configuration %u", which);
    WORLD_CHECK(tree_configure(fs.loop, sandboxes, configs[which]) == 0, "no memory");
    for (unsigned i = 0; i < model_dir_count; i++)
        if (model_dirs[i].is_sandbox && !model_dirs[i].is_removed &&
            strcmp(model_dirs[i].name, settings[which][0].name) != 0 &&
            strcmp(model_dirs[i].name, settings[which][1].name) != 0)
            model_remove(&model_dirs[i], false);
    for (unsigned i = 0; i < 2; i++) {
        struct model_dir *dir = model_child(NULL, settings[which][i].name);
        if (!dir)
            dir = model_add_dir(NULL, settings[which][i].name);
        dir->owner = geteuid();
        dir->permissions = settings[which][i].permissions;
        dir->is_strict = strcmp(dir->name, "strict") == 0;
        dir->max_running = settings[which][i].max_running;
        dir->max_queued = settings[which][i].max_queued;
        dir->max_slots = settings[which][i].max_slots;
        model_start_queued(dir);
    }
}

// A standby ends by itself, or is killed.
static void end_standby(unsigned choice)
{
    for (unsigned i = 0; i < world_child_count; i++) {
        struct world_child *child = &world_children[(i + choice) % world_child_count];
        if (!child->is_standby || child->is_taken || child->is_ended)
            continue;
        world_trace("%s, which is on standby, ends", child->words);
        world_end_child(child, choice & 1, choice & 1 ? SIGKILL : (int)(choice % 3), true);
        return;
    }
}

static void reload_or_end_standby(struct fuzz_input *input)
{
    unsigned choice = fuzz_byte(input);

    if (choice % 3 == 2)
        end_standby(choice);
    else
        configure(choice % 3);
}

static void on_init(void *data)
{
    (void)data;
    is_initialized = true;
}

static void on_end(void *data)
{
    (void)data;
    is_unmounted = true;
}

static void begin(void)
{
    struct fuse_init_in arg = {
        .major = FUSE_KERNEL_VERSION,
        .minor = FUSE_KERNEL_MINOR_VERSION,
        .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ATOMIC_O_TRUNC,
    };
    struct error err = {0};

    kernel_inode_count = 1;
    kernel_inodes[0] = (struct inode){.id = FUSE_ROOT_ID, .count = 1};
    kernel_file_count = 0;
    kernel_pending_count = 0;
    kernel_is_ending = false;
    is_initialized = is_unmounted = false;
    stale_interrupts = 0;
    fs = (struct fs){.loop = world_begin(), .on_init = on_init};
    sandboxes = sandboxes_create(fs.loop, NULL, NULL);
    WORLD_CHECK(sandboxes, "no memory");
    wire_begin(&kernel_events);
    model_begin();
    WORLD_CHECK(node_init_root() == 0, "no memory");
    configure(0);
    session = session_create(&fs, "fuzz", "/", NULL, false, on_end, &err);
    WORLD_CHECK(session, "%s", error_message(&err));
    WORLD_CHECK(kernel_ask(FUSE_INIT, 0, 0, &arg, sizeof arg, NULL, 0) == 0 && is_initialized,
                "no INIT");
    names_find(&kernel_inodes[0], "open", 0, false);
    names_find(&kernel_inodes[0], "strict", 0, false);
}

// After everything is closed, the kernel forgets all inodes. Then the daemon may know only
// directories that have a name.
static void check_end(void)
{
    unsigned expected = 0;

    WORLD_CHECK(handle_count() == 0, "%u files are open", handle_count());
    names_forget_all();
    kernel_settle(0);
    for (unsigned i = 0; i < model_dir_count; i++)
        expected += !model_dirs[i].is_removed;
    WORLD_CHECK(slot_count == expected, "there are %u slots, not %u", slot_count, expected);
    for (unsigned i = 1; i < kernel_inode_count; i++) {
        enum slot_file file;
        const struct inode *inode = &kernel_inodes[i];
        WORLD_CHECK(!node_find(inode->id, &file) ||
                        (!names_is_single(inode) && !inode->dir->is_removed),
                    "%llx is forgotten, and still there", (unsigned long long)inode->id);
    }
}

// Ends as main does: every job is cancelled, and every request that waits gets an answer.
static void end_in_order(void)
{
    // The input that makes a slot in a sandbox, and opens its request and a conversation.
    static const uint8_t late[] = {1, 5, 0x91};

    world_trace("the end");
    fs.is_ending = kernel_is_ending = true;
    tree_cancel_all();
    for (unsigned i = 0; i < model_dir_count; i++)
        model_call_cancel(&model_dirs[i].call);
    for (unsigned i = 0; i < kernel_file_count; i++)
        if (kernel_files[i].is_open && kernel_files[i].is_conversation)
            model_call_cancel(&kernel_files[i].call);
    for (unsigned i = 0; i < model_job_count; i++)
        model_job_stop(&model_jobs[i], "130 cancelled\n", ECANCELED);
    kernel_settle(0);
    // The daemon must refuse anything new.
    names_mkdir(&(struct fuzz_input){late, 2});
    files_open(&(struct fuzz_input){late, 2});
    files_open(&(struct fuzz_input){late + 1, 2});
    kernel_settle(1000);
    WORLD_CHECK(sandboxes_busy_count(sandboxes) == 0, "%u jobs are left",
                sandboxes_busy_count(sandboxes));
    WORLD_CHECK(kernel_pending_count == 0, "%u still wait", kernel_pending_count);
    for (unsigned i = 0; i < kernel_file_count; i++)
        if (kernel_files[i].is_open) {
            files_close(&kernel_files[i]);
            kernel_settle(0);
        }
    check_end();
}

static void finish(void)
{
    // libfuse keeps an interrupt that comes too late until the next request, and would not free
    // its memory at the end.
    for (; stale_interrupts > 0; stale_interrupts--)
        wire_send(FUSE_STATFS, FUSE_ROOT_ID, 0, NULL, 0, NULL, 0);
    kernel_settle(0);
    // No request waits after this.
    tree_finish(ENOTCONN);
    for (unsigned i = 0; i < kernel_pending_count; i++) {
        WORLD_CHECK(kernel_pending[i].reply.is_there, "%llu gets no answer at the end",
                    (unsigned long long)kernel_pending[i].unique);
        free(kernel_pending[i].reply.bytes);
    }
    WORLD_CHECK(handle_count() == 0, "%u files are left", handle_count());
    WORLD_CHECK(slot_count == 0, "%u slots are left", slot_count);
    session_destroy(session);
    wire_end();
    world_settle(2000); // running jobs are cancelled, and end
    loop_run_tasks(fs.loop);
    WORLD_CHECK(sandboxes_busy_count(sandboxes) == 0, "%u jobs are left",
                sandboxes_busy_count(sandboxes));
    sandboxes_destroy(sandboxes);
    WORLD_CHECK(!is_unmounted, "the session has ended by itself");
    model_finish_jobs();
    world_end();
}

// --- One input

static void operate(struct fuzz_input *input)
{
    static const uint16_t waits_ms[] = {1, 20, 100, 101, 250, 300, 500, 700, 1000, 2000, 5000};
    unsigned operation = fuzz_byte(input) % 32;

    if (operation < 4)
        names_lookup(input);
    else if (operation < 5)
        names_getattr(input);
    else if (operation < 6)
        names_mkdir(input);
    else if (operation < 8)
        names_remove(input, operation == 7);
    else if (operation < 9)
        names_forget(input);
    else if (operation < 10)
        names_readdir(input);
    else if (operation < 13)
        files_open(input);
    else if (operation < 16)
        files_read(input);
    else if (operation < 20)
        files_write(input);
    else if (operation < 21)
        files_poll(input);
    else if (operation < 23)
        files_release(input);
    else if (operation < 24)
        files_interrupt(input);
    else if (operation < 29)
        commands_do(input);
    else if (operation < 30)
        kernel_settle(waits_ms[fuzz_byte(input) % (sizeof waits_ms / sizeof waits_ms[0])]);
    else if (operation < 31)
        switch (fuzz_byte(input) % 3) {
        case 0:
            names_cannot(input);
            break;
        case 1:
            names_setattr(input);
            break;
        default:
            files_fsync(input);
        }
    else
        reload_or_end_standby(input);
    kernel_settle(0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char path[64];
    char user[24];

    (void)argc, (void)argv;
    snprintf(user, sizeof user, "%u", (unsigned)geteuid());
    setenv("FUZZ_USER", user, 1);
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < 2; i++) {
        struct buffer problems = {0};
        AUTO_CLOSE int fd = memfd_create("fuzz", MFD_CLOEXEC);
        fchmod(fd, 0600);
        FUZZ_CHECK(write(fd, texts[i], strlen(texts[i])) == (ssize_t)strlen(texts[i]), "memfd");
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        configs[i] = sandbox_load_config(path, NULL, &problems);
        FUZZ_CHECK(configs[i], "%.*s", (int)problems.length, problems.data);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    unsigned end = fuzz_byte(&input);

    begin();
    for (unsigned i = 0; i < OPERATIONS && input.left > 0; i++)
        operate(&input);
    if (end % 4)
        end_in_order();
    finish();
    return 0;
}
