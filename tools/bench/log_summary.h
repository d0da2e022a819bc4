/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOG_SUMMARY_H
#define BENCH_LOG_SUMMARY_H

/* What many lines say together, in memory that does not grow with them. */
#include "log_line.h"

#include <stdint.h>

enum {
    LOG_SUMMARY_EVENTS = 1024, /* names that are counted apart; the others are counted together */
    LOG_SUMMARY_SLOWEST = 10,
    LOG_SUMMARY_TEXT = 128,
    LOG_SUMMARY_OUTCOMES = 16,
};

struct log_event_count {
    char name[LOG_SUMMARY_TEXT];
    uint64_t lines[LOG_LEVELS];
};

/* An operation that has ended. */
struct log_ended {
    double duration_ms;
    char ts[32];
    char event[LOG_SUMMARY_TEXT];
    char operation_id[20];
    char trace_id[36];
    char outcome[32];
};

struct log_summary {
    uint64_t lines;
    uint64_t bytes;
    uint64_t levels[LOG_LEVELS];
    char first[32]; /* the earliest and the latest `ts` */
    char last[32];

    struct log_event_count events[LOG_SUMMARY_EVENTS];
    int event_count;
    struct log_event_count other_events;
    int16_t places[4 * LOG_SUMMARY_EVENTS]; /* hash table: place in `events` + 1, or 0 */

    struct log_ended slowest[LOG_SUMMARY_SLOWEST]; /* slowest first */
    int slowest_count;
    struct {
        char name[32];
        uint64_t count;
    } outcomes[LOG_SUMMARY_OUTCOMES];
    int outcome_count;
    uint64_t ended;

    uint64_t dropped; /* sums of what log.dropped and its kin say */
    uint64_t sampled;
    uint64_t write_failures;
    uint64_t lost;       /* at least */
    uint64_t newly_lost; /* the sum of what slow sinks say; failing ones say how many in all */
};

/* Zeroed is empty. */
void log_summary_add(struct log_summary *summary, const struct log_line *line);

/* `invalid` of all `total` lines were no lines of a log. */
void log_summary_print(struct log_summary *summary, uint64_t invalid);

/* One JSON object. False: there is no memory, or no room in standard output. */
bool log_summary_print_json(struct log_summary *summary, uint64_t invalid);

#endif
