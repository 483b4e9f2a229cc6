// SPDX-License-Identifier: Apache-2.0
// sandbox/model/request.c: the grammar of a command line, in pieces of every size.
#include "world.h"

#include <errno.h>

// A command line and its meaning: each variable as {A=1}, each word as [a]. The bytes after
// the newline are stdin. MEANING NULL: it is refused, and WORD is in the reason.
struct line {
    const char *text;
    const char *meaning;
    const char *rest_or_word;
};

#define SHELL "sh -c"

// clang-format off
static const struct line lines[] = {
    // Words and blanks
    {"echo\n", "[echo]", ""},
    {"echo", "[echo]", ""},
    {"echo hi\n", "[echo][hi]", ""},
    {"  echo \t hi\t\t \n", "[echo][hi]", ""},
    {"echo hi  ", "[echo][hi]", ""},
    {"python -m pii --strict\n{\"hook\":1}\n", "[python][-m][pii][--strict]", "{\"hook\":1}\n"},
    {"cat\n\n\n", "[cat]", "\n\n"},
    {"cat\n|&;<>()$`'\"\\", "[cat]", "|&;<>()$`'\"\\"},
    {"cat\ncat\n", "[cat]", "cat\n"},
    {"a # b\n", "[a][#][b]", ""},
    {"a * ? [x] ~ {b,c} ! ^ % =\n", "[a][*][?][[x]][~][{b,c}][!][^][%][=]", ""},
    {"caf\xc3\xa9 \xff\xfe\n", "[caf\xc3\xa9][\xff\xfe]", ""},
    {"/bin/x\n", "[/bin/x]", ""},
    // Single quotes
    {"'a b'\n", "[a b]", ""},
    {"a 'b  c' d\n", "[a][b  c][d]", ""},
    {"a ''\n", "[a][]", ""},
    {"a '' ''\n", "[a][][]", ""},
    {"a b''c\n", "[a][bc]", ""},
    {"a'b'c\"d\"e\n", "[abcde]", ""},
    {"a '|&;<>()$`\"\\'\n", "[a][|&;<>()$`\"\\]", ""},
    {"a 'b\nc' d\nrest", "[a][b\nc][d]", "rest"},
    {"a '\\n'\n", "[a][\\n]", ""},
    {"a 'b\\\nc'\n", "[a][b\\\nc]", ""},
    {"sh -c 'echo $HOME | wc -c; exit 3'\n", "[sh][-c][echo $HOME | wc -c; exit 3]", ""},
    {"a 'it'\\''s'\n", "[a][it's]", ""},
    // Double quotes
    {"a \"b  c\"\n", "[a][b  c]", ""},
    {"a \"\"\n", "[a][]", ""},
    {"a \"|&;<>()'\"\n", "[a][|&;<>()']", ""},
    {"a \"b\nc\"\nrest", "[a][b\nc]", "rest"},
    {"a \"b\\\nc\"\n", "[a][bc]", ""},
    {"a \"\\$\\`\\\"\\\\\"\n", "[a][$`\"\\]", ""},
    {"a \"\\a\\n\\'\\ \"\n", "[a][\\a\\n\\'\\ ]", ""},
    {"a \"'\" '\"'\n", "[a]['][\"]", ""},
    // Backslash
    {"a \\|\\&\\;\\<\\>\\(\\)\\$\\`\n", "[a][|&;<>()$`]", ""},
    {"a \\'\\\"\\\\\n", "[a]['\"\\]", ""},
    {"a b\\ c\n", "[a][b c]", ""},
    {"a \\ \n", "[a][ ]", ""},
    {"a \\b\\n\n", "[a][bn]", ""},
    {"a b\\\nc\nrest", "[a][bc]", "rest"},
    {"a \\\n b\n", "[a][b]", ""},
    {"a \\\n\\\n\\\nb\n", "[a][b]", ""},
    {"\\\na\n", "[a]", ""},
    {"a\\\n\nrest", "[a]", "rest"},
    {"a \\\n", "[a]", ""},
    // Options
    {"--timeout=5s a\n", "<5000>[a]", ""},
    {"--timeout=500ms a b\n", "<500>[a][b]", ""},
    {"--timeout=none a\n", "<0>[a]", ""},
    {"  --timeout=2m  A=1 a\n", "<120000>{A=1}[a]", ""},
    {"'--timeout=5s' a\n", "<5000>[a]", ""},
    {"--timeout='5s' a\n", "<5000>[a]", ""},
    {"a --timeout=5s\n", "[a][--timeout=5s]", ""},
    {"a -x -- --nope\n", "[a][-x][--][--nope]", ""},
    {"A=1 a -x\n", "{A=1}[a][-x]", ""},
    {"--timeout=5s\\\n00ms a\n", NULL, "timeout"},
    {"--timeout=5\\\n00ms a\n", "<500>[a]", ""},
    // NAME=VALUE
    {"A=1 a\n", "{A=1}[a]", ""},
    {"A=1 B=2 a\n", "{A=1}{B=2}[a]", ""},
    {"A=1 A=2 a\n", "{A=1}{A=2}[a]", ""},
    {"A= a\n", "{A=}[a]", ""},
    {"A='' a\n", "{A=}[a]", ""},
    {"A=b=c a\n", "{A=b=c}[a]", ""},
    {"A==b a\n", "{A==b}[a]", ""},
    {"A='x  y' a\n", "{A=x  y}[a]", ""},
    {"A=\"x  y\" a\n", "{A=x  y}[a]", ""},
    {"A=x\\ y a\n", "{A=x y}[a]", ""},
    {"A='x\ny' a\n", "{A=x\ny}[a]", ""},
    {"A=-x a\n", "{A=-x}[a]", ""},
    {"A='$x|' a\n", "{A=$x|}[a]", ""},
    {"_a9=1 a\n", "{_a9=1}[a]", ""},
    {"A\\\n=1 a\n", "{A=1}[a]", ""},
    {"A=\\\n1 a\n", "{A=1}[a]", ""},
    {"a B=1\n", "[a][B=1]", ""},
    {"A=1 a B=1\n", "{A=1}[a][B=1]", ""},
    // Words that are no NAME=VALUE, as in sh
    {"'A'=1\n", "[A=1]", ""},
    {"'A=1'\n", "[A=1]", ""},
    {"\"A\"=1 b\n", "[A=1][b]", ""},
    {"A\"\"=1 b\n", "[A=1][b]", ""},
    {"''A=1 b\n", "[A=1][b]", ""},
    {"\\A=1 b\n", "[A=1][b]", ""},
    {"A\\=1 b\n", "[A=1][b]", ""},
    {"A'='1 b\n", "[A=1][b]", ""},
    {"1A=1 b\n", "[1A=1][b]", ""},
    {"A-B=1 b\n", "[A-B=1][b]", ""},
    {"a/b=1 b\n", "[a/b=1][b]", ""},
    {"=1 b\n", "[=1][b]", ""},
    {"A+=1 b\n", "[A+=1][b]", ""},
    {"'' b\n", NULL, "empty"},
    {"\"\"\n", NULL, "empty"},
    {"A=1 '' b\n", NULL, "empty"},
    // Each forbidden character, unquoted and, two of them, in double quotes
    {"a | b\n", NULL, SHELL},
    {"a|b\n", NULL, SHELL},
    {"a & b\n", NULL, SHELL},
    {"a&\n", NULL, SHELL},
    {"a ; b\n", NULL, SHELL},
    {"a;\n", NULL, SHELL},
    {"a < b\n", NULL, SHELL},
    {"a > b\n", NULL, SHELL},
    {"a 2>&1\n", NULL, SHELL},
    {"(a)\n", NULL, SHELL},
    {"a )\n", NULL, SHELL},
    {"a $HOME\n", NULL, SHELL},
    {"$a\n", NULL, SHELL},
    {"a $\n", NULL, SHELL},
    {"a `b`\n", NULL, SHELL},
    {"a \"$HOME\"\n", NULL, SHELL},
    {"a \"`b`\"\n", NULL, SHELL},
    {"a \"\\\\$b\"\n", NULL, SHELL},
    {"a 'x'$'y'\n", NULL, SHELL},
    {"A=$B a\n", NULL, SHELL},
    {"A=1;a\n", NULL, SHELL},
    {"--timeout=$T a\n", NULL, SHELL},
    // Words that look like options and are none
    {"-x a\n", NULL, "-x"},
    {"- a\n", NULL, "-"},
    {"-- a\n", NULL, "--"},
    {"--help\n", NULL, "--help"},
    {"--timeout a\n", NULL, "--timeout"},
    {"--timeout 5s a\n", NULL, "--timeout"},
    {"--timeout= a\n", NULL, "--timeout"},
    {"--timeout=0s a\n", NULL, "--timeout"},
    {"--timeout=5 a\n", NULL, "--timeout"},
    {"--timeout=soon a\n", NULL, "--timeout"},
    {"--timeout=1000d a\n", NULL, "--timeout"},
    {"--timeoutx=5s a\n", NULL, "--timeoutx"},
    {"--Timeout=5s a\n", NULL, "--Timeout"},
    {"--timeout=5s --timeout=6s a\n", NULL, "twice"},
    {"--timeout=none --timeout=6s a\n", NULL, "twice"},
    {"--timeout=5s -x a\n", NULL, "-x"},
    {"A=1 --timeout=5s a\n", NULL, "--timeout"},
    {"'-x' a\n", NULL, "-x"},
    // No command
    {"\n", NULL, "no command"},
    {"\necho\n", NULL, "no command"},
    {" \t \n", NULL, "no command"},
    {"   ", NULL, "no command"},
    {"A=1\n", NULL, "no command"},
    {"A=1", NULL, "no command"},
    {"--timeout=5s\n", NULL, "no command"},
    {"\\\n\n", NULL, "no command"},
    {"\\\n", NULL, "no command"},
    // It ends in the middle
    {"a 'b", NULL, "quote"},
    {"a 'b\n", NULL, "quote"},
    {"a \"b", NULL, "quote"},
    {"a \"b\n\n", NULL, "quote"},
    {"a \"b\\", NULL, "quote"},
    {"a '", NULL, "quote"},
    {"'", NULL, "quote"},
    {"a it's\n", NULL, "quote"},
    {"a b\\", NULL, "backslash"},
    {"\\", NULL, "backslash"},
};
// clang-format on

static char *describe(const struct request *request)
{
    struct buffer text = {0};

    if (request->options.has[REQUEST_TIMEOUT])
        buffer_printf(&text, "<%u>", (unsigned)request->options.timeout_ms);
    for (size_t i = 0; i < request->env.count; i++)
        buffer_printf(&text, "{%s}", request->env.items[i]);
    for (size_t i = 0; i < request->argv.count; i++)
        buffer_printf(&text, "[%s]", request->argv.items[i]);
    return buffer_take_string(&text);
}

// Parses TEXT in pieces: FIRST bytes, and then STEP at a time. Returns what it
// means, or NULL with ERR set. *REST is where stdin begins.
static char *parse(const char *text, size_t length, size_t first, size_t step, const char **rest,
                   struct error *err)
{
    struct request_parser parser = {0};
    bool is_complete = false;
    size_t at = 0;
    size_t size = first;
    char *meaning = NULL;
    ssize_t used = 0;

    ck_assert(request_is_empty(&parser));
    for (; at < length && !is_complete && used >= 0; size = step) {
        if (size > length - at)
            size = length - at;
        used = request_parse(&parser, text + at, size, &is_complete, err);
        if (used < 0)
            break;
        // check writes a message for each of its assertions: not for each byte.
        if (is_complete ? text[at + (size_t)used - 1] != '\n' : (size_t)used != size)
            ck_abort_msg("%zd of %zu bytes at %zu", used, size, at);
        at += (size_t)used;
        if (request_is_empty(&parser) != (at == 0))
            ck_abort_msg("is it empty after %zu bytes?", at);
    }
    if (used >= 0 && !is_complete)
        used = request_parse_end(&parser, err);
    if (used >= 0) {
        ck_assert_int_eq(err->code, 0);
        ck_assert_uint_ge(parser.request.argv.count, 1);
        ck_assert_ptr_null(parser.request.argv.items[parser.request.argv.count]);
        meaning = describe(&parser.request);
        *rest = text + at;
    } else
        ck_assert_int_eq(err->code, (int)-used);
    request_parser_finish(&parser);
    return meaning;
}

// Parses TEXT as above, and checks the result against LINE.
static void ck_line(const struct line *line, size_t first, size_t step)
{
    struct error err = {0};
    const char *rest = NULL;
    char *meaning = parse(line->text, strlen(line->text), first, step, &rest, &err);

    if (line->meaning) {
        ck_assert_msg(meaning != NULL, "refused after %zu bytes: %s", first, error_message(&err));
        ck_assert_str_eq(meaning, line->meaning);
        ck_assert_str_eq(rest, line->rest_or_word);
    } else {
        ck_assert_msg(!meaning, "taken as %s", meaning);
        ck_assert_int_eq(err.code, EINVAL);
        ck_assert_msg(strstr(error_message(&err), line->rest_or_word), "%s", error_message(&err));
    }
    free(meaning);
    error_finish(&err);
}

START_TEST(reads_a_line_whole)
{
    ck_line(&lines[_i], strlen(lines[_i].text), 1);
}
END_TEST

START_TEST(reads_a_line_in_any_pieces)
{
    size_t length = strlen(lines[_i].text);

    ck_line(&lines[_i], 1, 1);
    for (size_t first = 0; first < length; first++)
        ck_line(&lines[_i], first, length);
    ck_line(&lines[_i], 2, 3);
}
END_TEST

START_TEST(gives_the_same_reason_in_any_pieces)
{
    struct error whole = {0};
    struct error pieces = {0};
    const char *rest;
    size_t length = strlen(lines[_i].text);

    free(parse(lines[_i].text, length, length, 1, &rest, &whole));
    free(parse(lines[_i].text, length, 1, 1, &rest, &pieces));
    ck_assert_int_eq(whole.code, pieces.code);
    if (whole.code) {
        ck_assert_str_eq(error_message(&whole), error_message(&pieces));
        ck_assert_ptr_null(strchr(error_message(&whole), '\n'));
    }
    error_finish(&whole);
    error_finish(&pieces);
}
END_TEST

static const struct {
    const char *text;
    size_t length;
} with_nul[] = {
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }
    BYTES("\0"),       BYTES("a\0\n"),      BYTES("a \0 b\n"),
    BYTES("a '\0'\n"), BYTES("a \"\0\"\n"), BYTES("a \"\\\0\"\n"),
    BYTES("a \\\0\n"), BYTES("A=\0 a\n"),   BYTES("--timeout=5s\0 a\n"),
};

START_TEST(refuses_a_nul_byte)
{
    struct error err = {0};
    const char *rest;
    static const size_t steps[] = {1, 100};

    for (size_t i = 0; i < COUNT(steps); i++) {
        ck_assert_ptr_null(
            parse(with_nul[_i].text, with_nul[_i].length, steps[i], steps[i], &rest, &err));
        ck_assert_int_eq(err.code, EINVAL);
        ck_assert_ptr_nonnull(strstr(error_message(&err), "NUL"));
        error_finish(&err);
    }
}
END_TEST

START_TEST(leaves_nul_bytes_to_stdin)
{
    static const char text[] = "cat\n\0\0x";
    struct error err = {0};
    const char *rest = NULL;
    char *meaning = parse(text, sizeof text - 1, sizeof text - 1, 1, &rest, &err);

    ck_assert_str_eq(meaning, "[cat]");
    ck_assert_ptr_eq(rest, text + 4);
    free(meaning);
}
END_TEST

// Command lines of LENGTH bytes, before the newline if there is one.
// clang-format off
static const struct {
    const char *start;
    char filler;
    const char *end;
    size_t length;
    int code;
} long_lines[] = {
    {"a ", 'x', "\n", REQUEST_MAX_LINE, 0},
    {"a ", 'x', "", REQUEST_MAX_LINE, 0},
    {"a ", 'x', "\nstdin", REQUEST_MAX_LINE, 0},
    {"a ", 'x', "\n", REQUEST_MAX_LINE + 1, E2BIG},
    {"a ", 'x', "", REQUEST_MAX_LINE + 1, E2BIG},
    {"a ", ' ', "\n", REQUEST_MAX_LINE, 0},
    {"a ", ' ', "\n", REQUEST_MAX_LINE + 1, E2BIG},
    {"a '", '\n', "'\n", REQUEST_MAX_LINE, 0},
    {"a '", '\n', "'\n", REQUEST_MAX_LINE + 1, E2BIG},
    {"a '", 'x', "", REQUEST_MAX_LINE + 1, E2BIG},
    {"", 'x', "", 10 * REQUEST_MAX_LINE, E2BIG},
};
// clang-format on

START_TEST(limits_the_length)
{
    static const size_t steps[] = {1, 7, 4096, REQUEST_MAX_LINE, 20 * REQUEST_MAX_LINE};
    const char *newline = strchr(long_lines[_i].end, '\n');
    size_t end_length = newline ? (size_t)(newline - long_lines[_i].end) : 0;
    struct buffer text = {0};

    buffer_printf(&text, "%s", long_lines[_i].start);
    while (text.length < long_lines[_i].length - end_length)
        buffer_append(&text, &long_lines[_i].filler, 1);
    buffer_printf(&text, "%s", long_lines[_i].end);
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct error err = {0};
        const char *rest = NULL;
        char *meaning = parse(text.data, text.length, steps[i], steps[i], &rest, &err);
        ck_assert_msg(err.code == long_lines[_i].code, "%s", err.code ? error_message(&err) : "");
        ck_assert_int_eq(meaning != NULL, long_lines[_i].code == 0);
        if (meaning && newline)
            ck_assert_uint_eq((size_t)(rest - text.data), long_lines[_i].length + 1);
        free(meaning);
        error_finish(&err);
    }
    buffer_finish(&text);
}
END_TEST

// Bytes of stdin do not count.
START_TEST(does_not_limit_stdin)
{
    size_t size = 3 * REQUEST_MAX_LINE;
    char *text = malloc(size);
    struct error err = {0};
    const char *rest = NULL;

    memset(text, 'x', size);
    memcpy(text, "cat\n", 4);
    char *meaning = parse(text, size, size, 1, &rest, &err);
    ck_assert_str_eq(meaning, "[cat]");
    ck_assert_ptr_eq(rest, text + 4);
    free(meaning);
    free(text);
}
END_TEST

START_TEST(knows_when_nothing_was_written)
{
    struct request_parser parser = {0};
    bool is_complete;

    ck_assert(request_is_empty(&parser));
    ck_assert_int_eq(request_parse(&parser, "", 0, &is_complete, NULL), 0);
    ck_assert(!is_complete);
    ck_assert(request_is_empty(&parser));
    ck_assert_int_eq(request_parse(&parser, " ", 1, &is_complete, NULL), 1);
    ck_assert(!request_is_empty(&parser));
    request_parser_finish(&parser);
    ck_assert(request_is_empty(&parser));
}
END_TEST

// clang-format off
static const struct {
    const char *words[5];
    const char *meaning;
    const char *word;
} vectors[] = {
    {{"a"}, "[a]", NULL},
    {{"a", "b c", "", "$x|;", "'"}, "[a][b c][][$x|;][']", NULL},
    {{"A=1", "B=x y", "a"}, "{A=1}{B=x y}[a]", NULL},
    {{"a", "A=1"}, "[a][A=1]", NULL},
    {{"1A=1", "b"}, "[1A=1][b]", NULL},
    {{"=x", "b"}, "[=x][b]", NULL},
    {{"--timeout=5s", "a", "-x"}, "<5000>[a][-x]", NULL},
    {{"--timeout=5s", "A=1", "a"}, "<5000>{A=1}[a]", NULL},
    {{"a\nb", "c\nd"}, "[a\nb][c\nd]", NULL},
    {{NULL}, NULL, "no command"},
    {{"A=1"}, NULL, "no command"},
    {{""}, NULL, "empty"},
    {{"-x", "a"}, NULL, "-x"},
    {{"--timeout=0s", "a"}, NULL, "--timeout"},
    {{"--timeout=1s", "--timeout=1s", "a"}, NULL, "twice"},
};
// clang-format on

START_TEST(takes_words)
{
    struct request_parser parser = {0};
    struct error err = {0};
    char *words[6] = {0};
    int result;

    for (size_t i = 0; i < 5 && vectors[_i].words[i]; i++)
        words[i] = strdup(vectors[_i].words[i]);
    result = request_from_words(&parser, words, &err);
    if (vectors[_i].meaning) {
        ck_assert_int_eq(result, 0);
        char *meaning = describe(&parser.request);
        ck_assert_str_eq(meaning, vectors[_i].meaning);
        free(meaning);
    } else {
        ck_assert_int_eq(result, -EINVAL);
        ck_assert_int_eq(err.code, EINVAL);
        ck_assert_msg(strstr(error_message(&err), vectors[_i].word), "%s", error_message(&err));
    }
    request_parser_finish(&parser);
    error_finish(&err);
    for (size_t i = 0; i < 5; i++)
        free(words[i]);
}
END_TEST

// Bytes of every value, alone and after something: never a crash, never a
// word with a NUL, and the same in one piece as byte by byte.
START_TEST(takes_every_byte)
{
    static const char *const before[] = {"", "a ", "a '", "a \"", "a \\", "a \"\\", "A=", "--"};

    for (size_t i = 0; i < COUNT(before); i++)
        for (int byte = 0; byte < 256; byte++) {
            char text[16];
            size_t length = strlen(before[i]);
            struct error errs[2] = {{0}};
            const char *rests[2] = {NULL, NULL};
            strcpy(text, before[i]);
            text[length++] = (char)byte;
            memcpy(text + length, "z\nr", 3);
            length += 3;
            char *whole = parse(text, length, length, 1, &rests[0], &errs[0]);
            char *bytes = parse(text, length, 1, 1, &rests[1], &errs[1]);
            ck_assert_int_eq(errs[0].code, errs[1].code);
            ck_assert_int_eq(whole != NULL, bytes != NULL);
            if (whole)
                ck_assert_str_eq(whole, bytes);
            ck_assert_ptr_eq(rests[0], rests[1]);
            free(whole);
            free(bytes);
            error_finish(&errs[0]);
            error_finish(&errs[1]);
        }
}
END_TEST

int main(void)
{
    UNIT_RUN("request", EACH(reads_a_line_whole, lines), EACH(reads_a_line_in_any_pieces, lines),
             EACH(gives_the_same_reason_in_any_pieces, lines), EACH(refuses_a_nul_byte, with_nul),
             ONCE(leaves_nul_bytes_to_stdin), EACH(limits_the_length, long_lines),
             ONCE(does_not_limit_stdin), ONCE(knows_when_nothing_was_written),
             EACH(takes_words, vectors), ONCE(takes_every_byte));
}
