// SPDX-License-Identifier: Apache-2.0
// sandbox/mode/launch.c, and the keys of agents in both modes that have them: the
// arguments and environment of the client of a connection, and the job as the agent gets it.
#include "world.h"

#include "launch.h"
#include "mode.h"

#define KUBECTL "mode = kubectl_exec\npod = p\n"
#define DOCKER  "mode = docker_exec\ncontainer = c\n"
#define RUN     "mode = docker_run\nimage = i\n"

static struct config *config;
static struct launch launch;

static const struct sandbox_config *configure(const char *settings)
{
    char text[1000];

    snprintf(text, sizeof text, "[s]\n%s", settings);
    config = world_config(text);
    return config->sandboxes[0];
}

static void ck_words(const struct words *words, const char *expected)
{
    char *shown = world_join(words);

    ck_assert_str_eq(shown ? shown : "", expected);
    free(shown);
}

static void finish(void)
{
    launch_finish(&launch);
    config_destroy(config);
}

// --- The keys

// clang-format off
static const struct {
    const char *settings;
    unsigned use;
    unsigned connections;
    unsigned connect;
    const char *path;
    const char *workdir;
} settings[] = {
    {KUBECTL "agent = auto\n", AGENT_AUTO, 2, AGENT_AT_START, NULL, NULL},
    {KUBECTL "agent = require\n", AGENT_REQUIRE, 2, AGENT_AT_START, NULL, NULL},
    {KUBECTL "connections = 64\nconnect = use\nagent_path = /a b\nworkdir = /w\nagent = require\n", AGENT_REQUIRE, 64, AGENT_AT_USE, "/a b", "/w"},
    {KUBECTL "agent = auto\nconnections = 1\nconnect = start\n", AGENT_AUTO, 1, AGENT_AT_START, NULL, NULL},
    {DOCKER "agent = auto\n", AGENT_AUTO, 2, AGENT_AT_START, NULL, NULL},
    {DOCKER "agent_path = /a\nworkdir = /w\nagent = require\nconnect = use\n", AGENT_REQUIRE, 2, AGENT_AT_USE, "/a", NULL},
};
// clang-format on

START_TEST(has_settings)
{
    const struct agent_settings *agent = mode_agent_settings(configure(settings[_i].settings));

    ck_assert_ptr_nonnull(agent);
    ck_assert_uint_eq(agent->use, settings[_i].use);
    ck_assert_uint_eq(agent->connections, settings[_i].connections);
    ck_assert_uint_eq(agent->connect, settings[_i].connect);
    ck_assert_pstr_eq(agent->path, settings[_i].path);
    ck_assert_pstr_eq(agent->workdir, settings[_i].workdir);
    finish();
}
END_TEST

static const char *const without[] = {
    KUBECTL,
    DOCKER,
    KUBECTL "agent = no\n",
    DOCKER "agent = no\nconnections = 3\n",
    "mode = direct\n",
    "mode = docker_run\nimage = i\n",
};

START_TEST(has_no_agent)
{
    ck_assert_ptr_null(mode_agent_settings(configure(without[_i])));
    finish();
}
END_TEST

// clang-format off
static const struct {
    const char *settings;
    const char *problem;
} wrong[] = {
    {KUBECTL "agent = yes\n", "'yes' is none of no, auto, require"},
    {KUBECTL "agent =\n", "agent"},
    {KUBECTL "agent = auto\nconnections = 0\n", "connections"},
    {KUBECTL "agent = auto\nconnections = 65\n", "65 are too many: up to 64"},
    {KUBECTL "agent = auto\nconnect = now\n", "'now' is none of start, use"},
    {KUBECTL "agent = auto\nagent_path = agent\n", "does not begin with /"},
    {KUBECTL "agent = auto\nagent_path = -x\n", "agent_path"},
    {KUBECTL "agent_path = /agent\n", "is of no use without agent"},
    {KUBECTL "agent = no\nagent_path = /agent\n", "is of no use without agent"},
    {KUBECTL "agent = require\nworkdir = here\n", "does not begin with /"},
    {KUBECTL "agent = auto\nworkdir = /w\n", "needs agent = require"},
    {KUBECTL "workdir = /w\n", "needs agent = require"},
    {DOCKER "agent = yes\n", "'yes' is none of"},
    {DOCKER "agent = auto\nconnections = 65\n", "65 are too many"},
    {DOCKER "agent = auto\nagent_path = agent\n", "does not begin with /"},
    {DOCKER "agent_path = /agent\n", "is of no use without agent"},
    {"mode = direct\nagent = auto\n", "agent"},
    {RUN "agent = auto\n", "auto is not possible in mode docker_run"},
    {RUN "agent_way = shell\n", "is of no use without agent = require"},
    {RUN "agent = require\nagent_path = /a\nagent_way = shell\n", "is of no use with agent_path"},
    {RUN "agent = require\nagent_way = ssh\n", "'ssh' is none of shell, mount"},
    {RUN "agent = require\nconnections = 2\n", "connections"},
    {KUBECTL "agent = auto\nconnect_timeout = 0s\n", "connect_timeout"},
    // A limit that the command would not get.
    {KUBECTL "rlimit_core = 0\n", "rlimit_core: sandbox 's' of mode kubectl_exec: needs agent = require"},
    {KUBECTL "agent = auto\nrlimit_nproc = 9\n", "rlimit_nproc: sandbox 's' of mode kubectl_exec: needs agent"},
    {DOCKER "rlimit_as = 1G\n", "rlimit_as: sandbox 's' of mode docker_exec: needs agent = require"},
    {DOCKER "agent = auto\nrlimit_cpu = 1s\n", "rlimit_cpu: sandbox 's' of mode docker_exec: needs agent"},
    {KUBECTL "limit_memory = 1G\n", "limit_memory: sandbox 's' of mode kubectl_exec: needs agent = require"},
    {KUBECTL "agent = auto\nlimit_pids = 5\n", "limit_pids: sandbox 's' of mode kubectl_exec: needs agent"},
    {DOCKER "limit_cpu = 50\n", "limit_cpu: sandbox 's' of mode docker_exec: needs agent = require"},
    {RUN "rlimit_as = 1G\n", "rlimit_as: sandbox 's' of mode docker_run: needs agent = require"},
};
// clang-format on

START_TEST(refuses_what_is_wrong)
{
    char path[sizeof WORLD_PATH];
    char text[1000];
    struct buffer problems = {0};

    snprintf(text, sizeof text, "[s]\n%s", wrong[_i].settings);
    world_file(path, text, strlen(text));
    ck_assert_ptr_null(sandbox_load_config(path, NULL, &problems));
    unlink(path);
    char *shown = buffer_take_string(&problems);
    ck_assert_msg(strstr(shown, wrong[_i].problem), "%s", shown);
    ck_assert_ptr_eq(strchr(shown, '\n'), shown + strlen(shown) - 1); // one problem
    free(shown);
}
END_TEST

// --- The client of a connection

// clang-format off
static const struct {
    const char *settings;
    const char *argv;
} clients[] = {
    {KUBECTL "agent = auto\n", "[kubectl][exec][-i][p][--][/a][--serve]"},
    {KUBECTL "agent = require\nworkdir = /w\nnamespace = n\ncontainer = c\nkubeconfig = /k\ncontext = x\nextra_args = -q\nkubectl_path = /kc\n",
     "[/kc][--kubeconfig=/k][--context=x][exec][-i][-n][n][-c][c][-q][p][--][/a][--serve]"},
    // The environment belongs to each command, not to the agent.
    {KUBECTL "agent = auto\nenv = A=secret\n", "[kubectl][exec][-i][p][--][/a][--serve]"},
    {DOCKER "agent = auto\nenv = A=secret\n", "[docker][exec][-i][--detach-keys=][c][/a][--serve]"},
    {DOCKER "agent = auto\nworkdir = /w\nuser = u\nextra_args = -x\ndocker_path = podman\n",
     "[podman][exec][-i][--workdir=/w][--user=u][--detach-keys=][-x][c][/a][--serve]"},
};
// clang-format on

START_TEST(starts_this_client)
{
    struct words argv = {0};
    struct error err = {0};
    const struct sandbox_config *sandbox = configure(clients[_i].settings);

    ck_assert_int_eq(words_append(&argv, "/a"), 0);
    ck_assert_int_eq(words_append(&argv, "--serve"), 0);
    ck_assert_int_eq(launch_prepare_client(&launch, sandbox, &argv, NULL, &err), 0);
    ck_words(&launch.argv, clients[_i].argv);
    ck_assert(!launch.has_identity);
    // The client has the daemon's environment.
    for (size_t i = 0; i < launch.env.count; i++)
        ck_assert_msg(!strstr(launch.env.items[i], "secret"), "%s", launch.env.items[i]);
    words_finish(&argv);
    finish();
}
END_TEST

static const char all_rlimits[] =
    "rlimit_core = 0\nrlimit_cpu = 60s\nrlimit_data = 1G\nrlimit_fsize = 8K\n"
    "rlimit_memlock = 64K\nrlimit_nofile = 100\nrlimit_nproc = 10\nrlimit_stack = 1M\n";

// Of these limits by the engine there are none for an agent, which limits the command itself.
START_TEST(limits_a_container)
{
    const struct container_entry sent = {0};
    char text[512];
    struct words argv = {0};
    struct error err = {0};
    struct caller caller = {0};
    struct request request = world_request("a b");
    const struct sandbox_config *sandbox;

    snprintf(text, sizeof text, RUN "%s", all_rlimits);
    ck_assert_int_eq(launch_prepare(&launch, configure(text), &request, &caller, &err), 0);
    ck_words(&launch.argv, "[docker][run][--rm][-i][--ulimit=cpu=60:60][--ulimit=fsize=8192:8192]"
                           "[--ulimit=data=1073741824:1073741824][--ulimit=stack=1048576:1048576]"
                           "[--ulimit=core=0:0][--ulimit=nproc=10:10][--ulimit=nofile=100:100]"
                           "[--ulimit=memlock=65536:65536][--detach-keys=][i][a][b]");
    ck_assert_uint_eq(launch.rlimits.of[RLIMIT_NOFILE].is_set, 0); // not of the client
    finish();
    snprintf(text, sizeof text, RUN "agent = require\nrlimit_as = 2G\n%s", all_rlimits);
    sandbox = configure(text);
    ck_assert_int_eq(words_append(&argv, ENTRY_AGENT), 0);
    ck_assert_int_eq(launch_prepare_client(&launch, sandbox, &argv, &sent, &err), 0);
    ck_words(&launch.argv, "[docker][run][--rm][-i][--log-driver=none]"
                           "[--entrypoint=/.hooksfs-agent][--detach-keys=][i]");
    launch_finish(&launch);
    ck_assert_int_eq(launch_prepare_remote(&launch, sandbox, &request, &err), 0);
    ck_assert_uint_eq(launch.rlimits.of[RLIMIT_AS].value, 2ULL << 30);
    ck_assert_uint_eq(launch.rlimits.of[RLIMIT_CORE].is_set, 1);
    ck_assert_uint_eq(launch.rlimits.of[RLIMIT_CORE].value, 0);
    ck_assert_uint_eq(launch.rlimits.of[RLIMIT_RSS].is_set, 0);
    finish();
    sandbox = configure(RUN "limit_memory = 64M\nlimit_pids = 5\nlimit_cpu = 150\n");
    ck_assert_int_eq(launch_prepare(&launch, sandbox, &request, &caller, &err), 0);
    ck_words(&launch.argv, "[docker][run][--rm][-i][--memory=67108864][--memory-swap=67108864]"
                           "[--pids-limit=5][--cpus=1.50][--detach-keys=][i][a][b]");
    ck_assert(!launch.has_group);
    finish();
    sandbox = configure(RUN "agent = require\nlimit_pids = 5\nlimit_cpu = 7\n");
    ck_assert_int_eq(launch_prepare_client(&launch, sandbox, &argv, &sent, &err), 0);
    ck_words(&launch.argv, "[docker][run][--rm][-i][--pids-limit=7][--cpus=0.07]"
                           "[--log-driver=none][--entrypoint=/.hooksfs-agent][--detach-keys=][i]");
    launch_finish(&launch);
    ck_assert_int_eq(launch_prepare_remote(&launch, sandbox, &request, &err), 0);
    ck_assert_uint_eq(launch.limits.pids, 0);
    words_finish(&argv);
    request_finish(&request);
    finish();
}
END_TEST

// A container of its own, which the agent begins.
START_TEST(starts_a_container_for_one_job)
{
    const struct container_entry mounted = {.copy = "/copy"};
    const struct container_entry sent = {0};
    static const char text[] =
        RUN "agent = require\nnetwork = none\nmounts = /a:/b\nextra_args = -x\nenv = A=secret\n";
    struct words argv = {0};
    struct error err = {0};
    const struct sandbox_config *sandbox = configure(text);
    const struct mode *mode = mode_of(sandbox->mode);

    ck_assert(mode_has_container_per_job(sandbox));
    ck_assert_int_eq(words_append(&argv, ENTRY_AGENT), 0);
    ck_assert_int_eq(words_append(&argv, "--serve"), 0);
    launch.container = strdup("n");
    ck_assert_int_eq(launch_prepare_client(&launch, sandbox, &argv, &mounted, &err), 0);
    ck_words(&launch.argv, "[docker][run][--rm][-i][--network=none][-v][/a:/b][--name=n]"
                           "[--log-driver=none][--mount=type=bind,source=/copy,"
                           "target=/.hooksfs-agent,readonly][--entrypoint=/.hooksfs-agent]"
                           "[--detach-keys=][-x][i][--serve]");
    launch_finish(&launch);
    launch.container = strdup("n");
    ck_assert_int_eq(launch_prepare_client(&launch, sandbox, &argv, &sent, &err), 0);
    ck_words(&launch.argv, "[docker][run][--rm][-i][--network=none][-v][/a:/b][--name=n]"
                           "[--log-driver=none][--entrypoint=/.hooksfs-agent]"
                           "[--detach-keys=][-x][i][--serve]");
    launch_finish(&launch);
    ck_assert_int_eq(mode->prepare_removal(sandbox->settings, "n", true, &launch, &err), 0);
    ck_words(&launch.argv, "[docker][kill][n]");
    launch_finish(&launch);
    ck_assert_int_eq(mode->prepare_removal(sandbox->settings, "n", false, &launch, &err), 0);
    ck_words(&launch.argv, "[docker][rm][-f][n]");
    words_finish(&argv);
    finish();
}
END_TEST

// Unless the daemon's environment has them; a client that serves one job gets none.
START_TEST(tunes_the_client)
{
    struct words argv = {0};
    struct error err = {0};
    const struct sandbox_config *sandbox = configure(clients[_i].settings);

    ck_assert_int_eq(words_append(&argv, "/a"), 0);
    unsetenv("GOMAXPROCS");
    setenv("GOGC", "50", 1);
    ck_assert_int_eq(launch_prepare_client(&launch, sandbox, &argv, NULL, &err), 0);
    ck_assert_pstr_eq(world_variable(&launch.env, "GOMAXPROCS"), "1");
    ck_assert_pstr_eq(world_variable(&launch.env, "GOGC"), "50");
    launch_finish(&launch);
    unsetenv("GOGC");
    ck_assert_int_eq(launch_prepare_client(&launch, sandbox, &argv, NULL, &err), 0);
    ck_assert_pstr_eq(world_variable(&launch.env, "GOGC"), "400");
    launch_finish(&launch);
    struct request request = world_request("cat");
    struct caller caller = {0};
    ck_assert_int_eq(launch_prepare(&launch, sandbox, &request, &caller, &err), 0);
    ck_assert_pstr_eq(world_variable(&launch.env, "GOMAXPROCS"), NULL);
    ck_assert_pstr_eq(world_variable(&launch.env, "GOGC"), NULL);
    request_finish(&request);
    words_finish(&argv);
    finish();
}
END_TEST

// --- The job, as the agent gets it

// clang-format off
static const struct {
    const char *settings;
    const char *line;
    const char *argv;
    const char *env;
    const char *workdir;
} jobs[] = {
    {KUBECTL "agent = auto\n", "cat", "[cat]", "", NULL},
    {KUBECTL "agent = auto\n", "a -n 'b c' '' --", "[a][-n][b c][][--]", "", NULL},
    {KUBECTL "agent = auto\nenv = A=1\nenv = B=2\n", "B=3 C='x y' a", "[a]", "[A=1][B=3][C=x y]", NULL},
    {KUBECTL "agent = require\nworkdir = /w\n", "--timeout=1s a", "[a]", "", "/w"},
    {KUBECTL "agent = auto\n", "A=1 /opt/x=y", "[/opt/x=y]", "[A=1]", NULL}, // no env(1) is in the way
    {DOCKER "agent = auto\nworkdir = /w\nuser = u\n", "PATH=/x LD_PRELOAD=y a", "[a]", "[PATH=/x][LD_PRELOAD=y]", NULL},
    {DOCKER "agent = auto\nenv = UNIT_GIVEN\nenv = UNIT_NOT_GIVEN\n", "a", "[a]", "[UNIT_GIVEN=x]", NULL},
};
// clang-format on

START_TEST(tells_the_agent)
{
    struct error err = {0};
    struct request request = world_request(jobs[_i].line);

    setenv("UNIT_GIVEN", "x", 1);
    ck_assert_int_eq(launch_prepare_remote(&launch, configure(jobs[_i].settings), &request, &err),
                     0);
    ck_assert_ptr_null(launch.client); // the command's end is its own
    ck_words(&launch.argv, jobs[_i].argv);
    ck_words(&launch.env, jobs[_i].env);
    ck_assert_pstr_eq(launch.workdir, jobs[_i].workdir);
    request_finish(&request);
    finish();
}
END_TEST

// --- A new configuration

// clang-format off
static const struct {
    const char *before;
    const char *after;
    bool is_same;
} places[] = {
    {KUBECTL "agent = auto\n", KUBECTL "agent = auto\ntimeout = 5s\nmax_running = 3\nenv = A=1\nowner = 1\n", true},
    {KUBECTL "agent = auto\n", KUBECTL "agent = auto\nconnections = 2\nconnect = start\n", true},
    {KUBECTL "agent = auto\n", KUBECTL "agent = require\n", false},
    {KUBECTL "agent = auto\n", KUBECTL "agent = no\n", false},
    {KUBECTL "agent = auto\n", KUBECTL "agent = auto\nconnections = 3\n", false},
    {KUBECTL "agent = auto\n", KUBECTL "agent = auto\nagent_path = /a\n", false},
    {KUBECTL "agent = auto\n", KUBECTL "agent = auto\ncontainer = c\n", false},
    {KUBECTL "agent = auto\n", DOCKER "agent = auto\n", false},
    {DOCKER "agent = auto\nuser = a\n", DOCKER "agent = auto\nuser = b\n", false},
};
// clang-format on

START_TEST(knows_a_place_again)
{
    struct config *before;
    const struct sandbox_config *sandbox = configure(places[_i].before);

    before = config;
    ck_assert_int_eq(sandbox_config_same_target(sandbox, configure(places[_i].after)),
                     places[_i].is_same);
    config_destroy(before);
    finish();
}
END_TEST

// The launch of a standby, the launch that a request asks for, and whether they are the same.
// clang-format off
static const struct {
    const char *settings;
    const char *standby;
    const char *request;
    bool is_equal;
} pairs[] = {
    {RUN, "cat", "cat", true}, // each container has a name of its own
    {RUN, "A=1 cat x", "A=1 cat x", true},
    {RUN, "A=1 cat", "A=2 cat", false},
    {RUN, "A=1 cat", "cat", false},
    {RUN, "cat", "cat ''", false},
    {RUN, "cat --name=a", "cat --name=b", false},
    {KUBECTL, "A=1 cat", "--timeout=1s A=1 cat", true},
    {KUBECTL, "A=1 cat", "B=1 cat", false},
    {DOCKER, "cat", "cat", true},
    {DOCKER, "--workdir=/a cat", "cat", false},
};
// clang-format on

START_TEST(knows_the_same_process_again)
{
    const struct sandbox_config *sandbox = configure(pairs[_i].settings);
    struct request standby = world_request(pairs[_i].standby);
    struct request request = world_request(pairs[_i].request);
    struct caller caller = world_caller();
    struct launch other = {0};

    ck_assert_int_eq(launch_prepare(&launch, sandbox, &standby, &caller, NULL), 0);
    ck_assert_int_eq(launch_prepare(&other, sandbox, &request, &caller, NULL), 0);
    ck_assert_int_eq(launch_equal(&launch, &other), pairs[_i].is_equal);
    ck_assert_int_eq(launch_equal(&other, &launch), pairs[_i].is_equal);
    launch_finish(&other);
    request_finish(&standby);
    request_finish(&request);
    finish();
}
END_TEST

int main(void)
{
    UNIT_RUN("launch", EACH(has_settings, settings), EACH(has_no_agent, without),
             EACH(refuses_what_is_wrong, wrong), EACH(starts_this_client, clients),
             ONCE(limits_a_container), ONCE(starts_a_container_for_one_job),
             EACH(tunes_the_client, clients), EACH(tells_the_agent, jobs),
             EACH(knows_a_place_again, places), EACH(knows_the_same_process_again, pairs));
}
