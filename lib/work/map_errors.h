/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_MAP_ERRORS_H
#define ASYNCTOOLS_WORK_MAP_ERRORS_H

/* What the items of a map failed with: the errors of the first of them, in the order of the items,
 * whenever they came. The others are counted. */
#include "base/atomic.h"
#include "base/lock.h"

#include <asynctools/error.h>

#include <stdint.h>

enum { ATI_MAP_ERROR_LIMIT = 65 }; /* one, and as many others as an error has */

typedef struct ati_map_error {
    uint64_t rank; /* the lower comes first */
    at_error *error;
} ati_map_error;

typedef struct ati_map_errors {
    _Atomic uint64_t failed;    /* items that failed by themselves */
    _Atomic uint64_t cancelled; /* and those that were cancelled */
    _Atomic uint64_t worst;     /* once the places are taken: the rank of the last */
    ati_lock lock;              /* guards what follows */
    uint32_t count;
    ati_map_error kept[ATI_MAP_ERROR_LIMIT]; /* owned; sorted */
} ati_map_errors;

void ati_map_errors_init(ati_map_errors *errors);

/* Notes what item number `item` failed with, or that it was cancelled. `is_cause`: it comes before
 * all others. Any thread; keeps `error`. */
void ati_map_errors_note(ati_map_errors *errors, uint64_t item, const at_error *error,
                         bool is_cause);

/* How many were noted. */
uint64_t ati_map_errors_count(const ati_map_errors *errors);

/* All have ended: gives the first error, owned, with the others that were no cancellations. */
at_error *ati_map_errors_join(ati_map_errors *errors);

/* Drops what was noted. */
void ati_map_errors_deinit(ati_map_errors *errors);

#endif
