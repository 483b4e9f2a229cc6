// SPDX-License-Identifier: Apache-2.0
#include "cleanup.h"
#include "mode.h"
#include "standby_line.h"

#include <errno.h>

#define MODE_KEYS(name) &name##_mode.keys,
const struct mode_keys *const modes_keys[] = {MODES(MODE_KEYS)};
const size_t modes_count = sizeof modes_keys / sizeof modes_keys[0];

const struct mode *mode_of(const struct mode_keys *keys)
{
    return (const struct mode *)(const void *)((const char *)keys - offsetof(struct mode, keys));
}

const char *const agent_use_choices[] = {
    [AGENT_NO] = "no", [AGENT_AUTO] = "auto", [AGENT_REQUIRE] = "require", NULL};
const char *const agent_connect_choices[] = {
    [AGENT_AT_START] = "start", [AGENT_AT_USE] = "use", NULL};

const char *const agent_way_choices[] = {[AGENT_SENT] = "shell", [AGENT_MOUNTED] = "mount", NULL};

const struct agent_settings *mode_agent_settings(const struct sandbox_config *config)
{
    const struct mode *mode = mode_of(config->mode);
    const struct agent_settings *agent = mode->agent ? mode->agent(config->settings) : NULL;

    return agent && agent->use != AGENT_NO ? agent : NULL;
}

bool mode_has_group(const struct sandbox_config *config)
{
    const struct mode *mode = mode_of(config->mode);

    return mode->has_group &&
           (mode->has_group(config->settings) || cgroup_controllers(&config->limits) != 0);
}

bool mode_has_container_per_job(const struct sandbox_config *config)
{
    return mode_of(config->mode)->prepare_removal != NULL;
}

const char *mode_agent_why_unused(const struct agent_settings *agent, const struct key *key)
{
    if (strcmp(key->name, "agent_path") == 0 && agent->use == AGENT_NO)
        return "is of no use without agent = auto or agent = require";
    return NULL;
}

int mode_check_agent(const struct agent_settings *agent, const char **key, struct error *err)
{
    if (agent->connections <= AGENT_MAX_CONNECTIONS)
        return 0;
    *key = "connections";
    return error_set(err, EINVAL, "%u are too many: up to %d are possible", agent->connections,
                     AGENT_MAX_CONNECTIONS);
}

// Has CONFIG a limit from KEY, which is a common key?
static bool has_limit(const struct sandbox_config *config, const struct key *key)
{
    static const struct sandbox_config unlimited;
    bool is_limit = strncmp(key->name, "limit_", 6) == 0 || strncmp(key->name, "rlimit_", 7) == 0;

    return is_limit && !settings_equal(key, config, &unlimited);
}

static bool can_have_limit(const struct sandbox_config *config, const struct key *key)
{
    const struct mode *mode = mode_of(config->mode);
    const struct agent_settings *agent = mode_agent_settings(config);

    return !mode->client || (agent && agent->use == AGENT_REQUIRE) ||
           (mode->client_limits && mode->client_limits(key->name));
}

int mode_check_common(const struct sandbox_config *config, const char **key, struct error *err)
{
    for (size_t i = 0; i < config_common_count; i++) {
        const struct key *found = &config_common_keys[i];

        if (!has_limit(config, found) || can_have_limit(config, found))
            continue;
        *key = found->name;
        return error_set(err, EINVAL, "sandbox '%s' of mode %s: needs agent = require",
                         config->name, config->mode->name);
    }
    return standby_line_check(config, key, err);
}
