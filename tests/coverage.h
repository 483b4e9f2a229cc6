// SPDX-License-Identifier: Apache-2.0
// Included before everything else in a build with -Db_coverage=true: _exit keeps
// the counters of a forked child too. (gcc itself sees to exit and exec.)
#pragma once

#include <unistd.h>

void __gcov_dump(void); // NOLINT(bugprone-reserved-identifier)

#define _exit(code) (__gcov_dump(), (_exit)(code))
