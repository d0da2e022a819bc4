/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_SAMPLING_H
#define ASYNCTOOLS_LOG_SAMPLING_H

/* Which lines of an event are written when it comes very often: in each interval the first few,
 * then every so many. An event is a name and a level. sampling.c has the argument. */
#include <asynctools/clock.h>
#include <asynctools/log.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct ati_sampling ati_sampling;

/* The first `first` lines of an interval (0: all), then each `every`-th (0: none). */
typedef struct ati_sampling_rule {
    int64_t first;
    int64_t every;
    at_duration interval; /* 0: 1 second */
} ati_sampling_rule;

enum {
    ATI_SAMPLING_EVENTS = 512, /* that are told apart, more or less */
};

/* AT_OK, or the error slot is filled: for `call`, about the option that is wrong. */
at_status ati_sampling_check(const ati_sampling_rule *rule, const char *call);

/* Intervals are counted from `now` on. NULL: no memory. */
ati_sampling *ati_sampling_create(const ati_sampling_rule *rule, int64_t now);
void ati_sampling_destroy(ati_sampling *sampling); /* NULL is allowed */

/* Lines from now on go by another rule. */
void ati_sampling_set(ati_sampling *sampling, const ati_sampling_rule *rule);

/* Whether a line is to be written. `now` is of the same clock as at the creation. */
bool ati_sampling_take(ati_sampling *sampling, const char *event, at_log_level level, int64_t now);

#endif
