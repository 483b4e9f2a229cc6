// SPDX-License-Identifier: Apache-2.0
// conf/loader.c and conf/config.c, with the real modes: the structs that a configuration
// becomes, and the message for each mistake.
#include "world.h"

#include "mode.h"

// Loads TEXT. The caller frees *PROBLEMS, in which each line has lost the path.
static struct config *load(const char *text, char **problems)
{
    char path[sizeof WORLD_PATH];
    struct buffer lines = {0};
    struct buffer cut = {0};
    struct config *config;
    size_t length;

    world_file(path, text, strlen(text));
    config = sandbox_load_config(path, NULL, &lines);
    unlink(path);
    length = lines.length;
    char *all = buffer_take_string(&lines);
    ck_assert_uint_eq(strlen(all), length);
    for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n")) {
        ck_assert_msg(strncmp(line, path, strlen(path)) == 0 && line[strlen(path)] == ':',
                      "no file in: %s", line);
        buffer_printf(&cut, "%s\n", line + strlen(path) + 1);
    }
    free(all);
    *problems = buffer_take_string(&cut);
    return config;
}

// Mistakes. For each problem, in any order: the beginning of its line, and a word that must
// follow in the line.
// clang-format off
static const struct {
    const char *text;
    struct {
        const char *place;
        const char *word;
    } problems[6];
} mistakes[] = {
    // The form of the file
    {"", {{"1: ", "no sandbox"}}},
    {"timeout = 10s\n", {{"1: ", "no sandbox"}}},
    {"nonsense\n[a]\nmode = direct\n", {{"1: ", "neither"}}},
    {"[a]\nmode = direct\nnonsense\n", {{"3: [a] ", "neither"}}},
    {"[a]\nmode = direct\n[b\n", {{"3: ", "]"}}},
    {"[a]\nmode = direct\n= 3\n", {{"3: [a] ", "key"}}},
    // Keys
    {"[a]\nmode = direct\ntimeot = 3s\n", {{"3: [a] timeot: ", "timeout"}}},
    {"[a]\nmode = kubectl_exec\npod = p\ncontaner = c\n", {{"4: [a] contaner: ", "container"}}},
    {"[a]\nmodes = direct\n", {{"2: [a] modes: ", "mode"}, {"1: [a] mode: ", "required"}}},
    {"[a]\nmode = direct\nxyzzy = 1\n", {{"3: [a] xyzzy: ", "not a known key"}}},
    {"[a]\nmode = direct\nTIMEOUT = 1s\n", {{"3: [a] TIMEOUT: ", "not a known key"}}},
    {"timeot = 3s\n[a]\nmode = direct\n", {{"1: timeot: ", "timeout"}}},
    {"pdo = x\n[a]\nmode = direct\n", {{"1: pdo: ", "pod"}}},
    {"[a]\nmode = direct\npod = p\n", {{"3: [a] pod: ", "kubectl_exec"}}},
    {"[a]\nmode = kubectl_exec\npod = p\nimage = i\n", {{"4: [a] image: ", "docker_run"}}},
    {"[a]\nmode = direct\ntimeout = 1s\ntimeout = 2s\n", {{"4: [a] timeout: ", "3"}}},
    {"[a]\nmode = direct\nmode = direct\n", {{"3: [a] mode: ", "2"}}},
    {"timeout = 1s\ntimeout = 2s\n[a]\nmode = direct\n", {{"2: timeout: ", "1"}}},
    {"[a]\nmode = direct\nuser = root\nuser = root\n", {{"4: [a] user: ", "3"}}},
    {"user = root\nuser = root\n[a]\nmode = direct\n", {{"2: user: ", "1"}}},
    {"[a]\nmode = kubectl_exec\n", {{"1: [a] pod: ", "required"}}},
    {"[a]\nmode = docker_exec\n", {{"1: [a] container: ", "required"}}},
    {"[a]\nmode = docker_run\n", {{"1: [a] image: ", "required"}}},
    // The mode
    {"[a]\n", {{"1: [a] mode: ", "required"}}},
    {"[a]\n[b]\n", {{"1: [a] mode: ", "required"}, {"2: [b] mode: ", "required"}}},
    {"[a]\nmode = chroot\n", {{"2: [a] mode: ", "direct, docker_exec, docker_run, kubectl_exec"}}},
    {"[a]\nmode = Direct\n", {{"2: [a] mode: ", "direct"}}},
    {"[a]\nmode =\n", {{"2: [a] mode: ", "no value"}}},
    {"[a]\nmode = ${HOOKSFS_UNSET}\n", {{"2: [a] mode: ", "HOOKSFS_UNSET"}}},
    // Bad values, of every type
    {"[a]\nmode = direct\ntimeout = soon\n", {{"3: [a] timeout: ", "soon"}}},
    {"[a]\nmode = direct\ntimeout = 0s\n", {{"3: [a] timeout: ", "range"}}},
    {"[a]\nmode = direct\ntimeout =\n", {{"3: [a] timeout: ", "no value"}}},
    {"[a]\nmode = direct\nmax_timeout = 10\n", {{"3: [a] max_timeout: ", "10s"}}},
    {"[a]\nmode = direct\nkill_grace = none\n", {{"3: [a] kill_grace: ", "none"}}},
    {"[a]\nmode = direct\nslot_ttl = none\n", {{"3: [a] slot_ttl: ", "none"}}},
    {"[a]\nmode = direct\nmax_output = 16m\n", {{"3: [a] max_output: ", "16m"}}},
    {"[a]\nmode = direct\nmax_running = 0\n", {{"3: [a] max_running: ", "0"}}},
    {"[a]\nmode = direct\nmax_queued = -1\n", {{"3: [a] max_queued: ", "-1"}}},
    {"[a]\nmode = direct\nmax_slots = x\n", {{"3: [a] max_slots: ", "x"}}},
    {"[a]\nmode = direct\nowner = no-such-user\n", {{"3: [a] owner: ", "no-such-user"}}},
    {"[a]\nmode = direct\ngroup = no-such-group\n", {{"3: [a] group: ", "no-such-group"}}},
    {"[a]\nmode = direct\npermissions = 1777\n", {{"3: [a] permissions: ", "1777"}}},
    {"[a]\nmode = direct\nenv = 1=2\n", {{"3: [a] env: ", "KEY=value"}}},
    {"[a]\nmode = direct\nallow =\n", {{"3: [a] allow: ", "no value"}}},
    {"[a]\nmode = direct\nallow = ${HOOKSFS_UNSET}\n", {{"3: [a] allow: ", "HOOKSFS_UNSET"}}},
    {"[a]\nmode = direct\nallow = ${HOOKSFS\n", {{"3: [a] allow: ", "${HOOKSFS"}}},
    {"[a]\nmode = direct\nenv = A=1\nenv = =\nenv = C=1\n", {{"4: [a] env: ", "KEY=value"}}},
    {"[a]\nmode = direct\nlimit_memory = 0\n", {{"3: [a] limit_memory: ", "0"}}},
    {"[a]\nmode = direct\nlimit_pids = 0\n", {{"3: [a] limit_pids: ", "0"}}},
    {"[a]\nmode = direct\nlimit_cpu = 50%\n", {{"3: [a] limit_cpu: ", "whole number"}}},
    {"[a]\nmode = direct\nrlimit_nofile = 1K\n", {{"3: [a] rlimit_nofile: ", "whole number"}}},
    {"[a]\nmode = direct\nrlimit_fsize = 1025G\n", {{"3: [a] rlimit_fsize: ", "range"}}},
    {"[a]\nmode = direct\nrlimit_cpu = 10\n", {{"3: [a] rlimit_cpu: ", "10s"}}},
    {"[a]\nmode = direct\nrlimit_cpu = 1500ms\n", {{"3: [a] rlimit_cpu: ", "seconds"}}},
    {"[a]\nmode = docker_run\nimage = i\nrlimit_as = 1G\n",
     {{"4: [a] rlimit_as: ", "agent = require"}}},
    {"rlimit_core = 0\n[a]\nmode = kubectl_exec\npod = p\n", {{"1: rlimit_core: ", "'a'"}}},
    {"[a]\nmode = docker_exec\ncontainer = c\nrlimit_nproc = 9\n",
     {{"4: [a] rlimit_nproc: ", "agent = require"}}},
    // Values that a client would take for an option
    {"[a]\nmode = kubectl_exec\npod = -n\n", {{"3: [a] pod: ", "option"}}},
    {"[a]\nmode = kubectl_exec\npod = p\nnamespace = -x\n", {{"4: [a] namespace: ", "option"}}},
    {"[a]\nmode = kubectl_exec\npod = p\ncontainer = -x\n", {{"4: [a] container: ", "option"}}},
    {"[a]\nmode = docker_exec\ncontainer = --privileged\n", {{"3: [a] container: ", "option"}}},
    {"[a]\nmode = docker_run\nimage = -i\n", {{"3: [a] image: ", "option"}}},
    {"[a]\nmode = docker_run\nimage = i\nmounts = -v\n", {{"4: [a] mounts: ", "option"}}},
    // Checks of a mode, which name line and key as all others do
    {"[a]\nmode = direct\nworkdir = tmp\n", {{"3: [a] workdir: ", "tmp"}}},
    {"[a]\nmode = direct\n\nuser = no-such-user\n", {{"4: [a] user: ", "no-such-user"}}},
    {"workdir = tmp\n[a]\nmode = direct\n", {{"1: ", "tmp"}}},
    // Names that no directory can have, or that are given twice
    {"[]\nmode = direct\n", {{"1: [] ", "name"}}},
    {"[.]\nmode = direct\n", {{"1: [.] ", "directory"}}},
    {"[..]\nmode = direct\n", {{"1: [..] ", "directory"}}},
    {"[a/b]\nmode = direct\n", {{"1: [a/b] ", "/"}}},
    {"[ a]\nmode = direct\n", {{"1: [ a] ", "blank"}}},
    {"[a ]\nmode = direct\n", {{"1: [a ] ", "blank"}}},
    {"[a\x01z]\nmode = direct\n", {{"1: ", "control"}}},
    {"[a]\nmode = direct\n[b]\nmode = direct\n[a]\nmode = direct\n", {{"5: [a] ", "1"}}},
    // Defaults: one line, even if several sandboxes use the default, or none
    {"timeout = soon\n[a]\nmode = direct\n[b]\nmode = direct\n", {{"1: timeout: ", "soon"}}},
    {"timeout = soon\n[a]\nmode = direct\ntimeout = 1s\n", {{"1: timeout: ", "soon"}}},
    {"image = -x\n[a]\nmode = direct\n", {{"1: image: ", "option"}}},
    {"env = =\n[a]\nmode = direct\nenv = A=1\n", {{"1: env: ", "KEY=value"}}},
    {"pod = ${HOOKSFS_UNSET}\n[a]\nmode = kubectl_exec\n[b]\nmode = kubectl_exec\n",
     {{"1: pod: ", "HOOKSFS_UNSET"}}},
    {"mode = chroot\n[a]\n[b]\n", {{"1: ", "chroot"}}},
    {"mode = chroot\n[a]\nmode = direct\n", {{"1: mode: ", "chroot"}}},
    {"mode =\n[a]\n[b]\n", {{"1: mode: ", "no value"}}},
    {"mode = direct\nmode = direct\n[a]\n", {{"2: mode: ", "1"}}},
    // A key without effect is an error in a sandbox's own section
    {"agent = require\n[a]\nmode = kubectl_exec\npod = p\nagent_path = /x\nagent = no\n",
     {{"5: [a] agent_path: ", "agent = auto"}}},
    {"agent_path = /y\n[a]\nmode = kubectl_exec\npod = p\nworkdir = /x\nagent_path = /x\n",
     {{"5: [a] workdir: ", "agent = require"}, {"6: [a] agent_path: ", "agent = auto"}}},
    {"agent_path = here\n[a]\nmode = kubectl_exec\npod = p\n", {{"1: agent_path: ", "/"}}},
    {"workdir = here\n[a]\nmode = docker_exec\ncontainer = c\n", {{"1: workdir: ", "/"}}},
    {"connections = 65\n[a]\nmode = kubectl_exec\npod = p\nagent = auto\n[b]\nmode = docker_exec\n"
     "container = c\nagent = auto\n", {{"1: connections: ", "64"}}},
    // Standbys
    {"[a]\nmode = docker_run\nimage = i\nstandby = 'x\n", {{"4: [a] standby: ", "quote"}}},
    {"[a]\nmode = docker_run\nimage = i\nstandby = --timeout=1s x\n",
     {{"4: [a] standby: ", "--workdir"}}},
    {"[a]\nmode = docker_run\nimage = i\nallow = y\nstandby = x\n",
     {{"5: [a] standby: ", "allow"}}},
    {"[a]\nmode = docker_run\nimage = i\nstandby = x\nstandby_count = 65\n",
     {{"5: [a] standby_count: ", "64"}}},
    {"[a]\nmode = docker_run\nimage = i\nstandby_count = 0\n", {{"4: [a] standby_count: ", "0"}}},
    // Several mistakes in one file
    {"timeout = soon\n"
     "[a/b]\n"
     "mode = direct\n"
     "pod = x\n"
     "[c]\n"
     "mode = kubectl_exec\n"
     "permissions = rwx\n"
     "[d]\n"
     "nonsense\n"
     "mode = direct\n",
     {{"1: timeout: ", "soon"},
      {"2: [a/b] ", "directory"},
      {"4: [a/b] pod: ", "kubectl_exec"},
      {"7: [c] permissions: ", "rwx"},
      {"5: [c] pod: ", "required"},
      {"9: [d] ", "neither"}}},
    // One problem is one line, even if a variable contains a newline
    {"[a]\nmode = direct\ntimeout = ${HOOKSFS_LINES}\n", {{"3: [a] timeout: ", "one two"}}},
};
// clang-format on

START_TEST(reports_a_mistake)
{
    char *problems;
    struct config *config;
    size_t expected = 0;
    size_t found = 0;

    unsetenv("HOOKSFS_UNSET");
    setenv("HOOKSFS_LINES", "one\ntwo", 1);
    config = load(mistakes[_i].text, &problems);
    ck_assert_msg(!config, "it was taken");
    for (size_t i = 0; i < 6 && mistakes[_i].problems[i].place; i++) {
        const char *place = mistakes[_i].problems[i].place;
        bool is_there = false;
        for (const char *line = problems; *line; line = strchr(line, '\n') + 1) {
            size_t length = strcspn(line, "\n");
            const char *rest = line + strlen(place);
            if (length > strlen(place) && strncmp(line, place, strlen(place)) == 0)
                is_there |= memmem(rest, length - strlen(place), mistakes[_i].problems[i].word,
                                   strlen(mistakes[_i].problems[i].word)) != NULL;
        }
        for (char *c = problems; !is_there && *c; c++)
            *c = *c == '\n' ? '|' : *c;
        ck_assert_msg(is_there, "'%s...%s' is not in: %s", place, mistakes[_i].problems[i].word,
                      problems);
        expected++;
    }
    for (char *c = problems; *c; c++)
        if (*c == '\n') {
            found++;
            *c = '|';
        }
    ck_assert_msg(found == expected, "%zu problems, not %zu: %s", found, expected, problems);
    free(problems);
}
END_TEST

START_TEST(names_a_file_it_cannot_read)
{
    struct buffer problems = {0};

    ck_assert_ptr_null(sandbox_load_config("/nonexistent/hooksfs.conf", NULL, &problems));
    char *text = buffer_take_string(&problems);
    ck_assert_int_eq(strncmp(text, "/nonexistent/hooksfs.conf: ", 27), 0);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
}
END_TEST

// A root daemon's command runs as its caller, unless there is a user.
START_TEST(wants_a_user_for_standbys_of_root)
{
    char *problems;
    struct config *config = load("[a]\nmode = direct\nstandby = x\n", &problems);

    ck_assert_int_eq(config == NULL, geteuid() == 0);
    if (geteuid() == 0)
        ck_assert_int_eq(strncmp(problems, "3: [a] standby: needs user", 26), 0);
    free(problems);
    config_destroy(config);
}
END_TEST

START_TEST(takes_names_of_up_to_255_bytes)
{
    char name[257];

    for (size_t length = 254; length <= 256; length++) {
        struct buffer text = {0};
        char *problems;
        memset(name, 'n', length);
        name[length] = '\0';
        buffer_printf(&text, "[%s]\nmode = direct\n", name);
        char *string = buffer_take_string(&text);
        struct config *config = load(string, &problems);
        ck_assert_int_eq(config != NULL, length <= 255);
        ck_assert_int_eq(*problems == '\0', length <= 255);
        if (config)
            ck_assert_str_eq(config->sandboxes[0]->name, name);
        else
            ck_assert_int_eq(strncmp(problems, "1: ", 3), 0);
        config_destroy(config);
        free(problems);
        free(string);
    }
}
END_TEST

START_TEST(has_the_documented_defaults)
{
    struct config *config = world_config("[a]\nmode = direct\n");
    const struct sandbox_config *a = config->sandboxes[0];

    ck_assert_uint_eq(config->count, 1);
    ck_assert_str_eq(a->name, "a");
    ck_assert_str_eq(a->mode->name, "direct");
    ck_assert_uint_eq(a->timeout_ms, 10000);
    ck_assert_uint_eq(a->max_timeout_ms, 3600000);
    ck_assert_uint_eq(a->kill_grace_ms, 500);
    ck_assert_uint_eq(a->env.count, 0);
    ck_assert_uint_eq(a->allow.count, 0);
    ck_assert_uint_eq(a->max_running, 64);
    ck_assert_uint_eq(a->max_queued, 1024);
    ck_assert_uint_eq(a->max_output_bytes, 16 * 1024 * 1024);
    ck_assert_uint_eq(a->max_slots, 1024);
    ck_assert_uint_eq(a->shares_slots, 0);
    ck_assert_uint_eq(a->slot_ttl_ms, 3600000);
    ck_assert_uint_eq(a->owner, geteuid());
    ck_assert_uint_eq(a->group, getegid());
    ck_assert_uint_eq(a->permissions, 0700);
    config_destroy(config);
}
END_TEST

static void ck_words(const struct words *words, const char *text)
{
    char *joined = world_join(words);
    ck_assert_str_eq(joined, text);
    free(joined);
}

START_TEST(reads_every_common_key)
{
    struct config *config;
    const struct sandbox_config *a;

    setenv("HOOKSFS_UNIT", "own value", 1);
    config = world_config("[a]\n"
                          "mode = direct\n"
                          "timeout = none\n"
                          "max_timeout = 5m\n"
                          "kill_grace = 2s\n"
                          "env = A=1\n"
                          "env = HOOKSFS_UNIT\n"
                          "allow = python*\n"
                          "allow = /opt/*/run\n"
                          "max_running = 3\n"
                          "max_queued = 0\n"
                          "max_output = 1K\n"
                          "max_slots = 0\n"
                          "slot_sharing = yes\n"
                          "slot_ttl = 1d\n"
                          "owner = 1234\n"
                          "group = 4321\n"
                          "permissions = 0750\n");
    a = config->sandboxes[0];
    ck_assert_uint_eq(a->timeout_ms, 0);
    ck_assert_uint_eq(a->max_timeout_ms, 300000);
    ck_assert_uint_eq(a->kill_grace_ms, 2000);
    ck_words(&a->env, "[A=1][HOOKSFS_UNIT=own value]");
    ck_words(&a->allow, "[python*][/opt/*/run]");
    ck_assert_uint_eq(a->max_running, 3);
    ck_assert_uint_eq(a->max_queued, 0);
    ck_assert_uint_eq(a->max_output_bytes, 1024);
    ck_assert_uint_eq(a->max_slots, 0);
    ck_assert_uint_eq(a->shares_slots, 1);
    ck_assert_uint_eq(a->slot_ttl_ms, 86400000);
    ck_assert_uint_eq(a->owner, 1234);
    ck_assert_uint_eq(a->group, 4321);
    ck_assert_uint_eq(a->permissions, 0750);
    config_destroy(config);
}
END_TEST

START_TEST(takes_defaults_for_what_a_sandbox_lacks)
{
    struct config *config = world_config("timeout = 3s\n"
                                         "pod = the-pod\n" // for the modes that have the key
                                         "image = unused\n"
                                         "mode = kubectl_exec\n"
                                         "env = A=default\n"
                                         "env = B=default\n"
                                         "extra_args = --x\n"
                                         "[k]\n"
                                         "[l]\n"
                                         "timeout = 7s\n"
                                         "env = C=own\n"
                                         "pod = own\n"
                                         "extra_args = --y\n"
                                         "[d]\n"
                                         "mode = direct\n");
    struct words argv = {0};
    char *words[] = {(char *)"true", NULL};

    ck_assert_uint_eq(config->count, 3);
    const struct sandbox_config *k = config_find(config, "k");
    const struct sandbox_config *l = config_find(config, "l");
    const struct sandbox_config *d = config_find(config, "d");
    ck_assert_ptr_eq(k, config->sandboxes[0]);
    ck_assert_ptr_eq(l, config->sandboxes[1]);
    ck_assert_ptr_eq(d, config->sandboxes[2]);
    ck_assert_str_eq(k->mode->name, "kubectl_exec");
    ck_assert_str_eq(d->mode->name, "direct");
    ck_assert_uint_eq(k->timeout_ms, 3000);
    ck_assert_uint_eq(l->timeout_ms, 7000);
    ck_assert_uint_eq(d->timeout_ms, 3000);
    ck_words(&k->env, "[A=default][B=default]");
    ck_words(&l->env, "[C=own]"); // a list is replaced, not added to
    ck_words(&d->env, "[A=default][B=default]");
    ck_assert_int_eq(sandbox_show_argv(config->sandboxes[1], words, &argv, NULL), 0);
    ck_words(&argv, "[kubectl][exec][-i][--y][own][--][env][C=own][true]");
    words_finish(&argv);
    config_destroy(config);
}
END_TEST

// A sandbox ignores a default that has no effect there, in whatever order the keys are.
// clang-format off
static const struct {
    const char *text;
    unsigned use[3];      // enum agent_use of each sandbox
    const char *path[3];  // of its agent
    const char *workdir[3];
} defaults[] = {
    {"agent = require\nagent_path = /agent\n[a]\nmode = kubectl_exec\npod = p\nagent = no\n"
     "[b]\nmode = docker_exec\ncontainer = c\n[c]\nagent = auto\nmode = kubectl_exec\npod = p\n",
     {AGENT_NO, AGENT_REQUIRE, AGENT_AUTO}, {NULL, "/agent", "/agent"}, {NULL}},
    {"agent_path = /agent\n[a]\nmode = kubectl_exec\npod = p\n"
     "[b]\nagent = require\nmode = docker_exec\ncontainer = c\n[c]\nmode = direct\n",
     {AGENT_NO, AGENT_REQUIRE}, {NULL, "/agent"}, {NULL}},
    {"workdir = /w\n[a]\nmode = kubectl_exec\npod = p\n"
     "[b]\nmode = kubectl_exec\npod = p\nagent = require\n"
     "[c]\nmode = kubectl_exec\npod = p\nagent = auto\n",
     {AGENT_NO, AGENT_REQUIRE, AGENT_AUTO}, {NULL}, {NULL, "/w", NULL}},
    {"agent_path = /agent\nworkdir = /w\nmode = kubectl_exec\npod = p\n[a]\n[b]\n[c]\n",
     {AGENT_NO, AGENT_NO, AGENT_NO}, {NULL}, {NULL}},
    {"agent_path = /agent\nagent = require\n[a]\nmode = kubectl_exec\nagent_path = /own\npod = p\n"
     "[b]\nmode = docker_exec\ncontainer = c\n[c]\nmode = docker_run\nimage = i\n",
     {AGENT_REQUIRE, AGENT_REQUIRE, AGENT_REQUIRE}, {"/own", "/agent", "/agent"}, {NULL}},
    {"agent = auto\nconnect_timeout = 30s\n[a]\nmode = kubectl_exec\npod = p\n"
     "[b]\nmode = docker_exec\ncontainer = c\n[c]\nmode = docker_run\nimage = i\n",
     {AGENT_AUTO, AGENT_AUTO, AGENT_NO}, {NULL}, {NULL}},
};
// clang-format on

START_TEST(drops_a_default_that_does_not_apply)
{
    struct config *config = world_config(defaults[_i].text);

    ck_assert_uint_eq(config->count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct sandbox_config *sandbox = config->sandboxes[i];
        const struct mode *mode = mode_of(sandbox->mode);
        const struct agent_settings *agent = mode->agent ? mode->agent(sandbox->settings) : NULL;
        if (!agent)
            continue;
        ck_assert_uint_eq(agent->use, defaults[_i].use[i]);
        ck_assert_pstr_eq(agent->path, defaults[_i].path[i]);
        ck_assert_pstr_eq(agent->workdir, defaults[_i].workdir[i]);
    }
    config_destroy(config);
}
END_TEST

START_TEST(finds_by_name)
{
    struct config *config = world_config("mode = direct\n[a]\n[A]\n[a b]\n");

    ck_assert_str_eq(config_find(config, "a")->name, "a");
    ck_assert_str_eq(config_find(config, "A")->name, "A");
    ck_assert_str_eq(config_find(config, "a b")->name, "a b");
    ck_assert_ptr_null(config_find(config, "b"));
    ck_assert_ptr_null(config_find(config, ""));
    config_destroy(config);
    config_destroy(NULL);
    sandbox_config_unref(NULL);
}
END_TEST

START_TEST(shares_a_section)
{
    struct config *config = world_config("[a]\nmode = docker_run\nimage = i\nmounts = /a:/b\n");
    struct sandbox_config *a = sandbox_config_ref(config->sandboxes[0]);

    config_destroy(config);
    ck_assert_str_eq(a->name, "a");
    sandbox_config_unref(sandbox_config_ref(a));
    ck_assert_str_eq(a->name, "a");
    sandbox_config_unref(a);
}
END_TEST

// Each row changes one key.
static const char *const base_text = "[a]\nmode = kubectl_exec\npod = p\nenv = A=1\nallow = x\n"
                                     "extra_args = -v\n";
// clang-format off
static const struct {
    const char *text;
    bool is_equal;
} variants[] = {
    {"[a]\nmode = kubectl_exec\npod = p\nenv = A=1\nallow = x\nextra_args = -v\n", true},
    {"# c\nextra_args = -v\n\n[a]\nallow = x\nmode=kubectl_exec\nenv=A=1\npod : p\n", true},
    {"[a]\nmode = kubectl_exec\npod = p\nenv = A=1\nallow = x\nextra_args = -v\ntimeout=10s", true},
    {"[b]\nmode = kubectl_exec\npod = p\nenv = A=1\nallow = x\nextra_args = -v\n", false},
    {"[a]\nmode = kubectl_exec\npod = q\nenv = A=1\nallow = x\nextra_args = -v\n", false},
    {"[a]\nmode = kubectl_exec\npod = p\nenv = A=2\nallow = x\nextra_args = -v\n", false},
    {"[a]\nmode = kubectl_exec\npod = p\nenv = A=1\nallow = y\nextra_args = -v\n", false},
    {"[a]\nmode = kubectl_exec\npod = p\nenv = A=1\nallow = x\n", false},
    {"[a]\nmode = kubectl_exec\npod = p\nenv = A=1\nallow = x\nextra_args = -v\ntimeout=1s", false},
    {"[a]\nmode = kubectl_exec\npod = p\nenv = A=1\nallow = x\nextra_args = -v\nnamespace=n",
     false},
    {"[a]\nmode = kubectl_exec\npod = p\nenv = A=1\nallow = x\nextra_args = -v\nmax_queued=1",
     false},
    {"[a]\nmode = direct\nenv = A=1\nallow = x\n", false},
};
// clang-format on

START_TEST(knows_when_nothing_changed)
{
    struct config *config = world_config(base_text);
    struct config *other = world_config(variants[_i].text);

    ck_assert(sandbox_config_equal(config->sandboxes[0], other->sandboxes[0]) ==
              variants[_i].is_equal);
    ck_assert(sandbox_config_equal(other->sandboxes[0], config->sandboxes[0]) ==
              variants[_i].is_equal);
    config_destroy(config);
    config_destroy(other);
}
END_TEST

// Properties of the tables of keys on which the loader and the manual rely.
START_TEST(has_keys_of_one_meaning)
{
    for (size_t m = 0; m < modes_count; m++) {
        const struct mode_keys *mode = modes_keys[m];
        if (m > 0)
            ck_assert_str_lt(modes_keys[m - 1]->name, mode->name);
        for (size_t i = 0; i < mode->count; i++) {
            ck_assert_ptr_null(
                settings_find(config_common_keys, config_common_count, mode->keys[i].name));
            ck_assert_ptr_eq(settings_find(mode->keys, mode->count, mode->keys[i].name),
                             &mode->keys[i]);
            ck_assert_uint_lt(mode->keys[i].offset, mode->size);
            // A default for all sandboxes means the same in each.
            for (size_t n = 0; n < m; n++) {
                const struct key *same =
                    settings_find(modes_keys[n]->keys, modes_keys[n]->count, mode->keys[i].name);
                ck_assert(!same || same->type == mode->keys[i].type);
            }
        }
        ck_assert_ptr_eq(&mode_of(mode)->keys, mode);
    }
}
END_TEST

int main(void)
{
    UNIT_RUN("config", EACH(reports_a_mistake, mistakes), ONCE(names_a_file_it_cannot_read),
             ONCE(wants_a_user_for_standbys_of_root), ONCE(takes_names_of_up_to_255_bytes),
             ONCE(has_the_documented_defaults), ONCE(reads_every_common_key),
             ONCE(takes_defaults_for_what_a_sandbox_lacks),
             EACH(drops_a_default_that_does_not_apply, defaults), ONCE(finds_by_name),
             ONCE(shares_a_section), EACH(knows_when_nothing_changed, variants),
             ONCE(has_keys_of_one_meaning));
}
