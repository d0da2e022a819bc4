/* SPDX-License-Identifier: MIT
 *
 * A waiter that waits as a plain thread does; before the sources that use it. Its word lies in the
 * memory of the model, where the stacks of the threads do not. */
#ifndef MODEL_WAITER_STUB_H
#define MODEL_WAITER_STUB_H

#include "pool/waiter.h"

static _Atomic uint32_t *word_of(ati_waiter *waiter) {
    return (_Atomic uint32_t *)(uintptr_t)waiter->target;
}

static void init_waiter(ati_waiter *waiter) {
    waiter->target = model_allocate(sizeof(uint32_t), _Alignof(uint32_t));
}
#define ati_waiter_init(waiter, what, target) init_waiter(waiter)

bool ati_waiter_wait(ati_waiter *waiter, at_deadline deadline) {
    _Atomic uint32_t *word = word_of(waiter);
    while (atomic_load_explicit(word, memory_order_acquire) == 0)
        ati_futex_wait(word, 0, deadline);
    return true;
}

bool ati_waiter_sleep(ati_waiter *waiter, at_clock *clock, at_deadline deadline,
                      at_deadline limit) {
    (void)clock;
    _Atomic uint32_t *word = word_of(waiter);
    at_deadline until = deadline < limit ? deadline : limit;
    while (atomic_load_explicit(word, memory_order_acquire) == 0)
        if (!ati_futex_wait(word, 0, until))
            return false;
    return true;
}

void ati_waiter_wake(ati_waiter *waiter) {
    _Atomic uint32_t *word = word_of(waiter);
    atomic_store_explicit(word, 1, memory_order_release);
    ati_futex_wake(word, 1);
}

#endif
