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

/* What an option that takes one of a few names gives. */
struct named_choice {
    const char *const *names; /* ends with NULL */
    int chosen;               /* place of the name */
};

static inline const char *named_choice_name(const struct named_choice *choice) {
    return choice->names[choice->chosen];
}

enum option_kind {
    OPTION_FLAG,   /* no value; target is a bool */
    OPTION_COUNT,  /* a whole number from min to max; target is a long */
    OPTION_COUNTS, /* such numbers with commas between them; target is a count_list */
    OPTION_TEXT,   /* target is a const char * */
    OPTION_CHOICE, /* one of a few names; target is a named_choice */
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

enum { EXIT_WRONG_ARGUMENT = 2 };

/* Fills the targets of the options, and `positional` (room for max_positional). What is wrong is
 * said on standard error, naming the option; --help prints the help. False: the command is not to
 * go on, and is to end with `exit_status`. */
bool arguments_parse(const struct command_spec *command, int argument_count, char **arguments,
                     const char **positional, int *exit_status);

#endif
