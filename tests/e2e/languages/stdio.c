// SPDX-License-Identifier: Apache-2.0
// usage: see languages.sh
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int is_right, const char *what)
{
    if (is_right)
        return;
    perror(what);
    exit(1);
}

static void copy(FILE *from)
{
    char part[4096];
    size_t count;

    while ((count = fread(part, 1, sizeof part, from)) > 0)
        fwrite(part, 1, count, stdout);
    check(!ferror(from), "read");
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"w+", "r", "r+"};
    int way = argc < 3 || strcmp(argv[1], "call") == 0 ? 2 : strcmp(argv[1], "read") == 0;
    FILE *file = fopen(argv[2], modes[way]);

    check(file != NULL, "open");
    if (way != 1)
        check(fputs(argv[3], file) >= 0 && fflush(file) == 0, "write");
    if (way != 0)
        copy(file);
    check(fclose(file) == 0, "close");
    return 0;
}
