// SPDX-License-Identifier: Apache-2.0
// Fuzzes the judgement of an ending by the modes. Only an exit with 0 is a success, and no byte of
// stderr that a reader has seen is removed later. stderr comes in pieces, through intake.c, as in
// a job.
//
// The input has five bytes of choices, then the length and the bytes of stdout, then stderr. In
// both streams, bytes from 0x80 on stand for phrases of the clients.
#include "fuzz.h"

#include "cleanup.h"
#include "intake.h"
#include "mode.h"

#include <errno.h>

static const char *const phrases[] = {
    "command terminated with exit code ",
    "command terminated with exit code 1\n",
    "command terminated with exit code 127\n",
    "command terminated with exit code 126\n",
    "command terminated with exit code 1",
    "error: ",
    "Error: ",
    "Error response from daemon: ",
    "docker: ",
    "OCI runtime exec failed: ",
    "exec: \"x\": executable file not found in $PATH",
    "exec /x: no such file or directory",
    "exec /x: permission denied",
    "exec /x: exec format error",
    "chdir to cwd",
    "executable file `x` not found",
    "time=\"2026-11-23T00:00:00Z\" level=error msg=",
    "time=\"2026-11-23T00:00:00Z\" level=fatal msg=",
    "See 'docker run --help'.",
    "See 'podman exec --help'.",
    "E1123 01:02:03.000004      56 v2.go:105] ",
    "E1123 01:02:03.000004      56 v4.go:",
    "connection reset by peer",
    "broken pipe",
    "EOF",
    "use of closed network connection",
    "timed out",
    "env: ",
    "Defaulted container \"a\" out of: a, b",
    "unknown flag: ",
    "Cannot connect to the Docker daemon",
    "\n",
    "unable to find user ",
    "Run 'docker run --help' for more information",
    "time=\"2026-11-23T00:00:00Z\" level=warning msg=",
    ("time=\"2026-11-23T00:00:00Z\" level=error msg=\"error waiting for container: context "
     "canceled\""),
    "unexpected EOF",
    "Failed to initialize: ",
    "getting credentials: exec: ",
    "fatal error: newosproc",
    "failed to exec in container: ENOENT: No such file or directory",
};

static const struct mode *const modes[] = {&direct_mode, &docker_exec_mode, &docker_run_mode,
                                           &kubectl_exec_mode};
// Exit codes with a meaning, and some without one.
static const int numbers[] = {0, 1, 2, 125, 126, 127, 137, 255};

struct choices {
    const struct mode *mode;
    bool is_signaled;
    bool has_env;
    int number;
    enum job_keeping keeping;
    uint64_t limit;
    uint64_t seed;
};

static struct choices choose(struct fuzz_input *input)
{
    unsigned flags = fuzz_byte(input);
    unsigned number = fuzz_byte(input);
    unsigned limit = fuzz_byte(input);
    struct choices choices = {
        .mode = modes[flags % (sizeof modes / sizeof modes[0])],
        .is_signaled = (flags & 0x30) == 0x30,
        .has_env = flags & 0x40,
        .keeping = flags & 0x80 ? JOB_STREAMS_OUT : JOB_KEEPS,
        .number = numbers[number % (sizeof numbers / sizeof numbers[0])],
        // This is nearly always more than there is.
        .limit = limit < 0xf0 ? 1 << 20 : limit,
    };

    if (choices.is_signaled)
        choices.number = 1 + (int)(number % 64); // each signal that Linux has
    else if (number & 0x80)
        choices.number = (int)number;
    choices.seed = fuzz_number16(input);
    return choices;
}

static void expand(struct buffer *text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] < 0x80)
            buffer_append(text, &bytes[i], 1);
        else
            buffer_printf(text, "%s", phrases[bytes[i] % (sizeof phrases / sizeof phrases[0])]);
}

// A copy of exactly this size, so that a read beyond the end is found.
static char *exact(const char *bytes, size_t size)
{
    char *copy = malloc(size);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

// --- stderr as it comes

// Feeds TEXT to INTAKE. Returns the highest number of its bytes that a reader has seen.
static size_t feed(struct intake *intake, const struct choices *choices, const struct buffer *text)
{
    const struct output *output = &intake->outputs[JOB_STDERR];
    uint64_t seed = choices->seed;
    size_t seen = 0;

    for (size_t at = 0, size; at < text->length; at += size) {
        size = fuzz_piece(&seed, text->length - at);
        int result = intake_take(intake, JOB_STDERR, text->data + at, size);
        size_t visible = output_visible(output);

        FUZZ_CHECK(output->held <= output->bytes.length, "%zu of %zu bytes are held back",
                   output->held, output->bytes.length);
        if (choices->keeping == JOB_STREAMS_OUT) {
            FUZZ_CHECK(result == 0, "%d", result);
            FUZZ_CHECK(output->bytes.length <= 2 * JOB_STDERR_TAIL, "%zu bytes are kept",
                       output->bytes.length);
            continue;
        }
        FUZZ_CHECK((result == -EFBIG) == (at + size > choices->limit), "%d", result);
        FUZZ_CHECK(output->bytes.length <= choices->limit, "%zu bytes are kept",
                   output->bytes.length);
        FUZZ_CHECK(visible >= seen, "%zu bytes were seen, and now there are %zu", seen, visible);
        FUZZ_CHECK(visible == 0 || memcmp(output_bytes(output), text->data, visible) == 0,
                   "not what was written");
        seen = visible;
        if (result == -EFBIG) // the job is stopped, and nothing is judged
            return seen;
    }
    return seen;
}

// --- The judgement

static void check_outcome(const struct choices *choices, const struct outcome *outcome)
{
    char line[OUTCOME_MAX_LINE];
    size_t length = outcome_format(outcome, line);
    bool is_success = outcome->kind == OUTCOME_EXITED && outcome->code == 0;

    FUZZ_CHECK(!is_success || (choices->number == 0 && !choices->is_signaled),
               "%d is taken for a success", choices->number);
    FUZZ_CHECK(outcome->is_unconfirmed == (is_success && choices->mode->client),
               "a success that is %sconfirmed", outcome->is_unconfirmed ? "not " : "");
    switch (outcome->kind) {
    case OUTCOME_EXITED:
        FUZZ_CHECK(!choices->is_signaled && outcome->code == choices->number, "%d for %d",
                   outcome->code, choices->number);
        break;
    case OUTCOME_SIGNALED:
        FUZZ_CHECK(choices->is_signaled && !choices->mode->client &&
                       outcome->code == CODE_SIGNALED + choices->number,
                   "%d for %d", outcome->code, choices->number);
        FUZZ_CHECK(outcome->detail && *outcome->detail, "a signal without a name");
        break;
    case OUTCOME_UNREACHABLE:
        FUZZ_CHECK(choices->mode->client && outcome->code == CODE_UNREACHABLE, "%d", outcome->code);
        FUZZ_CHECK(outcome->detail, "unreachable without a reason");
        break;
    case OUTCOME_UNSTARTED:
        FUZZ_CHECK(choices->mode->client &&
                       (outcome->code == CODE_NOT_FOUND || outcome->code == CODE_NOT_EXECUTABLE),
                   "%d", outcome->code);
        break;
    default:
        FUZZ_CHECK(false, "the outcome is %d", outcome->kind);
    }
    FUZZ_CHECK(length > 1 && length < sizeof line && line[length - 1] == '\n', "%zu bytes", length);
    for (size_t i = 0; i < length - 1; i++)
        FUZZ_CHECK((unsigned char)line[i] >= ' ' && line[i] != 0x7f, "byte %zu of: %s", i, line);
}

// For kubectl: an exit code other than 0 needs kubectl's message with exactly this code.
static void check_kubectl(const struct outcome *outcome, const char *err, size_t length,
                          size_t stripped)
{
    char message[64];
    size_t size = (size_t)snprintf(message, sizeof message, "%s%d\n", phrases[0], outcome->code);

    if (outcome->kind != OUTCOME_EXITED || outcome->code == 0)
        return;
    FUZZ_CHECK(length >= size && memcmp(err + length - size, message, size) == 0,
               "%d, which kubectl has not said", outcome->code);
    FUZZ_CHECK(stripped == size, "%zu bytes of its message are removed", stripped);
}

static void check_judgement(struct intake *intake, const struct choices *choices,
                            const struct buffer *out, size_t seen)
{
    struct output *output = &intake->outputs[JOB_STDERR];
    size_t length = output->bytes.length;
    AUTO_FREE char *err_copy = exact(output->bytes.data, length);
    AUTO_FREE char *out_copy = exact(out->data, out->length);
    AUTO(outcome_finish) struct outcome outcome = {0};
    struct ending ending = {choices->is_signaled, choices->number, err_copy, length, out_copy,
                            out->length,          choices->has_env};
    size_t stripped = choices->mode->judge(&ending, &outcome);

    check_outcome(choices, &outcome);
    FUZZ_CHECK(stripped <= length, "%zu of %zu bytes are removed", stripped, length);
    if (choices->mode->held_back) {
        size_t held = choices->mode->held_back(err_copy, length);
        FUZZ_CHECK(held == output->held, "%zu bytes are held back in pieces, %zu at once",
                   output->held, held);
        FUZZ_CHECK(stripped <= held, "%zu bytes are removed, %zu were held back", stripped, held);
        check_kubectl(&outcome, err_copy, length, stripped);
    } else
        FUZZ_CHECK(stripped == 0, "%zu bytes are removed", stripped);
    output_end(output, stripped);
    FUZZ_CHECK(output_visible(output) >= seen, "%zu bytes were seen, at the end there are %zu",
               seen, output_visible(output));
    FUZZ_CHECK(output_visible(output) == length - stripped, "not all can be seen");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    struct choices choices = choose(&input);
    AUTO(buffer_finish) struct buffer out = {0};
    AUTO(buffer_finish) struct buffer err = {0};
    AUTO(intake_finish)
    struct intake intake = {
        .keeping = choices.keeping, .limit = choices.limit, .held_back = choices.mode->held_back};
    size_t length = fuzz_byte(&input);
    size_t seen;

    if (length > input.left)
        length = input.left;
    expand(&out, input.bytes, length);
    expand(&err, input.bytes + length, input.left - length);
    seen = feed(&intake, &choices, &err);
    if (choices.keeping == JOB_STREAMS_OUT || err.length <= choices.limit)
        check_judgement(&intake, &choices, &out, seen);
    return 0;
}
