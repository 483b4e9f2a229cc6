// SPDX-License-Identifier: Apache-2.0
#include "bootstrap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
    MAX_LINE = 1024,     // bytes in a line of the script
    MAX_IGNORED = 16384, // bytes that other programs may write before the script
    MAX_SENDS = 8,       // the script knows seven directories
};

// For any sh, with any make of uname, head, wc, chmod and rm. `read` and `head -c` read no
// byte too many. If the agent does not fit into a directory, head leaves a part of it unread:
// the script reads on to the line with the file's name. noclobber makes > open exclusively.
// If that line never comes, the connection broke, which says nothing of the container.
// Errors of the shell are hidden, because a connection that ends later shows the last words
// on stderr as the reason.
// Another user may be able to replace the file, in a directory that is not sticky. So after > only
// descriptor 5 is used, which is open on the inode that this shell created.
static const char script[] =
    "k=$1; u=$(umask); set -fC; umask 077; exec 4>&1\n"
    "for c in head wc chmod rm uname; do\n"
    "  command -v $c >/dev/null || { echo \"$k none the container has no $c\"; exit 0; }\n"
    "done\n"
    "[ -d /proc/self/fd ] || { echo \"$k none the container has no /proc\"; exit 0; }\n"
    "echo \"$k arch $(uname -m)\"\n"
    "read -r n name || exit 0\n"
    "why='no directory of the container can be written'\n"
    "for d in \"$TMPDIR\" /dev/shm /tmp /var/tmp /run \"$HOME\" .; do\n"
    "  [ -n \"$d\" ] && [ -d \"$d\" ] && [ -w \"$d\" ] || continue\n"
    "  f=$d/.hooksfs-$name; ok=\n"
    "  { exec 5</proc/self/fd/3; ok=1; echo \"$k send\" >&4; head -c \"$n\" >&3; } 2>/dev/null "
    "3>\"$f\"\n"
    "  [ -n \"$ok\" ] || continue\n"
    "  echo \"$k sent\"\n"
    "  while IFS= read -r line && [ \"$line\" != \"$name\" ]; do :; done\n"
    "  if [ \"$line\" != \"$name\" ]; then rm -f \"$f\"; exit 0; fi\n"
    "  if [ \"$(wc -c <&5)\" -ne \"$n\" ]; then\n"
    "    why=\"$d has no room for the agent\"\n"
    "  elif chmod 700 /proc/self/fd/0 <&5 && { /proc/self/fd/5 --probe </dev/null; } >/dev/null "
    "2>&1 3>&- 4>&-; then\n"
    "    echo \"$k exec\"\n"
    "    umask \"$u\"\n"
    "    exec /proc/self/fd/5 --serve --unlink=\"$f\" 4>&-\n"
    "  else\n"
    "    why=\"nothing can be executed in $d\"\n"
    "  fi\n"
    "  rm -f \"$f\"; exec 5<&-\n"
    "done\n"
    "echo \"$k none $why\"\n";

static int draw_word(char text[WIRE_KEY + 1], struct error *err)
{
    unsigned char bytes[WIRE_KEY / 2];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return error_set(err, EIO, "cannot get random numbers");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int bootstrap_init(struct bootstrap *bootstrap, struct error *err)
{
    *bootstrap = (struct bootstrap){0};
    return draw_word(bootstrap->key, err) < 0 ? -EIO : draw_word(bootstrap->name, err);
}

int bootstrap_add_argv(const struct bootstrap *bootstrap, struct words *argv)
{
    const char *const words[] = {"sh", "-c", script, "sh", bootstrap->key};
    int result = 0;

    for (size_t i = 0; i < sizeof words / sizeof words[0] && result == 0; i++)
        result = words_append(argv, words[i]);
    return result;
}

static int answer_arch(struct bootstrap *bootstrap, const char *machine, struct buffer *out,
                       struct error *err)
{
    if (bootstrap->blob)
        return error_set(err, EPROTO, "the shell there names its machine twice");
    if (!*machine)
        return error_set(err, EPROTO, "uname -m there does not name the machine");
    for (size_t i = 0; i < agent_blobs_count; i++)
        if (strcmp(agent_blobs[i].machine, machine) == 0)
            bootstrap->blob = &agent_blobs[i];
    if (!bootstrap->blob)
        return error_set(err, EPROTO,
                         "the container is %s, and this hooksfs has no agent for that machine",
                         machine);
    return buffer_printf(out, "%zu %s\n", bootstrap->blob->size, bootstrap->name);
}

static int answer(struct bootstrap *bootstrap, const char *line, struct buffer *out,
                  struct error *err)
{
    const struct agent_blob *blob = bootstrap->blob;

    if (strncmp(line, "arch ", 5) == 0)
        return answer_arch(bootstrap, line + 5, out, err);
    if (blob && strcmp(line, "send") == 0 && !bootstrap->is_sending &&
        bootstrap->sends++ < MAX_SENDS) {
        bootstrap->is_sending = true;
        return buffer_append(out, blob->bytes, blob->size);
    }
    if (blob && strcmp(line, "sent") == 0 && bootstrap->is_sending) {
        bootstrap->is_sending = false;
        return buffer_printf(out, "\n%s\n", bootstrap->name);
    }
    if (blob && strcmp(line, "exec") == 0) {
        bootstrap->is_done = true;
        return 0;
    }
    if (strncmp(line, "none ", 5) == 0)
        return error_set(err, EPROTO, "%s", line + 5);
    return error_set(err, EPROTO, "the shell there says '%.64s'", line);
}

// Takes a whole line, which has a NUL in the place of its newline. A line without the key is
// not the script's and is skipped: a shell may greet when it starts, for example.
static int take_line(struct bootstrap *bootstrap, struct buffer *out, struct error *err)
{
    const char *line = bootstrap->line.data;
    size_t length = bootstrap->line.length - 1;
    bool is_ours = length > WIRE_KEY && memcmp(line, bootstrap->key, WIRE_KEY) == 0 &&
                   line[WIRE_KEY] == ' ' && memchr(line, '\0', length) == NULL;

    if (is_ours)
        return answer(bootstrap, line + WIRE_KEY + 1, out, err);
    bootstrap->ignored += length;
    return bootstrap->ignored <= MAX_IGNORED
               ? 0
               : error_set(err, EPROTO, "the shell there writes much, and nothing about an agent");
}

ssize_t bootstrap_take(struct bootstrap *bootstrap, const char *bytes, size_t size,
                       struct buffer *out, struct error *err)
{
    size_t used = 0;

    while (used < size && !bootstrap->is_done) {
        const char *newline = memchr(bytes + used, '\n', size - used);
        size_t length = newline ? (size_t)(newline - bytes) - used : size - used;
        int result = buffer_append(&bootstrap->line, bytes + used, length);

        if (result == 0 && bootstrap->line.length > MAX_LINE)
            return error_set(err, EPROTO,
                             "the shell there writes much, and nothing about an agent");
        used += length + (newline ? 1 : 0);
        if (result == 0 && newline)
            result = buffer_append(&bootstrap->line, "", 1);
        if (result == 0 && newline) {
            result = take_line(bootstrap, out, err);
            bootstrap->line.length = 0;
        }
        if (result < 0)
            return result;
    }
    return (ssize_t)used;
}

void bootstrap_finish(struct bootstrap *bootstrap)
{
    buffer_finish(&bootstrap->line);
}
