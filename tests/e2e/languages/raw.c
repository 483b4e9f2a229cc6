// SPDX-License-Identifier: Apache-2.0
// usage: see languages.sh
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(int is_right, const char *what)
{
    if (is_right)
        return;
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    static const int modes[] = {O_RDWR | O_CREAT | O_TRUNC, O_RDONLY, O_RDWR};
    int way = argc < 3 || strcmp(argv[1], "call") == 0 ? 2 : strcmp(argv[1], "read") == 0;
    int file = open(argv[2], modes[way], 0644);
    char part[4096];
    ssize_t count = 0;

    check(file >= 0, "open");
    if (way != 1)
        check(write(file, argv[3], strlen(argv[3])) == (ssize_t)strlen(argv[3]), "write");
    while (way != 0 && (count = read(file, part, sizeof part)) > 0)
        check(write(STDOUT_FILENO, part, (size_t)count) == count, "stdout");
    check(count == 0, "read");
    check(close(file) == 0, "close");
    return 0;
}
