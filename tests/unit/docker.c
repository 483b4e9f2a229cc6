// SPDX-License-Identifier: Apache-2.0
// sandbox/mode/docker.c: what the exit code and messages of docker, or podman, say of
// the command. The rows of podman are what podman 4.3.1 wrote.
#include "world.h"

#include "mode.h"

#include <signal.h>

#define PODMAN_EXEC   "Error: runc: exec failed: unable to start container process: "
#define PODMAN_CREATE "Error: runc: runc create failed: unable to start container process: "
#define NOT_FOUND     ": OCI runtime attempted to invoke a command that was not found\n"
#define DENIED        ": OCI permission denied\n"

#define PULL "initializing source docker://localhost/nope:latest: pinging container registry "

// clang-format off
static const struct {
    const char *what;
    int exit;
    const char *err;
    const char *out;
    enum outcome_kind kind;
    int code; // 0: 126 or 127
    const char *detail;
} facts[] = {
    {"exit 0, both streams", 0, "err\n", "out\n", OUTCOME_EXITED, 0, NULL},
    {"exit 1", 1, "", "", OUTCOME_EXITED, 1, NULL},
    {"exit 3", 3, "", "", OUTCOME_EXITED, 3, NULL},
    {"exit 125", 125, "", "", OUTCOME_EXITED, 125, NULL},
    {"exit 126", 126, "", "", OUTCOME_EXITED, 126, NULL},
    {"exit 127", 127, "", "", OUTCOME_EXITED, 127, NULL},
    {"exit 255", 255, "", "", OUTCOME_EXITED, 255, NULL},
    {"killed KILL", 137, "", "", OUTCOME_EXITED, 137, NULL},
    {"killed TERM", 143, "", "", OUTCOME_EXITED, 143, NULL},
    {"container removed while it runs", 137, "", "", OUTCOME_EXITED, 137, NULL},
    // podman: the command could not be executed
    {"exec: not found", 127,
     PODMAN_EXEC "exec: \"nope\": executable file not found in $PATH" NOT_FOUND, "",
     OUTCOME_UNSTARTED, 127, "\"nope\""},
    {"exec: not found, absolute", 127,
     PODMAN_EXEC "exec: \"/nope\": stat /nope: no such file or directory" NOT_FOUND, "",
     OUTCOME_UNSTARTED, 127, "/nope"},
    {"exec: not executable", 126, PODMAN_EXEC "exec: \"/etc/passwd\": permission denied" DENIED, "",
     OUTCOME_UNSTARTED, 126, "/etc/passwd"},
    {"exec: directory", 126, PODMAN_EXEC "exec: \"/tmp\": permission denied" DENIED, "",
     OUTCOME_UNSTARTED, 126, "/tmp"},
    {"run: not found", 127,
     PODMAN_CREATE "exec: \"nope\": executable file not found in $PATH" NOT_FOUND, "",
     OUTCOME_UNSTARTED, 127, "\"nope\""},
    {"run: not found, absolute", 127,
     PODMAN_CREATE "exec: \"/nope\": stat /nope: no such file or directory" NOT_FOUND, "",
     OUTCOME_UNSTARTED, 127, "/nope"},
    {"run: not executable", 126, PODMAN_CREATE "exec: \"/etc/passwd\": permission denied" DENIED,
     "", OUTCOME_UNSTARTED, 126, "/etc/passwd"},
    {"run: directory", 126, PODMAN_CREATE "exec: \"/tmp\": permission denied" DENIED, "",
     OUTCOME_UNSTARTED, 126, "/tmp"},
    {"run: bare image, no shell", 127,
     PODMAN_CREATE "exec: \"sh\": executable file not found in $PATH" NOT_FOUND, "",
     OUTCOME_UNSTARTED, 127, "\"sh\""},
    {"exec: exec format error", 1, "exec /tmp/bad: exec format error\n", "", OUTCOME_UNSTARTED, 126,
     "/tmp/bad"},
    {"exec: workdir missing", 127,
     PODMAN_EXEC "chdir to cwd (\"/nodir\") set in config.json failed: no such file or "
                 "directory" NOT_FOUND,
     "", OUTCOME_UNSTARTED, 0, "/nodir"},
    // podman: the place could not be reached
    {"exec: unknown user", 255,
     "Error: unable to find user nobody2: no matching entries in passwd file\n", "",
     OUTCOME_UNREACHABLE, 125, "nobody2"},
    {"exec: no such container", 125,
     "Error: no container with name or ID \"nocont\" found: no such container\n", "",
     OUTCOME_UNREACHABLE, 125, "nocont"},
    {"exec: container not running", 255,
     "Error: can only create exec sessions on running containers: container state improper\n", "",
     OUTCOME_UNREACHABLE, 125, "running containers"},
    {"run: no such image", 125,
     "Trying to pull localhost/nope:latest...\n"
     "time=\"2026-11-23T02:15:10Z\" level=warning msg=\"Failed, retrying in 1s ... (1/3). "
     "Error: " PULL
     "localhost: Get \\\"https://localhost/v2/\\\": dial tcp 127.0.0.1:443: connect: connection "
     "refused\"\n"
     "Error: " PULL
     "localhost: Get \"https://localhost/v2/\": dial tcp 127.0.0.1:443: connect: connection "
     "refused\n",
     "", OUTCOME_UNREACHABLE, 125, "Error: initializing source"},
    {"run: no such image, short name", 125,
     "Error: short-name \"nope\" did not resolve to an alias and no unqualified-search registries "
     "are defined in \"/tmp/registries.conf\"\n",
     "", OUTCOME_UNREACHABLE, 125, "short-name"},
    {"run: no such image, --pull=never", 125, "Error: nope: image not known\n", "",
     OUTCOME_UNREACHABLE, 125, "image not known"},
    {"run: name in use", 125,
     "Error: creating container storage: the container name \"hooks\" is already in use by 8ca5. "
     "You have to remove that container to be able to reuse that name: that name is already in "
     "use\n",
     "", OUTCOME_UNREACHABLE, 125, "already in use"},
    {"run: unknown flag", 125, "Error: unknown flag: --nope\nSee 'podman run --help'\n", "",
     OUTCOME_UNREACHABLE, 125, "unknown flag: --nope"},
    {"exec: unknown flag", 125, "Error: unknown flag: --nope\nSee 'podman exec --help'\n", "",
     OUTCOME_UNREACHABLE, 125, "unknown flag: --nope"},
    {"run: bad mount source", 125, "Error: statfs /nodir: no such file or directory\n", "",
     OUTCOME_UNREACHABLE, 125, "/nodir"},
    {"bad containers.conf", 1,
     "time=\"2026-11-23T02:15:14Z\" level=error msg=\"reading system config \\\"/tmp/garbage\\\": "
     "decode configuration /tmp/garbage: toml: line 1: expected '.' or '=', but got ':' "
     "instead\"\n",
     "", OUTCOME_UNREACHABLE, 125, "/tmp/garbage"},
    {"remote url refused", 1,
     "time=\"2026-11-23T02:15:14Z\" level=error msg=\"stat /tmp/nostorage.conf: no such file or "
     "directory\"\n",
     "", OUTCOME_UNREACHABLE, 125, "/tmp/nostorage.conf"},
    // docker, whose messages are documented by docker/cli and moby
    {"docker exec: no such container", 1, "Error response from daemon: No such container: nope\n",
     "", OUTCOME_UNREACHABLE, 125, "No such container: nope"},
    {"docker exec: not running", 1,
     "Error response from daemon: container 4c01db0b339c is not running\n", "", OUTCOME_UNREACHABLE,
     125, "is not running"},
    {"docker: no daemon", 1,
     "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon "
     "running?\n",
     "", OUTCOME_UNREACHABLE, 125, "Cannot connect"},
    {"docker run: no daemon", 125,
     "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker "
     "daemon running?.\nSee 'docker run --help'.\n",
     "", OUTCOME_UNREACHABLE, 125, "Cannot connect"},
    {"docker exec: not found", 127,
     "OCI runtime exec failed: exec failed: unable to start container process: exec: \"nope\": "
     "executable file not found in $PATH: unknown\n",
     "", OUTCOME_UNSTARTED, 127, "\"nope\""},
    {"docker exec up to 27: not found, on stdout", 127, "",
     "OCI runtime exec failed: exec failed: unable to start container process: exec: \"nope\": "
     "executable file not found in $PATH: unknown\r\n",
     OUTCOME_UNSTARTED, 127, "\"nope\""},
    {"docker exec: not executable", 126,
     "OCI runtime exec failed: exec failed: unable to start container process: exec: "
     "\"/etc/passwd\": permission denied: unknown\n",
     "", OUTCOME_UNSTARTED, 126, "/etc/passwd"},
    {"docker run: not found", 127,
     "docker: Error response from daemon: failed to create task for container: failed to create "
     "shim task: OCI runtime create failed: runc create failed: unable to start container process: "
     "exec: \"nope\": executable file not found in $PATH: unknown.\n",
     "", OUTCOME_UNSTARTED, 127, "\"nope\""},
    {"docker run: no such image", 125,
     "Unable to find image 'nope:latest' locally\ndocker: Error response from daemon: pull access "
     "denied for nope, repository does not exist or may require 'docker login'.\nSee 'docker run "
     "--help'.\n",
     "", OUTCOME_UNREACHABLE, 125, "pull access denied"},
    // Commands that end with the client's codes, and say something of their own
    {"sh: not found", 127, "sh: nope: not found\n", "", OUTCOME_EXITED, 127, NULL},
    {"sh: 126", 126, "sh: ./x: Permission denied\n", "", OUTCOME_EXITED, 126, NULL},
    {"timeout's 125", 125, "timeout: invalid time interval\n", "", OUTCOME_EXITED, 125, NULL},
    {"ssh's 255", 255, "ssh: Could not resolve hostname\n", "", OUTCOME_EXITED, 255, NULL},
    {"an Error: with another code", 3, "Error: bad input\n", "", OUTCOME_EXITED, 3, NULL},
    {"an Error: with 1", 1, "Error: bad input\n", "", OUTCOME_EXITED, 1, NULL},
    {"speaks of exec, ends with 1", 1, "did exec: permission denied\n", "", OUTCOME_EXITED, 1,
     NULL},
    {"a report that is not alone", 1, "working\nexec /tmp/bad: exec format error\n", "",
     OUTCOME_EXITED, 1, NULL},
    {"success, whatever it says", 0, "Error: no such container\n", "", OUTCOME_EXITED, 0, NULL},
};
// clang-format on

static const struct mode *const modes[] = {&docker_exec_mode, &docker_run_mode};

START_TEST(judges)
{
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct ending ending = {.number = facts[_i].exit,
                                .err = facts[_i].err,
                                .err_length = strlen(facts[_i].err),
                                .out = facts[_i].out,
                                .out_length = strlen(facts[_i].out)};
        struct outcome outcome = {0};
        size_t stripped = modes[i]->judge(&ending, &outcome);
        const char *what = facts[_i].what;

        ck_assert_msg(outcome.kind == facts[_i].kind, "%s: is %s %s", what,
                      outcome_kind_name(outcome.kind), outcome.detail ? outcome.detail : "");
        if (facts[_i].code || facts[_i].kind == OUTCOME_EXITED)
            ck_assert_msg(outcome.code == facts[_i].code, "%s: code %d", what, outcome.code);
        else
            ck_assert_msg(outcome.code == 126 || outcome.code == 127, "%s: code %d", what,
                          outcome.code);
        if (facts[_i].detail)
            ck_assert_msg(outcome.detail && strstr(outcome.detail, facts[_i].detail),
                          "%s: detail is %s", what, outcome.detail ? outcome.detail : "not there");
        else
            ck_assert_ptr_null(outcome.detail);
        ck_assert_int_eq(outcome.is_unconfirmed, outcome.code == 0);
        ck_assert_uint_eq(stripped, 0);
        outcome_finish(&outcome);
    }
}
END_TEST

START_TEST(is_unreachable_when_the_client_is_killed)
{
    struct ending ending = {.is_signaled = true, .number = SIGKILL, .err = "", .out = ""};
    struct outcome outcome = {0};

    docker_exec_mode.judge(&ending, &outcome);
    ck_assert_int_eq(outcome.kind, OUTCOME_UNREACHABLE);
    ck_assert_int_eq(outcome.code, CODE_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(outcome.detail, "KILL"));
    outcome_finish(&outcome);
}
END_TEST

START_TEST(judges_whatever_comes)
{
    for (size_t size = 0; size <= strlen(facts[_i].err); size++)
        for (int code = 1; code < 256; code += 2) {
            char *copy = malloc(size ? size : 1);
            memcpy(copy, facts[_i].err, size);
            struct ending ending = {.number = code,
                                    .err = copy,
                                    .err_length = size,
                                    .out = facts[_i].out,
                                    .out_length = strlen(facts[_i].out)};
            struct outcome outcome = {0};
            docker_exec_mode.judge(&ending, &outcome);
            if (outcome.kind == OUTCOME_NONE || outcome.code == 0)
                ck_abort_msg("%s: %d at %zu is code %d", facts[_i].what, code, size, outcome.code);
            outcome_finish(&outcome);
            free(copy);
        }
}
END_TEST

int main(void)
{
    UNIT_RUN("docker", EACH(judges, facts), ONCE(is_unreachable_when_the_client_is_killed),
             EACH(judges_whatever_comes, facts));
}
