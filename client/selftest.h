// SPDX-License-Identifier: Apache-2.0
// hook --self-test: what each outcome would give, without a call.
#pragma once

#include "options.h"

// Prints the table for the protocol of OPTIONS. Returns the exit code.
int selftest_run(const struct options *options);
