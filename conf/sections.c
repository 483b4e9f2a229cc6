// SPDX-License-Identifier: Apache-2.0
#include "sections.h"

#include "cleanup.h"
#include "inifile.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>

void sections_problem(struct sections *sections, unsigned line, const char *section,
                      const char *key, const char *format, ...)
{
    AUTO_FREE char *text = NULL;
    struct buffer *out = sections->problems;
    size_t start = out->length;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    sections->problem_count++;
    buffer_printf(out, "%s:%u: ", sections->path, line);
    if (section)
        buffer_printf(out, "[%s] ", section);
    if (key)
        buffer_printf(out, "%s: ", key);
    buffer_printf(out, "%s", text ? text : "no memory");
    // The value of a variable can contain a newline, for example.
    if (out->length > start)
        out->length = start + text_clean(out->data + start, out->length - start);
    buffer_append(out, "\n", 1);
}

static void add_section(struct sections *sections, unsigned line, const char *name)
{
    struct section *items = realloc(sections->items, (sections->count + 1) * sizeof *items);
    char *copy = name ? strdup(name) : NULL;

    if (items)
        sections->items = items;
    if (!items || (name && !copy)) {
        free(copy);
        sections->has_no_memory = true;
        return;
    }
    items[sections->count++] = (struct section){.line = line, .name = copy};
}

static void on_section(void *data, unsigned line, const char *name)
{
    add_section(data, line, name);
}

static void on_value(void *data, unsigned line, const char *key, const char *value)
{
    struct sections *sections = data;
    struct section *section = &sections->items[sections->count - 1];
    struct entry *entries = realloc(section->entries, (section->count + 1) * sizeof *entries);
    struct entry *entry;

    if (!entries) {
        sections->has_no_memory = true;
        return;
    }
    section->entries = entries;
    entry = &entries[section->count++];
    *entry = (struct entry){.line = line, .key = strdup(key), .value = strdup(value)};
    if (!entry->key || !entry->value)
        sections->has_no_memory = true;
}

static void on_problem(void *data, unsigned line, const char *message)
{
    struct sections *sections = data;
    const char *section = sections->items[sections->count - 1].name;
    sections_problem(sections, line, section, NULL, "%s", message);
}

int sections_read(struct sections *sections, struct error *err)
{
    static const struct inifile_events events = {on_section, on_value, on_problem};

    add_section(sections, 1, NULL);
    if (sections->has_no_memory)
        return 0;
    return inifile_read(sections->path, &events, sections, err);
}

void sections_finish(struct sections *sections)
{
    for (size_t i = 0; i < sections->count; i++) {
        struct section *section = &sections->items[i];
        for (size_t j = 0; j < section->count; j++) {
            free(section->entries[j].key);
            free(section->entries[j].value);
        }
        free(section->entries);
        free(section->name);
    }
    free(sections->items);
    sections->items = NULL;
    sections->count = 0;
}

struct entry *section_find(const struct section *section, const char *key)
{
    for (size_t i = section->count; i > 0; i--)
        if (strcmp(section->entries[i - 1].key, key) == 0)
            return &section->entries[i - 1];
    return NULL;
}
