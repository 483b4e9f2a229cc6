// SPDX-License-Identifier: Apache-2.0
#include "event.h"

#include <string.h>

// A member of the outermost object is whole.
static void end_member(struct event *event, bool was_string)
{
    if (strcmp(event->key, "hook_event_name") == 0 && was_string) {
        if (event->is_confused || (*event->name && strcmp(event->name, event->token) != 0)) {
            event->is_confused = true;
            event->name[0] = '\0';
        } else {
            strcpy(event->name, event->token);
        }
    }
    if (strcmp(event->key, "stop_hook_active") == 0)
        event->is_again = !was_string && strcmp(event->token, "true") == 0;
}

// A token that is too long is cut to nothing: it is none of those that are looked for.
static void keep(struct event *event, char byte)
{
    if (event->token_length + 1 < sizeof event->token) {
        event->token[event->token_length++] = byte;
        event->token[event->token_length] = '\0';
    } else {
        event->token[0] = '\0';
    }
}

static void clear_token(struct event *event)
{
    event->token_length = 0;
    event->token[0] = '\0';
}

static void feed_string(struct event *event, char byte)
{
    if (event->is_escaped) {
        event->is_escaped = false;
        keep(event, byte);
    } else if (byte == '\\') {
        event->is_escaped = true;
        keep(event, byte);
    } else if (byte != '"') {
        keep(event, byte);
    } else {
        event->is_string = false;
        if (event->depth == 1 && event->is_value)
            end_member(event, true);
        else if (event->depth == 1)
            strcpy(event->key, event->token);
        clear_token(event);
    }
}

// A comma or a closing brace of the outermost object.
static void end_value(struct event *event)
{
    if (event->is_value && event->token_length > 0)
        end_member(event, false);
    event->is_value = false;
    event->key[0] = '\0';
    clear_token(event);
}

static void feed_outside(struct event *event, char byte)
{
    switch (byte) {
    case '"':
        event->is_string = true;
        clear_token(event);
        break;
    case '{':
    case '[':
        event->depth++;
        break;
    case '}':
    case ']':
        if (event->depth == 1)
            end_value(event);
        event->depth--;
        break;
    case ',':
        if (event->depth == 1)
            end_value(event);
        break;
    case ':':
        event->is_value = event->is_value || event->depth == 1;
        break;
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        break;
    default:
        if (event->depth == 1)
            keep(event, byte);
    }
}

// How many of the bytes of a long string can be passed over: nobody looks for it.
static size_t count_dull(struct event *event, const char *bytes, size_t size)
{
    size_t count = 0;

    if (!event->is_string || event->is_escaped || event->token_length + 1 < sizeof event->token)
        return 0;
    while (count < size && bytes[count] != '"' && bytes[count] != '\\')
        count++;
    if (count > 0)
        event->token[0] = '\0';
    return count;
}

void event_feed(struct event *event, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        i += count_dull(event, bytes + i, size - i);
        if (i == size)
            break;
        if (event->is_string)
            feed_string(event, bytes[i]);
        else if (event->depth >= 0)
            feed_outside(event, bytes[i]);
    }
}
