/* SPDX-License-Identifier: MIT
 *
 * Rule S4: threads make operations, start tasks under them in every way, nested ones too, leave and
 * cancel them, while others go from one to the next. Each record is freed once, after all that ran
 * under it, and none is left. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include "base/context.h"
#include "pool/cancel.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>
#include <asynctools/task.h>

#include <pthread.h>
#include <string.h>

FAULT_INSTALL;

TestSuite(context_stock_stress, .timeout = 200);

enum {
    starter_count = 4,
    slot_count = 48, /* tasks of an operation */
#ifdef __SANITIZE_THREAD__
    round_count = 150,
#else
    round_count = 2000,
#endif
};

static at_pool *pool;
static _Atomic int made, freed, lost, failures;

/* What the tasks of an operation write, each its own, by plain stores: their order before the free
 * is what ThreadSanitizer looks at. */
struct work {
    uint64_t written[slot_count];
};

static struct work *work_of(ati_context *context) {
    return (struct work *)context->bytes;
}

static void count_writes(ati_context *context) {
    struct work *work = work_of(context);
    int missing = 0;
    for (int i = 0; i < slot_count; i++)
        missing += work->written[i] != context->id;
    if (missing > 0 && ati_context_reason(context) == AT_CANCEL_NONE)
        atomic_fetch_add(&lost, missing);
    memset(work, 0, sizeof *work);
    atomic_fetch_add(&freed, 1);
}

static const ati_context_kind work_kind = {.deinit = count_writes};

static ati_context *make(ati_context *parent) {
    ati_context *context = ati_context_make(&(ati_context_parts){.parent = parent,
                                                                 .name = "work",
                                                                 .deadline = AT_FOREVER,
                                                                 .bits = ATI_CONTEXT_OPERATION,
                                                                 .extra = sizeof(struct work)});
    cr_assert_not_null(context);
    memset(work_of(context), 0, sizeof(struct work));
    context->kind = &work_kind;
    atomic_fetch_add(&made, 1);
    return context;
}

static void *write_slot(void *slot) {
    ati_context *context = ati_context_to_share();
    *(uint64_t *)slot = context->id;
    return NULL;
}

static void expect_ok(at_status status) {
    if (status != AT_OK && status != AT_ERROR_CANCELLED)
        atomic_fetch_add(&failures, 1);
}

/* Writes the first of three slots; two tasks that it starts write the others. */
static void *write_three(void *argument) {
    uint64_t *slot = argument;
    expect_ok(at_pool_start(pool, write_slot, slot + 1));
    at_future *future = at_pool_submit(pool, write_slot, slot + 2);
    if ((uintptr_t)slot % 16 == 0)
        (void)at_yield();
    expect_ok(at_future_wait(future, AT_FOREVER, NULL));
    at_future_release(future);
    return write_slot(slot);
}

static void start_all(ati_context *context, int round) {
    uint64_t *slot = work_of(context)->written;
    ati_context *before = ati_context_exchange(context);
    for (int i = 0; i < slot_count / 4; i++)
        if ((i + round) % 3 == 0)
            at_future_release(at_pool_submit(pool, write_slot, slot++));
        else
            expect_ok(at_pool_start(pool, write_slot, slot++));
    expect_ok(at_pool_start_many(pool, write_slot, AT_ITEMS(slot, slot_count / 4)));
    slot += slot_count / 4;
    for (; slot < work_of(context)->written + slot_count; slot += 3)
        expect_ok(at_pool_start(pool, write_three, slot));
    (void)ati_context_exchange(before);
}

static void *start_rounds(void *number) {
    for (int round = 0; round < round_count; round++) {
        ati_context *outer = make(NULL);
        ati_context *inner = make(outer);
        start_all(inner, round);
        start_all(outer, round + 1);
        if ((round + (int)(intptr_t)number) % 8 == 0)
            (void)ati_cancel(outer, AT_CANCEL_EXPLICIT);
        ati_context_release(outer);
        ati_context_release(inner);
    }
    return NULL;
}

Test(context_stock_stress, each_is_freed_once, .description = "S4") {
    pthread_t threads[starter_count];
    pool = create_pool(3);
    cr_assert_eq(at_pool_start(pool, start_rounds, NULL), AT_OK);
    for (intptr_t i = 0; i < starter_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, start_rounds, (void *)i), 0);
    for (int i = 0; i < starter_count; i++)
        pthread_join(threads[i], NULL);
    (void)destroy_pool(pool);
    cr_expect_eq(atomic_load(&made), 2 * round_count * (starter_count + 1));
    cr_expect_eq(atomic_load(&freed), atomic_load(&made));
    cr_expect_eq(atomic_load(&lost), 0);
    cr_expect_eq(atomic_load(&failures), 0);
    fault_check_leaks((struct fault_usage){0});
}
