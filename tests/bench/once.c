// SPDX-License-Identifier: Apache-2.0
// One call, as a process: the least that a client which speaks `call` itself can be. scripts/bench
// compares hook(1) with it.
//
// usage: once SANDBOX-DIRECTORY COMMAND [ARGUMENT...] < STDIN
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 1 << 20 };

int main(int argc, char **argv)
{
    static char buffer[ROOM];
    struct bytes line;
    size_t size;
    int fd;

    if (argc < 3) {
        fprintf(stderr, "usage: once DIRECTORY COMMAND...\n");
        return 2;
    }
    line = request_line(argv + 2);
    if (line.size > ROOM / 2)
        return 1;
    memcpy(buffer, line.data, line.size);
    free(line.data);
    size = line.size + read_all(STDIN_FILENO, buffer + line.size, ROOM - line.size);
    fd = open_file(argv[1], "call", O_RDWR);
    write_all(fd, buffer, size);
    size = read_all(fd, buffer, ROOM);
    close(fd);
    write_all(STDOUT_FILENO, buffer, size);
    return 0;
}
