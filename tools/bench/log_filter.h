/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOG_FILTER_H
#define BENCH_LOG_FILTER_H

#include "log_line.h"

/* Which lines are meant; NULL: all of them. */
struct log_filter {
    int level;             /* and above */
    const char *event;     /* the whole of it, or what is before one of its dots */
    const char *logger;    /* the same */
    const char *operation; /* its name or its id */
    const char *trace;
    const char *since; /* in the form of `ts`, perhaps shorter */
    const char *until; /* and not later, nor then */
};

bool log_filter_takes(const struct log_filter *filter, const struct log_line *line);

#endif
