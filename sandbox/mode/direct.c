// SPDX-License-Identifier: Apache-2.0
// Mode direct: the process is the command itself, on this machine.
#include "argv.h"
#include "cleanup.h"
#include "mode.h"
#include "standby_line.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>

enum confinement_use { CONFINE_NO, CONFINE_AUTO, CONFINE_REQUIRE };

static const char *const confinement_choices[] = {"no", "auto", "require", NULL};

struct settings {
    char *workdir;
    char *user;
    unsigned confinement;     // enum confinement_use
    unsigned has_group;       // 1: each command has a control group, even without a limit
    struct identity identity; // of user, when there is one
};

static const char *const group_choices[] = {"no", "yes", NULL};

// clang-format off
static const struct key keys[] = {
    {"cgroup",  VALUE_CHOICE, offsetof(struct settings, has_group), "no", false, group_choices},
    {"confinement", VALUE_CHOICE, offsetof(struct settings, confinement), "require", false, confinement_choices},
    {"user",    VALUE_NAME, offsetof(struct settings, user),    NULL, false},
    {"workdir", VALUE_PATH, offsetof(struct settings, workdir), NULL, false},
};
// clang-format on

static int direct_check(void *data, struct users *users, const char **key, struct error *err)
{
    struct settings *settings = data;
    int result;

    if (!settings->user)
        return 0;
    *key = "user";
    result = identity_of_user(settings->user, &settings->identity, users, err);
    if (result == 0 && geteuid() != 0 && settings->identity.uid != geteuid())
        return error_set(err, EPERM,
                         "'%s': only a daemon that runs as root can start commands as "
                         "somebody else",
                         settings->user);
    return result;
}

// The user database may have got other groups for the same user.
static bool direct_is_same(const void *a, const void *b)
{
    const struct settings *settings_a = a;
    const struct settings *settings_b = b;
    return identity_equal(&settings_a->identity, &settings_b->identity);
}

static void direct_finish(void *data)
{
    struct settings *settings = data;
    identity_finish(&settings->identity);
}

// Returns the identity that the command gets. NULL: the daemon's own.
static const struct identity *direct_choose_identity(const struct settings *settings,
                                                     const struct command *command)
{
    if (geteuid() != 0)
        return NULL;
    return settings->user ? &settings->identity : &command->caller->identity;
}

// Returns the entry of UID in /etc/passwd, or NULL with errno set when there is none. Reads the
// file itself, because the user database may be a server, and the daemon must not wait for a
// server here.
static const struct passwd *passwd_find_user(FILE *file, uid_t uid)
{
    const struct passwd *entry;

    do {
        errno = 0;
        entry = fgetpwent(file);
    } while (entry && entry->pw_uid != uid);
    return entry;
}

// Could the file not be read this time? That is an error: otherwise the command would run with
// another environment than usual. A user without an entry, or a machine without the file, is
// no error.
static bool errno_is_shortage(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM;
}

// Makes the environment that a login would set, for a user who must not see the daemon's
// variables.
static int passwd_make_environment(uid_t uid, struct words *env)
{
    FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *user = file ? passwd_find_user(file, uid) : NULL;
    int result = user || !errno_is_shortage(errno) ? 0 : -errno;
    struct argv words = {.words = env};

    argv_add(&words, uid == 0 ? "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                              : "PATH=/usr/local/bin:/usr/bin:/bin");
    argv_add_joined(&words, "HOME=", user ? user->pw_dir : "/");
    argv_add_joined(&words, "USER=", user ? user->pw_name : NULL);
    argv_add_joined(&words, "LOGNAME=", user ? user->pw_name : NULL);
    argv_add_joined(&words, "SHELL=", user ? user->pw_shell : NULL);
    if (file)
        fclose(file);
    return result < 0 ? result : argv_end(&words, NULL);
}

// If the configuration names another user for the commands, they are not confined as the
// caller is.
static bool direct_confines(const void *data)
{
    const struct settings *settings = data;
    return !settings->user && settings->confinement != CONFINE_NO;
}

static int direct_check_common(const struct sandbox_config *config, const char **key,
                               struct error *err)
{
    const struct settings *settings = config->settings;

    if (config->standby.count > 0 && !settings->user && geteuid() == 0) {
        *key = "standby";
        return error_set(err, EINVAL,
                         "needs user: otherwise each command runs as its caller, and a standby has "
                         "no caller yet");
    }
    return standby_line_check(config, key, err);
}

static int direct_confine(const struct settings *settings, const struct caller *caller,
                          struct launch *launch, struct error *err)
{
    // clang-tidy takes the address of the first member for NULL, which direct_choose_identity
    // returns for another reason. NOLINTNEXTLINE(clang-analyzer-core.NullDereference)
    const struct confinement *from = caller->identity.confinement;

    if (!from || !direct_confines(settings) ||
        (geteuid() != 0 && caller->identity.uid != geteuid()))
        return 0;
    if (settings->confinement == CONFINE_REQUIRE && !from->is_known)
        return error_set(err, EACCES, "the daemon cannot see how the caller is confined");
    if (settings->confinement == CONFINE_REQUIRE && from->is_elsewhere)
        return error_set(err, EACCES,
                         "the caller is in a user namespace of its own, and the "
                         "command would not be");
    if (settings->confinement == CONFINE_REQUIRE && from->is_filtered)
        return error_set(err, EACCES,
                         "the caller has a seccomp filter, and the command would "
                         "not have it");
    if (!from->is_known)
        return 0;
    launch->identity.confinement = malloc(sizeof *from);
    if (!launch->identity.confinement)
        return error_set(err, ENOMEM, "no memory");
    *launch->identity.confinement = *from;
    return 0;
}

static int direct_prepare(const void *data, const struct command *command, struct launch *launch,
                          struct error *err)
{
    const struct settings *settings = data;
    const struct identity *identity = direct_choose_identity(settings, command);
    const char *workdir = command->workdir ? command->workdir : settings->workdir;
    struct argv argv = {.words = &launch->argv};
    bool is_daemon = !identity || identity->uid == geteuid();
    int result = is_daemon ? environment_inherit(&launch->env)
                           : passwd_make_environment(identity->uid, &launch->env);

    if (result < 0 && result != -ENOMEM)
        return error_set(err, -result, "cannot read /etc/passwd: %s", strerror(-result));
    argv_add_all(&argv, command->argv);
    if (result < 0 || environment_merge(&launch->env, command->env) < 0)
        argv.has_failed = true;
    if (workdir && !(launch->workdir = strdup(workdir)))
        argv.has_failed = true;
    if (identity) {
        struct identity plain = *identity;
        plain.confinement = NULL;
        launch->has_identity = identity_copy(&launch->identity, &plain) == 0;
        argv.has_failed |= !launch->has_identity;
    }
    result = argv_end(&argv, err);
    return result < 0 ? result : direct_confine(settings, command->caller, launch, err);
}

static bool direct_has_group(const void *data)
{
    const struct settings *settings = data;
    return settings->has_group;
}

static size_t direct_judge(const struct ending *ending, struct outcome *outcome)
{
    outcome_set_ending(outcome, ending->is_signaled, ending->number);
    return 0;
}

const struct mode direct_mode = {
    .keys = {.name = "direct",
             .keys = keys,
             .count = sizeof keys / sizeof keys[0],
             .size = sizeof(struct settings),
             .check_common = direct_check_common,
             .check = direct_check,
             .is_same = direct_is_same,
             .finish = direct_finish},
    .has_group = direct_has_group,
    .confines = direct_confines,
    .prepare = direct_prepare,
    .judge = direct_judge,
};
