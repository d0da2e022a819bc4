/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_QUEUE_DEQUE_H
#define ASYNCTOOLS_QUEUE_DEQUE_H

/* A work-stealing deque: its owner pushes and pops at the bottom, thieves steal at the top. It
 * grows, and never shrinks. See deque.c for the argument. */
#include "base/atomic.h"
#include "queue/work.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ati_deque_array ati_deque_array;

typedef struct ati_deque {
    _Alignas(ATI_CACHE_LINE) _Atomic int64_t top; /* next to be stolen; thieves and owner, by CAS */
    _Alignas(ATI_CACHE_LINE) _Atomic int64_t bottom; /* next free place; owner only */
    _Atomic(ati_deque_array *) array;                /* owner only */
} ati_deque;

/* Zeroed storage is an empty deque without places. Deinit: nobody uses it any more. */
void ati_deque_deinit(ati_deque *deque);

/* Owner only. Makes room for `count` more works. False: no memory. */
bool ati_deque_reserve(ati_deque *deque, size_t count);

/* Owner only. How many works can be pushed without memory. */
size_t ati_deque_room(const ati_deque *deque);

/* Owner only. Pushes works; the first of them will be popped first. The store that publishes them
 * is sequentially consistent. False: no memory, nothing was pushed. */
bool ati_deque_push(ati_deque *deque, const ati_work *works, size_t count);
bool ati_deque_push_works(ati_deque *deque, const ati_works *works);

/* Owner only. Reads what ati_deque_pop would give, if no thief is faster. False: empty. */
bool ati_deque_peek(const ati_deque *deque, ati_work *work);

/* Owner only. Pops what was pushed last. False: empty. */
bool ati_deque_pop(ati_deque *deque, ati_work *work);

typedef enum ati_steal { ATI_STEAL_EMPTY, ATI_STEAL_LOST, ATI_STEAL_DONE } ati_steal;

/* Anybody. Takes what was pushed first. LOST: another one was faster, there may be more. */
ati_steal ati_deque_steal(ati_deque *deque, ati_work *work);

/* Anybody. A snapshot; exact while nobody else uses the deque. */
size_t ati_deque_size(const ati_deque *deque);

#endif
