// SPDX-License-Identifier: Apache-2.0
// The main of a test program: it runs each test in a process of its own, and
// prints TAP. A test that is given a table runs once for each row, whose index
// check calls _i.
#pragma once

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct unit_test {
    const TTest *test;
    int rows; // 0: it has no table
};

// Tables of tests are kept from clang-format, which would widen every column to
// its longest cell.
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
// clang-format off
#define ONCE(test)        {test, 0}
#define EACH(test, table) {test, (int)COUNT(table)}
// clang-format on
#define UNIT_RUN(name, ...)                                                                        \
    do {                                                                                           \
        const struct unit_test all[] = {__VA_ARGS__};                                              \
        return unit_run(name, all, COUNT(all));                                                    \
    } while (0)

enum { UNIT_TIMEOUT_S = 40 }; // also for a sanitizer on a busy machine

static inline int unit_run(const char *name, const struct unit_test *tests, size_t count)
{
    TCase *tcase = tcase_create(name);
    Suite *suite = suite_create(name);
    SRunner *runner;
    int failed;

    for (size_t i = 0; i < count; i++)
        tcase_add_loop_test(tcase, tests[i].test, 0, tests[i].rows ? tests[i].rows : 1);
    tcase_set_timeout(tcase, UNIT_TIMEOUT_S);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "/dev/stdout");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
