// SPDX-License-Identifier: Apache-2.0
// A growing array of bytes, to be embedded in another struct. A buffer that is all zero is
// empty and can be used.
#pragma once

#include <stddef.h>

struct buffer {
    char *data; // owned; NULL while capacity is 0
    size_t length;
    size_t capacity;
};

// Makes room for SIZE more bytes after length. Returns 0 or -ENOMEM, which
// leaves the buffer as it was.
int buffer_reserve(struct buffer *buffer, size_t size);

// Appends SIZE bytes of BYTES. Returns 0 or -ENOMEM (nothing was appended).
int buffer_append(struct buffer *buffer, const void *bytes, size_t size);

// Appends formatted text, without its terminating NUL. Returns 0 or -ENOMEM.
int buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Drops the first SIZE bytes, SIZE <= length.
void buffer_drop(struct buffer *buffer, size_t size);

// Returns the content as a NUL-terminated string that the caller frees; the buffer is empty
// afterwards. Returns NULL when there is no memory.
char *buffer_take_string(struct buffer *buffer);

// Frees the content; the buffer is empty and usable afterwards.
void buffer_finish(struct buffer *buffer);
