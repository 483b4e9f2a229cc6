// SPDX-License-Identifier: Apache-2.0
#include "buffer.h"

#include "cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

enum { SMALLEST_CAPACITY = 64 };

int buffer_reserve(struct buffer *buffer, size_t size)
{
    size_t capacity = buffer->capacity ? buffer->capacity : SMALLEST_CAPACITY;
    char *data;

    if (size > SIZE_MAX / 4 - buffer->length)
        return -ENOMEM;
    if (buffer->length + size <= buffer->capacity)
        return 0;
    while (capacity < buffer->length + size)
        capacity *= 2;
    data = realloc(buffer->data, capacity);
    if (!data)
        return -ENOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    int result = buffer_reserve(buffer, size);
    if (result < 0)
        return result;
    if (size > 0)
        memcpy(buffer->data + buffer->length, bytes, size);
    buffer->length += size;
    return 0;
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
    AUTO_FREE char *text = NULL;
    va_list args;
    int length;

    va_start(args, format);
    length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0) {
        text = NULL;
        return -ENOMEM;
    }
    return buffer_append(buffer, text, (size_t)length);
}

void buffer_drop(struct buffer *buffer, size_t size)
{
    buffer->length -= size;
    if (buffer->length > 0)
        memmove(buffer->data, buffer->data + size, buffer->length);
}

char *buffer_take_string(struct buffer *buffer)
{
    char *string;

    if (buffer_append(buffer, "", 1) < 0)
        return NULL;
    string = buffer->data;
    *buffer = (struct buffer){0};
    return string;
}

void buffer_finish(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}
