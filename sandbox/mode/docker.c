// SPDX-License-Identifier: Apache-2.0
#include "docker.h"

#include "cleanup.h"
#include "client.h"

#include <errno.h>
#include <fnmatch.h>

// Would the client behave differently with a variable of this name? Whoever
// makes a request chooses names and values, and must not choose the engine that
// the daemon's docker talks to, its credentials, or the code that it loads.
static bool is_of_the_client(const char *name)
{
    static const char *const patterns[] = {
        "PATH",      "HOME",       "USER",        "LOGNAME",    "SHELL",       "TMPDIR",
        "LD_*",      "GLIBC_*",    "MALLOC_*",    "LOCPATH",    "GCONV_PATH",  "NLSPATH",
        "GO*",       "DOCKER_*",   "CONTAINER*",  "PODMAN*",    "BUILDAH*",    "BUILDKIT_*",
        "COMPOSE_*", "STORAGE_*",  "REGISTRY_*",  "NETAVARK_*", "AARDVARK_*",  "CNI_*",
        "CONMON*",   "OCI_*",      "CRUN_*",      "XDG_*",      "DBUS_*",      "SSH_*",
        "SSL_*",     "GPG*",       "GNUPG*",      "*_PROXY",    "*_proxy",     "KUBE*",
        "NOTIFY_*",  "LISTEN_*",   "OTEL_*",      "_*",         "TERM*",       "RES_OPTIONS",
        "BASH*",     "SHELLOPTS",  "PS4",         "ENV",        "IFS",         "CDPATH",
        "PYTHON*",   "PERL*",      "RUBY*",       "NODE_*",     "LUA_*",       "TCL*",
        "JAVA_*",    "_JAVA*",     "JDK_*",       "PHP*",       "LOCALDOMAIN", "HOSTALIASES",
        "RESOLV_*",  "SUPPRESS_*", "SIGNATURE_*",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        if (fnmatch(patterns[i], name, 0) == 0)
            return true;
    // What we were started with, we were started with for the client's sake.
    return getenv(name) != NULL;
}

static void add_variable(struct argv *argv, const char *pair, struct words *client_env)
{
    size_t length = strcspn(pair, "=");
    AUTO_FREE char *name = strndup(pair, length);

    if (!name) {
        argv->has_failed = true;
        return;
    }
    // The configuration's `env = KEY` hands on just what the client has.
    const char *own = getenv(name);
    if (own && strcmp(own, pair + length + 1) == 0)
        argv_add_option(argv, "-e", name);
    else if (is_of_the_client(name))
        argv_add_option(argv, "-e", pair);
    else {
        argv_add_option(argv, "-e", name);
        if (words_append(client_env, pair) < 0)
            argv->has_failed = true;
    }
}

void docker_add_environment(struct argv *argv, const struct command *command, struct launch *launch)
{
    if (environment_inherit(&launch->env) < 0)
        argv->has_failed = true;
    for (size_t i = 0; i < command->env->count; i++)
        add_variable(argv, command->env->items[i], &launch->env);
}

// --- Judgement

// The client's own exit codes: 125, 126, 127 (docker-run(1), podman-exec(1)),
// and 1 and 255 for some failures. Commands end with these too, so that the
// message has to be one of the client's as well.
static bool is_client_message(int code, const char *line, size_t length)
{
    // Said for any code, and by nothing but the client.
    static const char *const certain[] = {
        "Error response from daemon: ",
        "docker: ",
        "Cannot connect to the Docker daemon",
        "Cannot connect to Podman",
        "error during connect: ",
        "permission denied while trying to connect to the Docker daemon",
        "OCI runtime exec failed: ",
        "Error: No such container: ",
    };
    // Said with a code of its own.
    static const char *const likely[] = {
        "Error: ", "error: ", "unknown flag: ", "unknown shorthand flag: ", "time=\""};

    for (size_t i = 0; i < sizeof certain / sizeof certain[0]; i++)
        if (client_begins(line, length, certain[i]))
            return true;
    if (code < CODE_UNREACHABLE || (code > CODE_NOT_FOUND && code != 255))
        return false;
    for (size_t i = 0; i < sizeof likely / sizeof likely[0]; i++)
        if (client_begins(line, length, likely[i]))
            return true;
    return false;
}

// podman ends with 1, the code of so many commands, when it cannot read its own
// configuration. Then there is nothing on stderr but lines of its log, and the
// last one is an error.
static bool is_client_log(const char *err, size_t size)
{
    size_t length;
    const char *last = client_last_line(err, size, &length);

    for (const char *line = err; line < err + size;) {
        size_t left = size - (size_t)(line - err);
        const char *newline = memchr(line, '\n', left);
        if (!client_begins(line, left, "time=\""))
            return false;
        line = newline ? newline + 1 : err + size;
    }
    return client_contains(last, length, " level=error ") ||
           client_contains(last, length, " level=fatal ");
}

// The client's last line, without the hint that follows a usage error.
static const char *last_message(const struct ending *ending, size_t *length)
{
    const char *line = client_last_line(ending->err, ending->err_length, length);

    if (line > ending->err && (client_begins(line, *length, "See 'docker ") ||
                               client_begins(line, *length, "See 'podman ")))
        line = client_last_line(ending->err, (size_t)(line - ending->err), length);
    return line;
}

size_t docker_judge(const struct ending *ending, struct outcome *outcome)
{
    size_t length;
    const char *line = last_message(ending, &length);

    if (!ending->is_signaled && ending->number == 0) {
        outcome_set_unconfirmed(outcome);
        return 0;
    }
    // docker up to 27 passes this one on as if the command had written it to
    // stdout (docker/cli issue 2025).
    if (ending->number == CODE_NOT_EXECUTABLE || ending->number == CODE_NOT_FOUND) {
        size_t out_length;
        const char *out = client_last_line(ending->out, ending->out_length, &out_length);
        if (out == ending->out && client_begins(out, out_length, "OCI runtime exec failed: ")) {
            line = out;
            length = out_length;
        }
    }
    if (ending->is_signaled || is_client_message(ending->number, line, length) ||
        client_exec_report(ending->err, ending->err_length) ||
        (ending->number == 1 && is_client_log(ending->err, ending->err_length)))
        client_judge_failure("the docker client", ending, line, length, outcome);
    else
        outcome_set(outcome, OUTCOME_EXITED, ending->number, NULL);
    return 0;
}
