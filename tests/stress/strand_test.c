/* SPDX-License-Identifier: MIT
 *
 * Rules C2 and S5: works of one strand never overlap and keep the order of each thread, while many
 * threads start, cancel and wait; nothing is lost. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

TestSuite(strand_stress, .timeout = 200);

enum { strand_count = 3, thread_count = 4, rounds = 4000 };

struct lane {
    at_strand *strand;
    int64_t total;              /* no lock: works of one strand only */
    int64_t last[thread_count]; /* number of the last work of each thread */
    _Atomic int overlap;
};

struct item {
    struct lane *lane;
    int thread;
    int64_t number;
};

struct starter {
    at_pool *pool;
    struct lane *lanes;
    int thread;
    struct item items[rounds];
};

static void *run_item(void *argument) {
    struct item *item = argument;
    struct lane *lane = item->lane;
    cr_expect_eq(atomic_fetch_add_explicit(&lane->overlap, 1, memory_order_relaxed), 0);
    cr_expect_lt(lane->last[item->thread], item->number);
    lane->last[item->thread] = item->number;
    lane->total++;
    if (item->number % 64 == 1)
        at_yield(); /* the strand stays with it, on a stack of its own */
    atomic_fetch_sub_explicit(&lane->overlap, 1, memory_order_relaxed);
    return item;
}

static void *start_all(void *argument) {
    struct starter *starter = argument;
    for (int i = 0; i < rounds; i++) {
        struct item *item = &starter->items[i];
        *item = (struct item){&starter->lanes[i % strand_count], starter->thread, i + 1};
        at_future *future =
            at_executor_submit(at_strand_executor(item->lane->strand), run_item, item);
        if (i % 7 == 0)
            at_future_cancel(future);
        if (i % 50 == 0 || i >= rounds - strand_count) {
            at_status status = at_future_wait(future, PATIENCE, NULL);
            cr_expect(status == AT_OK || status == AT_ERROR_CANCELLED);
        }
        at_future_release(future);
    }
    return NULL;
}

Test(strand_stress, many_threads) {
    static struct starter starters[thread_count];
    struct lane lanes[strand_count] = {0};
    pthread_t threads[thread_count];
    at_pool *pool = create_pool(8);
    for (int i = 0; i < strand_count; i++)
        cr_assert_eq(at_strand_create(&lanes[i].strand, pool, NULL), AT_OK);
    for (int i = 0; i < thread_count; i++) {
        starters[i] = (struct starter){.pool = pool, .lanes = lanes, .thread = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, start_all, &starters[i]), 0);
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < strand_count; i++)
        at_strand_destroy(lanes[i].strand);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.accepted, (uint64_t)thread_count * rounds);
    uint64_t total = 0;
    for (int i = 0; i < strand_count; i++)
        total += (uint64_t)lanes[i].total;
    cr_expect_eq(audit.succeeded, total);
}

static void *submit_from_inside(void *argument) {
    struct lane *lane = argument;
    if (++lane->total < 20000)
        at_future_release(
            at_executor_submit(at_strand_executor(lane->strand), submit_from_inside, lane));
    return lane;
}

/* The queue gets empty and is filled again all the time, and strands come and go. */
Test(strand_stress, from_inside) {
    static struct lane lanes[50];
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 50; i++) {
        lanes[i].total = i < 48 ? 19900 : 0;
        cr_assert_eq(at_strand_create(&lanes[i].strand, pool, NULL), AT_OK);
        at_future_release(
            at_executor_submit(at_strand_executor(lanes[i].strand), submit_from_inside, &lanes[i]));
    }
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    for (int i = 0; i < 50; i++) {
        cr_expect_eq(lanes[i].total, 20000);
        at_strand_destroy(lanes[i].strand);
    }
    cr_expect_eq(destroy_pool(pool).succeeded, 48 * 100 + 2 * 20000);
}
