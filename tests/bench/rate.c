// SPDX-License-Identifier: Apache-2.0
// Many callers at once, each a small process of its own that calls for SECONDS as
// fast as it can; see call.h for the ways. Prints how many calls a second they made
// together, and for how many nanoseconds the slowest hundredth of them took at least.
//
// usage: rate CALLERS SECONDS WAY...
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

// The results of one caller, in memory that all processes share.
struct record {
    uint64_t begin_ns;
    uint64_t end_ns;
    size_t count;
    uint32_t took_us[]; // ROOM of them; later calls are only counted
};

enum { ROOM = 1 << 16 };

static struct record *record_of(char *records, size_t number)
{
    return (struct record *)(void *)(records + number * (sizeof(struct record) + ROOM * 4));
}

static void call_for(struct record *record, struct call *call, uint64_t duration_ns)
{
    uint64_t before;
    uint64_t now;

    record->begin_ns = now = now_ns();
    while (now - record->begin_ns < duration_ns) {
        before = now;
        call_make(call);
        now = now_ns();
        if (record->count < ROOM)
            record->took_us[record->count] = (uint32_t)((now - before) / 1000);
        record->count++;
    }
    record->end_ns = now;
}

// One caller: prepares, says so, waits until all others have, calls, and ends.
static _Noreturn void be_caller(struct record *record, int argc, char **argv, uint64_t duration_ns,
                                int ready, int go)
{
    struct call call;
    char byte;

    if (!call_init(&call, argc, argv))
        _exit(2);
    call_make(&call);
    close(ready);
    if (read(go, &byte, 1) < 0)
        die("read");
    call_for(record, &call, duration_ns);
    call_finish(&call);
    _exit(0);
}

static void run_callers(char *records, size_t callers, uint64_t duration_ns, int argc, char **argv)
{
    int ready[2];
    int go[2];
    int failed = 0;
    int status;
    char byte;

    if (pipe(ready) < 0 || pipe(go) < 0)
        die("pipe");
    for (size_t i = 0; i < callers; i++) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            close(go[1]);
            be_caller(record_of(records, i), argc, argv, duration_ns, ready[1], go[0]);
        }
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) < 0) // the end: everybody has closed it
        die("read");
    close(go[1]);
    while (wait(&status) > 0)
        failed |= status;
    if (failed)
        exit(1);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void report(char *records, size_t callers)
{
    uint32_t *all = malloc(callers * ROOM * sizeof *all);
    size_t count = 0;
    double a_second = 0;

    if (!all)
        die("malloc");
    for (size_t i = 0; i < callers; i++) {
        const struct record *record = record_of(records, i);
        size_t kept = record->count < ROOM ? record->count : ROOM;
        a_second += (double)record->count * 1e9 / (double)(record->end_ns - record->begin_ns);
        for (size_t j = 0; j < kept; j++)
            all[count++] = record->took_us[j];
    }
    qsort(all, count, sizeof *all, compare);
    printf("%.3f %llu\n", a_second, all[(count * 99 + 99) / 100 - 1] * 1000ULL);
    free(all);
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: rate CALLERS SECONDS WAY...\n");
        return 2;
    }
    size_t callers = parse_size(argv[1]);
    char *records = mmap(NULL, callers * (sizeof(struct record) + ROOM * 4), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (records == MAP_FAILED)
        die("mmap");
    run_callers(records, callers, parse_size(argv[2]) * 1000000000, argc - 3, argv + 3);
    report(records, callers);
    return 0;
}
