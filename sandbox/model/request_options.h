// SPDX-License-Identifier: Apache-2.0
// The options in front of a request's command, which hooksfs(5) describes.
#pragma once

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

enum request_option {
    REQUEST_TIMEOUT,
    REQUEST_ANSWER,
    REQUEST_STDIN,
    REQUEST_WORKDIR,
    REQUEST_DEADLINE,
    REQUEST_OPTIONS,
};

enum request_answer { ANSWER_PLAIN, ANSWER_FRAMES, ANSWER_JSON };

struct request_options {
    bool has[REQUEST_OPTIONS];
    uint64_t timeout_ms; // 0: none
    enum request_answer answer;
    uint64_t stdin_bytes;
    char *workdir; // owned; absolute
    uint64_t deadline_ms;
};

// Takes WORD, which begins with -. Returns 0, or -EINVAL or -ENOMEM with ERR set.
int request_options_take(struct request_options *options, const char *word, struct error *err);

void request_options_finish(struct request_options *options);
