// SPDX-License-Identifier: Apache-2.0
#include "judge.h"

#include "cleanup.h"

#include <ctype.h>
#include <signal.h>

enum { LONGEST_HELD = 4096 }; // bytes of the longest line that may be an engine's message

// --- Text

const char *judge_last_line(const char *text, size_t size, size_t *length)
{
    const char *newline;

    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    newline = size > 0 ? memrchr(text, '\n', size) : NULL;
    if (newline) {
        size -= (size_t)(newline + 1 - text);
        text = newline + 1;
    }
    *length = size;
    return text;
}

bool judge_contains(const char *text, size_t size, const char *what)
{
    return size > 0 && memmem(text, size, what, strlen(what));
}

bool judge_matches(const char *text, size_t size, const char *pattern)
{
    size_t part = strcspn(pattern, "*");

    if (part > 0 && pattern[part - 1] == '\n')
        return size == part - 1 && memcmp(text, pattern, size) == 0;
    if (size < part || memcmp(text, pattern, part) != 0)
        return false;
    // The first match of each part is enough: it leaves the most bytes for the parts after it.
    for (;;) {
        text += part;
        size -= part;
        pattern += part;
        pattern += strspn(pattern, "*");
        part = strcspn(pattern, "*");
        const char *found = part > 0 && size > 0 ? memmem(text, size, pattern, part) : NULL;
        if (part == 0 || !found)
            return part == 0;
        size -= (size_t)(found - text);
        text = found;
    }
}

static bool line_is_ignored(const struct judge_table *table, const char *line, size_t length)
{
    for (size_t i = 0; table->ignored && table->ignored[i]; i++)
        if (judge_matches(line, length, table->ignored[i]))
            return true;
    return false;
}

// Returns the last line of TEXT that is neither blank nor ignored; *LENGTH is 0 when there is
// none.
static const char *text_find_message(const struct judge_table *table, const char *text, size_t size,
                                     size_t *length)
{
    const char *line;

    do {
        line = judge_last_line(text, size, length);
        size = (size_t)(line - text);
    } while (*length > 0 && line_is_ignored(table, line, *length));
    return line;
}

// Returns the last line of TEXT that matches PATTERN; *LENGTH is 0 when there is none.
static const char *text_find_line(const char *text, size_t size, const char *pattern,
                                  size_t *length)
{
    const char *line;

    do {
        line = judge_last_line(text, size, length);
        size = (size_t)(line - text);
    } while (*length > 0 && !judge_matches(line, *length, pattern));
    return line;
}

// Has TEXT nothing but ignored lines and lines that match PATTERN?
static bool text_is_noise(const struct judge_table *table, const char *text, size_t size,
                          const char *pattern)
{
    const char *line;
    size_t length;

    do {
        line = text_find_message(table, text, size, &length);
        size = (size_t)(line - text);
    } while (length > 0 && judge_matches(line, length, pattern));
    return length == 0;
}

// --- The container runtime

struct runtime_words {
    const char *signs[6];          // a message of the runtime has one of these; NULL at the end
    const char *not_found[4];      // and one of these
    const char *not_executable[7]; // or one of these
};

static const struct runtime_words runtimes[] = {
  // runc (libcontainer/init_linux.go, standard_init_linux.go) says `exec: "x": executable
  // file not found in $PATH` or, when x has a slash, `exec: "x": stat x: no such file or
  // directory`; since 1.2, for a lost interpreter, `exec /x: no such file or directory`.
  // crun (src/libcrun/container.c) says `executable file `x` not found`, or `open
  // executable: ...`. gVisor (runsc/boot/loader.go, pkg/sentry/fsimpl/user) says `error
  // finding executable "x" in PATH [...]: no such file or directory`.
    {{"exec: ", "exec /", "executable file", "open executable", "error finding executable"},
     {"executable file not found", "not found in $PATH", "o such file or directory"},
     {"ermission denied", "xec format error", "s a directory", "not a directory",
      "rgument list too long", "not executable"}},
 // Kata (its agent's rustjail/src/container.rs) hands the system's words on, after those
  // of containerd.
    {{"failed to start exec", "failed to exec in container", "failed to create exec",
      "failed to create process", "exec_process"},
     {"ENOENT: No such file or directory", "No such file or directory (os error 2)"},
     {"EACCES: Permission denied", "Permission denied (os error 13)", "ENOEXEC: Exec format error",
      "Exec format error (os error 8)"}         },
};

static bool text_contains_one(const char *text, size_t size, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count && words[i]; i++)
        if (judge_contains(text, size, words[i]))
            return true;
    return false;
}

#define CONTAINS_ONE(text, size, words)                                                            \
    text_contains_one(text, size, words, sizeof(words) / sizeof *(words))

int judge_runtime(const char *text, size_t size)
{
    // Go's os/exec writes this for a program on the machine of the client or of the engine.
    if (judge_contains(text, size, "fork/exec "))
        return 0;
    // runc: the working directory of the command does not exist.
    if (judge_contains(text, size, "chdir to cwd"))
        return CODE_NOT_EXECUTABLE;
    for (size_t i = 0; i < sizeof runtimes / sizeof runtimes[0]; i++) {
        if (!CONTAINS_ONE(text, size, runtimes[i].signs))
            continue;
        if (CONTAINS_ONE(text, size, runtimes[i].not_found))
            return CODE_NOT_FOUND;
        if (CONTAINS_ONE(text, size, runtimes[i].not_executable))
            return CODE_NOT_EXECUTABLE;
    }
    return 0;
}

// moby's daemon/exec.go writes the error of an exec to the stream of the command's stdout.
static const char *const engine_words[] = {"OCI runtime exec failed: ", "unable to find user ",
                                           "unable to find group "};

size_t judge_held_back_out(const char *out, size_t length)
{
    const char *newline = length > 0 ? memchr(out, '\n', length) : NULL;

    if (length > LONGEST_HELD || (newline && newline + 1 < out + length))
        return 0;
    for (size_t i = 0; i < sizeof engine_words / sizeof engine_words[0]; i++) {
        size_t fixed = strlen(engine_words[i]);
        if (memcmp(out, engine_words[i], length < fixed ? length : fixed) == 0)
            return length;
    }
    return 0;
}

// --- The engine

static unsigned code_class(int number)
{
    switch (number) {
    case 1:
        return JUDGE_1;
    case 2:
        return JUDGE_2;
    case CODE_UNREACHABLE:
    case CODE_NOT_EXECUTABLE:
    case CODE_NOT_FOUND:
        return JUDGE_OWN;
    case 255:
        return JUDGE_255;
    default:
        return JUDGE_OTHER;
    }
}

// Returns the message if the last line is the hint of ROW, otherwise NULL. A hint alone is the
// message itself.
static const char *row_find_hinted(const struct judge_table *table, const struct judge_row *row,
                                   const struct ending *ending, size_t *length)
{
    const char *hint = judge_last_line(ending->err, ending->err_length, length);
    size_t hint_length = *length;
    const char *message;

    if (hint_length == 0 || !judge_matches(hint, hint_length, row->text))
        return NULL;
    message = text_find_message(table, ending->err, ending->err_length, length);
    if (*length > 0)
        return message;
    *length = hint_length;
    return hint;
}

// Returns the text that makes ROW count, with its length in *LENGTH; NULL: ROW does not count.
static const char *row_find_text(const struct judge_table *table, const struct judge_row *row,
                                 const struct ending *ending, size_t *length)
{
    const char *err = ending->err;
    const char *text;

    switch (row->where) {
    case JUDGE_HINT:
        return row_find_hinted(table, row, ending, length);
    case JUDGE_STDOUT:
        text = judge_last_line(ending->out, ending->out_length, length);
        if (text != ending->out)
            return NULL;
        break;
    case JUDGE_LINE:
        text = text_find_line(err, ending->err_length, row->text, length);
        // The lines after it belong to the message: the page of a proxy, or advice.
        if (*length > 0)
            *length = ending->err_length - (size_t)(text - err);
        return *length > 0 ? text : NULL;
    default:
        text = text_find_message(table, err, ending->err_length, length);
        if (row->where == JUDGE_ALONE &&
            !text_is_noise(table, err, (size_t)(text - err), row->text))
            return NULL;
    }
    return *length > 0 && judge_matches(text, *length, row->text) ? text : NULL;
}

static void outcome_set_verdict(struct outcome *outcome, const struct judge_table *table,
                                const struct ending *ending, enum judge_verdict verdict,
                                const char *text, size_t length)
{
    int code = verdict == JUDGE_NOT_EXECUTABLE ? CODE_NOT_EXECUTABLE
               : verdict == JUDGE_NOT_FOUND    ? CODE_NOT_FOUND
               : verdict == JUDGE_RUNTIME      ? judge_runtime(text, length)
                                               : 0;

    if (verdict == JUDGE_COMMAND)
        outcome_set(outcome, OUTCOME_EXITED, ending->number, NULL);
    else if (code)
        outcome_set(outcome, OUTCOME_UNSTARTED, code, "%.*s", (int)length, text);
    else if (length > 0)
        outcome_set(outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%.*s", (int)length, text);
    else
        outcome_set(outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE,
                    "%s ended with %d and said nothing", table->client, ending->number);
}

const struct judge_row *judge_by(const struct judge_table *table, const struct ending *ending,
                                 struct outcome *outcome)
{
    const char *text;
    size_t length;

    if (ending->is_signaled) {
        const char *name = sigabbrev_np(ending->number);
        outcome_set(outcome, OUTCOME_UNREACHABLE, CODE_UNREACHABLE, "%s was ended by signal %s",
                    table->client, name ? name : "unknown");
        return NULL;
    }
    for (size_t i = 0; i < table->count; i++) {
        if (!(table->rows[i].codes & code_class(ending->number)))
            continue;
        text = row_find_text(table, &table->rows[i], ending, &length);
        if (!text)
            continue;
        outcome_set_verdict(outcome, table, ending, table->rows[i].verdict, text, length);
        return &table->rows[i];
    }
    text = text_find_message(table, ending->err, ending->err_length, &length);
    outcome_set_verdict(outcome, table, ending, table->otherwise, text, length);
    return NULL;
}
