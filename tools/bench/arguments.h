/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ARGUMENTS_H
#define BENCH_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

enum { ARGUMENTS_MAX_COUNTS = 16 };

/* What a list option such as --threads 1,2,4 gives. */
struct count_list {
    long values[ARGUMENTS_MAX_COUNTS];
    int count;
};

enum option_kind {
    OPTION_FLAG,   /* no value; target is a bool */
    OPTION_COUNT,  /* a whole number from min to max; target is a long */
    OPTION_COUNTS, /* such numbers with commas between them; target is a count_list */
    OPTION_TEXT,   /* target is a const char * */
};

struct option_spec {
    const char *name; /* with its dashes */
    const char *value_name;
    enum option_kind kind;
    void *target;
    long min;
    long max;
    const char *help;
};

/* One subcommand and what may follow it. */
struct command_spec {
    const char *name;
    const char *usage; /* of the positional arguments: "DIR" */
    const char *help;
    const struct option_spec *options;
    size_t option_count;
    int min_positional;
    int max_positional;
};

enum arguments_result { ARGUMENTS_OK, ARGUMENTS_HELP, ARGUMENTS_WRONG };

/* Fills the targets of the options, and `positional` (room for max_positional). What is wrong is
 * said on standard error, naming the option; --help prints the help. */
enum arguments_result arguments_parse(const struct command_spec *command, int argument_count,
                                      char **arguments, const char **positional);

#endif
