// SPDX-License-Identifier: Apache-2.0
// sandbox/mode/docker.c: what the exit code and messages of docker, or podman, say of
// the command. The rows of podman are what podman 4.3.1 wrote.
#include "world.h"

#include "docker.h"

#include <signal.h>

#define PODMAN_EXEC   "Error: runc: exec failed: unable to start container process: "
#define PODMAN_CREATE "Error: runc: runc create failed: unable to start container process: "
#define NOT_FOUND     ": OCI runtime attempted to invoke a command that was not found\n"
#define DENIED        ": OCI permission denied\n"

#define PULL "initializing source docker://localhost/nope:latest: pinging container registry "

#define D_EXEC  "OCI runtime exec failed: exec failed: unable to start container process: "
#define D_ERROR "Error response from daemon: "
#define D_CREATE                                                                                   \
    "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: "  \
    "runc create failed: unable to start container process: "
#define WARNS                                                                                      \
    "time=\"2026-11-26T00:00:00Z\" level=warning msg=\"Using cgroups-v1 which is deprecated in "   \
    "favor of cgroups-v2 with Podman v5 and will be removed in a future version.\"\n"

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
    // docker 20.10.24 and 28.2.2 with an engine 20.10, as they were run
    {"docker exec: not found", 126, "",
     D_EXEC "exec: \"nope\": executable file not found in $PATH: unknown\n", OUTCOME_UNSTARTED, 127,
     "nope"},
    {"docker exec: not found, absolute", 126, "",
     D_EXEC "exec: \"/bin/nope\": stat /bin/nope: no such file or directory: unknown\n",
     OUTCOME_UNSTARTED, 127, "/bin/nope"},
    {"docker exec: not executable", 126, "",
     D_EXEC "exec: \"/etc/passwd\": permission denied: unknown\n", OUTCOME_UNSTARTED, 126,
     "/etc/passwd"},
    {"docker exec: workdir missing", 126, "",
     D_EXEC "chdir to cwd (\"/no/such\") set in config.json failed: no such file or directory: "
            "unknown\n",
     OUTCOME_UNSTARTED, 126, "/no/such"},
    {"docker exec: unknown user", 126, "",
     "unable to find user nouser: no matching entries in passwd file\n", OUTCOME_UNREACHABLE, 125,
     "nouser"},
    {"docker exec: unknown group", 126, "",
     "unable to find group nogroup: no matching entries in group file\n", OUTCOME_UNREACHABLE, 125,
     "nogroup"},
    {"docker exec: no container, 20.10", 1, "Error: No such container: nobody\n", "",
     OUTCOME_UNREACHABLE, 125, "nobody"},
    {"docker exec: no container, 28", 1, D_ERROR "No such container: nobody\n", "",
     OUTCOME_UNREACHABLE, 125, "nobody"},
    {"docker exec: not running", 1, D_ERROR "Container 430535 is not running\n", "",
     OUTCOME_UNREACHABLE, 125, "430535"},
    {"docker exec: paused", 1, D_ERROR "Container x is paused, unpause the container before exec\n",
     "", OUTCOME_UNREACHABLE, 125, "paused"},
    {"docker exec: flag, 20.10", 125, "unknown flag: --no-such\nSee 'docker exec --help'.\n", "",
     OUTCOME_UNREACHABLE, 125, "unknown flag: --no-such"},
    {"docker exec: flag, 28", 125,
     "unknown flag: --no-such\n\nUsage:  docker exec [OPTIONS] CONTAINER COMMAND [ARG...]\n\nRun "
     "'docker exec --help' for more information\n",
     "", OUTCOME_UNREACHABLE, 125, "unknown flag: --no-such"},
    {"docker run: value, 20.10", 125,
     "invalid argument \"xx\" for \"-m, --memory\" flag: invalid size: 'xx'\nSee 'docker run "
     "--help'.\n",
     "", OUTCOME_UNREACHABLE, 125, "invalid argument"},
    {"a hint alone", 125, "Run 'docker run --help' for more information\n", "",
     OUTCOME_UNREACHABLE, 125, "Run 'docker run"},
    {"docker run: not found, 28", 127, D_CREATE "exec: \"nope\": executable file not found in $PATH: "
     "unknown\n\nRun 'docker run --help' for more information\n",
     "", OUTCOME_UNSTARTED, 127, "nope"},
    {"docker run: not executable, 28", 126, D_CREATE "exec: \"/etc/passwd\": permission denied: "
     "unknown\n\nRun 'docker run --help' for more information\n",
     "", OUTCOME_UNSTARTED, 126, "/etc/passwd"},
    {"docker run: not found, 20.10, in a race", 127, D_CREATE "exec: \"nope\": executable file not "
     "found in $PATH: unknown.\ntime=\"2026-11-26T01:01:06Z\" level=error msg=\"error waiting for "
     "container: context canceled\"\n",
     "", OUTCOME_UNSTARTED, 127, "nope"},
    {"docker run: no image, 28", 125, "docker: " D_ERROR "No such image: localhost/nobody:none\n\nRun "
     "'docker run --help' for more information\n",
     "", OUTCOME_UNREACHABLE, 125, "No such image"},
    {"docker run: network, with a warning", 125,
     "WARNING: IPv4 forwarding is disabled. Networking will not work.\ndocker: " D_ERROR
     "network nonet not found\n\nRun 'docker run --help' for more information\n",
     "", OUTCOME_UNREACHABLE, 125, "network nonet"},
    {"docker run: unknown user", 125, "docker: " D_ERROR
     "unable to find user nouser: no matching entries in passwd file.\n",
     "", OUTCOME_UNREACHABLE, 125, "nouser"},
    {"docker run: a command's 125, with a warning", 125,
     "WARNING: IPv4 forwarding is disabled. Networking will not work.\n", "", OUTCOME_EXITED, 125,
     NULL},
    {"docker: a configuration that is broken, a command's 127", 127,
     "WARNING: Error loading config file: /x/config.json: invalid character 'b'\n", "",
     OUTCOME_EXITED, 127, NULL},
    {"docker exec: no engine", 1,
     "Cannot connect to the Docker daemon at unix:///no/such.sock. Is the docker daemon running?\n",
     "", OUTCOME_UNREACHABLE, 125, "/no/such.sock"},
    {"docker exec: not the user's", 1,
     "WARNING: Error loading config file: open /root/.docker/config.json: permission denied\n"
     "permission denied while trying to connect to the Docker daemon socket at unix:///x.sock: Get "
     "\"http://x/json\": dial unix /x.sock: connect: permission denied\n",
     "", OUTCOME_UNREACHABLE, 125, "permission denied while"},
    {"docker 20.10: host", 1, "unable to resolve docker endpoint: Invalid bind address format: "
     "foo://bar\n", "", OUTCOME_UNREACHABLE, 125, "foo://bar"},
    {"docker 28: context", 1, "Failed to initialize: unable to resolve docker endpoint: context "
     "\"nocontext\": context not found: open /x/meta.json: no such file or directory\n", "",
     OUTCOME_UNREACHABLE, 125, "nocontext"},
    {"docker exec: ssh", 1, "error during connect: Get \"http://docker.example.com/v1.24/x\": "
     "command [ssh -l root -- 127.0.0.1 docker system dial-stdio] has exited with exit status 255, "
     "please make sure the URL is valid: stderr=ssh: connect to host 127.0.0.1 port 1: Connection "
     "refused\n\n", "", OUTCOME_UNREACHABLE, 125, "error during connect"},
    {"docker run: ssh, 20.10", 125, "docker: error during connect: Post "
     "\"http://docker.example.com/v1.24/containers/create\": command [ssh -l root -- 127.0.0.1 "
     "docker system dial-stdio] has exited with exit status 255: stderr=ssh: connect to host "
     "127.0.0.1 port 1: Connection refused\n.\nSee 'docker run --help'.\n", "",
     OUTCOME_UNREACHABLE, 125, "error during connect"},
    {"docker exec: tty", 1, "the input device is not a TTY\n", "", OUTCOME_UNREACHABLE, 125, "TTY"},
    {"docker exec: tty, 29", 1, "cannot attach stdin to a TTY-enabled container because stdin is not "
     "a terminal\n", "", OUTCOME_UNREACHABLE, 125, "TTY"},
    {"docker: an upgrade refused", 1, "unable to upgrade to tcp, received 409\n", "",
     OUTCOME_UNREACHABLE, 125, "received 409"},
    {"docker: an answer cut", 1, "unexpected EOF\n", "", OUTCOME_UNREACHABLE, 125, "unexpected EOF"},
    {"docker: no answer", 1, "EOF\n", "", OUTCOME_UNREACHABLE, 125, "EOF"},
    {"a command's unexpected EOF", 1, "gzip: unexpected EOF\n", "", OUTCOME_EXITED, 1, NULL},
    {"a command's EOF and more", 1, "unexpected EOF at line 3\n", "", OUTCOME_EXITED, 1, NULL},
    {"docker: reset", 1, "read unix @->/run/docker.sock: read: connection reset by peer\n", "",
     OUTCOME_UNREACHABLE, 125, "reset"},
    {"docker: pipe", 1, "write unix @->/run/docker.sock: write: broken pipe\n", "",
     OUTCOME_UNREACHABLE, 125, "pipe"},
    {"docker: reset, tcp", 1, "read tcp 10.0.0.1:4->10.0.0.2:2375: read: connection reset by peer\n",
     "", OUTCOME_UNREACHABLE, 125, "reset"},
    {"docker: pipe, tcp", 1, "write tcp 10.0.0.1:4->10.0.0.2:2375: write: broken pipe\n", "",
     OUTCOME_UNREACHABLE, 125, "pipe"},
    {"docker run: cut", 125, "time=\"2026-11-26T01:01:06Z\" level=error msg=\"error waiting for "
     "container: unexpected EOF\"\n", "", OUTCOME_UNREACHABLE, 125, "unexpected EOF"},
    {"docker run: cut the other way", 125, "own words\ntime=\"2026-11-26T01:01:06Z\" level=error "
     "msg=\"Error waiting for container: context canceled\"\n", "", OUTCOME_UNREACHABLE, 125,
     "context canceled"},
    {"docker: an engine's exec on stderr", 126,
     D_EXEC "exec: \"nope\": executable file not found in $PATH: unknown\n", "", OUTCOME_UNSTARTED,
     127, "nope"},
    {"init: interpreter", 1, "exec /tmp/bad: no such file or directory\n", "", OUTCOME_UNSTARTED, 127,
     "/tmp/bad"},
    {"init: denied", 255, "exec /tmp/bad: permission denied\n", "", OUTCOME_UNSTARTED, 126,
     "/tmp/bad"},
    {"init: too long", 255, "exec /bin/true: argument list too long\n", "", OUTCOME_UNSTARTED, 126,
     "too long"},
    {"init, after podman's warning", 1,
     WARNS "exec /tmp/bad: exec format error\n", "", OUTCOME_UNSTARTED, 126, "/tmp/bad"},
    // Go cannot start (a limit of processes, of descriptors, of memory)
    {"go: thread", 2, "runtime: failed to create new OS thread (have 2 already; errno=11)\nruntime: "
     "may need to increase max user processes (ulimit -u)\nfatal error: newosproc\n\nruntime "
     "stack:\nruntime.throw()\n", "", OUTCOME_UNREACHABLE, 125, "OS thread"},
    {"go: thread, cut", 2, "fatal error: newosproc\n\nruntime stack:\n", "", OUTCOME_UNREACHABLE,
     125, "newosproc"},
    {"go: descriptors", 2, "runtime: epollcreate failed with 24\nfatal error: runtime: netpollinit "
     "failed\n\ngoroutine 1 [running, locked to thread]:\n", "", OUTCOME_UNREACHABLE, 125,
     "netpollinit"},
    {"go: memory", 2, "fatal error: failed to reserve page summary memory\n\nruntime stack:\n", "",
     OUTCOME_UNREACHABLE, 125, "page summary"},
    {"go: the end of a trace", 2, "runtime.goexit()\ncreated by runtime.gcenable\n", "",
     OUTCOME_UNREACHABLE, 125, "gcenable"},
    {"a command's panic", 2, "panic: no\n\ngoroutine 1 [running]:\nmain.main()\n", "",
     OUTCOME_EXITED, 2, NULL},
    // podman 4.3, as it was run, and 5
    {"podman: no engine", 125, "Cannot connect to Podman. Please verify your connection to the Linux "
     "system using `podman system connection list`\nError: unable to connect to Podman socket: Get "
     "\"http://d/v4.3.1/libpod/_ping\": dial unix /no/such.sock: connect: no such file or "
     "directory\n", "", OUTCOME_UNREACHABLE, 125, "/no/such.sock"},
    {"podman: no engine, its first words", 125, "Cannot connect to Podman. Please verify\n", "",
     OUTCOME_UNREACHABLE, 125, "Podman"},
    {"podman 5: configuration", 1, "Failed to obtain podman configuration: lstat /run/user/1000: no "
     "such file or directory\n", "", OUTCOME_UNREACHABLE, 125, "/run/user/1000"},
    {"podman 5: a command's 125", 125, WARNS, "", OUTCOME_EXITED, 125, NULL},
    {"podman 5: a command's 255", 255, WARNS "no\n", "", OUTCOME_EXITED, 255, NULL},
    {"podman 5: a command's 127, the warning last", 127, "sh: nope: not found\n" WARNS, "",
     OUTCOME_EXITED, 127, NULL},
    {"podman 5: not found", 127, WARNS "Error: runc: exec failed: unable to start container "
     "process: exec: \"nope\": executable file not found in $PATH: OCI runtime attempted to invoke "
     "a command that was not found\n", "", OUTCOME_UNSTARTED, 127, "nope"},
    {"podman: no command", 125, "Error: unrecognized command `podman nosuch`\nTry 'podman --help' "
     "for more information\n", "", OUTCOME_UNREACHABLE, 125, "nosuch"},
    {"podman: a hint", 125, "some words\nTry 'podman --help' for more information\n", "",
     OUTCOME_UNREACHABLE, 125, "some words"},
    {"podman: another hint", 125, "some words\nSee 'podman exec --help'\n", "",
     OUTCOME_UNREACHABLE, 125, "some words"},
    {"podman: its log, 126", 126, WARNS "time=\"2026-11-26T00:00:00Z\" level=error msg=\"x\"\n", "",
     OUTCOME_UNREACHABLE, 125, "msg=\"x\""},
    {"podman: its log, 125", 125, "time=\"2026-11-26T00:00:00Z\" level=fatal msg=\"x\"\n", "",
     OUTCOME_UNREACHABLE, 125, "msg=\"x\""},
    {"podman: its log alone", 1, WARNS "time=\"2026-11-26T00:00:00Z\" level=fatal msg=\"x\"\n", "",
     OUTCOME_UNREACHABLE, 125, "msg=\"x\""},
    {"docker: an error with a code of its own", 125, "error: x\n", "", OUTCOME_UNREACHABLE, 125, "x"},
    {"a program of the engine's machine", 125, "docker: " D_ERROR "failed to create task: "
     "fork/exec /usr/bin/runc: no such file or directory: unknown.\n", "", OUTCOME_UNREACHABLE, 125,
     "/usr/bin/runc"},
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

// A row that no fact needs is one that nobody has seen.
START_TEST(has_a_fact_for_each_row)
{
    bool is_used[200] = {0};

    ck_assert_uint_le(docker_table.count, COUNT(is_used));
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct ending ending = {.number = facts[i].exit,
                                .err = facts[i].err,
                                .err_length = strlen(facts[i].err),
                                .out = facts[i].out,
                                .out_length = strlen(facts[i].out)};
        struct outcome outcome = {0};
        const struct judge_row *row =
            facts[i].exit == 0 ? NULL : judge_by(&docker_table, &ending, &outcome);
        if (row)
            is_used[row - docker_table.rows] = true;
        outcome_finish(&outcome);
    }
    for (size_t i = 0; i < docker_table.count; i++)
        ck_assert_msg(is_used[i], "row %zu: %s", i, docker_table.rows[i].text);
}
END_TEST

START_TEST(matches_lines)
{
    static const struct {
        const char *text, *pattern;
        bool matches;
    } lines[] = {
        {"abc",     "a",     true },
        {"abc",     "b",     false},
        {"abc",     "*b",    true },
        {"abc",     "a*c",   true },
        {"abc",     "a*d",   false},
        {"abc",     "*",     true },
        {"",        "",      true },
        {"",        "a",     false},
        {"",        "*",     true },
        {"abc",     "abc\n", true },
        {"abcd",    "abc\n", false},
        {"ab",      "abc\n", false},
        {"a b a c", "a*a c", true },
        {"aXbXc",   "a*X*c", true },
        {"aXb",     "a*X*c", false},
        {"ab",      "ab*",   true },
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        ck_assert_msg(judge_matches(lines[i].text, strlen(lines[i].text), lines[i].pattern) ==
                          lines[i].matches,
                      "%s with %s", lines[i].text, lines[i].pattern);
}
END_TEST

START_TEST(holds_back_what_may_be_an_engines)
{
    static const struct {
        const char *out;
        bool is_held;
    } outs[] = {
        {"",                                   false},
        {"O",                                  true },
        {"OCI runtime exec fai",               true },
        {D_EXEC "exec: \"nope\": not found",   true },
        {D_EXEC "exec: \"nope\": not found\n", true },
        {D_EXEC "exec\nmore",                  false},
        {"OCI images",                         false},
        {"unable to find user x\r\n",          true },
        {"{}",                                 false},
    };
    for (size_t i = 0; i < COUNT(outs); i++) {
        size_t length = strlen(outs[i].out);
        ck_assert_msg(judge_held_back_out(outs[i].out, length) == (outs[i].is_held ? length : 0),
                      "%s", outs[i].out);
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
             ONCE(has_a_fact_for_each_row), ONCE(matches_lines),
             ONCE(holds_back_what_may_be_an_engines), EACH(judges_whatever_comes, facts));
}
