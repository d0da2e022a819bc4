/* SPDX-License-Identifier: MIT */
#include "work/map_errors.h"

#include "base/error.h"

/* Items that were cancelled come behind those that failed by themselves. */
static const uint64_t cancelled_rank = UINT64_C(1) << 62;

void ati_map_errors_init(ati_map_errors *errors) {
    atomic_init(&errors->failed, 0);
    atomic_init(&errors->cancelled, 0);
    atomic_init(&errors->worst, UINT64_MAX);
    errors->lock = (ati_lock){0};
    errors->count = 0;
}

/* Under the lock. Gives the error that has no place. */
static at_error *insert(ati_map_errors *errors, const ati_map_error *noted) {
    at_error *left_over = NULL;
    if (errors->count == ATI_MAP_ERROR_LIMIT) {
        const ati_map_error *last = &errors->kept[ATI_MAP_ERROR_LIMIT - 1];
        if (noted->rank > last->rank)
            return noted->error;
        left_over = last->error;
        errors->count--;
    }
    uint32_t place = errors->count++;
    for (; place > 0 && errors->kept[place - 1].rank > noted->rank; place--)
        errors->kept[place] = errors->kept[place - 1];
    errors->kept[place] = *noted;
    if (errors->count == ATI_MAP_ERROR_LIMIT)
        atomic_store_explicit(&errors->worst, errors->kept[ATI_MAP_ERROR_LIMIT - 1].rank,
                              memory_order_relaxed);
    return left_over;
}

void ati_map_errors_note(ati_map_errors *errors, uint64_t item, const at_error *error,
                         bool is_cause) {
    bool is_cancelled = at_error_status(error) == AT_ERROR_CANCELLED;
    ati_map_error noted = {.rank = is_cause ? 0 : is_cancelled ? cancelled_rank + item : item + 1};
    atomic_fetch_add_explicit(is_cancelled ? &errors->cancelled : &errors->failed, 1,
                              memory_order_relaxed);
    if (noted.rank > atomic_load_explicit(&errors->worst, memory_order_relaxed))
        return;
    noted.error = at_error_retain(error);
    ati_lock_acquire(&errors->lock);
    at_error *left_over = insert(errors, &noted);
    ati_lock_release(&errors->lock);
    at_error_release(left_over);
}

static uint64_t read_count(const _Atomic uint64_t *count) {
    return atomic_load_explicit((_Atomic uint64_t *)count, memory_order_relaxed);
}

uint64_t ati_map_errors_count(const ati_map_errors *errors) {
    return read_count(&errors->failed) + read_count(&errors->cancelled);
}

at_error *ati_map_errors_join(ati_map_errors *errors) {
    if (read_count(&errors->failed) == 0)
        return errors->count > 0 ? at_error_retain(errors->kept[0].error)
                                 : ati_error_static(AT_ERROR_CANCELLED);
    at_error *joined = ati_error_copy(errors->kept[0].error); /* an outcome has the other */
    uint64_t others = read_count(&errors->failed) - 1;
    uint32_t i = 1;
    for (; i < errors->count && errors->kept[i].rank < cancelled_rank; i++, others--)
        ati_error_add_other(joined, at_error_retain(errors->kept[i].error));
    ati_error_count_others(joined, others);
    return joined;
}

void ati_map_errors_deinit(ati_map_errors *errors) {
    for (uint32_t i = 0; i < errors->count; i++)
        at_error_release(errors->kept[i].error);
    errors->count = 0;
}
