/* SPDX-License-Identifier: MIT
 *
 * More producers and consumers than cores: each work arrives exactly once, and those of one
 * producer that lie in one shard in their order. */
#include "support/test.h"

#include "queue/injector.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { producer_count = 4, consumer_count = 4, works_each = 100000, batch = 32 };

static ati_injector injector;
static _Atomic unsigned char *taken;
static _Atomic uint64_t taken_count;
static _Atomic bool no_memory;

static void push(uintptr_t first, size_t count) {
    ati_injector_shard *shard = ati_injector_open(&injector);
    if (!ati_injector_reserve(shard, count))
        atomic_store_explicit(&no_memory, true, memory_order_relaxed);
    for (size_t i = 0; i < count; i++)
        ati_injector_write(shard, &(ati_work){.argument = (void *)(first + i)});
    (void)ati_injector_publish(shard, count);
    ati_injector_close(&injector, shard);
}

static void push_series(uintptr_t first, size_t count) {
    ati_injector_shard *shard = ati_injector_open(&injector);
    if (!ati_injector_reserve(shard, ATI_SERIES_PLACES))
        atomic_store_explicit(&no_memory, true, memory_order_relaxed);
    ati_work work = {.argument = (void *)first};
    ati_injector_write_series(shard, &(ati_works){&work, count, 1});
    (void)ati_injector_publish(shard, count);
    ati_injector_close(&injector, shard);
}

static void *produce(void *argument) {
    uintptr_t first = (uintptr_t)argument * works_each;
    for (uintptr_t i = 0; i < works_each;) {
        size_t count = i % 5 == 0 && works_each - i >= 3 ? 3 : 1;
        if (i % 7 == 0 && works_each - i >= 100) {
            count = 2 + i % 99;
            push_series(first + i, count);
        } else {
            push(first + i, count);
        }
        i += count;
        if (i % 1000 == 0)
            sched_yield();
    }
    return NULL;
}

static void *consume(void *argument) {
    const uint64_t all = (uint64_t)producer_count * works_each;
    while (atomic_load_explicit(&taken_count, memory_order_relaxed) < all) {
        ati_works works;
        ati_injector_shard *shard =
            ati_injector_begin_take(&injector, (uint32_t)(uintptr_t)argument, batch, &works);
        if (!shard) {
            sched_yield();
            continue;
        }
        for (size_t i = 0; i < works.count; i++)
            atomic_fetch_add_explicit(&taken[(uintptr_t)ati_works_get(&works, i).argument], 1,
                                      memory_order_relaxed);
        ati_injector_end_take(shard, works.count);
        atomic_fetch_add_explicit(&taken_count, works.count, memory_order_relaxed);
    }
    return NULL;
}

Test(injector_stress, each_work_arrives_once) {
    cr_assert(ati_injector_init(&injector, 4));
    taken = calloc((size_t)producer_count * works_each, 1);
    cr_assert_not_null((void *)taken);
    pthread_t threads[producer_count + consumer_count];
    for (uintptr_t i = 0; i < producer_count + consumer_count; i++)
        cr_assert_eq(
            pthread_create(&threads[i], NULL, i < producer_count ? produce : consume, (void *)i),
            0);
    for (int i = 0; i < producer_count + consumer_count; i++)
        pthread_join(threads[i], NULL);
    cr_assert(!no_memory);
    for (size_t i = 0; i < (size_t)producer_count * works_each; i++)
        cr_assert_eq(taken[i], 1, "work %zu arrived %d times", i, taken[i]);
    cr_expect(ati_injector_is_empty(&injector));
    ati_injector_deinit(&injector);
    free((void *)taken);
}
