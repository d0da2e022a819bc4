/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_REFERENCES_H
#define ASYNCTOOLS_BASE_REFERENCES_H

/* References of something that few own and many threads use for short times: those of owners are
 * in one count, those of users in cells, so that threads that begin and end uses do not slow each
 * other down. Why that is right: references.c. */
#include "base/atomic.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ATI_REFERENCE_CELLS = 4,
};

/* Below it a cell is closed; further from 0 than any number of references. */
#define ATI_REFERENCES_OPEN (INT64_MIN / 4)

typedef struct ati_reference_cell {
    _Alignas(ATI_CACHE_LINE) _Atomic int64_t count;
} ati_reference_cell;

typedef struct ati_references {
    _Alignas(ATI_CACHE_LINE) _Atomic int64_t owners;
    _Atomic int64_t shared;
    ati_reference_cell cells[ATI_REFERENCE_CELLS];
} ati_references;

/* One owner, no users. */
void ati_references_init(ati_references *references);

/* One more owner, or one less. The caller has a reference of either kind. True: that was the last
 * reference, and nobody else will touch the counts. `call` is named if there was none. */
void ati_references_retain(ati_references *references);
bool ati_references_release(ati_references *references, const char *call);

/* Of the next two: where the cell is closed. */
void ati_references_begin_closed(ati_references *references);
bool ati_references_end_closed(ati_references *references);

/* A use begins; the caller has a reference of either kind. It may end in another cell. */
static inline void ati_references_begin_use(ati_references *references, uint32_t cell) {
    _Atomic int64_t *count = &references->cells[cell].count;
    int64_t before = atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    if (__builtin_expect(before < ATI_REFERENCES_OPEN, 0))
        ati_references_begin_closed(references);
}

/* True: as ati_references_release. */
static inline bool ati_references_end_use(ati_references *references, uint32_t cell) {
    _Atomic int64_t *count = &references->cells[cell].count;
    /* ORDER references.cells: release. Publishes what was done in the use.
     * Pairs with: acquire in close_cells(). If relaxed: what it wrote is freed at the same time. */
    int64_t before = atomic_fetch_sub_explicit(count, 1, memory_order_release);
    return __builtin_expect(before < ATI_REFERENCES_OPEN, 0) &&
           ati_references_end_closed(references);
}

#endif
