/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include <asynctools/cpu.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argument_count, char **arguments);
    const char *help;
} commands[] = {
    {"index", index_command, "read a tree of files on the pool, find duplicates"},
    {"fetch", fetch_command, "send many requests at once to a slow server"},
    {"list", list_command, "list the benchmarks"},
    {"run", run_command, "run benchmarks against the peers"},
    {"limits", limits_command, "measure what this machine can do"},
    {"idle", idle_command, "measure what an idle pool costs"},
    {"log", log_command, "check, filter and print the lines of a log"},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

long command_cpu_count(void) {
    return at_cpu_count();
}

struct option_spec command_threads_option(long *threads) {
    return (struct option_spec){"--threads",
                                "N",
                                OPTION_COUNT,
                                threads,
                                1,
                                256,
                                "workers of the pool; default: the CPUs this process may use"};
}

void command_on_interrupt(void (*note)(int signal_number), bool restarts) {
    struct sigaction action = {.sa_handler = note,
                               .sa_flags = SA_RESETHAND | (restarts ? SA_RESTART : 0)};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void print_help(FILE *to) {
    fprintf(to, "Usage: at-bench COMMAND [OPTIONS] ...\n\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\nat-bench COMMAND --help lists the options of a command.\n");
}

int main(int argument_count, char **arguments) {
    if (argument_count < 2) {
        print_help(stderr);
        return EXIT_WRONG_ARGUMENT;
    }
    if (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(arguments[1], commands[i].name) == 0)
            return commands[i].run(argument_count - 2, arguments + 2);
    fprintf(stderr, "at-bench: there is no command '%s' (at-bench --help lists them)\n",
            arguments[1]);
    return EXIT_WRONG_ARGUMENT;
}
