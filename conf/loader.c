// SPDX-License-Identifier: Apache-2.0
// Loading a configuration: the file into sections, sections into checked
// structs, and every problem on the way into one list.
#include "cleanup.h"
#include "config.h"
#include "inifile.h"
#include "text.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

// A KEY = VALUE line.
struct entry {
    unsigned line;
    char *key;
    char *value;
    bool is_bad; // reported already
};

// A section as it stands in the file; the keys before the first one are a
// section without a name.
struct section {
    unsigned line;
    char *name;
    struct entry *entries;
    size_t count;
};

struct loader {
    const char *path;
    const struct mode_keys *const *modes;
    size_t mode_count;
    struct buffer *problems;
    size_t problem_count;
    struct section *sections; // sections[0]: the defaults
    size_t count;
    bool has_no_memory;
};

// One shape for every problem of a file. SECTION and KEY may be NULL.
static void problem(struct loader *loader, unsigned line, const char *section, const char *key,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

static void problem(struct loader *loader, unsigned line, const char *section, const char *key,
                    const char *format, ...)
{
    AUTO_FREE char *text = NULL;
    struct buffer *out = loader->problems;
    size_t start = out->length;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    loader->problem_count++;
    buffer_printf(out, "%s:%u: ", loader->path, line);
    if (section)
        buffer_printf(out, "[%s] ", section);
    if (key)
        buffer_printf(out, "%s: ", key);
    buffer_printf(out, "%s", text ? text : "no memory");
    // A variable's value may have brought a newline in, or worse: one problem is one line.
    if (out->length > start)
        out->length = start + text_clean(out->data + start, out->length - start);
    buffer_append(out, "\n", 1);
}

// --- The file into sections and entries

static struct section *add_section(struct loader *loader, unsigned line, const char *name)
{
    struct section *sections =
        realloc(loader->sections, (loader->count + 1) * sizeof *loader->sections);
    struct section *section;
    char *copy = name ? strdup(name) : NULL;

    if (sections)
        loader->sections = sections;
    if (!sections || (name && !copy)) {
        free(copy);
        loader->has_no_memory = true;
        return NULL;
    }
    section = &loader->sections[loader->count++];
    *section = (struct section){.line = line, .name = copy};
    return section;
}

static void on_section(void *data, unsigned line, const char *name)
{
    add_section(data, line, name);
}

static void on_value(void *data, unsigned line, const char *key, const char *value)
{
    struct loader *loader = data;
    struct section *section = &loader->sections[loader->count - 1];
    struct entry *entries = realloc(section->entries, (section->count + 1) * sizeof *entries);
    struct entry *entry;

    if (!entries) {
        loader->has_no_memory = true;
        return;
    }
    section->entries = entries;
    entry = &entries[section->count++];
    *entry = (struct entry){.line = line, .key = strdup(key), .value = strdup(value)};
    if (!entry->key || !entry->value)
        loader->has_no_memory = true;
}

static void on_problem(void *data, unsigned line, const char *message)
{
    struct loader *loader = data;
    const char *section = loader->sections[loader->count - 1].name;
    problem(loader, line, section, NULL, "%s", message);
}

static void loader_finish(struct loader *loader)
{
    for (size_t i = 0; i < loader->count; i++) {
        struct section *section = &loader->sections[i];
        for (size_t j = 0; j < section->count; j++) {
            free(section->entries[j].key);
            free(section->entries[j].value);
        }
        free(section->entries);
        free(section->name);
    }
    free(loader->sections);
}

// --- Checks of a section as such

// A section's name becomes a directory's.
static void check_name(struct loader *loader, size_t index)
{
    const struct section *section = &loader->sections[index];
    const char *name = section->name;
    size_t length = strlen(name);

    if (length == 0)
        problem(loader, section->line, name, NULL, "a sandbox needs a name: write [NAME]");
    else if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
        problem(loader, section->line, name, NULL,
                "cannot be the name of a directory: choose one without / that is not . or ..");
    else if (length > NAME_MAX)
        problem(loader, section->line, NULL, NULL,
                "the section name has %zu bytes; a directory's name has at most %d", length,
                NAME_MAX);
    else if (name[0] == ' ' || name[0] == '\t' || name[length - 1] == ' ' ||
             name[length - 1] == '\t')
        problem(loader, section->line, name, NULL, "the name begins or ends with a blank");
    else
        for (const char *c = name; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 0x7f) {
                problem(loader, section->line, NULL, NULL,
                        "the section name has a control character (0x%02x)", (unsigned char)*c);
                break;
            }
    for (size_t i = 1; i < index; i++)
        if (strcmp(loader->sections[i].name, name) == 0) {
            problem(loader, section->line, name, NULL,
                    "there is a sandbox of this name already, on line %u",
                    loader->sections[i].line);
            break;
        }
}

static const struct key *find_key(const struct mode_keys *mode, const char *name)
{
    const struct key *key = settings_find(config_common_keys, config_common_count, name);
    return key || !mode ? key : settings_find(mode->keys, mode->count, name);
}

static const struct mode_keys *mode_with_key(const struct loader *loader, const char *name)
{
    for (size_t i = 0; i < loader->mode_count; i++)
        if (settings_find(loader->modes[i]->keys, loader->modes[i]->count, name))
            return loader->modes[i];
    return NULL;
}

// Reports an entry whose key is not one of MODE, or of any mode when MODE is
// NULL.
static void report_unknown(struct loader *loader, const struct section *section,
                           struct entry *entry, const struct mode_keys *mode)
{
    const struct mode_keys *other = mode ? mode_with_key(loader, entry->key) : NULL;
    const char *near = settings_nearest(config_common_keys, config_common_count, entry->key, NULL);

    entry->is_bad = true;
    if (other) {
        problem(loader, entry->line, section->name, entry->key,
                "is no key of mode %s, but of mode %s", mode->name, other->name);
        return;
    }
    for (size_t i = 0; i < loader->mode_count; i++)
        if (!mode || mode == loader->modes[i])
            near =
                settings_nearest(loader->modes[i]->keys, loader->modes[i]->count, entry->key, near);
    static const struct key mode_key = {.name = "mode"};
    near = settings_nearest(&mode_key, 1, entry->key, near);
    if (near)
        problem(loader, entry->line, section->name, entry->key,
                "is not a known key; did you mean %s?", near);
    else
        problem(loader, entry->line, section->name, entry->key, "is not a known key");
}

static void report_twice(struct loader *loader, const struct section *section, size_t index)
{
    struct entry *entry = &section->entries[index];

    for (size_t i = 0; i < index; i++)
        if (strcmp(section->entries[i].key, entry->key) == 0) {
            entry->is_bad = true;
            problem(loader, entry->line, section->name, entry->key,
                    "is given twice, first on line %u", section->entries[i].line);
            return;
        }
}

// Keys that cannot be in this section, and keys given twice that are no lists.
static void check_keys(struct loader *loader, struct section *section, const struct mode_keys *mode)
{
    for (size_t i = 0; i < section->count; i++) {
        struct entry *entry = &section->entries[i];
        const struct mode_keys *owner = mode ? mode : mode_with_key(loader, entry->key);
        const struct key *key = find_key(owner, entry->key);

        if (!key && strcmp(entry->key, "mode") != 0)
            report_unknown(loader, section, entry, mode);
        else if (!key || !settings_is_list(key))
            report_twice(loader, section, i);
    }
}

// --- Values

// Stores the entries of SECTION for KEY in SETTINGS, which are MODE's; NULL: those
// of all modes. Returns how many there are.
static size_t store_entries(struct loader *loader, struct section *section, const struct key *key,
                            const struct mode_keys *mode, void *settings)
{
    size_t found = 0;

    for (size_t i = 0; i < section->count; i++) {
        struct entry *entry = &section->entries[i];
        struct error err = {0};

        if (strcmp(entry->key, key->name) != 0)
            continue;
        found++;
        if (entry->is_bad)
            continue;
        if (settings_store(key, settings, entry->value, &err) < 0 ||
            (mode && mode->check && mode->check(settings, key, &err) < 0)) {
            entry->is_bad = true;
            problem(loader, entry->line, section->name, key->name, "%s", error_message(&err));
        }
        error_finish(&err);
    }
    return found;
}

static void store_keys(struct loader *loader, struct section *section, const struct key *keys,
                       size_t count, const struct mode_keys *mode, void *settings)
{
    for (size_t i = 0; i < count; i++) {
        const struct key *key = &keys[i];

        if (store_entries(loader, section, key, mode, settings) > 0 ||
            store_entries(loader, &loader->sections[0], key, mode, settings) > 0)
            continue;
        if (key->is_required && mode)
            problem(loader, section->line, section->name, key->name, "is required in mode %s",
                    mode->name);
        else if (key->fallback && settings_store(key, settings, key->fallback, NULL) < 0)
            loader->has_no_memory = true; // a fallback is a value that can be stored
    }
}

// --- The mode

static const struct mode_keys *find_mode(const struct loader *loader, const char *name)
{
    for (size_t i = 0; i < loader->mode_count; i++)
        if (strcmp(loader->modes[i]->name, name) == 0)
            return loader->modes[i];
    return NULL;
}

// The mode that SECTION names itself; NULL when it names none, which
// *IS_NAMED tells, or none that is known, which is reported.
static const struct mode_keys *named_mode(struct loader *loader, struct section *section,
                                          bool *is_named)
{
    static const struct key key = {.name = "mode", .type = VALUE_TEXT};
    AUTO_FREE char *name = NULL;
    AUTO(buffer_finish) struct buffer names = {0};
    const struct mode_keys *mode = NULL;

    *is_named = store_entries(loader, section, &key, NULL, &name) > 0;
    if (name)
        mode = find_mode(loader, name);
    if (!name || mode)
        return mode;
    for (size_t i = 0; i < loader->mode_count; i++)
        buffer_printf(&names, "%s%s", i ? ", " : "", loader->modes[i]->name);
    for (size_t i = 0; i < section->count; i++)
        if (strcmp(section->entries[i].key, key.name) == 0 && !section->entries[i].is_bad) {
            section->entries[i].is_bad = true;
            problem(loader, section->entries[i].line, section->name, key.name,
                    "'%s' is no mode; there are %.*s", name, (int)names.length,
                    names.data ? names.data : "");
        }
    return NULL;
}

// The mode of a section, or NULL when it has none that is known; reported.
static const struct mode_keys *section_mode(struct loader *loader, struct section *section)
{
    bool is_named;
    const struct mode_keys *mode = named_mode(loader, section, &is_named);

    if (is_named)
        return mode;
    mode = named_mode(loader, &loader->sections[0], &is_named);
    if (!is_named)
        problem(loader, section->line, section->name, "mode", "is required");
    return mode;
}

// Values in the defaults that no sandbox may have used are checked all the
// same, each into settings that are thrown away.
static void check_defaults(struct loader *loader)
{
    struct section *defaults = &loader->sections[0];
    bool is_named;

    check_keys(loader, defaults, NULL);
    named_mode(loader, defaults, &is_named);
    for (size_t i = 0; i < defaults->count; i++) {
        struct entry *entry = &defaults->entries[i];
        const struct mode_keys *mode = mode_with_key(loader, entry->key);
        const struct key *found = find_key(mode, entry->key);
        union {
            uint64_t number;
            char *text;
            struct words words;
        } value = {0};
        struct error err = {0};

        if (entry->is_bad || !found)
            continue;
        struct key key = *found;
        key.offset = 0;
        if (settings_store(&key, &value, entry->value, &err) < 0) {
            entry->is_bad = true;
            problem(loader, entry->line, NULL, entry->key, "%s", error_message(&err));
        }
        settings_clear(&key, &value);
        error_finish(&err);
    }
}

static struct sandbox_config *load_sandbox(struct loader *loader, size_t index)
{
    struct section *section = &loader->sections[index];
    const struct mode_keys *mode = section_mode(loader, section);
    struct sandbox_config *config = calloc(1, sizeof *config);

    check_name(loader, index);
    check_keys(loader, section, mode);
    if (!config)
        goto no_memory;
    config->references = 1;
    config->mode = mode;
    config->name = strdup(section->name);
    if (!config->name)
        goto no_memory;
    config->owner = geteuid();
    config->group = getegid();
    store_keys(loader, section, config_common_keys, config_common_count, NULL, config);
    if (!mode)
        return config;
    config->settings = calloc(1, mode->size);
    if (!config->settings)
        goto no_memory;
    store_keys(loader, section, mode->keys, mode->count, mode, config->settings);
    return config;

no_memory:
    loader->has_no_memory = true;
    sandbox_config_unref(config);
    return NULL;
}

static struct config *load_sections(struct loader *loader)
{
    struct config *config = calloc(1, sizeof *config);

    if (config)
        config->sandboxes = calloc(loader->count, sizeof(struct sandbox_config *));
    if (!config || !config->sandboxes) {
        loader->has_no_memory = true;
        free(config);
        return NULL;
    }
    check_defaults(loader);
    for (size_t i = 1; i < loader->count; i++) {
        struct sandbox_config *sandbox = load_sandbox(loader, i);
        if (sandbox)
            config->sandboxes[config->count++] = sandbox;
    }
    if (loader->count == 1)
        problem(loader, 1, NULL, NULL, "there is no sandbox: add a section, as [local]");
    return config;
}

struct config *config_load(const char *path, const struct mode_keys *const *modes,
                           size_t mode_count, struct buffer *problems)
{
    static const struct inifile_events events = {on_section, on_value, on_problem};
    AUTO(loader_finish)
    struct loader loader = {
        .path = path, .modes = modes, .mode_count = mode_count, .problems = problems};
    struct config *config = NULL;
    struct error err = {0};

    add_section(&loader, 1, NULL);
    if (!loader.has_no_memory && inifile_read(path, &events, &loader, &err) < 0) {
        buffer_printf(problems, "%s\n", error_message(&err));
        error_finish(&err);
        return NULL;
    }
    if (!loader.has_no_memory)
        config = load_sections(&loader);
    if (loader.has_no_memory)
        problem(&loader, 0, NULL, NULL, "no memory");
    if (loader.problem_count > 0) {
        config_destroy(config);
        config = NULL;
    }
    return config;
}
