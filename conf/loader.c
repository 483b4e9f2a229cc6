// SPDX-License-Identifier: Apache-2.0
// Loads a configuration: sections become checked structs, and all problems are collected.
#include "cleanup.h"
#include "config.h"
#include "sections.h"

#include <limits.h>

struct loader {
    struct sections file;
    const struct mode_keys *const *modes;
    size_t mode_count;
    struct users *users;
};

// --- Names and keys of a section

// The name of a section becomes the name of a directory.
static void section_check_name(struct loader *loader, size_t index)
{
    const struct section *section = &loader->file.items[index];
    const char *name = section->name;
    size_t length = strlen(name);

    if (length == 0)
        sections_problem(&loader->file, section->line, name, NULL,
                         "a sandbox needs a name: write [NAME]");
    else if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
        sections_problem(
            &loader->file, section->line, name, NULL,
            "cannot be the name of a directory: choose one without / that is not . or ..");
    else if (length > NAME_MAX)
        sections_problem(&loader->file, section->line, NULL, NULL,
                         "the section name has %zu bytes; a directory's name has at most %d",
                         length, NAME_MAX);
    else if (name[0] == ' ' || name[0] == '\t' || name[length - 1] == ' ' ||
             name[length - 1] == '\t')
        sections_problem(&loader->file, section->line, name, NULL,
                         "the name begins or ends with a blank");
    else
        for (const char *c = name; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 0x7f) {
                sections_problem(&loader->file, section->line, NULL, NULL,
                                 "the section name has a control character (0x%02x)",
                                 (unsigned char)*c);
                break;
            }
    for (size_t i = 1; i < index; i++)
        if (strcmp(loader->file.items[i].name, name) == 0) {
            sections_problem(&loader->file, section->line, name, NULL,
                             "there is a sandbox of this name already, on line %u",
                             loader->file.items[i].line);
            break;
        }
}

static const struct key *loader_find_key(const struct mode_keys *mode, const char *name)
{
    const struct key *key = settings_find(config_common_keys, config_common_count, name);
    return key || !mode ? key : settings_find(mode->keys, mode->count, name);
}

static const struct mode_keys *loader_find_mode_with(const struct loader *loader, const char *name)
{
    for (size_t i = 0; i < loader->mode_count; i++)
        if (settings_find(loader->modes[i]->keys, loader->modes[i]->count, name))
            return loader->modes[i];
    return NULL;
}

// Reports an entry whose key MODE does not have; if MODE is NULL, an entry whose key no mode
// has.
static void entry_report_unknown(struct loader *loader, const struct section *section,
                                 struct entry *entry, const struct mode_keys *mode)
{
    const struct mode_keys *other = mode ? loader_find_mode_with(loader, entry->key) : NULL;
    const char *near = settings_nearest(config_common_keys, config_common_count, entry->key, NULL);

    entry->is_bad = true;
    if (other) {
        sections_problem(&loader->file, entry->line, section->name, entry->key,
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
        sections_problem(&loader->file, entry->line, section->name, entry->key,
                         "is not a known key; did you mean %s?", near);
    else
        sections_problem(&loader->file, entry->line, section->name, entry->key,
                         "is not a known key");
}

static void entry_report_twice(struct loader *loader, const struct section *section, size_t index)
{
    struct entry *entry = &section->entries[index];

    for (size_t i = 0; i < index; i++)
        if (strcmp(section->entries[i].key, entry->key) == 0) {
            entry->is_bad = true;
            sections_problem(&loader->file, entry->line, section->name, entry->key,
                             "is given twice, first on line %u", section->entries[i].line);
            return;
        }
}

// Reports keys that cannot be in this section, and keys that are given twice but are no lists.
static void section_check_keys(struct loader *loader, struct section *section,
                               const struct mode_keys *mode)
{
    for (size_t i = 0; i < section->count; i++) {
        struct entry *entry = &section->entries[i];
        const struct mode_keys *owner = mode ? mode : loader_find_mode_with(loader, entry->key);
        const struct key *key = loader_find_key(owner, entry->key);

        if (!key && strcmp(entry->key, "mode") != 0)
            entry_report_unknown(loader, section, entry, mode);
        else if (!key || !settings_is_list(key))
            entry_report_twice(loader, section, i);
    }
}

// --- Values

// Stores the entries of SECTION for KEY in SETTINGS. Returns how many there are.
static size_t section_store_key(struct loader *loader, struct section *section,
                                const struct key *key, void *settings)
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
        if (settings_store(key, settings, entry->value, loader->users, &err) < 0) {
            entry->is_bad = true;
            sections_problem(&loader->file, entry->line, section->name, key->name, "%s",
                             error_message(&err));
        }
        error_finish(&err);
    }
    return found;
}

static void loader_store_fallback(struct loader *loader, const struct key *key, void *settings)
{
    // A fallback is always valid, so that only memory can be missing.
    if (key->fallback && settings_store(key, settings, key->fallback, loader->users, NULL) < 0)
        loader->file.has_no_memory = true;
}

// Stores each of the COUNT keys in SETTINGS. MODE is the mode whose keys they are, or NULL
// for the keys that every mode has.
static void section_store_keys(struct loader *loader, struct section *section,
                               const struct key *keys, size_t count, const struct mode_keys *mode,
                               void *settings)
{
    for (size_t i = 0; i < count; i++) {
        const struct key *key = &keys[i];

        if (section_store_key(loader, section, key, settings) > 0 ||
            section_store_key(loader, &loader->file.items[0], key, settings) > 0)
            continue;
        if (key->is_required && mode)
            sections_problem(&loader->file, section->line, section->name, key->name,
                             "is required in mode %s", mode->name);
        else
            loader_store_fallback(loader, key, settings);
    }
}

// Drops defaults that have no effect with the other settings, and reports keys of the
// section itself that have none.
static void section_check_use(struct loader *loader, struct section *section,
                              const struct mode_keys *mode, void *settings)
{
    for (size_t i = 0; mode->why_unused && i < mode->count; i++) {
        const struct key *key = &mode->keys[i];
        struct entry *own = section_find(section, key->name);
        struct entry *entry = own ? own : section_find(&loader->file.items[0], key->name);
        const char *why = entry && !entry->is_bad ? mode->why_unused(settings, key) : NULL;

        if (why && own) {
            entry->is_bad = true;
            sections_problem(&loader->file, entry->line, section->name, key->name, "%s", why);
        } else if (why) {
            settings_clear(key, settings);
            loader_store_fallback(loader, key, settings);
        }
    }
}

// Reports ERR for the entry that gave SECTION its KEY, once; frees ERR.
static void section_report(struct loader *loader, struct section *section, const char *key,
                           struct error *err)
{
    struct entry *own = section_find(section, key);
    struct entry *entry = own ? own : section_find(&loader->file.items[0], key);

    if (!entry)
        sections_problem(&loader->file, section->line, section->name, key, "%s",
                         error_message(err));
    else if (!entry->is_bad)
        sections_problem(&loader->file, entry->line, own ? section->name : NULL, key, "%s",
                         error_message(err));
    if (entry)
        entry->is_bad = true; // otherwise a default would be reported for each sandbox
    error_finish(err);
}

// Lets MODE check CONFIG as a whole, and reports the errors.
static void section_check_settings(struct loader *loader, struct section *section,
                                   const struct mode_keys *mode, struct sandbox_config *config)
{
    const char *key = NULL;
    struct error err = {0};

    if (mode->check && mode->check(config->settings, loader->users, &key, &err) < 0)
        section_report(loader, section, key, &err);
    if (mode->check_common && mode->check_common(config, &key, &err) < 0)
        section_report(loader, section, key, &err);
}

// --- The mode

static const struct mode_keys *loader_find_mode(const struct loader *loader, const char *name)
{
    for (size_t i = 0; i < loader->mode_count; i++)
        if (strcmp(loader->modes[i]->name, name) == 0)
            return loader->modes[i];
    return NULL;
}

// Returns the mode that SECTION itself names. Returns NULL when it names no mode (*IS_NAMED is
// false then) or an unknown mode, which is reported.
static const struct mode_keys *section_named_mode(struct loader *loader, struct section *section,
                                                  bool *is_named)
{
    static const struct key key = {.name = "mode", .type = VALUE_TEXT};
    AUTO_FREE char *name = NULL;
    AUTO(buffer_finish) struct buffer names = {0};
    const struct mode_keys *mode = NULL;

    *is_named = section_store_key(loader, section, &key, &name) > 0;
    if (name)
        mode = loader_find_mode(loader, name);
    if (!name || mode)
        return mode;
    for (size_t i = 0; i < loader->mode_count; i++)
        buffer_printf(&names, "%s%s", i ? ", " : "", loader->modes[i]->name);
    for (size_t i = 0; i < section->count; i++)
        if (strcmp(section->entries[i].key, key.name) == 0 && !section->entries[i].is_bad) {
            section->entries[i].is_bad = true;
            sections_problem(&loader->file, section->entries[i].line, section->name, key.name,
                             "'%s' is no mode; there are %.*s", name, (int)names.length,
                             names.data ? names.data : "");
        }
    return NULL;
}

// Returns the mode of a section, from the section itself or from the defaults. When there is
// none, or an unknown one, reports that and returns NULL.
static const struct mode_keys *section_mode(struct loader *loader, struct section *section)
{
    bool is_named;
    const struct mode_keys *mode = section_named_mode(loader, section, &is_named);

    if (is_named)
        return mode;
    mode = section_named_mode(loader, &loader->file.items[0], &is_named);
    if (!is_named)
        sections_problem(&loader->file, section->line, section->name, "mode", "is required");
    return mode;
}

// Checks every value of the defaults, because perhaps no sandbox uses it: stores it in
// settings that are thrown away.
static void loader_check_defaults(struct loader *loader)
{
    struct section *defaults = &loader->file.items[0];
    bool is_named;

    section_check_keys(loader, defaults, NULL);
    section_named_mode(loader, defaults, &is_named);
    for (size_t i = 0; i < defaults->count; i++) {
        struct entry *entry = &defaults->entries[i];
        const struct mode_keys *mode = loader_find_mode_with(loader, entry->key);
        const struct key *found = loader_find_key(mode, entry->key);
        union {
            uint64_t number;
            char *text;
            struct words words;
            struct rlimit_value limit;
        } value = {0};
        struct error err = {0};

        if (entry->is_bad || !found)
            continue;
        struct key key = *found;
        key.offset = 0;
        if (settings_store(&key, &value, entry->value, loader->users, &err) < 0) {
            entry->is_bad = true;
            sections_problem(&loader->file, entry->line, NULL, entry->key, "%s",
                             error_message(&err));
        }
        settings_clear(&key, &value);
        error_finish(&err);
    }
}

static struct sandbox_config *loader_load_sandbox(struct loader *loader, size_t index)
{
    struct section *section = &loader->file.items[index];
    const struct mode_keys *mode = section_mode(loader, section);
    struct sandbox_config *config = calloc(1, sizeof *config);

    section_check_name(loader, index);
    section_check_keys(loader, section, mode);
    if (!config)
        goto no_memory;
    config->references = 1;
    config->mode = mode;
    config->name = strdup(section->name);
    if (!config->name)
        goto no_memory;
    config->owner = geteuid();
    config->group = getegid();
    section_store_keys(loader, section, config_common_keys, config_common_count, NULL, config);
    if (!mode)
        return config;
    config->settings = calloc(1, mode->size);
    if (!config->settings)
        goto no_memory;
    section_store_keys(loader, section, mode->keys, mode->count, mode, config->settings);
    section_check_use(loader, section, mode, config->settings);
    section_check_settings(loader, section, mode, config);
    return config;

no_memory:
    loader->file.has_no_memory = true;
    sandbox_config_unref(config);
    return NULL;
}

static struct config *loader_load_sandboxes(struct loader *loader)
{
    struct config *config = calloc(1, sizeof *config);

    if (config)
        config->sandboxes = calloc(loader->file.count, sizeof(struct sandbox_config *));
    if (!config || !config->sandboxes) {
        loader->file.has_no_memory = true;
        free(config);
        return NULL;
    }
    loader_check_defaults(loader);
    for (size_t i = 1; i < loader->file.count; i++) {
        struct sandbox_config *sandbox = loader_load_sandbox(loader, i);
        if (sandbox)
            config->sandboxes[config->count++] = sandbox;
    }
    if (loader->file.count == 1)
        sections_problem(&loader->file, 1, NULL, NULL,
                         "there is no sandbox: add a section, as [local]");
    return config;
}

static void loader_finish(struct loader *loader)
{
    sections_finish(&loader->file);
}

struct config *config_load(const char *path, const struct mode_keys *const *modes,
                           size_t mode_count, struct users *users, struct buffer *problems)
{
    AUTO(loader_finish)
    struct loader loader = {
        .file = {.path = path, .problems = problems},
        .modes = modes,
        .mode_count = mode_count,
        .users = users
    };
    struct config *config = NULL;
    struct error err = {0};

    if (sections_read(&loader.file, &err) < 0) {
        buffer_printf(problems, "%s\n", error_message(&err));
        error_finish(&err);
        return NULL;
    }
    if (!loader.file.has_no_memory)
        config = loader_load_sandboxes(&loader);
    if (loader.file.has_no_memory)
        sections_problem(&loader.file, 0, NULL, NULL, "no memory");
    if (loader.file.problem_count > 0) {
        config_destroy(config);
        config = NULL;
    }
    return config;
}
