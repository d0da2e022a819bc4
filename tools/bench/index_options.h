/* SPDX-License-Identifier: MIT */
#ifndef BENCH_INDEX_OPTIONS_H
#define BENCH_INDEX_OPTIONS_H

#include "arguments.h"
#include "index.h"

#include <stdbool.h>

/* Who runs the work of one pass. */
enum index_program { INDEX_SEQUENTIAL, INDEX_PLAIN, INDEX_LIBRARY };

struct index_options {
    const char *directory;
    const char *log_path;
    struct named_choice program; /* an enum index_program */
    long threads;
    long group_count; /* to print */
    long repeat;      /* of the comparison */
    long timeout_s;   /* 0: none */
    bool json;
    bool fail_fast;
    bool no_compare;
    bool limits; /* compare with copies of the sequential program side by side, too */
    bool verify;
    bool pass; /* be one of the programs that are compared */
};

/* Medians of the comparison; 0 where it was not made. */
struct index_comparison {
    uint64_t sequential_ns;
    uint64_t parallel_ns;
    uint64_t copies_ns;
    double others; /* CPUs that other programs used meanwhile */
    long repeat;
};

/* Runs the program of `options` on an initialised run. Gives 0 or an errno. */
int index_run_program(const struct index_options *options, struct index_result *result);

/* Runs the programs in alternation, each pass in a process of its own, so that all start alike.
 * Gives 0 or an errno; ECANCELED once `*stop` is true. */
int index_compare(const struct index_options *options, const atomic_bool *stop,
                  struct index_comparison *comparison);

/* Is such a process: waits until standard input is closed, runs once, writes the time. */
int index_pass(const struct index_options *options, const atomic_bool *stop);

/* Recomputes the result of `found` sequentially; gives 0 if both agree, else says what differs and
 * gives -1. */
int index_verify(const struct index_result *found, const atomic_bool *stop);

void index_print_text(const struct index_options *options, const struct index_result *result,
                      const struct index_comparison *comparison);
void index_print_json(const struct index_options *options, const struct index_result *result,
                      const struct index_comparison *comparison);

/* Shows the progress of a run on a terminal and in the log, from a thread of its own. */
struct index_progress;
struct index_progress *index_progress_start(struct index_run *run, bool on_terminal);
void index_progress_stop(struct index_progress *progress);

#endif
