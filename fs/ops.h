// SPDX-License-Identifier: Apache-2.0
// The FUSE operations. Each operation replies exactly once: at once, or later if it is parked
// (wait.h).
#pragma once

#include "tree.h"

// Shared by all operations: the userdata of the session.
struct fs {
    struct loop *loop;
    struct fuse_session *session;
    unsigned max_read; // of the mount options; 0: the kernel chooses
    bool is_ending;    // no request is accepted any more
    bool has_let_go;   // ops_release or ops_forget was called
    // Called, from within the first operation, when the kernel has asked for the mount's
    // parameters: from now on the mount can be used.
    void (*on_init)(void *data);
    void *data;
};

// ops_dir.c
void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                 struct fuse_file_info *fi);
// Answers REQ with the attributes of INO that its inode has after a change.
void ops_reply_attr_set(fuse_req_t req, fuse_ino_t ino);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void ops_statfs(fuse_req_t req, fuse_ino_t ino);
void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                const char *new_name, unsigned int flags);
void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);

// ops_open.c
void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
// The same for the open file FH of INO, without a request.
void ops_close(uint64_t fh, fuse_ino_t ino);

// ops_read.c
void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void ops_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
              struct fuse_pollhandle *poll);

// ops_write.c
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
               struct fuse_file_info *fi);
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
// Sets the size of request, call or ctl of NODE, by the open file FI, or by its name when
// that is NULL, and answers REQ.
void ops_truncate(fuse_req_t req, fuse_ino_t ino, const struct node *node, uint64_t size,
                  const struct fuse_file_info *fi);
