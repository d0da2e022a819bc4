/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_CONTEXT_STOCK_H
#define ASYNCTOOLS_BASE_CONTEXT_STOCK_H

/* References of one operation that a thread has in stock, for the tasks that it starts under it and
 * those that end on it; see context_stock.c for the argument. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ati_context_stock {
    struct ati_context *context; /* means something only while there are references */
    uint32_t count;              /* of its references that are this thread's */
    uint32_t batch;              /* how many it took at once the last time; 0: none yet */
    bool is_worker;              /* keeps them between one task and the next */
} ati_context_stock;

extern _Thread_local ati_context_stock ati_context_stock_own;

/* Takes references of `context` (NULL is allowed), which somebody keeps meanwhile, for tasks. */
void ati_context_stock_take(struct ati_context *context, size_t count);

/* Gives references of it (NULL is allowed) back, when a task has ended or was not started. */
void ati_context_stock_put(struct ati_context *context, size_t count);

/* Gives back what the thread may not keep where it is now; gives back all. */
void ati_context_stock_settle(void);
void ati_context_stock_return(void);

/* What the thread runs from now on is under `context`, and that is what its frame says. */
static inline void ati_context_stock_go_over(const struct ati_context *context) {
    const ati_context_stock *stock = &ati_context_stock_own;
    if (stock->count > 0 && stock->context != context)
        ati_context_stock_settle();
}

/* Whether the thread runs one task after the other from now on. */
void ati_context_stock_set_worker(bool is_worker);

#endif
