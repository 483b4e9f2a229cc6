// SPDX-License-Identifier: Apache-2.0
// hook --check: whether calls would work, and how fast.
#pragma once

#include "options.h"

// Prints a line for each thing looked at. Returns the exit code, 0 or 1.
int probe_run(const struct options *options);
