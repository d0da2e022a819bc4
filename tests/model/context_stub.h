/* SPDX-License-Identifier: MIT
 *
 * References of operations for tasks, without a stock: each is counted by itself. */
#ifndef MODEL_CONTEXT_STUB_H
#define MODEL_CONTEXT_STUB_H

#include "base/context.h"

_Thread_local ati_context_stock ati_context_stock_own;

void ati_context_stock_take(ati_context *context, size_t count) {
    while (count-- > 0)
        ati_context_retain(context);
}

void ati_context_stock_put(ati_context *context, size_t count) {
    while (count-- > 0)
        ati_context_release(context);
}

void ati_context_stock_settle(void) {
}

void ati_context_stock_return(void) {
}

void ati_context_stock_set_worker(bool is_worker) {
    (void)is_worker;
}

#endif
