// SPDX-License-Identifier: Apache-2.0
#include "inifile.h"

#include "buffer.h"
#include "cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

enum { READ_SIZE = 64 * 1024 };

// The file in memory, and the line that inih was given last. inih calls its handler for a
// line before it asks for the next line. So `line` and `text` belong to the key and value
// that the handler gets.
struct reader {
    const struct inifile_events *events;
    void *data;
    char *next; // the unread rest of the file
    char *end;
    unsigned line;
    char *text;       // the current line, trimmed, NUL-terminated
    bool is_cut;      // inih got only its beginning
    bool is_expected; // inih must call the handler: the line must be a key and a value
};

static void report(struct reader *reader, const char *message)
{
    reader->events->on_problem(reader->data, reader->line, message);
}

static char *trim(char *text)
{
    char *end;
    while (isspace((unsigned char)*text))
        text++;
    end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text;
}

// Cuts TEXT at an inline comment: a ; after a blank, which is inih's rule.
static char *without_comment(char *text)
{
    for (char *c = text; *c; c++)
        if (*c == ';' && c > text && isspace((unsigned char)c[-1]))
            *c = '\0';
    return trim(text);
}

// Takes the next line of the file into reader->text. Returns false at the end.
static bool next_line(struct reader *reader)
{
    char *text = reader->next;
    char *newline;

    if (text == reader->end)
        return false;
    newline = memchr(text, '\n', (size_t)(reader->end - text));
    reader->line++;
    // The file's buffer has a byte to spare after its end.
    reader->next = newline ? newline + 1 : reader->end;
    if (!newline)
        newline = reader->end;
    *newline = '\0';
    if (strlen(text) != (size_t)(newline - text)) {
        report(reader, "the line contains a NUL byte");
        *text = '\0';
    }
    if (reader->line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    reader->text = trim(text);
    return true;
}

static void take_section(struct reader *reader)
{
    char *name = reader->text + 1;
    char *close = strchr(name, ']');
    char *rest;

    if (!close) {
        report(reader, "the section name has no closing ]");
        return;
    }
    rest = trim(close + 1);
    if (*rest && *rest != ';' && *rest != '#')
        report(reader, "there is text after the ] of the section name");
    *close = '\0';
    reader->events->on_section(reader->data, reader->line, name);
}

// The reader for inih, which calls it like fgets. It hands over a whole line, or the
// beginning of a line that is longer than inih can take.
static char *read_line(char *str, int size, void *stream)
{
    struct reader *reader = stream;
    size_t length;

    do {
        if (reader->is_expected)
            report(reader, "this is neither a [section] nor KEY = VALUE");
        reader->is_expected = false;
        if (!next_line(reader))
            return NULL;
        if (*reader->text == '[')
            take_section(reader);
    } while (strchr(";#[", *reader->text)); // and the empty line
    reader->is_expected = true;
    length = strlen(reader->text);
    // A buffer without a newline at its end would be a line in two parts for inih.
    reader->is_cut = length + 2 > (size_t)size;
    if (reader->is_cut)
        length = (size_t)size - 2;
    memcpy(str, reader->text, length);
    memcpy(str + length, "\n", 2);
    return str;
}

static int on_pair(void *data, const char *section, const char *key, const char *value)
{
    struct reader *reader = data;

    (void)section;
    reader->is_expected = false;
    if (!*key)
        report(reader, "there is no key in front of the =");
    else if (reader->is_cut)
        reader->events->on_value(reader->data, reader->line, key,
                                 without_comment(strpbrk(reader->text, "=:") + 1));
    else
        reader->events->on_value(reader->data, reader->line, key, value);
    return 1;
}

// A user who can write to the file chooses what the daemon starts. Owners are root and the
// daemon's own user; a group that may write is root's or the daemon's own.
static int check_writers(const char *path, const struct stat *st, struct error *err)
{
    if (st->st_mode & S_IWOTH)
        return error_set(err, EPERM,
                         "%s: every user can write to this file, and so choose what the daemon "
                         "starts; chmod o-w first",
                         path);
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return error_set(err, EPERM,
                         "%s: it belongs to user %u, who can so choose what the daemon starts; "
                         "chown it to root or to the daemon's user first",
                         path, (unsigned)st->st_uid);
    if (st->st_mode & S_IWGRP && st->st_gid != 0 && st->st_gid != getegid())
        return error_set(err, EPERM,
                         "%s: group %u can write to this file, and so choose what the daemon "
                         "starts; chmod g-w first",
                         path, (unsigned)st->st_gid);
    return 0;
}

static int read_file(const char *path, struct buffer *content, struct error *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t count;

    if (fd < 0)
        return error_set(err, errno, "%s: cannot open it: %s", path, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return error_set(err, EISDIR, "%s: is a directory, not a configuration file", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && check_writers(path, &st, err) < 0)
        return -EPERM;
    do {
        if (buffer_reserve(content, READ_SIZE) < 0)
            return error_set(err, ENOMEM, "%s: no memory to read it", path);
        count = read(fd, content->data + content->length, content->capacity - content->length);
        if (count < 0)
            return error_set(err, errno, "%s: cannot read it: %s", path, strerror(errno));
        content->length += (size_t)count;
        if (content->length > INIFILE_MAX_SIZE)
            return error_set(err, EFBIG, "%s: is over 1 MiB; that is no configuration", path);
    } while (count > 0);
    return 0;
}

int inifile_read(const char *path, const struct inifile_events *events, void *data,
                 struct error *err)
{
    AUTO(buffer_finish) struct buffer content = {0};
    int result = read_file(path, &content, err);

    if (result < 0)
        return result;
    // read_file left room after the content: the last read had some to fill.
    struct reader reader = {
        .events = events,
        .data = data,
        .next = content.data,
        .end = content.data + content.length,
    };
    if (ini_parse_stream(read_line, &reader, on_pair, &reader) == -2)
        return error_set(err, ENOMEM, "%s: no memory to parse it", path);
    return 0;
}
