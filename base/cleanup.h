// SPDX-License-Identifier: Apache-2.0
// Variables that release their memory or descriptor at the end of their scope, so that an
// early return cannot leak it, and functions that move the ownership out of such a variable.
#pragma once

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void cleanup_free(void *ptr_to_ptr)
{
    void *ptr;
    memcpy(&ptr, ptr_to_ptr, sizeof ptr);
    free(ptr);
}

static inline void cleanup_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

// For the declaration of a variable: at the end of its scope its memory is freed, its
// descriptor closed, or FINISH called with its address.
#define AUTO_FREE    __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE   __attribute__((cleanup(cleanup_close)))
#define AUTO(finish) __attribute__((cleanup(finish)))

// Moves ownership out of the pointer variable at PTR_TO_PTR, which becomes NULL.
static inline void *take_ptr(void *ptr_to_ptr)
{
    void *ptr;
    void *null = NULL;
    memcpy(&ptr, ptr_to_ptr, sizeof ptr);
    memcpy(ptr_to_ptr, &null, sizeof null);
    return ptr;
}

// Moves ownership out of the descriptor variable at FD, which becomes -1.
static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

// Closes the descriptor at FD, if it is one, and marks it closed.
static inline void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
