// SPDX-License-Identifier: Apache-2.0
// The common base of the fuzzers: an input that is split into choices, and a check that prints the
// fault before it ends the program.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

// Ends the program. For libFuzzer this is a crash, so it keeps the input.
#define FUZZ_CHECK(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct fuzz_input {
    const uint8_t *bytes;
    size_t left;
};

// Returns the next byte; 0 when there is none.
static inline unsigned fuzz_byte(struct fuzz_input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->bytes++;
}

static inline unsigned fuzz_number16(struct fuzz_input *input)
{
    unsigned low = fuzz_byte(input);
    return low | fuzz_byte(input) << 8;
}

// Returns the size of the next piece. The size depends on SEED alone, so that a change of the
// content does not change the pieces. Most pieces are small, some are large, and some are empty;
// when many bytes are LEFT, pieces are larger.
static inline size_t fuzz_piece(uint64_t *seed, size_t left)
{
    size_t size;

    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    size = (size_t)(*seed >> 33) % ((*seed >> 62) ? 9 : 4096);
    size += left > 16384 ? 1024 : 0;
    return size < left ? size : left;
}
