// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "cleanup.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] = "usage: hooksfs [-f] [-d] [-o OPTIONS] CONFIG MOUNTPOINT\n"
                            "       hooksfs --check CONFIG\n"
                            "       hooksfs --show-argv CONFIG SANDBOX COMMAND [ARGUMENT...]\n";

static const char help[] =
    "\n"
    "  -f            stay in the foreground, and log to stderr\n"
    "  -d            log every operation; implies -f\n"
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

// --show-argv and --check come first, and the words after them are no options
// of ours.
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

void options_parse(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"help", no_argument, NULL, 'h'},
        {"version",  no_argument, NULL, 'V'},
        {0     },
    };
    int option;

    *options = (struct options){.action = ACTION_SERVE};
    if (parse_action(argc, argv, options))
        return;
    while ((option = getopt_long(argc, argv, "dfho:V", longs, NULL)) != -1) {
        switch (option) {
        case 'd':
            options->is_debug = true;
            options->stays_in_foreground = true;
            break;
        case 'f':
            options->stays_in_foreground = true;
            break;
        case 'o':
            if (!add_mount_options(options, optarg)) {
                wrong(options, "no memory");
                return;
            }
            break;
        case 'h':
            printf("%s%s", usage, help);
            end(options, EXIT_SUCCESS);
            return;
        case 'V':
            printf("hooksfs %s\n", HOOKSFS_VERSION);
            end(options, EXIT_SUCCESS);
            return;
        default: // getopt has said what is wrong
            fputs(usage, stderr);
            end(options, EXIT_USAGE);
            return;
        }
    }
    if (argc - optind != 2) {
        wrong(options, "CONFIG and MOUNTPOINT are needed, and nothing else");
        return;
    }
    options->config = argv[optind];
    options->mountpoint = argv[optind + 1];
}
