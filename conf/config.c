// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "cleanup.h"

#define COMMON(member)   offsetof(struct sandbox_config, member)
#define RLIMIT(resource) COMMON(rlimits.of[resource])

// clang-format off
static const char *const slot_sharing_choices[] = {"no", "yes", NULL};

const struct key config_common_keys[] = {
    {"allow",            VALUE_TEXTS,       COMMON(allow),              NULL,         false},
    {"env",              VALUE_ENVIRONMENT, COMMON(env),                NULL,         false},
    {"group",            VALUE_GROUP,       COMMON(group),              NULL,         false},
    {"kill_grace",       VALUE_DURATION,    COMMON(kill_grace_ms),      "500ms",      false},
    {"limit_cpu",        VALUE_COUNT_OR_NONE, COMMON(limits.cpu_percent), NULL,       false},
    {"limit_memory",     VALUE_SIZE_OR_NONE, COMMON(limits.memory_bytes), NULL,       false},
    {"limit_pids",       VALUE_COUNT_OR_NONE, COMMON(limits.pids),      NULL,         false},
    {"max_output",       VALUE_SIZE,        COMMON(max_output_bytes),   "16M",        false},
    {"max_queued",       VALUE_COUNT_OR_0,  COMMON(max_queued),         "1024",       false},
    {"max_running",      VALUE_COUNT,       COMMON(max_running),        "64",         false},
    {"max_slots",        VALUE_COUNT_OR_0,  COMMON(max_slots),          "1024",       false},
    {"max_timeout",      VALUE_TIME_LIMIT,  COMMON(max_timeout_ms),     "1h",         false},
    {"max_user_bytes",   VALUE_SIZE,        COMMON(max_user_bytes),     "256M",       false},
    {"max_user_calls",   VALUE_COUNT,       COMMON(max_user_calls),     "4096",       false},
    {"max_user_queued",  VALUE_COUNT_OR_0,  COMMON(max_user_queued),    "2147483647", false},
    {"max_user_running", VALUE_COUNT,       COMMON(max_user_running),   "2147483647", false},
    {"max_user_slots",   VALUE_COUNT_OR_0,  COMMON(max_user_slots),     "512",        false},
    {"owner",            VALUE_USER,        COMMON(owner),              NULL,         false},
    {"permissions",      VALUE_PERMISSIONS, COMMON(permissions),        "0700",       false},
    {"rlimit_as",        VALUE_SIZE_LIMIT,  RLIMIT(RLIMIT_AS),          NULL,         false},
    {"rlimit_core",      VALUE_SIZE_LIMIT,  RLIMIT(RLIMIT_CORE),        NULL,         false},
    {"rlimit_cpu",       VALUE_SECONDS_LIMIT, RLIMIT(RLIMIT_CPU),       NULL,         false},
    {"rlimit_data",      VALUE_SIZE_LIMIT,  RLIMIT(RLIMIT_DATA),        NULL,         false},
    {"rlimit_fsize",     VALUE_SIZE_LIMIT,  RLIMIT(RLIMIT_FSIZE),       NULL,         false},
    {"rlimit_memlock",   VALUE_SIZE_LIMIT,  RLIMIT(RLIMIT_MEMLOCK),     NULL,         false},
    {"rlimit_nofile",    VALUE_COUNT_LIMIT, RLIMIT(RLIMIT_NOFILE),      NULL,         false},
    {"rlimit_nproc",     VALUE_COUNT_LIMIT, RLIMIT(RLIMIT_NPROC),       NULL,         false},
    {"rlimit_stack",     VALUE_SIZE_LIMIT,  RLIMIT(RLIMIT_STACK),       NULL,         false},
    {"slot_sharing",     VALUE_CHOICE,      COMMON(shares_slots),       "no",         false, slot_sharing_choices},
    {"slot_ttl",         VALUE_DURATION,    COMMON(slot_ttl_ms),        "1h",         false},
    {"standby",          VALUE_TEXTS,       COMMON(standby),            NULL,         false},
    {"standby_count",    VALUE_COUNT,       COMMON(standby_count),      "1",          false},
    {"standby_max_age",  VALUE_DURATION,    COMMON(standby_max_age_ms), "5m",         false},
    {"timeout",          VALUE_TIME_LIMIT,  COMMON(timeout_ms),         "10s",        false},
    {"write_timeout",    VALUE_TIME_LIMIT,  COMMON(write_timeout_ms),   "5m",         false},
};
// clang-format on
const size_t config_common_count = sizeof config_common_keys / sizeof config_common_keys[0];

void config_destroy(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->count; i++)
        sandbox_config_unref(config->sandboxes[i]);
    free(config->sandboxes);
    free(config);
}

struct sandbox_config *config_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->count; i++)
        if (strcmp(config->sandboxes[i]->name, name) == 0)
            return config->sandboxes[i];
    return NULL;
}

struct sandbox_config *sandbox_config_ref(struct sandbox_config *config)
{
    config->references++;
    return config;
}

void sandbox_config_unref(struct sandbox_config *config)
{
    if (!config || --config->references > 0)
        return;
    for (size_t i = 0; i < config_common_count; i++)
        settings_clear(&config_common_keys[i], config);
    if (config->settings)
        for (size_t i = 0; i < config->mode->count; i++)
            settings_clear(&config->mode->keys[i], config->settings);
    if (config->settings && config->mode->finish)
        config->mode->finish(config->settings);
    free(config->settings);
    free(config->name);
    free(config);
}

bool sandbox_config_same_target(const struct sandbox_config *a, const struct sandbox_config *b)
{
    if (a->mode != b->mode)
        return false;
    for (size_t i = 0; i < a->mode->count; i++)
        if (!settings_equal(&a->mode->keys[i], a->settings, b->settings))
            return false;
    return !a->mode->is_same || a->mode->is_same(a->settings, b->settings);
}

bool sandbox_config_equal(const struct sandbox_config *a, const struct sandbox_config *b)
{
    for (size_t i = 0; i < config_common_count; i++)
        if (!settings_equal(&config_common_keys[i], a, b))
            return false;
    return strcmp(a->name, b->name) == 0 && sandbox_config_same_target(a, b);
}
