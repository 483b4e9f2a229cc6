// SPDX-License-Identifier: Apache-2.0
// sandbox/mode: the exact arguments that each mode starts, with and without an environment to
// pass, and the place where the values of that environment are.
#include "world.h"

#include "argv.h"
#include "mode.h"

#include <errno.h>

// clang-format off
static const struct {
    const char *settings;
    const char *words[6];
    const char *argv; // NULL: refused
} shown[] = {
    // direct
    {"mode = direct\n", {"cat"}, "[cat]"},
    {"mode = direct\nworkdir = /tmp\n", {"A=1", "a", "-x", "b c"}, "[a][-x][b c]"},
    {"mode = direct\nenv = A=1\n", {"a", "B=2"}, "[a][B=2]"},
    {"mode = direct\n", {"--timeout=1s", "a"}, "[a]"},
    // kubectl_exec
    {"mode = kubectl_exec\npod = my-pod\n", {"cat"}, "[kubectl][exec][-i][my-pod][--][cat]"},
    {"mode = kubectl_exec\npod = my-pod\nnamespace = default\ncontainer = hooks\n"
     "extra_args = --request-timeout=5s\nkubeconfig = /etc/kube.yaml\ncontext = prod\n",
     {"python", "-m", "pii"},
     "[kubectl][--kubeconfig=/etc/kube.yaml][--context=prod][exec][-i][-n][default][-c][hooks]"
     "[--request-timeout=5s][my-pod][--][python][-m][pii]"},
    {"mode = kubectl_exec\npod = p\nnamespace = n\n",
     {"a"},
     "[kubectl][exec][-i][-n][n][p][--][a]"},
    {"mode = kubectl_exec\npod = p\ncontainer = c\nkubectl_path = /opt/kubectl\n",
     {"a"},
     "[/opt/kubectl][exec][-i][-c][c][p][--][a]"},
    {"mode = kubectl_exec\npod = p\nextra_args = --a\nextra_args = -b\nextra_args = x y\n",
     {"a"},
     "[kubectl][exec][-i][--a][-b][x y][p][--][a]"},
    {"mode = kubectl_exec\npod = p\n",
     {"A=1", "B=x y", "a", "-n"},
     "[kubectl][exec][-i][p][--][env][A=1][B=x y][a][-n]"},
    {"mode = kubectl_exec\npod = p\nenv = A=1\nenv = B=2\n",
     {"B=3", "C=4", "a"},
     "[kubectl][exec][-i][p][--][env][A=1][B=3][C=4][a]"},
    {"mode = kubectl_exec\npod = p\n", {"a", "A=1"}, "[kubectl][exec][-i][p][--][a][A=1]"},
    // env(1) would take such a command for a variable
    {"mode = kubectl_exec\npod = p\n", {"A=1", "1x=y", "a"}, NULL},
    {"mode = kubectl_exec\npod = p\nenv = A=1\n", {"/opt/x=y"}, NULL},
    {"mode = kubectl_exec\npod = p\n", {"/opt/x=y"}, "[kubectl][exec][-i][p][--][/opt/x=y]"},
    // docker_exec
    {"mode = docker_exec\ncontainer = c\n", {"cat"}, "[docker][exec][-i][--detach-keys=][c][cat]"},
    {"mode = docker_exec\ncontainer = c\nworkdir = /w\nuser = u\nextra_args = --privileged\n"
     "extra_args = -t\ndocker_path = podman\n",
     {"a", "-i", "b c"},
     "[podman][exec][-i][--workdir=/w][--user=u][--detach-keys=][--privileged][-t][c][a][-i][b c]"},
    {"mode = docker_exec\ncontainer = c\nworkdir = /w\nextra_args = -t\n",
     {"UNIT_X=1", "UNIT_Y=x y", "a"},
     "[docker][exec][-i][--workdir=/w][--env-file=/proc/self/fd/3][--detach-keys=][-t][c][a]"},
    {"mode = docker_exec\ncontainer = c\nenv = UNIT_X=1\nenv = UNIT_Y=2\n",
     {"UNIT_Y=3", "a"},
     "[docker][exec][-i][--env-file=/proc/self/fd/3][--detach-keys=][c][a]"},
    {"mode = docker_exec\ncontainer = c\n",
     {"UNIT_X=1", "/opt/x=y"},
     "[docker][exec][-i][--env-file=/proc/self/fd/3][--detach-keys=][c][/opt/x=y]"},
    // docker_run
    {"mode = docker_run\nimage = i\n", {"cat"}, "[docker][run][--rm][-i][--detach-keys=][i][cat]"},
    {"mode = docker_run\nimage = i\nnetwork = none\nmounts = /a:/b\nmounts = c:/d:ro\n"
     "extra_args = --memory=1g\ndocker_path = /usr/bin/docker\n",
     {"a", "b"},
     "[/usr/bin/docker][run][--rm][-i][--network=none][-v][/a:/b][-v][c:/d:ro][--detach-keys=][--memory=1g][i]"
     "[a][b]"},
    {"mode = docker_run\nimage = i\nnetwork = none\nmounts = /a:/b\nextra_args = -q\n",
     {"UNIT_X=1", "a"},
     "[docker][run][--rm][-i][--network=none][-v][/a:/b][--env-file=/proc/self/fd/3][--detach-keys=][-q][i][a]"},
};
// clang-format on

START_TEST(starts_exactly_this)
{
    struct buffer text = {0};
    struct words argv = {0};
    struct error err = {0};
    char *words[7] = {0};
    int result;

    buffer_printf(&text, "[s]\n%s", shown[_i].settings);
    char *string = buffer_take_string(&text);
    struct config *config = world_config(string);
    for (size_t i = 0; i < 6 && shown[_i].words[i]; i++)
        words[i] = strdup(shown[_i].words[i]);
    result = sandbox_show_argv(config->sandboxes[0], words, &argv, &err);
    if (shown[_i].argv) {
        ck_assert_int_eq(result, 0);
        char *joined = world_join(&argv);
        ck_assert_str_eq(joined, shown[_i].argv);
        free(joined);
    } else {
        ck_assert_int_eq(result, -EINVAL);
        ck_assert_int_eq(err.code, EINVAL);
    }
    for (size_t i = 0; words[i]; i++)
        free(words[i]);
    words_finish(&argv);
    error_finish(&err);
    config_destroy(config);
    free(string);
}
END_TEST

// Returns the launch that a sandbox of this configuration prepares for the command line TEXT.
static struct launch prepare(struct sandbox_config *config, const char *text)
{
    struct launch launch = {0};
    struct request request = world_request(text);
    struct caller caller = world_caller();
    struct words env = {0};
    struct command command = {
        .config = config, .env = &env, .argv = &request.argv, .caller = &caller};

    environment_merge(&env, &config->env);
    environment_merge(&env, &request.env);
    ck_assert_int_eq(mode_of(config->mode)->prepare(config->settings, &command, &launch, NULL), 0);
    words_finish(&env);
    request_finish(&request);
    return launch;
}

static size_t count_of(const struct words *env, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < env->count; i++)
        count +=
            strncmp(env->items[i], name, strlen(name)) == 0 && env->items[i][strlen(name)] == '=';
    return count;
}

static void ck_variable(const struct words *env, const char *name, const char *value)
{
    if (value) {
        ck_assert_pstr_eq(world_variable(env, name), value);
        ck_assert_uint_eq(count_of(env, name), 1);
    } else
        ck_assert_uint_eq(count_of(env, name), 0);
}

static bool has_word(const struct words *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->items[i], word) == 0)
            return true;
    return false;
}

START_TEST(gives_direct_its_environment)
{
    struct config *config = world_config("[s]\nmode = direct\nenv = A=1\nenv = HOOKSFS_OWN=new\n");

    setenv("HOOKSFS_OWN", "old", 1);
    setenv("HOOKSFS_OTHER", "other", 1);
    struct launch launch = prepare(config->sandboxes[0], "A=2 B=3 cmd");
    ck_variable(&launch.env, "A", "2");
    ck_variable(&launch.env, "B", "3");
    ck_variable(&launch.env, "HOOKSFS_OWN", "new");
    ck_variable(&launch.env, "HOOKSFS_OTHER", "other"); // it runs as the daemon's user
    ck_assert_ptr_null(launch.workdir);
    launch_finish(&launch);
    config_destroy(config);
}
END_TEST

// For a user other than the daemon's, the command has that user's rights and environment.
START_TEST(gives_another_user_nothing_of_ours)
{
    if (geteuid() != 0)
        UNIT_SKIP("only root runs commands as somebody else");
    struct config *config = world_config("[s]\nmode = direct\nenv = A=1\nworkdir = /tmp\n");
    struct launch launch = {0};
    struct words argv = {0};
    struct words env = {0};
    gid_t groups[] = {12, 34};
    // clang-format off
    struct caller caller = {
        .identity = {.uid = 54321, .gid = 54322, .groups = groups, .group_count = 2}};
    // clang-format on
    struct command command = {
        .config = config->sandboxes[0], .env = &env, .argv = &argv, .caller = &caller};

    setenv("HOOKSFS_OWN", "secret", 1);
    words_append(&argv, "cmd");
    words_append(&env, "A=1");
    ck_assert_int_eq(direct_mode.prepare(config->sandboxes[0]->settings, &command, &launch, NULL),
                     0);
    ck_variable(&launch.env, "HOOKSFS_OWN", NULL);
    ck_variable(&launch.env, "A", "1");
    ck_assert_uint_eq(count_of(&launch.env, "PATH"), 1);
    ck_assert_uint_eq(count_of(&launch.env, "HOME"), 1);
    ck_assert(launch.has_identity);
    ck_assert_uint_eq(launch.identity.uid, 54321);
    ck_assert_uint_eq(launch.identity.gid, 54322);
    ck_assert_uint_eq(launch.identity.group_count, 2);
    ck_assert_uint_eq(launch.identity.groups[1], 34);
    ck_assert_ptr_ne(launch.identity.groups, groups);
    ck_assert_str_eq(launch.workdir, "/tmp");
    launch_finish(&launch);
    words_finish(&argv);
    words_finish(&env);
    config_destroy(config);
}
END_TEST

static const char *const users[] = {"daemon", "1"};

START_TEST(lets_user_override_the_caller)
{
    struct buffer text = {0};

    if (geteuid() != 0)
        UNIT_SKIP("only root runs commands as somebody else");
    buffer_printf(&text, "[s]\nmode = direct\nuser = %s\n", users[_i]);
    char *string = buffer_take_string(&text);
    struct config *config = world_config(string);
    free(string);
    struct launch launch = prepare(config->sandboxes[0], "cmd");

    ck_assert(launch.has_identity);
    ck_assert_uint_eq(launch.identity.uid, 1);
    ck_assert_uint_eq(launch.identity.gid, 1);
    ck_variable(&launch.env, "USER", "daemon");
    launch_finish(&launch);
    config_destroy(config);
}
END_TEST

// kubectl's environment is the daemon's: what the request sets is for the pod.
START_TEST(keeps_a_request_out_of_kubectl)
{
    struct config *config = world_config("[s]\nmode = kubectl_exec\npod = p\nenv = KUBECONFIG=/x");

    unsetenv("KUBECONFIG");
    setenv("HOME", "/our/home", 1);
    struct launch launch = prepare(config->sandboxes[0], "HOME=/evil UNIT_X=1 cmd");
    ck_variable(&launch.env, "HOME", "/our/home");
    ck_variable(&launch.env, "UNIT_X", NULL);
    ck_variable(&launch.env, "KUBECONFIG", NULL);
    ck_assert(has_word(&launch.argv, "HOME=/evil"));
    ck_assert(!launch.has_identity);
    launch_finish(&launch);
    config_destroy(config);
}
END_TEST

static const char *const docker_configs[] = {"[s]\nmode = docker_exec\ncontainer = c\n",
                                             "[s]\nmode = docker_run\nimage = i\n"};

static char *file_of(const struct launch *launch)
{
    return strndup(launch->file.length ? launch->file.data : "", launch->file.length);
}

START_TEST(hides_values_from_ps)
{
    struct config *config = world_config(docker_configs[_i]);
    struct launch launch = prepare(config->sandboxes[0], "UNIT_X='a secret' UNIT_Y= cmd");
    char *joined = world_join(&launch.argv);
    char *file = file_of(&launch);

    ck_assert_ptr_null(strstr(joined, "secret"));
    ck_assert_ptr_nonnull(strstr(joined, "[--env-file=/proc/self/fd/3]"));
    ck_assert_str_eq(file, "UNIT_X=a secret\nUNIT_Y=\n");
    ck_variable(&launch.env, "UNIT_X", NULL);
    ck_variable(&launch.env, "UNIT_Y", NULL);
    free(file);
    free(joined);
    launch_finish(&launch);
    config_destroy(config);
}
END_TEST

// Nothing of a request is in the client's environment, whatever it is called.
static const char *const names[] = {
    "PATH",           "HOME",    "DOCKER_HOST",   "CONTAINERS_CONF", "LD_PRELOAD", "HTTP_PROXY",
    "XTABLES_LIBDIR", "GODEBUG", "SSL_CERT_FILE", "UNIT_OURS",       "UNIT_X",
};

START_TEST(keeps_a_request_out_of_docker)
{
    for (size_t i = 0; i < COUNT(docker_configs); i++) {
        struct config *config = world_config(docker_configs[i]);
        char line[100];
        size_t count = 0;

        setenv("UNIT_OURS", "ours", 1);
        snprintf(line, sizeof line, "%s=evil cmd", names[_i]);
        struct launch launch = prepare(config->sandboxes[0], line);
        char *file = file_of(&launch);
        while (environ[count])
            count++;
        ck_assert_uint_eq(launch.env.count, count);
        for (size_t at = 0; at < count; at++)
            ck_assert_str_eq(launch.env.items[at], environ[at]);
        ck_assert(strncmp(file, line, strlen(line) - strlen(" cmd")) == 0);
        free(file);
        launch_finish(&launch);
        config_destroy(config);
    }
}
END_TEST

// Variables that an --env-file cannot hold, or not for every client.
static const char *const no_lines[] = {
    "UNIT_X=a\nUNIT_Y=b", "UNIT_X=a\r", "UNIT_X=\"a", "UNIT_X='a", "UNIT_X= a", "UNIT_X=a\t",
};

// Bytes that docker's and podman's clients change on the way.
static const char *const changed[] = {"caf\xe9", "\xff", "\xed\xa0\x80", "\xc3"};

START_TEST(refuses_what_docker_would_change)
{
    struct caller caller = world_caller();

    for (size_t i = 0; i < COUNT(docker_configs) * 2; i++) {
        struct config *config = world_config(docker_configs[i / 2]);
        struct request request = world_request("cmd");
        struct launch launch = {0};
        struct error err = {0};
        char pair[32];

        snprintf(pair, sizeof pair, "UNIT_X=%s", changed[_i]);
        words_append(i % 2 ? &request.env : &request.argv, i % 2 ? pair : changed[_i]);
        ck_assert_int_eq(launch_prepare(&launch, config->sandboxes[0], &request, &caller, &err),
                         -EINVAL);
        ck_assert_msg(strstr(error_message(&err), "is not UTF-8"), "%s", error_message(&err));
        error_finish(&err);
        launch_finish(&launch);
        request_finish(&request);
        config_destroy(config);
    }
}
END_TEST

START_TEST(tells_docker_in_words)
{
    struct config *config = world_config(docker_configs[0]);
    struct request request = world_request("cmd");
    struct caller caller = world_caller();
    struct launch launch = {0};
    struct error err = {0};

    words_append(&request.env, no_lines[_i]);
    ck_assert_int_eq(launch_prepare(&launch, config->sandboxes[0], &request, &caller, &err), 0);
    ck_assert_uint_eq(launch.file.length, 0);
    ck_assert(has_word(&launch.argv, no_lines[_i]));
    ck_variable(&launch.env, "UNIT_X", NULL);
    launch_finish(&launch);
    request_finish(&request);
    config_destroy(config);
}
END_TEST

START_TEST(gives_docker_lines_of_some_length)
{
    struct config *config = world_config(docker_configs[0]);
    struct request request = world_request("cmd");
    struct caller caller = world_caller();
    struct launch launch = {0};
    struct error err = {0};
    static char pair[61 * 1000];

    memset(pair, 'x', sizeof pair - 1);
    memcpy(pair, "UNIT_X=", strlen("UNIT_X="));
    words_append(&request.env, pair);
    pair[1000] = '\0';
    memcpy(pair, "UNIT_Y=\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", strlen("UNIT_Y=") + 9);
    words_append(&request.env, pair);
    ck_assert_int_eq(launch_prepare(&launch, config->sandboxes[0], &request, &caller, &err), 0);
    ck_assert_uint_eq(launch.file.length, 1001);
    ck_assert(has_word(&launch.argv, request.env.items[0]));
    launch_finish(&launch);
    request_finish(&request);
    config_destroy(config);
}
END_TEST

int main(void)
{
    UNIT_RUN("modes", EACH(starts_exactly_this, shown), ONCE(gives_direct_its_environment),
             ONCE(gives_another_user_nothing_of_ours), EACH(lets_user_override_the_caller, users),
             ONCE(keeps_a_request_out_of_kubectl), EACH(hides_values_from_ps, docker_configs),
             EACH(keeps_a_request_out_of_docker, names), EACH(tells_docker_in_words, no_lines),
             EACH(refuses_what_docker_would_change, changed),
             ONCE(gives_docker_lines_of_some_length));
}
