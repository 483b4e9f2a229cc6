// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "cleanup.h"
#include "log.h"
#include "mount_options.h"

#include <getopt.h>
#include <stdio.h>

enum { OPTION_DEBUG = 256 }; // a number for getopt_long that is no character

static const char usage[] =
    "usage: hooksfs [-f] [-d] [--debug=PART,...] [-o OPTIONS] CONFIG MOUNTPOINT\n"
    "       hooksfs --check CONFIG\n"
    "       hooksfs --show-argv CONFIG SANDBOX COMMAND [ARGUMENT...]\n";

static const char help[] =
    "\n"
    "  -f            stay in the foreground, and log to stderr\n"
    "  -d            log every operation of the file system; implies -f\n"
    "  --debug=PART,...\n"
    "                log each step of PART: config, connection, fuse, job, queue, all\n"
    "  -o OPTIONS    mount options, separated by commas, see fuse(8)\n"
    "  --check       report every error of the configuration\n"
    "  --show-argv   print what a command would start\n"
    "  -h, --help    print this help\n"
    "  -V, --version print the version\n"
    "\n"
    "hooksfs(8) describes the program, hooksfs.conf(5) the configuration and\n"
    "hooksfs(5) the files.\n";

static void end(struct options *options, int exit_code)
{
    options->action = ACTION_EXIT;
    options->exit_code = exit_code;
}

static void wrong(struct options *options, const char *what)
{
    fprintf(stderr, "hooksfs: %s\n%s", what, usage);
    end(options, EXIT_USAGE);
}

static bool add_mount_options(struct options *options, const char *more)
{
    char *all;

    if (asprintf(&all, "%s%s%s", options->mount_options ? options->mount_options : "",
                 options->mount_options ? "," : "", more) < 0)
        return false;
    free(options->mount_options);
    options->mount_options = all;
    return true;
}

// Handles --check and --show-argv, which must be the first argument: the words after them are
// no options of the daemon. Returns whether the first argument was one of these.
static bool parse_action(int argc, char **argv, struct options *options)
{
    if (argc > 1 && strcmp(argv[1], "--check") == 0) {
        options->action = ACTION_CHECK;
        if (argc != 3)
            wrong(options, "--check takes one CONFIG");
        else
            options->config = argv[2];
        return true;
    }
    if (argc > 1 && strcmp(argv[1], "--show-argv") == 0) {
        options->action = ACTION_SHOW_ARGV;
        if (argc < 5) {
            wrong(options, "--show-argv takes CONFIG, SANDBOX and COMMAND");
            return true;
        }
        options->config = argv[2];
        options->sandbox = argv[3];
        options->words = argv + 4;
        return true;
    }
    return false;
}

static bool add_debug_modules(struct options *options, const char *names)
{
    struct error err = {0};

    if (log_parse_modules(names, &options->debug_modules, &err) == 0)
        return true;
    fprintf(stderr, "hooksfs: --debug: %s\n%s", error_message(&err), usage);
    error_finish(&err);
    end(options, EXIT_USAGE);
    return false;
}

// Takes OPTION, as getopt_long returned it. Returns false when the program must end; then OPTIONS
// has ACTION_EXIT.
static bool take_option(struct options *options, int option)
{
    switch (option) {
    case 'd':
        options->debug_modules |= 1U << DEBUG_FUSE;
        options->stays_in_foreground = true;
        return true;
    case OPTION_DEBUG:
        return add_debug_modules(options, optarg);
    case 'f':
        options->stays_in_foreground = true;
        return true;
    case 'o':
        if (add_mount_options(options, optarg))
            return true;
        wrong(options, "no memory");
        return false;
    case 'h':
        printf("%s%s", usage, help);
        end(options, EXIT_SUCCESS);
        return false;
    case 'V':
        printf("hooksfs %s\n", HOOKSFS_VERSION);
        end(options, EXIT_SUCCESS);
        return false;
    default: // getopt_long has printed the error
        fputs(usage, stderr);
        end(options, EXIT_USAGE);
        return false;
    }
}

void options_parse(int argc, char **argv, struct options *options)
{
    // clang-format off
    static const struct option longs[] = {
        {"debug", required_argument, NULL, OPTION_DEBUG},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    // clang-format on
    int option;

    *options = (struct options){.action = ACTION_SERVE};
    if (parse_action(argc, argv, options))
        return;
    while ((option = getopt_long(argc, argv, "dfho:V", longs, NULL)) != -1)
        if (!take_option(options, option))
            return;
    if (argc - optind != 2) {
        wrong(options, "CONFIG and MOUNTPOINT are needed, and nothing else");
        return;
    }
    if (options->mount_options)
        options->is_remount = mount_options_filter(options->mount_options);
    if (options->mount_options && !options->is_remount && !*options->mount_options)
        free(take_ptr(&options->mount_options));
    options->config = argv[optind];
    options->mountpoint = argv[optind + 1];
}
