// SPDX-License-Identifier: Apache-2.0
// The main of a test program: it runs each test in a process of its own, and
// prints TAP. A test that is given a table runs once for each row, whose index
// check calls _i.
#pragma once

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

enum {
    UNIT_TIMEOUT_S = 40, // also for a sanitizer on a busy machine
    UNIT_MAX_TESTS = 2000,
    UNIT_MAX_REASON = 80,
};

// Ends a test that cannot run here. Its line then says SKIP and the reason.
#define UNIT_SKIP(...)                                                                             \
    do {                                                                                           \
        snprintf(unit_skips->reasons[unit_skips->current], UNIT_MAX_REASON, __VA_ARGS__);          \
        return;                                                                                    \
    } while (0)

// The reasons of skipped tests, in memory that the tests' processes share with the parent.
struct unit_skips {
    unsigned current; // the test that runs, from 1
    char reasons[UNIT_MAX_TESTS][UNIT_MAX_REASON];
};

static struct unit_skips *unit_skips;

static void unit_begin(void)
{
    if (++unit_skips->current >= UNIT_MAX_TESTS)
        ck_abort_msg("there are more than %d tests", UNIT_MAX_TESTS);
}

// Prints the lines of TAP; the lines of skipped tests get TAP's directive.
static inline void unit_print(FILE *tap)
{
    char *line = NULL;
    size_t size = 0;
    unsigned number;

    rewind(tap);
    while (getline(&line, &size, tap) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "ok %u", &number) == 1 && number < UNIT_MAX_TESTS &&
            *unit_skips->reasons[number])
            printf("%s # SKIP %s\n", line, unit_skips->reasons[number]);
        else
            puts(line);
    }
    free(line);
}

static inline int unit_run(const char *name, const struct unit_test *tests, size_t count)
{
    TCase *tcase = tcase_create(name);
    Suite *suite = suite_create(name);
    SRunner *runner;
    FILE *tap = tmpfile();
    char path[32];
    int failed;

    unit_skips =
        mmap(NULL, sizeof *unit_skips, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (unit_skips == MAP_FAILED || !tap)
        return EXIT_FAILURE;
    snprintf(path, sizeof path, "/dev/fd/%d", fileno(tap));

    for (size_t i = 0; i < count; i++)
        tcase_add_loop_test(tcase, tests[i].test, 0, tests[i].rows ? tests[i].rows : 1);
    tcase_add_checked_fixture(tcase, unit_begin, NULL);
    tcase_set_timeout(tcase, UNIT_TIMEOUT_S);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, path);
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    unit_print(tap);
    fclose(tap);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
