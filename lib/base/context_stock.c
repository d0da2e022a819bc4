/* SPDX-License-Identifier: MIT */
/* Purpose: tasks count references of the operation that they were started under, and to count them
 * does not take one cache line to and fro between the thread that starts and those that run. A
 * thread keeps some references of one operation in stock. It takes them with one step on the shared
 * count, and gives them back with one; what lies between is its own memory.
 *
 * Fields. All of a stock are thread-local: only their thread reads and writes them. A reference in
 * stock is one like any other in the count of the record, so the count is never less than the true
 * number; who must not find it too high makes the record with ATI_CONTEXT_EXACT, and no reference
 * of that is in any stock.
 *
 * Invariants
 *   1. While `count` is not 0 the record lives: it has `count` references more. While it is 0 the
 *      pointer is only compared; that a new record may lie where it points does no harm.
 *   2. A thread keeps references of a record only while a frame on its stack is under it, or under
 *      an operation of a task alone below it, and a worker also from the end of a task until it
 *      begins the next thing, be that another task or its rest. Wherever a frame comes, goes, is
 *      exchanged with the stack, or is put under another operation, the stock is settled. So a
 *      stock prolongs the life of a record by no more than the way of a worker from one task to the
 *      next: a task that runs long, under another operation or none, keeps nothing.
 *   3. What a thread did under an operation happens before the free: it does it before it puts the
 *      reference into its stock, and gives the stock back by a release (see drop_references() in
 *      context.c). Who uses a reference out of a stock has its thread's own.
 *
 * Where a thread goes from one operation to another all the time, there is nothing to gain; so that
 * nothing is lost, the first batch is one reference, and each further one twice as many.
 *
 * In the child of a fork the stocks of the other threads are lost, as are their tasks. A thread
 * that ends inside a scope leaves its stock, as it leaves the scope.
 *
 * Progress: wait-free, but for the free of a record.
 *
 * Checked by: tests/unit/context_stock_test.c, tests/stress/context_stock_test.c. */
#include "base/context_stock.h"

#include "base/context.h"

enum {
    batch_limit = 256,             /* references that are taken at once */
    stock_limit = 2 * batch_limit, /* that are kept at most */
};

_Thread_local ati_context_stock ati_context_stock_own;

void ati_context_stock_set_worker(bool is_worker) {
    ati_context_stock_return();
    ati_context_stock_own.is_worker = is_worker;
}

/* Invariant 2. */
static bool may_keep(const ati_context *context) {
    const ati_frame *frame = ati_frame_current();
    if (!frame->outer && ati_context_stock_own.is_worker)
        return true;
    while (frame && ati_context_shared_by(frame->context) != context)
        frame = frame->outer;
    return frame;
}

void ati_context_stock_return(void) {
    ati_context_stock *stock = &ati_context_stock_own;
    uint32_t count = stock->count;
    stock->count = 0;
    stock->batch = 0;
    if (count > 0)
        ati_context_release_many(stock->context, count);
}

void ati_context_stock_settle(void) {
    if (ati_context_stock_own.count > 0 && !may_keep(ati_context_stock_own.context))
        ati_context_stock_return();
}

static bool is_stocked(const ati_context *context) {
    return !context->is_exact && !context->is_own;
}

/* The next batch, larger than the last. */
static uint32_t choose_batch(ati_context_stock *stock, const ati_context *context) {
    if (stock->context != context)
        stock->batch = 0;
    uint32_t batch = stock->batch == 0 ? 1 : 2 * stock->batch;
    stock->batch = batch < batch_limit ? batch : batch_limit;
    return stock->batch;
}

void ati_context_stock_take(ati_context *context, size_t count) {
    ati_context_stock *stock = &ati_context_stock_own;
    if (!context)
        return;
    if (stock->context == context && stock->count >= count) {
        stock->count -= (uint32_t)count;
        return;
    }
    if (!is_stocked(context)) {
        ati_context_retain_many(context, count);
        return;
    }
    if (stock->context != context)
        ati_context_stock_return();
    uint32_t left = choose_batch(stock, context) - 1;
    ati_context_retain_many(context, count - stock->count + left);
    stock->context = context;
    stock->count = left;
}

void ati_context_stock_put(ati_context *context, size_t count) {
    ati_context_stock *stock = &ati_context_stock_own;
    if (!context)
        return;
    bool is_of_it = stock->context == context && stock->count > 0;
    bool begins = stock->count == 0 && is_stocked(context) && may_keep(context);
    if (count > batch_limit || !(is_of_it || begins)) {
        ati_context_release_many(context, count);
        return;
    }
    stock->context = context;
    stock->count += (uint32_t)count;
    if (stock->count > stock_limit) {
        stock->count -= batch_limit;
        ati_context_release_many(context, batch_limit);
    }
}
