// SPDX-License-Identifier: Apache-2.0
// conf/inifile.c: lines of a file, with their numbers, whatever their length.
#include "world.h"

#include "inifile.h"

#include <errno.h>
#include <sys/stat.h>

static void on_section(void *data, unsigned line, const char *name)
{
    buffer_printf(data, "%u [%s]|", line, name);
}

static void on_value(void *data, unsigned line, const char *key, const char *value)
{
    buffer_printf(data, "%u %s=<%s>|", line, key, value);
}

static void on_problem(void *data, unsigned line, const char *message)
{
    ck_assert_uint_gt(strlen(message), 5);
    buffer_printf(data, "%u !|", line);
}

static const struct inifile_events events = {on_section, on_value, on_problem};

// Returns all events for a file of this content; the caller frees the text.
static char *read_content(const void *content, size_t length)
{
    char path[sizeof WORLD_PATH];
    struct buffer log = {0};
    struct error err = {0};
    int result;

    world_file(path, content, length);
    result = inifile_read(path, &events, &log, &err);
    unlink(path);
    ck_assert_msg(result == 0, "%s", result ? error_message(&err) : "");
    ck_assert_int_eq(err.code, 0);
    return buffer_take_string(&log);
}

// clang-format off
static const struct {
    const char *content;
    const char *log;
} files[] = {
    {"", ""},
    {"\n", ""},
    {"\n\n  \n\t\n", ""},
    {"a = 1\n", "1 a=<1>|"},
    {"a = 1", "1 a=<1>|"},
    {"[s]", "1 [s]|"},
    {"a=1\n\n[s]\nb=2\n", "1 a=<1>|3 [s]|4 b=<2>|"},
    {"a: 1\nb:2\n", "1 a=<1>|2 b=<2>|"},
    {"a = b=c:d\n", "1 a=<b=c:d>|"},
    {"a: b=c\n", "1 a=<b=c>|"},
    {"  a  =  1 2  \n", "1 a=<1 2>|"},
    {"\ta\t=\t1\t\n", "1 a=<1>|"},
    {"a =\n", "1 a=<>|"},
    {"a=\n", "1 a=<>|"},
    // The same key several times, and in several sections.
    {"a=1\na=2\n[s]\na=3\n", "1 a=<1>|2 a=<2>|3 [s]|4 a=<3>|"},
    // Line ends of other systems, a byte order mark.
    {"a = 1\r\n[s]\r\nb = 2\r\n", "1 a=<1>|2 [s]|3 b=<2>|"},
    {"\xef\xbb\xbf[s]\na=1\n", "1 [s]|2 a=<1>|"},
    {"\xef\xbb\xbf"
     "a = 1\n",
     "1 a=<1>|"},
    {"\xef\xbb\xbf\r\n\r\na=1", "3 a=<1>|"},
    {"\xef\xbb\xbf", ""},
    // Comments.
    {"# one\n; two\n  # three\n  ; four\na=1\n", "5 a=<1>|"},
    {"a = 1 ; comment\n", "1 a=<1>|"},
    {"a = 1\t; comment\n", "1 a=<1>|"},
    {"a = 1;2\n", "1 a=<1;2>|"},
    {"a = 1 # no comment\n", "1 a=<1 # no comment>|"},
    {"a = #1\n", "1 a=<#1>|"},
    {"a = ; comment\n", "1 a=<>|"},
    {"[s] ; comment\na=1\n", "1 [s]|2 a=<1>|"},
    {"[s] # comment\n", "1 [s]|"},
    {"[s];c\n", "1 [s]|"},
    {"#[s]\n;a=1\n", ""},
    // Indentation means nothing: no line is the next part of another.
    {"a = 1\n  b = 2\n    c = 3\n", "1 a=<1>|2 b=<2>|3 c=<3>|"},
    {"  [s]\n  a = 1\n", "1 [s]|2 a=<1>|"},
    // Sections without keys, and of the same name.
    {"[a]\n[b]\n[c]\n", "1 [a]|2 [b]|3 [c]|"},
    {"[a]\n[a]\n", "1 [a]|2 [a]|"},
    {"[]\n", "1 []|"},
    {"[a b]\n", "1 [a b]|"},
    {"[ a ]\n", "1 [ a ]|"},
    {"[a=b]\n[c:d]\n[e;f]\n[g ;h]\n", "1 [a=b]|2 [c:d]|3 [e;f]|4 [g ;h]|"},
    {"[a[b]\n", "1 [a[b]|"},
    // An error is reported, and reading goes on.
    {"nonsense\na=1\n", "1 !|2 a=<1>|"},
    {"a=1\nnonsense\nnonsense\nb=2\n", "1 a=<1>|2 !|3 !|4 b=<2>|"},
    {"nonsense", "1 !|"},
    {"[s\na=1\n", "1 !|2 a=<1>|"},
    {"[s\n[t]\n", "1 !|2 [t]|"},
    {"[\n", "1 !|"},
    {"= 1\na=1\n", "1 !|2 a=<1>|"},
    {": 1\n", "1 !|"},
    {"a ; = 1\n", "1 !|"},
    {"[s]x\n", "1 !|1 [s]|"},
    {"]\n", "1 !|"},
    {"nonsense\n[s]\nnonsense\n\n", "1 !|2 [s]|3 !|"},
};
// clang-format on

START_TEST(reads_a_file)
{
    char *log = read_content(files[_i].content, strlen(files[_i].content));

    ck_assert_str_eq(log, files[_i].log);
    free(log);
}
END_TEST

// clang-format off
static const struct {
    const char *content;
    size_t length;
    const char *log;
} binaries[] = {
#define BYTES(text) text, sizeof text - 1
    {BYTES("a=1\0\nb=2\n"), "1 !|2 b=<2>|"},      {BYTES("\0"), "1 !|"},
    {BYTES("\0\n\0\na=1\n"), "1 !|2 !|3 a=<1>|"}, {BYTES("[s]\na=\0\nb=2"), "1 [s]|2 !|3 b=<2>|"},
    {BYTES("# \0\na=1"), "1 !|2 a=<1>|"},         {BYTES("[s\0]\nb=2"), "1 !|2 b=<2>|"},
};
// clang-format on

START_TEST(reports_nul_bytes)
{
    char *log = read_content(binaries[_i].content, binaries[_i].length);

    ck_assert_str_eq(log, binaries[_i].log);
    free(log);
}
END_TEST

static const size_t lengths[] = {1,   190, 191, 192, 193, 194, 195,  196,  197,
                                 198, 199, 200, 201, 202, 400, 1000, 4096, 10000};

// A value of LENGTH bytes that is different at every place.
static void fill(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + (i * 7 + i / 26) % 26);
    text[length] = '\0';
}

static void ck_value(const char *format_of_line, const char *value)
{
    struct buffer content = {0};
    struct buffer expected = {0};
    char *log;

    buffer_printf(&content, "x=1\n");
    for (const char *c = format_of_line; *c; c++)
        if (*c == '@')
            buffer_printf(&content, "%s", value);
        else
            buffer_append(&content, c, 1);
    buffer_printf(&content, "\ny=2\n");
    buffer_printf(&expected, "1 x=<1>|2 key=<%s>|3 y=<2>|", value);
    log = read_content(content.data, content.length);
    char *text = buffer_take_string(&expected);
    ck_assert_msg(strcmp(log, text) == 0, "with %s and %zu bytes", format_of_line, strlen(value));
    free(log);
    free(text);
    buffer_finish(&content);
}

START_TEST(takes_lines_of_any_length)
{
    char value[10001];

    fill(value, lengths[_i]);
    ck_value("key=@", value);
    ck_value("key = @", value);
    ck_value("   key :  @   ", value);
    ck_value("key = @\r", value);
    ck_value("key = @ ; comment", value);
    ck_value("key = @ ; comment = @ ; @", value);
    if (lengths[_i] > 150) {
        value[100] = ' ';
        value[101] = '=';
        value[120] = ';';
        value[lengths[_i] - 10] = ' ';
        value[lengths[_i] - 20] = ':';
        value[lengths[_i] - 30] = '#';
        ck_value("key = @", value);
    }
}
END_TEST

START_TEST(takes_comments_of_any_length)
{
    char text[10100];
    char *log;

    strcpy(text, "# ");
    fill(text + 2, lengths[_i]);
    strcat(text, "\na=1\n");
    log = read_content(text, strlen(text));
    ck_assert_str_eq(log, "2 a=<1>|");
    free(log);
}
END_TEST

START_TEST(takes_nonsense_of_any_length)
{
    char text[10100];
    char *log;

    fill(text, lengths[_i]);
    strcat(text, "\na=1\n");
    log = read_content(text, strlen(text));
    ck_assert_str_eq(log, "1 !|2 a=<1>|"); // one report only
    free(log);
}
END_TEST

START_TEST(takes_section_names_of_any_length)
{
    static const size_t name_lengths[] = {48, 49, 50, 51, 100, 197, 198, 199, 200, 255, 5000};
    char name[5001];

    for (size_t i = 0; i < COUNT(name_lengths); i++) {
        struct buffer content = {0};
        struct buffer expected = {0};
        fill(name, name_lengths[i]);
        buffer_printf(&content, "[%s]\na=1\n[%sx]\n", name, name);
        buffer_printf(&expected, "1 [%s]|2 a=<1>|3 [%sx]|", name, name);
        char *log = read_content(content.data, content.length);
        char *text = buffer_take_string(&expected);
        ck_assert_str_eq(log, text);
        free(log);
        free(text);
        buffer_finish(&content);
    }
}
END_TEST

// A key of MAX bytes, the length of inih's own field.
START_TEST(takes_keys_of_some_length)
{
    static const size_t key_lengths[] = {49, 50, 51, 100, 150};
    char key[200];

    for (size_t i = 0; i < COUNT(key_lengths); i++) {
        struct buffer content = {0};
        struct buffer expected = {0};
        fill(key, key_lengths[i]);
        buffer_printf(&content, "%s = value\nb=2\n", key);
        buffer_printf(&expected, "1 %s=<value>|2 b=<2>|", key);
        char *log = read_content(content.data, content.length);
        char *text = buffer_take_string(&expected);
        ck_assert_str_eq(log, text);
        free(log);
        free(text);
        buffer_finish(&content);
    }
}
END_TEST

START_TEST(takes_many_lines)
{
    struct buffer content = {0};
    struct buffer expected = {0};

    for (unsigned line = 1; line <= 5000; line++) {
        buffer_printf(&content, "k%u = %u\n", line, line);
        buffer_printf(&expected, "%u k%u=<%u>|", line, line, line);
    }
    char *log = read_content(content.data, content.length);
    char *text = buffer_take_string(&expected);
    ck_assert(strcmp(log, text) == 0);
    free(log);
    free(text);
    buffer_finish(&content);
}
END_TEST

static void ck_unreadable(const char *path, int code)
{
    struct buffer log = {0};
    struct error err = {0};

    ck_assert_int_eq(inifile_read(path, &events, &log, &err), -code);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(error_message(&err), path), "%s", error_message(&err));
    ck_assert_uint_eq(log.length, 0);
    error_finish(&err);
    buffer_finish(&log);
    ck_assert_int_eq(inifile_read(path, &events, &log, NULL), -code);
    buffer_finish(&log);
}

START_TEST(says_why_it_cannot_read)
{
    char path[] = WORLD_PATH;

    ck_unreadable("/nonexistent/hooksfs.conf", ENOENT);
    ck_unreadable("/dev/null/hooksfs.conf", ENOTDIR);
    ck_assert_ptr_nonnull(mkdtemp(path));
    ck_unreadable(path, EISDIR);
    rmdir(path);
    ck_unreadable("/dev/zero", EFBIG);
    ck_unreadable("/proc/self/mem", EIO); // open succeeds, and read at offset 0 fails
}
END_TEST

START_TEST(reads_up_to_1_mib)
{
    char path[sizeof WORLD_PATH];
    char *content = malloc(INIFILE_MAX_SIZE + 1);
    char *log;

    memset(content, '\n', INIFILE_MAX_SIZE + 1);
    memcpy(content + INIFILE_MAX_SIZE - 3, "a=1", 3);
    log = read_content(content, INIFILE_MAX_SIZE);
    ck_assert_str_eq(log, "1048574 a=<1>|");
    free(log);
    world_file(path, content, INIFILE_MAX_SIZE + 1);
    ck_unreadable(path, EFBIG);
    unlink(path);
    free(content);
}
END_TEST

static const struct {
    uid_t uid;
    gid_t gid;
    mode_t mode;
    int result;
} writers[] = {
    {0,    0,    0644, 0     },
    {0,    0,    0664, 0     },
    {0,    0,    0646, -EPERM},
    {0,    1234, 0644, 0     },
    {0,    1234, 0664, -EPERM},
    {1234, 0,    0600, -EPERM},
};

START_TEST(wants_no_other_writer)
{
    char path[sizeof WORLD_PATH];
    struct buffer log = {0};
    struct error err = {0};

    if (geteuid() != 0)
        UNIT_SKIP("only root can give files away");
    world_file(path, "[s]\n", 4);
    ck_assert_int_eq(chown(path, writers[_i].uid, writers[_i].gid), 0);
    ck_assert_int_eq(chmod(path, writers[_i].mode), 0);
    ck_assert_int_eq(inifile_read(path, &events, &log, &err), writers[_i].result);
    if (writers[_i].result < 0)
        ck_assert_ptr_nonnull(strstr(error_message(&err), "first"));
    unlink(path);
    buffer_finish(&log);
    error_finish(&err);
}
END_TEST

int main(void)
{
    UNIT_RUN("inifile", EACH(reads_a_file, files), EACH(reports_nul_bytes, binaries),
             EACH(takes_lines_of_any_length, lengths), EACH(takes_comments_of_any_length, lengths),
             EACH(takes_nonsense_of_any_length, lengths), ONCE(takes_section_names_of_any_length),
             ONCE(takes_keys_of_some_length), ONCE(takes_many_lines), ONCE(says_why_it_cannot_read),
             ONCE(reads_up_to_1_mib), EACH(wants_no_other_writer, writers));
}
