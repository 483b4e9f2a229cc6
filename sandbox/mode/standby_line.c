// SPDX-License-Identifier: Apache-2.0
#include "standby_line.h"

#include "cleanup.h"

#include <errno.h>
#include <fnmatch.h>

// The command reads from a relay, which passes nothing on before it has read the key. The relay's
// parent, the holder, has the write end of the same pipe until it hears of the key. So the command
// does not read the end of the pipe when one of the two is killed.
//
// If stdin ends without the key, the relay sweeps, and if the relay is gone, the holder does: it
// kills every process of the process group except the shells of this script, and stays until the
// shell that waits for the command has come and gone. So each process has a parent that waits for
// it; the first process of a container may not do that. Where this does not help soon, the whole
// group is killed. The first shell makes sure that it leads a group.
//
// A sweep looks at each process of the container, and up to ten times: it must cost little, because
// the clients of many standbys can end at the same time.
//
// A command need not read to the end of its stdin: after the command the relay is ended, if it is
// still the holder's child and does not sweep. A sweep that was ended would leave processes that it
// has only stopped. Messages of the shells about the end of a command are dropped, because
// they are not the command's; such a message must not end a shell whose client has gone.
static const char gate[] =
    "command -v cat >/dev/null && read -r a b c d group e </proc/$$/stat && "
    "[ \"$group\" = $$ ] || exit 126\n"
    "printf '" STANDBY_GATE_GREETING "'\n"
    "exec 3<&0 4>&2 2>/dev/null\n"
    "sweep() {\n"
    "trap '' USR2\n"
    "seen=\n"
    "i=0\n"
    "while [ $((i += 1)) -le 10 ]; do\n"
    "found=\n"
    "rest=\n"
    "for p in /proc/[0-9]*; do\n"
    "line=\n"
    "{ read -r line <$p/stat; }\n"
    "set -- ${p#/proc/} ${line##*) }\n"
    "[ \"$4\" = $$ ] && [ \"$2\" != Z ] || continue\n"
    "case $1 in $$ | $holder | $self) continue ;; esac\n"
    "rest=1\n"
    "[ \"$3\" = $$ ] || { kill -STOP $1 && found=\"$found $1\"; }\n"
    "done\n"
    "[ \"$found\" ] && kill -9 $found\n"
    "[ ! \"$rest\" ] && [ \"$seen\" ] && return\n"
    "seen=$seen$rest\n"
    "done\n"
    "kill -9 0\n"
    "}\n"
    "{\n"
    "key=\n"
    "trap 'key=1; exec >&-' USR1\n"
    "read -r holder rest </proc/self/stat\n"
    "self=$holder\n"
    "{\n"
    "read -r self rest </proc/self/stat\n"
    "echo $self $holder\n"
    "if read -r key; then\n"
    "{ read -r a b c parent e </proc/$self/stat; } && [ \"$parent\" = $holder ] && "
    "kill -USR1 $holder\n"
    "exec cat\n"
    "fi\n"
    "sweep\n"
    "exit\n"
    "} <&3 3<&- 4>&- &\n"
    "exec 3<&- 4>&-\n"
    "wait $! || [ \"$key\" ] || sweep\n"
    "wait $!\n"
    "} | {\n"
    "exec 3<&-\n"
    "trap : PIPE\n"
    "read -r relay holder\n"
    "\"$@\" 2>&4 4>&-\n"
    "code=$?\n"
    "{ read -r a b c parent e </proc/$relay/stat; } && [ \"$parent\" = $holder ] && "
    "kill -USR1 $holder && kill -USR2 $relay\n"
    "exit $code\n"
    "}";

int standby_line_parse(const char *line, struct request *request, struct error *err)
{
    AUTO(request_parser_finish) struct request_parser parser = {0};
    bool is_complete;
    ssize_t used = request_parse(&parser, line, strlen(line), &is_complete, err);
    int result = used < 0 ? (int)used : request_parse_end(&parser, err);

    for (int i = 0; result == 0 && i < REQUEST_OPTIONS; i++)
        if (parser.request.options.has[i] && i != REQUEST_WORKDIR)
            result = error_set(err, EINVAL,
                               "of the options only --workdir is possible; each request has its "
                               "own of the others");
    if (result == 0) {
        *request = parser.request;
        parser.request = (struct request){0};
    }
    return result;
}

int standby_line_gate(struct request *request, struct error *err)
{
    static const char *const shell[] = {"sh", "-c", gate, "sh"};

    if (words_prepend(&request->argv, shell, sizeof shell / sizeof shell[0]) < 0)
        return error_set(err, ENOMEM, "no memory");
    return 0;
}

static int check_line(const struct sandbox_config *config, const char *line, struct error *err)
{
    AUTO(request_finish) struct request request = {0};
    bool is_allowed = config->allow.count == 0;
    int result = standby_line_parse(line, &request, err);

    for (size_t i = 0; result == 0 && i < config->allow.count; i++)
        is_allowed |= fnmatch(config->allow.items[i], request.argv.items[0], FNM_PATHNAME) == 0;
    if (result == 0 && !is_allowed)
        result = error_set(err, EINVAL, "'%s': no request may run it, because of allow",
                           request.argv.items[0]);
    return result;
}

int standby_line_check(const struct sandbox_config *config, const char **key, struct error *err)
{
    int result = 0;

    *key = "standby";
    if (config->standby.count > STANDBY_MAX_LINES)
        return error_set(err, EINVAL, "there are %zu, and up to %d are possible",
                         config->standby.count, STANDBY_MAX_LINES);
    for (size_t i = 0; i < config->standby.count && result == 0; i++)
        result = check_line(config, config->standby.items[i], err);
    if (result == 0 && config->standby_count > STANDBY_MAX_COUNT) {
        *key = "standby_count";
        result = error_set(err, EINVAL, "%u are too many: up to %d are possible",
                           config->standby_count, STANDBY_MAX_COUNT);
    }
    return result;
}
