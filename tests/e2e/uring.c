// SPDX-License-Identifier: Apache-2.0
// Reads and writes by io_uring, as ordinary programs use it: one operation at a time. The kernel
// may poll before each operation.
//
// usage: uring read FILE OFFSET SIZE       prints how many bytes a read returned
//        uring call FILE REQUEST SIZE      writes REQUEST, and prints the whole answer
// Exit code 77: this machine has no io_uring.
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    int fd;
    struct io_uring_params params;
    char *submissions;
    char *completions;
    struct io_uring_sqe *entries;
} ring;

static void *map(size_t size, off_t offset)
{
    void *place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, offset);
    if (place == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return place;
}

static void begin(void)
{
    const struct io_uring_params *params = &ring.params;

    ring.fd = (int)syscall(SYS_io_uring_setup, 4, &ring.params);
    if (ring.fd < 0)
        exit(77);
    ring.submissions =
        map(params->sq_off.array + params->sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    ring.completions = map(params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe),
                           IORING_OFF_CQ_RING);
    ring.entries = map(params->sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
}

// Its result, as of read(2) or write(2), with -errno.
static int operate(unsigned char opcode, int fd, void *bytes, size_t size, uint64_t offset)
{
    unsigned *tail = (unsigned *)(void *)(ring.submissions + ring.params.sq_off.tail);
    unsigned mask = *(unsigned *)(void *)(ring.submissions + ring.params.sq_off.ring_mask);
    unsigned *array = (unsigned *)(void *)(ring.submissions + ring.params.sq_off.array);
    unsigned *head = (unsigned *)(void *)(ring.completions + ring.params.cq_off.head);
    unsigned cq_mask = *(unsigned *)(void *)(ring.completions + ring.params.cq_off.ring_mask);
    const struct io_uring_cqe *done =
        (const struct io_uring_cqe *)(void *)(ring.completions + ring.params.cq_off.cqes);
    unsigned place = *tail & mask;
    int result;

    ring.entries[place] = (struct io_uring_sqe){
        .opcode = opcode,
        .fd = fd,
        .addr = (uintptr_t)bytes,
        .len = (unsigned)size,
        .off = offset,
    };
    array[place] = place;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) {
        perror("io_uring_enter");
        exit(1);
    }
    result = done[*head & cq_mask].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return result;
}

static int call(int fd, char *request, char *bytes, size_t size)
{
    int result = operate(IORING_OP_WRITE, fd, request, strlen(request), (uint64_t)-1);

    if (result != (int)strlen(request)) {
        printf("write: %d\n", result);
        return 1;
    }
    while ((result = operate(IORING_OP_READ, fd, bytes, size, (uint64_t)-1)) > 0)
        fwrite(bytes, 1, (size_t)result, stdout);
    if (result < 0)
        printf("read: %s\n", strerrorname_np(-result));
    return 0;
}

int main(int argc, char **argv)
{
    size_t size = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    static char *bytes; // static: not freed
    int is_call = argc == 5 && strcmp(argv[1], "call") == 0;
    int fd = argc == 5 ? open(argv[2], is_call ? O_RDWR : O_RDONLY) : -1;

    bytes = malloc(size + 1);
    if (fd < 0 || !bytes) {
        fprintf(stderr, "uring: %s\n", strerror(errno));
        return 1;
    }
    begin();
    if (is_call)
        return call(fd, argv[3], bytes, size);
    printf("%d\n", operate(IORING_OP_READ, fd, bytes, size, strtoull(argv[3], NULL, 10)));
    return 0;
}
