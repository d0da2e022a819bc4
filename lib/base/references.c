/* SPDX-License-Identifier: MIT */
/* Purpose: a reference count that threads on different CPUs change without moving a cache line to
 * and fro, and that still tells who gives back the last reference.
 *
 * Fields
 *   owners  the references of owners, until it is 0 for the first time; then it stays 0, and
 *           owners that come later are in `shared`. Written by compare-and-swap.
 *   cells   the uses that began there less those that ended there: only the sum over all cells
 *           means anything, and one of them may be negative. Closed, a cell is far below any such
 *           number, and what threads still add to it counts nowhere.
 *   shared  `bias` until all cells are closed, plus all references that are neither in `owners`
 *           nor in a cell.
 *
 * States of a cell: open -close_cells-> closed. All are closed by the one thread that brings
 * `owners` to 0, one after the other, while uses begin and end.
 *
 * Invariants
 *   1. Each reference is counted once: in `owners`, in an open cell, in the closer's hands on the
 *      way from a cell to `shared`, or in `shared`. An addition to a cell is before the exchange
 *      that closes it, and is moved by that, or behind it, gives a closed value, and is made in
 *      `shared` instead. So the sum of all, less the bias, is the number of references, but for
 *      uses that begin just now, see 3.
 *   2. There is one closer: `owners` is never raised from 0. All owners that were counted in it
 *      have been released then; those that are released later were counted in `shared`.
 *   3. `shared` is 0 only when there is no reference left. While the bias is in it, it is far above
 *      0, whichever cells have been moved, and however negative those are. When the closer takes
 *      the bias out, `owners` is 0 and all cells are closed, so every reference is in `shared`,
 *      but for one that is just being taken and is not counted yet. That one is taken by leave of
 *      another, which is counted, and which is not given back before the taking is done. So an
 *      inner use may begin by leave of an outer one alone, at any time.
 *   4. The last of the operations on `shared` brings it to 0: by 1 all that was added is taken out
 *      again. It is either the closer's or the end of a reference, and that thread is told.
 *   5. Who is not told does not touch the counts any more, and who is told sees what all others
 *      have done: their last operation, a release on `owners`, on a cell or on `shared`, is read
 *      directly or by the closer, whose bias is in `shared` until it has closed all cells. All
 *      three words are changed by read-modify-write only, so no release is hidden by a later
 *      change.
 *   6. A cell would be mistaken after 2^61 uses that began there and ended elsewhere: centuries.
 *
 * Progress: uses are wait-free, owners lock-free.
 *
 * Source: the two modes of Linux' percpu_ref (K. Overstreet, 2013), without its grace period: a
 * closed cell says so in its own value.
 *
 * Checked by: tests/model/references_model.c, tests/stress/references_test.c. */
#include "base/references.h"

#include "base/check.h"

static const int64_t bias = INT64_MAX / 2;
static const int64_t closed = INT64_MIN / 2;

void ati_references_init(ati_references *references) {
    atomic_init(&references->owners, 1);
    atomic_init(&references->shared, bias);
    for (uint32_t i = 0; i < ATI_REFERENCE_CELLS; i++)
        atomic_init(&references->cells[i].count, 0);
}

/* Gives what `shared` was before. */
static int64_t take_from_shared(ati_references *references, int64_t count) {
    /* ORDER references.shared: acq_rel. Publishes what was done under these references, or sees
     * what was done under all others. Pairs with: itself, take_from_shared(). If relaxed: what a
     * thread wrote is freed at the same time. */
    return atomic_fetch_sub_explicit(&references->shared, count, memory_order_acq_rel);
}

static bool close_cells(ati_references *references) {
    for (uint32_t i = 0; i < ATI_REFERENCE_CELLS; i++) {
        /* ORDER references.cells: acquire. Sees what was done in the uses that ended there.
         * Pairs with: release in ati_references_end_use(). If relaxed: what they wrote is freed at
         * the same time. */
        int64_t count =
            atomic_exchange_explicit(&references->cells[i].count, closed, memory_order_acquire);
        atomic_fetch_add_explicit(&references->shared, count, memory_order_relaxed);
    }
    return take_from_shared(references, bias) == bias;
}

void ati_references_retain(ati_references *references) {
    int64_t owners = atomic_load_explicit(&references->owners, memory_order_relaxed);
    while (owners > 0)
        if (atomic_compare_exchange_weak_explicit(&references->owners, &owners, owners + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return;
    atomic_fetch_add_explicit(&references->shared, 1, memory_order_relaxed);
}

bool ati_references_release(ati_references *references, const char *call) {
    int64_t owners = atomic_load_explicit(&references->owners, memory_order_relaxed);
    while (owners > 0)
        /* ORDER references.owners: acq_rel. Publishes what the owner has done, or sees what the
         * others have. Pairs with: itself, ati_references_release(). If relaxed: what an owner
         * wrote is freed at the same time, and a use that he began misses the closing. */
        if (atomic_compare_exchange_weak_explicit(&references->owners, &owners, owners - 1,
                                                  memory_order_acq_rel, memory_order_relaxed))
            return owners == 1 && close_cells(references);
    int64_t before = take_from_shared(references, 1);
    ATI_CALLER_CHECK(before > 0, call, "released more often than it was retained");
    return before == 1;
}

void ati_references_begin_closed(ati_references *references) {
    atomic_fetch_add_explicit(&references->shared, 1, memory_order_relaxed);
}

bool ati_references_end_closed(ati_references *references) {
    return take_from_shared(references, 1) == 1;
}
