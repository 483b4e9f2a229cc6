// SPDX-License-Identifier: Apache-2.0
// The knowledge that a kernel has of the mount: inodes, open files and requests that have not
// been answered. Together with the model it says which answer each request must get.
#pragma once

#include "fs_model.h"
#include "fs_wire.h"

enum { KERNEL_INODES = 512, KERNEL_FILES = 64, KERNEL_PENDING = 32, KERNEL_USER = 4321 };

struct inode {
    uint64_t id;
    struct model_dir *dir; // NULL: the root
    enum slot_file file;
    uint64_t count; // look-ups that were not forgotten
    // Of request and call:
    uid_t owner;
    bool is_claimed;    // its owner has opened it
    bool is_handed_out; // looked up, and not closed since
    bool is_refused[2]; // an open was refused once: to root, to KERNEL_USER
    unsigned opens;
    bool is_retired;  // its id must never come again
    mode_t seen_mode; // that the kernel remembers of a directory; 0: none
};

// An open file.
struct file {
    bool is_open;
    uint64_t fh;
    struct inode *inode;
    struct model_dir *dir;
    enum slot_file file;
    int flags;
    uid_t uid;
    bool is_writer;
    bool is_conversation;
    bool has_read; // a conversation's stdin has ended
    int end_error; // what said so got
    // An answer in frames, as far as it has been read:
    unsigned char header[8];
    size_t header_size;
    size_t frame_left;
    size_t status_size;
    bool has_status;
    struct model_call call;
    uint64_t generation;
    uint64_t read_to;
    uint64_t written; // of request: by writes that have been answered
    bool is_polled;   // and the poller has not been told of a change since
    unsigned seen_events;
};

struct reply {
    bool is_there;
    int error;
    char *bytes; // owned
    size_t size;
};

// A read or a write that waits for its answer, or has just got it.
struct pending {
    uint64_t unique; // 0: none
    bool is_write;
    bool is_gone; // nobody will take the answer
    bool is_interrupted;
    bool is_nonblocking;
    bool is_later_part; // of a large read of a conversation
    bool ends_stdin;    // so it can cause a change that its own answer does not show yet
    int error;          // that must come; 0: none is known
    struct file *file;
    uint64_t offset;
    size_t size;
    size_t left;      // of a write: bytes that the command has not got
    size_t hole;      // zeros before a write
    size_t hole_left; // zeros that the command has not got
    struct reply reply;
};

extern struct inode kernel_inodes[KERNEL_INODES];
extern unsigned kernel_inode_count;
extern struct file kernel_files[KERNEL_FILES];
extern unsigned kernel_file_count;
extern struct pending kernel_pending[KERNEL_PENDING]; // in order of arrival
extern unsigned kernel_pending_count;
extern bool kernel_is_ending;
extern const struct wire_events kernel_events;

void kernel_begin(void);

// Lets MS pass and checks everything that a kernel can see.
void kernel_settle(uint64_t ms);

// Sends a request that must be answered at once. IS_GONE: nobody takes the answer. The caller
// frees the bytes of the reply.
struct reply kernel_call(uint32_t opcode, uint64_t node, uid_t uid, const void *arg, size_t size,
                         const void *more, size_t more_size, bool is_gone);

// The same for a request whose answer is an error, or 0. Returns this answer.
int kernel_ask(uint32_t opcode, uint64_t node, uid_t uid, const void *arg, size_t size,
               const void *more, size_t more_size);

struct inode *kernel_inode(uint64_t id);
struct model_call *kernel_call_of(struct file *file);
bool kernel_is_waiting(const struct file *file); // does a read or write of it wait?
void kernel_interrupt(struct pending *pending);

// fs_names.c: requests about names and inodes
bool names_has_permission(const struct inode *inode, uid_t uid, mode_t want);

// May UID pass through the sandbox, which may be NULL?
bool names_may_enter(const struct model_dir *sandbox, uid_t uid);
void names_lookup(struct fuzz_input *input);
// Looks NAME in PARENT up for UID. NULL: it is not there, or the caller is gone.
struct inode *names_find(struct inode *parent, const char *name, uid_t uid, bool is_gone);
// Does each opening have an inode of its own, as those of request and call have?
bool names_is_single(const struct inode *inode);
void names_getattr(struct fuzz_input *input);
void names_setattr(struct fuzz_input *input);
void names_readdir(struct fuzz_input *input);
void names_mkdir(struct fuzz_input *input);
void names_remove(struct fuzz_input *input, bool is_dir);
void names_forget(struct fuzz_input *input);
void names_cannot(struct fuzz_input *input);
void names_forget_all(void);
// The kernel's memory of INODE must be true.
void names_check_memory(const struct inode *inode);
struct inode *names_pick(struct fuzz_input *input);

// How many bytes of the request have been passed on through FILE.
uint64_t files_written(const struct file *file);

// fs_commands.c
void commands_do(struct fuzz_input *input);

// fs_files.c: requests about open files
void files_open(struct fuzz_input *input);
void files_read(struct fuzz_input *input);
void files_write(struct fuzz_input *input);
void files_poll(struct fuzz_input *input);
void files_fsync(struct fuzz_input *input);
void files_release(struct fuzz_input *input);
void files_interrupt(struct fuzz_input *input);
void files_close(struct file *file);
// The byte at INDEX of a write, counted from the end of the command line. Each write has other
// bytes.
char files_byte(const struct pending *pending, size_t index);

// fs_answers.c
// The poll(2) events that FILE has to have, and those that it may have, too.
unsigned answers_events(struct file *file, unsigned *perhaps);
// Checks every answer that has come, and that none is missing.
void answers_check(void);
