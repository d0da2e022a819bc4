/* SPDX-License-Identifier: MIT */
#ifndef BENCH_COMMANDS_H
#define BENCH_COMMANDS_H

/* The subcommands: each takes what follows its name and gives the exit status. */
int index_command(int argument_count, char **arguments);
int fetch_command(int argument_count, char **arguments);
int list_command(int argument_count, char **arguments);
int run_command(int argument_count, char **arguments);
int limits_command(int argument_count, char **arguments);
int idle_command(int argument_count, char **arguments);

/* The CPUs that this process may use. */
long command_cpu_count(void);

#endif
