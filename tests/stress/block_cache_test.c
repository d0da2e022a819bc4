/* SPDX-License-Identifier: MIT
 *
 * Threads allocate blocks and hand them to each other to release: a block is with one thread at a
 * time, and whole. */
#include "support/test.h"

#include "base/block_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

enum { threads = 4, rounds = 200000, places = 64, thread_generations = 5 };

/* Each place holds a block on its way from one thread to another, or NULL. */
static _Atomic(uint64_t *) under_way[places];

static void write_stamp(uint64_t *block, uint64_t stamp) {
    for (int i = 0; i < ATI_BLOCK_SIZE / 8; i++)
        block[i] = stamp;
}

static void check_and_release(uint64_t *block) {
    for (int i = 1; i < ATI_BLOCK_SIZE / 8; i++)
        cr_assert_eq(block[i], block[0]);
    ati_block_release(block);
}

static void *exchange(void *number) {
    uint64_t stamp = (uint64_t)(uintptr_t)number << 32;
    for (int i = 0; i < rounds; i++) {
        uint64_t *block = ati_block_allocate();
        cr_assert_not_null(block);
        write_stamp(block, ++stamp);
        block = atomic_exchange(&under_way[stamp * 2654435761U % places], block);
        if (block)
            check_and_release(block);
    }
    return NULL;
}

Test(block_cache_stress, blocks_change_hands, .timeout = 200) {
    for (int generation = 0; generation < thread_generations; generation++) {
        pthread_t started[threads];
        for (uintptr_t i = 0; i < threads; i++)
            cr_assert_eq(pthread_create(&started[i], NULL, exchange, (void *)(i + 1)), 0);
        for (int i = 0; i < threads; i++)
            cr_assert_eq(pthread_join(started[i], NULL), 0);
    }
    for (int i = 0; i < places; i++) {
        uint64_t *block = atomic_exchange(&under_way[i], NULL);
        if (block)
            check_and_release(block);
    }
}
