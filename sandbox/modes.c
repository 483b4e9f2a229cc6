// SPDX-License-Identifier: Apache-2.0
#include "cleanup.h"
#include "mode.h"

const struct mode_keys *const modes_keys[] = {
    &direct_mode.keys,
    &docker_exec_mode.keys,
    &docker_run_mode.keys,
    &kubectl_exec_mode.keys,
};
const size_t modes_count = sizeof modes_keys / sizeof modes_keys[0];

const struct mode *mode_of(const struct mode_keys *keys)
{
    return (const struct mode *)(const void *)((const char *)keys - offsetof(struct mode, keys));
}
