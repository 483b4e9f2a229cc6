// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <errno.h>

// The bytes of a JSON text that are made at once.
static char text[128 * 1024];

static const struct output *output_of(const struct call *call, enum job_stream stream)
{
    return call->phase == CALL_JOB ? job_output(call->job, stream) : NULL;
}

static size_t visible(const struct call *call, enum job_stream stream)
{
    const struct output *output = output_of(call, stream);
    return output ? output_visible(output) : 0;
}

static const char *bytes_of(const struct call *call, enum job_stream stream)
{
    const struct output *output = output_of(call, stream);
    return output ? output_bytes(output) : "";
}

// --- Plain

// Only an exit with 0 is no error: otherwise a caller who checks only for errors would take
// another outcome for an answer.
static int errno_of(const struct outcome *outcome)
{
    switch (outcome->kind) {
    case OUTCOME_EXITED:
        return outcome->code == 0 ? 0 : EIO;
    case OUTCOME_TIMEOUT:
        return ETIMEDOUT;
    case OUTCOME_UNREACHABLE:
        return EHOSTUNREACH;
    case OUTCOME_UNSTARTED:
        return outcome->code == CODE_NOT_FOUND ? ENOENT : EACCES;
    case OUTCOME_CANCELLED:
        return ECANCELED;
    case OUTCOME_REFUSED:
        return EINVAL;
    default:
        return EIO;
    }
}

static ssize_t find_plain(const struct call *call, size_t size, struct answer_pieces *pieces)
{
    size_t left = visible(call, JOB_STDOUT);
    const struct outcome *outcome;

    if (left > 0) {
        pieces->plain.iov_base = (void *)bytes_of(call, JOB_STDOUT);
        pieces->plain.iov_len = left < size ? left : size;
        return (ssize_t)pieces->plain.iov_len;
    }
    outcome = call_outcome(call);
    return outcome ? -errno_of(outcome) : -EAGAIN;
}

// --- Frames

static void fill_source(const struct call *call, struct frames_source *source)
{
    static char line[OUTCOME_MAX_LINE];
    const struct outcome *outcome = call_outcome(call);

    *source = (struct frames_source){0};
    for (int i = 0; i < JOB_STREAMS; i++) {
        source->bytes[i] = bytes_of(call, (enum job_stream)i);
        source->sizes[i] = visible(call, (enum job_stream)i);
    }
    if (outcome) {
        source->status_size = outcome_format(outcome, line);
        source->status = line;
    }
}

static ssize_t find_frames(const struct call *call, size_t size, struct answer_pieces *pieces)
{
    struct frames_source source;

    fill_source(call, &source);
    if (!frames_is_ready(&pieces->after.frames, &source))
        return -EAGAIN;
    frames_fill(&pieces->after.frames, &source, size, &pieces->frames);
    pieces->parts = pieces->frames.parts;
    pieces->count = pieces->frames.count;
    return (ssize_t)pieces->frames.size;
}

// --- JSON

static ssize_t find_json(struct answer *answer, struct call *call, size_t size,
                         struct answer_pieces *pieces)
{
    const struct outcome *outcome = call_outcome(call);
    struct json_source source;

    if (!outcome)
        return -EAGAIN;
    source = (struct json_source){
        .code = outcome->code,
        .kind = outcome_kind_name(outcome->kind),
        .detail = outcome_detail(outcome),
        .ms = call->phase == CALL_JOB ? job_duration_ms(call->job) : 0,
    };
    for (int i = 0; i < JOB_STREAMS; i++) {
        source.bytes[i] = bytes_of(call, (enum job_stream)i);
        source.sizes[i] = visible(call, (enum job_stream)i);
    }
    if (!json_prepare(&answer->json, &source)) {
        call_retry(call);
        return -EAGAIN;
    }
    pieces->after = *answer;
    pieces->plain.iov_base = text;
    pieces->plain.iov_len =
        json_fill(&pieces->after.json, &source, text, size < sizeof text ? size : sizeof text);
    return (ssize_t)pieces->plain.iov_len;
}

// ---

ssize_t answer_find(struct answer *answer, struct call *call, size_t size,
                    struct answer_pieces *pieces)
{
    // There was no request, so this is no success.
    if (call->phase == CALL_EMPTY)
        return -EINVAL;
    pieces->after = *answer;
    pieces->parts = &pieces->plain;
    pieces->count = 1;
    switch (call->answer) {
    case ANSWER_FRAMES:
        return find_frames(call, size, pieces);
    case ANSWER_JSON:
        return find_json(answer, call, size, pieces);
    default:
        return find_plain(call, size, pieces);
    }
}

void answer_take(struct answer *answer, struct call *call, const struct answer_pieces *pieces,
                 size_t size)
{
    *answer = pieces->after;
    if (call->phase != CALL_JOB)
        return;
    if (call->answer == ANSWER_PLAIN)
        job_consume(call->job, JOB_STDOUT, size);
    if (call->answer == ANSWER_FRAMES)
        for (int i = 0; i < JOB_STREAMS; i++)
            job_consume(call->job, (enum job_stream)i, pieces->frames.used[i]);
}

bool answer_is_ready(const struct answer *answer, const struct call *call)
{
    struct frames_source source;

    if (call->phase == CALL_EMPTY || call_outcome(call))
        return true;
    if (call->answer == ANSWER_JSON)
        return false;
    if (call->answer == ANSWER_PLAIN)
        return visible(call, JOB_STDOUT) > 0;
    fill_source(call, &source);
    return frames_is_ready(&answer->frames, &source);
}
