// SPDX-License-Identifier: Apache-2.0
// sandbox/mode/kubectl_exec.c: the outcome that follows from kubectl's exit code and stderr.
// A real kubectl (versions 1.20 to 1.33) has written the stderr of each row; ports and ids
// are made up.
#include "world.h"

#include "kubectl.h"

#include <signal.h>

#define IN_CONTAINER                                                                               \
    "error: Internal error occurred: error executing command in container: failed to exec in "     \
    "container: failed to start exec \"5f2c\": OCI runtime exec failed: exec failed: unable to "   \
    "start container process: "
#define EXIT(code) "command terminated with exit code " code "\n"
#define POST                                                                                       \
    "error: error sending request: Post \"https://127.0.0.1:6443/api/v1/namespaces/default/pods/"  \
    "my-pod/exec?command=true&container=hooks&stderr=true&stdout=true\": "
#define TCP    "tcp 127.0.0.1:40000->127.0.0.1:6443: "
#define LOOKUP "dial tcp: lookup nohost.invalid on 10.255.255.53:53: no such host"
#define KLOG   "E1123 02:15:10.123456   12345 "
#define CACHE  KLOG "memcache.go:265] "
#define OCI    "OCI runtime exec failed: exec failed: exec: \"x\": "

struct fact {
    const char *what;
    int exit;
    const char *err;
    enum outcome_kind kind;
    int code;
    const char *shown;  // of stderr; NULL: all
    const char *detail; // that `status` has to have
};

// clang-format off
static const struct fact facts[] = {
    {"exit 0", 0, "err\n", OUTCOME_EXITED, 0, NULL, NULL},
    {"exit 0, silent", 0, "", OUTCOME_EXITED, 0, NULL, NULL},
    {"exit 1", 1, EXIT("1"), OUTCOME_EXITED, 1, "", NULL},
    {"exit 3", 3, EXIT("3"), OUTCOME_EXITED, 3, "", NULL},
    {"exit 3 with stderr", 3, "oops\n" EXIT("3"), OUTCOME_EXITED, 3, "oops\n", NULL},
    {"stderr without newline", 3, "oops" EXIT("3"), OUTCOME_EXITED, 3, "oops", NULL},
    {"exit 2", 2, EXIT("2"), OUTCOME_EXITED, 2, "", NULL},
    {"exit 124", 124, EXIT("124"), OUTCOME_EXITED, 124, "", NULL},
    {"exit 125", 125, EXIT("125"), OUTCOME_EXITED, 125, "", NULL},
    {"exit 126", 126, EXIT("126"), OUTCOME_EXITED, 126, "", NULL},
    {"exit 127", 127, EXIT("127"), OUTCOME_EXITED, 127, "", NULL},
    {"exit 127 of sh", 127, "sh: nope: not found\n" EXIT("127"), OUTCOME_EXITED, 127,
     "sh: nope: not found\n", NULL},
    {"exit 255", 255, EXIT("255"), OUTCOME_EXITED, 255, "", NULL},
    {"killed by KILL", 137, EXIT("137"), OUTCOME_EXITED, 137, "", NULL},
    {"killed by TERM", 143, EXIT("143"), OUTCOME_EXITED, 143, "", NULL},
    {"killed by SEGV", 139, EXIT("139"), OUTCOME_EXITED, 139, "", NULL},
    {"no -c, several containers, 1.20", 0,
     "Defaulting container name to hooks.\nUse 'kubectl describe pod/my-pod -n default' to see all "
     "of the containers in this pod.\n",
     OUTCOME_EXITED, 0, NULL, NULL},
    {"no -c, several containers", 0,
     "Defaulted container \"hooks\" out of: hooks, second, bare, readonly, nonroot\n",
     OUTCOME_EXITED, 0, NULL, NULL},
    {"no -c, and exit 3", 3, "Defaulted container \"hooks\" out of: hooks, second\n" EXIT("3"),
     OUTCOME_EXITED, 3, "Defaulted container \"hooks\" out of: hooks, second\n", NULL},
    // The place was reached, the command could not be executed.
    {"not found", 1, IN_CONTAINER "exec: \"nope\": executable file not found in $PATH: unknown\n",
     OUTCOME_UNSTARTED, 127, NULL, "\"nope\""},
    {"not found, absolute", 1,
     IN_CONTAINER "exec: \"/nope\": stat /nope: no such file or directory: unknown\n",
     OUTCOME_UNSTARTED, 127, NULL, "/nope"},
    {"not executable", 1, IN_CONTAINER "exec: \"/etc/passwd\": permission denied: unknown\n",
     OUTCOME_UNSTARTED, 126, NULL, "/etc/passwd"},
    {"a directory", 1, IN_CONTAINER "exec: \"/tmp\": permission denied: unknown\n",
     OUTCOME_UNSTARTED, 126, NULL, "/tmp"},
    {"exec format error", 1, "exec /tmp/bad: exec format error\n" EXIT("1"), OUTCOME_UNSTARTED, 126,
     "exec /tmp/bad: exec format error\n", "/tmp/bad"},
    {"bare image, no shell", 1,
     IN_CONTAINER "exec: \"sh\": executable file not found in $PATH: unknown\n", OUTCOME_UNSTARTED,
     127, NULL, "\"sh\""},
// kubectl's own failures: nothing is known about the command.
#define UNREACHABLE(what, err, detail)                                                             \
    {                                                                                              \
        what, 1, err "\n", OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, detail                     \
    }
    UNREACHABLE("pod not found", "Error from server (NotFound): pods \"nopod\" not found",
                "pods \"nopod\" not found"),
    UNREACHABLE("namespace not found",
                "Error from server (NotFound): namespaces \"nons\" not found", "\"nons\""),
    UNREACHABLE("container not found",
                "Error from server (BadRequest): container nocont is not valid for pod my-pod",
                "nocont"),
    UNREACHABLE("container stopped",
                "error: unable to upgrade connection: container not found (\"hooks\")", "hooks"),
    UNREACHABLE("context not found",
                "Error in configuration: context was not found for specified context: nope",
                "nope"),
    UNREACHABLE("kubeconfig missing", "error: stat /nope: no such file or directory", "/nope"),
    UNREACHABLE("kubeconfig garbage",
                "error: error loading config file \"/tmp/garbage\": yaml: line 1: did not find "
                "expected node content",
                "/tmp/garbage"),
    UNREACHABLE("401", "error: You must be logged in to the server (Unauthorized)", "Unauthorized"),
    UNREACHABLE("wrong CA, 1.20",
                "Unable to connect to the server: x509: certificate signed by unknown authority",
                "x509"),
    UNREACHABLE("wrong CA",
                "Unable to connect to the server: tls: failed to verify certificate: x509: "
                "certificate signed by unknown authority",
                "x509"),
    UNREACHABLE("no such host, 1.20", "Unable to connect to the server: " LOOKUP, "no such host"),
    UNREACHABLE("no such host, 1.27",
                CACHE "couldn't get current server API group list: Get "
                      "\"https://nohost.invalid:6443/api?timeout=32s\": " LOOKUP
                      "\nUnable to connect to the server: " LOOKUP,
                "Unable to connect to the server: dial tcp"),
    UNREACHABLE("no such host, 1.31",
                CACHE "\"Unhandled Error\" err=\"couldn't get current server API group list: Get "
                      "\\\"https://nohost.invalid:6443/api?timeout=32s\\\": " LOOKUP "\""
                      "\nUnable to connect to the server: " LOOKUP,
                "Unable to connect to the server: dial tcp"),
    UNREACHABLE("403",
                "Error from server (Forbidden): pods \"my-pod\" is forbidden: User \"test\" cannot "
                "create resource \"pods/exec\" in API group \"\" in the namespace \"default\"",
                "Forbidden"),
    UNREACHABLE("404", "Error from server (NotFound): pods \"my-pod\" not found", "my-pod"),
    UNREACHABLE("429",
                "Error from server (TooManyRequests): too many requests, please try again later",
                "too many"),
    UNREACHABLE("500",
                "Error from server (InternalError): Internal error occurred: etcdserver: request "
                "timed out",
                "etcdserver"),
    UNREACHABLE(
        "500 of exec",
        "Error from server: error dialing backend: dial tcp 127.0.0.1:1: connect: connection "
        "refused",
        "dialing backend"),
    UNREACHABLE("503",
                "Error from server (ServiceUnavailable): the server is currently unable to handle "
                "the request",
                "unable to handle"),
    UNREACHABLE(
        "refused",
        "The connection to the server 127.0.0.1:6443 was refused - did you specify the right "
        "host or port?",
        "was refused"),
    UNREACHABLE("hang",
                "Unable to connect to the server: net/http: request canceled (Client.Timeout "
                "exceeded while awaiting headers)",
                "Client.Timeout"),
    UNREACHABLE(
        "hang, 1.30",
        "Unable to connect to the server: context deadline exceeded (Client.Timeout exceeded "
        "while awaiting headers)",
        "deadline"),
    UNREACHABLE("hang in TLS", "Unable to connect to the server: net/http: TLS handshake timeout",
                "handshake"),
    UNREACHABLE("cut before, 1.20",
                KLOG "http.go:473] Error reading backend response: unexpected EOF\n" POST
                     "unexpected EOF",
                "error sending request"),
    UNREACHABLE("cut before, 1.27", POST "unexpected EOF", "unexpected EOF"),
    UNREACHABLE("cut before, 1.30", "error: unexpected EOF", "unexpected EOF"),
    UNREACHABLE("cut after 0", "error: write " TCP "write: broken pipe", "broken pipe"),
    UNREACHABLE("cut after 0, 1.30", "error: EOF", "EOF"),
    UNREACHABLE("cut after 40, 1.20", "error: Timeout occured", "Timeout"),
    UNREACHABLE("cut after 40", "error: Timeout occurred", "Timeout"),
    UNREACHABLE("reset", "error: read " TCP "read: connection reset by peer", "reset"),
    // kubectl ends with 0, and its log says that the connection broke.
    {"cut in mid-stream, 1.20", 0, KLOG "v2.go:105] write " TCP "write: connection reset by peer\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "connection reset by peer"},
    {"cut in mid-stream, 1.28", 0, KLOG "v2.go:104] write " TCP "write: connection reset by peer\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "connection reset by peer"},
    {"cut in mid-stream, after the command's own", 0,
     "own\n" KLOG "v2.go:105] write " TCP "write: broken pipe\n", OUTCOME_UNREACHABLE,
     CODE_UNREACHABLE, NULL, "broken pipe"},
    // Look-alikes: only the last line, whole and of the exit code, is kubectl's.
    {"prints the message in mid-stream", 3, EXIT("3") "more\n" EXIT("3"), OUTCOME_EXITED, 3,
     EXIT("3") "more\n", NULL},
    {"prints the message last", 3, EXIT("3") EXIT("3"), OUTCOME_EXITED, 3, EXIT("3"), NULL},
    {"prints another message last", 3, EXIT("0") EXIT("3"), OUTCOME_EXITED, 3, EXIT("0"), NULL},
    {"prints the message, ends with 0", 0, EXIT("3"), OUTCOME_EXITED, 0, NULL, NULL},
    {"prints exit code 0, ends with 0", 0, EXIT("0"), OUTCOME_EXITED, 0, NULL, NULL},
    {"prints the message, kubectl fails silently", 1, EXIT("3"), OUTCOME_UNREACHABLE,
     CODE_UNREACHABLE, NULL, NULL},
    {"prints a longer code", 3, EXIT("33") EXIT("3"), OUTCOME_EXITED, 3, EXIT("33"), NULL},
    {"prints the beginning", 3, "command terminated with exit " EXIT("3"), OUTCOME_EXITED, 3,
     "command terminated with exit ", NULL},
    {"prints it twice without newline", 3, "command terminated with exit code 3" EXIT("3"),
     OUTCOME_EXITED, 3, "command terminated with exit code 3", NULL},
    {"prints kubectl's error, ends with 1", 1,
     "Error from server (NotFound): pods \"x\" not found\n" EXIT("1"), OUTCOME_EXITED, 1,
     "Error from server (NotFound): pods \"x\" not found\n", NULL},
    {"prints not found, ends with 127", 127, "sh: 1: x: not found\n" EXIT("127"), OUTCOME_EXITED,
     127, "sh: 1: x: not found\n", NULL},
    {"no newline at the end", 3, "command terminated with exit code 3", OUTCOME_UNREACHABLE,
     CODE_UNREACHABLE, NULL, NULL},
    // Credential plugins (client-go's exec.go): nothing of them is the container's
    {"plugin by path", 1,
     "Unable to connect to the server: getting credentials: exec: fork/exec /no/plugin: no such file "
     "or directory\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "getting credentials: exec: fork/exec /no/plugin"},
    {"plugin that is not executable", 1,
     "error: getting credentials: exec: fork/exec /etc/passwd: permission denied\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "/etc/passwd: permission denied"},
    {"plugin by name", 1,
     "Unable to connect to the server: getting credentials: exec: executable aws not found\n\nIt "
     "looks like you are trying to use a client-go credential plugin that is not installed.\n\nTo "
     "learn more about this feature, consult the documentation available at:\n      "
     "https://kubernetes.io/docs/reference/access-authn-authz/authentication/\n\ninstall it\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "executable aws not found"},
    {"plugin by name, 1.20", 1,
     "Unable to connect to the server: getting credentials: exec: exec: \"aws\": executable file not "
     "found in $PATH\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "aws"},
    {"a page of a proxy", 1,
     "error: unable to upgrade connection: <html>\r\n<head><title>414 Request-URI Too "
     "Large</title></head>\r\n<body>\r\n</body>\r\n</html>\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "414 Request-URI Too Large"},
    {"Kata: not found", 1,
     "error: Internal error occurred: error executing command in container: failed to exec in "
     "container: failed to start exec \"7c\": ENOENT: No such file or directory: unknown\n",
     OUTCOME_UNSTARTED, 127, NULL, "ENOENT"},
    {"Kata: not executable", 1,
     "error: Internal error occurred: error executing command in container: failed to exec in "
     "container: failed to start exec \"7c\": Permission denied (os error 13): unknown\n",
     OUTCOME_UNSTARTED, 126, NULL, "os error 13"},
    {"gVisor: not found", 1,
     "error: Internal error occurred: error executing command in container: failed to exec in "
     "container: failed to start exec \"7c\": OCI runtime exec failed: executing processes for "
     "container: executing command \"nope\" in sandbox: error finding executable \"nope\" in PATH "
     "[/bin]: no such file or directory: unknown\n",
     OUTCOME_UNSTARTED, 127, NULL, "nope"},
    {"no runc", 1,
     "error: Internal error occurred: error executing command in container: failed to exec in "
     "container: failed to start exec \"7c\": OCI runtime exec failed: fork/exec /usr/bin/runc: no "
     "such file or directory: unknown\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "/usr/bin/runc"},
    {"no container", 1, "error: unable to upgrade connection: container not found (\"hooks\")\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "container not found"},
    {"go: no thread", 2,
     "runtime: failed to create new OS thread (have 2 already; errno=11)\nfatal error: newosproc\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "OS thread"},
    {"go: no thread, cut", 2, "fatal error: newosproc\n\nruntime stack:\n", OUTCOME_UNREACHABLE,
     CODE_UNREACHABLE, NULL, "newosproc"},
    {"go: no descriptors", 2, "fatal error: runtime: netpollinit failed\n\ngoroutine 1:\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "netpollinit"},
    {"go: no memory", 2, "fatal error: failed to reserve page summary memory\n\nruntime stack:\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "page summary"},
    {"go: the end of a trace", 2, "runtime.goexit()\ncreated by runtime.gcenable\n\tx\n",
     OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "gcenable"},
    {"init: interpreter", 1, "exec /tmp/bad: no such file or directory\n" EXIT("1"),
     OUTCOME_UNSTARTED, 127, "exec /tmp/bad: no such file or directory\n", "/tmp/bad"},
    {"init: format", 255, "exec /tmp/bad: exec format error\n" EXIT("255"), OUTCOME_UNSTARTED, 126,
     "exec /tmp/bad: exec format error\n", "/tmp/bad"},
    {"init: denied", 1, "exec /tmp/bad: permission denied\n" EXIT("1"), OUTCOME_UNSTARTED, 126,
     "exec /tmp/bad: permission denied\n", "/tmp/bad"},
    {"init: too long", 1, "exec /x: argument list too long\n" EXIT("1"), OUTCOME_UNSTARTED, 126,
     "exec /x: argument list too long\n", "too long"},
    {"silent failure", 1, "", OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "kubectl"},
    {"only blanks", 1, "\n \n", OUTCOME_UNREACHABLE, CODE_UNREACHABLE, NULL, "kubectl"},
};
// clang-format on

static struct ending ending_of(const struct fact *fact)
{
    return (struct ending){
        .number = fact->exit, .err = fact->err, .err_length = strlen(fact->err), .out = ""};
}

START_TEST(judges)
{
    const struct fact *fact = &facts[_i];
    struct ending ending = ending_of(fact);
    struct outcome outcome = {0};
    size_t stripped = kubectl_exec_mode.judge(&ending, &outcome);

    ck_assert_msg(outcome.kind == fact->kind, "%s: is %s %s", fact->what,
                  outcome_kind_name(outcome.kind), outcome.detail ? outcome.detail : "");
    ck_assert_msg(outcome.code == fact->code, "%s: code %d", fact->what, outcome.code);
    ck_assert_msg(stripped == ending.err_length - strlen(fact->shown ? fact->shown : fact->err),
                  "%s: %zu bytes stripped", fact->what, stripped);
    if (fact->detail)
        ck_assert_msg(outcome.detail && strstr(outcome.detail, fact->detail), "%s: detail is %s",
                      fact->what, outcome.detail ? outcome.detail : "not there");
    if (fact->kind == OUTCOME_EXITED)
        ck_assert_ptr_null(outcome.detail);
    ck_assert_int_eq(outcome.is_unconfirmed, outcome.code == 0);
    outcome_finish(&outcome);
}
END_TEST

// While stderr comes in, in whatever pieces, what is shown of it only grows,
// never has a byte of the message that judge will strip, and lacks only what
// could still become one.
START_TEST(holds_back_only_the_message)
{
    const struct fact *fact = &facts[_i];
    size_t length = strlen(fact->err);
    size_t own = strlen(fact->shown ? fact->shown : fact->err);
    size_t longest = strlen(EXIT("2147483647"));
    size_t shown = 0;

    for (size_t size = 0; size <= length; size++) {
        // Not NUL-terminated, as in the job.
        char *copy = malloc(size + 1);
        memcpy(copy, fact->err, size);
        copy = realloc(copy, size ? size : 1);
        size_t held = kubectl_exec_mode.held_back(copy, size);
        free(copy);
        if (held > size || held > longest)
            ck_abort_msg("%s: %zu of %zu bytes held", fact->what, held, size);
        if (size - held < shown)
            ck_abort_msg("%s: bytes shown before are hidden at %zu", fact->what, size);
        shown = size - held;
        if (shown > own)
            ck_abort_msg("%s: a byte of the message is shown at %zu", fact->what, size);
    }
    // At the end nothing but a whole message is held.
    if (own < length)
        ck_assert_uint_eq(shown, own);
}
END_TEST

// clang-format off
static const struct {
    const char *err;
    size_t held;
} holds[] = {
    {"", 0},
    {"x", 0},
    {"c", 1},
    {"xc", 1},
    {"cc", 1},
    {"command terminated", 18},
    {"command terminated!", 0},
    {"command command ", 8},
    {"command terminated with exit code ", 34},
    {"command terminated with exit code 3", 35},
    {"command terminated with exit code 3\n", 36},
    {"command terminated with exit code 137\n", 38},
    {"command terminated with exit code 3\n\n", 0},
    {"command terminated with exit code 3x", 0},
    {"command terminated with exit code 3\nc", 1},
    {"command terminated with exit code \n", 0},
    {"command terminated with exit code x", 0},
    {"Command terminated with exit code 3\n", 0},
    {"oops\ncommand terminated with exit code 3\n", 36},
};
// clang-format on

START_TEST(holds_back_exactly)
{
    ck_assert_uint_eq(kubectl_exec_mode.held_back(holds[_i].err, strlen(holds[_i].err)),
                      holds[_i].held);
}
END_TEST

START_TEST(is_unreachable_when_kubectl_is_killed)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGSEGV};

    for (size_t i = 0; i < COUNT(signals); i++) {
        struct ending ending = {.is_signaled = true,
                                .number = signals[i],
                                .err = EXIT("9"),
                                .err_length = strlen(EXIT("9")),
                                .out = ""};
        struct outcome outcome = {0};
        ck_assert_uint_eq(kubectl_exec_mode.judge(&ending, &outcome), 0);
        ck_assert_int_eq(outcome.kind, OUTCOME_UNREACHABLE);
        ck_assert_int_eq(outcome.code, CODE_UNREACHABLE);
        outcome_finish(&outcome);
    }
}
END_TEST

// With an environment, env(1) is what could not execute the command.
// clang-format off
static const struct {
    const char *err;
    int exit;
    bool has_env;
    enum outcome_kind kind;
} envs[] = {
    {"env: 'nope': No such file or directory\n" EXIT("127"), 127, true, OUTCOME_UNSTARTED},
    {"env: can't execute 'nope': No such file or directory\n" EXIT("127"), 127, true,
     OUTCOME_UNSTARTED},
    {"env: '/etc/passwd': Permission denied\n" EXIT("126"), 126, true, OUTCOME_UNSTARTED},
    {"env: 'nope': No such file or directory\n" EXIT("127"), 127, false, OUTCOME_EXITED},
    {"working\nenv: 'nope': No such file or directory\n" EXIT("127"), 127, true, OUTCOME_EXITED},
    {"env: 'nope': No such file or directory\n" EXIT("3"), 3, true, OUTCOME_EXITED},
    {"sh: nope: not found\n" EXIT("127"), 127, true, OUTCOME_EXITED},
    {EXIT("127"), 127, true, OUTCOME_EXITED},
};
// clang-format on

START_TEST(knows_what_env_says)
{
    struct ending ending = {.number = envs[_i].exit,
                            .err = envs[_i].err,
                            .err_length = strlen(envs[_i].err),
                            .out = "",
                            .has_env = envs[_i].has_env};
    struct outcome outcome = {0};

    ck_assert_uint_gt(kubectl_exec_mode.judge(&ending, &outcome), 0);
    ck_assert_int_eq(outcome.kind, envs[_i].kind);
    ck_assert_int_eq(outcome.code, envs[_i].exit);
    outcome_finish(&outcome);
}
END_TEST

// Every text, cut anywhere, gets a judgement, and none says success.
START_TEST(judges_whatever_comes)
{
    const struct fact *fact = &facts[_i];

    for (size_t size = 0; size <= strlen(fact->err); size++)
        for (int code = 1; code < 256; code += 42) {
            char *copy = malloc(size ? size : 1);
            memcpy(copy, fact->err, size);
            struct ending ending = {
                .number = code, .err = copy, .err_length = size, .out = "", .has_env = size % 2};
            struct outcome outcome = {0};
            if (kubectl_exec_mode.judge(&ending, &outcome) > size)
                ck_abort_msg("%s: more stripped than there is", fact->what);
            if (outcome.kind == OUTCOME_NONE || outcome.code == 0)
                ck_abort_msg("%s: %d at %zu is code %d", fact->what, code, size, outcome.code);
            outcome_finish(&outcome);
            free(copy);
        }
}
END_TEST

// An engine behind the kubelet (docker) says on stdout that it could not execute
// the command. Only that line, and alone, is not the command's own.
static const struct {
    int exit;
    const char *out;
    enum outcome_kind kind;
} engines[] = {
    {126, OCI "permission denied: unknown\r\n",                        OUTCOME_UNSTARTED},
    {127, OCI "executable file not found in $PATH: unknown\n",         OUTCOME_UNSTARTED},
    {1,   OCI "executable file not found in $PATH: unknown\n",         OUTCOME_EXITED   },
    {127, "own\n" OCI "executable file not found in $PATH: unknown\n", OUTCOME_EXITED   },
    {127, "x" OCI "executable file not found in $PATH: unknown\n",     OUTCOME_EXITED   },
    {127, "",                                                          OUTCOME_EXITED   },
};

START_TEST(knows_what_an_engine_says_on_stdout)
{
    char err[sizeof EXIT("126")];
    struct outcome outcome = {0};
    struct ending ending = {.number = engines[_i].exit,
                            .err = err,
                            .out = engines[_i].out,
                            .out_length = strlen(engines[_i].out)};

    ending.err_length = (size_t)snprintf(err, sizeof err, EXIT("%d"), engines[_i].exit);
    ck_assert_uint_eq(kubectl_exec_mode.judge(&ending, &outcome), ending.err_length);
    ck_assert_int_eq(outcome.kind, engines[_i].kind);
    ck_assert_int_eq(outcome.code, engines[_i].exit);
    if (outcome.kind == OUTCOME_UNSTARTED)
        ck_assert_ptr_eq(strstr(outcome.detail, OCI), outcome.detail);
    else
        ck_assert_ptr_null(outcome.detail);
    outcome_finish(&outcome);
}
END_TEST

static void mark(bool *is_used, const struct judge_table *table, const struct ending *ending)
{
    struct outcome outcome = {0};
    const struct judge_row *row = judge_by(table, ending, &outcome);

    if (row)
        is_used[row - table->rows] = true;
    outcome_finish(&outcome);
}

// A row that no fact needs is one that nobody has seen.
START_TEST(has_a_fact_for_each_row)
{
    bool own[100] = {0};
    bool exits[100] = {0};

    ck_assert(kubectl_table.count <= COUNT(own) && kubectl_exit_table.count <= COUNT(exits));
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct ending ending = ending_of(&facts[i]);
        if (!facts[i].shown && facts[i].exit)
            mark(own, &kubectl_table, &ending);
        ending.err_length = strlen(facts[i].shown ? facts[i].shown : "");
        if (facts[i].shown)
            mark(exits, &kubectl_exit_table, &ending);
    }
    for (size_t i = 0; i < COUNT(engines); i++) {
        struct ending ending = {.number = engines[i].exit,
                                .err = "",
                                .out = engines[i].out,
                                .out_length = strlen(engines[i].out)};
        mark(exits, &kubectl_exit_table, &ending);
    }
    for (size_t i = 0; i < kubectl_table.count; i++)
        ck_assert_msg(own[i], "row %zu: %s", i, kubectl_table.rows[i].text);
    for (size_t i = 0; i < kubectl_exit_table.count; i++)
        ck_assert_msg(exits[i], "row of exits %zu: %s", i, kubectl_exit_table.rows[i].text);
}
END_TEST

int main(void)
{
    UNIT_RUN("kubectl_exec", EACH(judges, facts), EACH(holds_back_only_the_message, facts),
             EACH(holds_back_exactly, holds), ONCE(is_unreachable_when_kubectl_is_killed),
             EACH(knows_what_env_says, envs), EACH(knows_what_an_engine_says_on_stdout, engines),
             EACH(judges_whatever_comes, facts), ONCE(has_a_fact_for_each_row));
}
