/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_TRACKER_NAMES_H
#define ASYNCTOOLS_OPERATION_TRACKER_NAMES_H

/* The names of a tracker's events, and what was counted of each. Names are looked up by their
 * content, added by any thread, and stay. */
#include "base/histogram.h"

#include <asynctools/operation_outcome.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATI_TRACKER_CELLS = 4,      /* of a name: what is counted on different threads */
    ATI_TRACKER_NAME_MAX = 100, /* bytes of a name that count */
    ATI_TRACKER_CLEAN_SIZE = 3 * ATI_TRACKER_NAME_MAX + 1,
};

/* The events of a name that were recorded by some of the threads. */
typedef struct ati_tracker_cell {
    ati_counter outcomes[AT_OPERATION_OUTCOME_COUNT]; /* each only grows: one that is what the
                                                         others leave over would go back */
    ati_histogram durations;
} ati_tracker_cell;

typedef struct ati_tracker_name {
    _Atomic(ati_tracker_cell *) cells[ATI_TRACKER_CELLS]; /* the first is always there */
    struct ati_tracker_name *next;                        /* that was added before */
    uint64_t hash;
    uint32_t length;
    char text[]; /* UTF-8 without control characters, NUL-terminated */
} ati_tracker_name;

typedef struct ati_tracker_names {
    uint64_t seed;
    uint64_t limit; /* names, besides `other` */
    uint64_t mask;
    _Atomic(ati_tracker_name *) *slots; /* open addressing; filled once, never emptied */
    ati_tracker_name *other;            /* of those that have no place */
    _Atomic uint64_t count;             /* names that have one, or are about to */
    _Atomic bool is_reported;           /* the log says that it is full */
    _Atomic(ati_tracker_name *) last;   /* added; the head of a list */
} ati_tracker_names;

bool ati_tracker_names_init(ati_tracker_names *names, uint64_t limit); /* false: no memory */
void ati_tracker_names_deinit(ati_tracker_names *names);

/* Writes the first bytes of a name as valid UTF-8 without control characters, NUL-terminated, into
 * ATI_TRACKER_CLEAN_SIZE bytes; gives its length. */
uint32_t ati_tracker_clean(char *to, const char *text);

/* Gives the place of a name, made if there is none; that of `_other_` if there is no room. */
ati_tracker_name *ati_tracker_names_get(ati_tracker_names *names, const char *text);

/* Gives it if it is there, else NULL. */
ati_tracker_name *ati_tracker_names_find(ati_tracker_names *names, const char *text);

/* The newest; the others by `next`. */
ati_tracker_name *ati_tracker_names_last(ati_tracker_names *names);

/* Counts an event in cell number `index`, from any thread. */
void ati_tracker_name_count(ati_tracker_name *name, uint32_t index, at_operation_outcome outcome,
                            int64_t duration);

/* Adds what was counted; `outcomes` and `total` begin at 0. */
void ati_tracker_name_add(const ati_tracker_name *name,
                          uint64_t outcomes[AT_OPERATION_OUTCOME_COUNT],
                          ati_histogram_total *total);

void ati_tracker_name_clear(ati_tracker_name *name);

#endif
