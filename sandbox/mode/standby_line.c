// SPDX-License-Identifier: Apache-2.0
#include "standby_line.h"

#include "cleanup.h"

#include <errno.h>
#include <fnmatch.h>

// The command reads from a relay, which passes nothing on before it has read the key. The
// kill takes the process group, so the shell first makes sure that it leads one. The relay
// runs in the background, so that a command which does not read to the end of its stdin is
// not waited for.
static const char gate[] =
    "command -v cat >/dev/null && read -r a b c d group e </proc/$$/stat && "
    "[ \"$group\" = $$ ] || exit 126\n"
    "exec 3<&0\n"
    "{ sh -c 'read -r key && exec cat; kill -9 0' <&3 3<&- 2>/dev/null & } | "
    "{ exec 3<&-; exec \"$@\"; }";

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
    struct words argv = {0};
    int result = 0;

    for (size_t i = 0; i < sizeof shell / sizeof shell[0] && result == 0; i++)
        result = words_append(&argv, shell[i]);
    for (size_t i = 0; i < request->argv.count && result == 0; i++)
        result = words_append(&argv, request->argv.items[i]);
    if (result < 0) {
        words_finish(&argv);
        return error_set(err, ENOMEM, "no memory");
    }
    words_finish(&request->argv);
    request->argv = argv;
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
