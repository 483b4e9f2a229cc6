// SPDX-License-Identifier: Apache-2.0
// The intake of a job's output: how much of it is kept, when no more may come, and which
// bytes readers do not see yet.
#pragma once

#include "channel.h"
#include "output.h"

// The ways to treat a job's output.
enum job_keeping {
    // Both streams are kept, up to a limit, as long as the job.
    JOB_KEEPS,
    // stdout is kept only until it is consumed, and the command waits for its reader. Only
    // the end of stderr is kept, for the mode's judgement.
    JOB_STREAMS_OUT,
    // Both are kept only until they are consumed, and the command waits for its reader.
    JOB_STREAMS_BOTH,
};

enum {
    JOB_WINDOW = 1 << 20,   // bytes of a streamed output that wait to be consumed
    JOB_STDERR_TAIL = 4096, // bytes of a streamed job's stderr
};

struct intake {
    struct output outputs[JOB_STREAMS];
    enum job_keeping keeping;
    uint64_t limit; // max_output
    // See mode.h; NULL: nothing is held back.
    size_t (*held_back)(const char *err, size_t length);
    size_t (*held_back_out)(const char *out, size_t length);
};

// Takes SIZE bytes of STREAM. Returns 0, -ENOMEM, or -EFBIG when the bytes exceed the
// limit; the bytes up to the limit are kept.
int intake_take(struct intake *intake, enum job_stream stream, const char *bytes, size_t size);

// Do as many bytes of STREAM wait for the reader as are allowed to? IS_STDIN_ENDED: a
// streamed stdout that comes alone can be read by now.
bool intake_is_full(const struct intake *intake, enum job_stream stream, bool is_stdin_ended);

void intake_finish(struct intake *intake);
