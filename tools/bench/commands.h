/* SPDX-License-Identifier: MIT */
#ifndef BENCH_COMMANDS_H
#define BENCH_COMMANDS_H

#include "arguments.h"

#include <stdbool.h>

/* The subcommands: each takes what follows its name and gives the exit status. */
int index_command(int argument_count, char **arguments);
int fetch_command(int argument_count, char **arguments);
int list_command(int argument_count, char **arguments);
int run_command(int argument_count, char **arguments);
int limits_command(int argument_count, char **arguments);
int idle_command(int argument_count, char **arguments);
int log_command(int argument_count, char **arguments);

enum { EXIT_INTERRUPTED = 130 };

/* The CPUs that this process may use. */
long command_cpu_count(void);

/* An option of all commands that have a pool: --threads, which keeps its value unless given. */
struct option_spec command_threads_option(long *threads);

/* Has `note` called by the first Ctrl-C, or SIGTERM; the second ends the process as usual. System
 * calls begin again where `restarts`. */
void command_on_interrupt(void (*note)(int signal_number), bool restarts);

#endif
