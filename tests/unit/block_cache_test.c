/* SPDX-License-Identifier: MIT
 *
 * Blocks are given again on whatever thread, what a thread has goes to others when it ends, and
 * what is kept is bounded. */
#include "support/test.h"

#include "base/block_cache.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { few = 10, many = 40000, kept_max = 256 * 62 };

static void fill(void **blocks, int count) {
    for (int i = 0; i < count; i++) {
        blocks[i] = ati_block_allocate();
        cr_assert_not_null(blocks[i]);
        cr_assert_eq((uintptr_t)blocks[i] % ATI_BLOCK_ALIGNMENT, 0);
        memset(blocks[i], i & 0xff, ATI_BLOCK_SIZE);
    }
}

static void empty(void **blocks, int count) {
    for (int i = 0; i < count; i++) {
        const unsigned char *bytes = blocks[i];
        for (int j = 0; j < ATI_BLOCK_SIZE; j++)
            cr_assert_eq(bytes[j], i & 0xff);
        ati_block_release(blocks[i]);
    }
}

Test(block_cache, gives_the_last_released_first) {
    void *blocks[few];
    fill(blocks, few);
    empty(blocks, few);
    for (int i = few; i > 0; i--)
        cr_expect_eq(ati_block_allocate(), blocks[i - 1]);
    for (int i = 0; i < few; i++)
        ati_block_release(blocks[i]);
}

Test(block_cache, keeps_no_more_than_its_bound) {
    void **blocks = malloc(many * sizeof *blocks);
    for (int round = 0; round < 3; round++) {
        fill(blocks, many);
        empty(blocks, many);
        cr_expect_geq(ati_block_cache_size(), kept_max * 9 / 10);
        cr_expect_leq(ati_block_cache_size(), kept_max);
    }
    free(blocks);
}

static void *use_few(void *unused) {
    (void)unused;
    void *blocks[few];
    fill(blocks, few);
    empty(blocks, few);
    return NULL;
}

Test(block_cache, a_thread_that_ends_leaves_its_blocks) {
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, use_few, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    size_t left = ati_block_cache_size();
    cr_expect_geq(left, few);
    void *block = ati_block_allocate();
    cr_expect_lt(ati_block_cache_size(), left); /* they came from there */
    ati_block_release(block);
}

enum { crowd = 400, empty_max = 256 };

/* Each has an empty magazine when all have one. */
static void *use_with_others(void *barrier) {
    void *block;
    fill(&block, 1);
    ati_block_release(block);
    block = ati_block_allocate();
    pthread_barrier_wait(barrier);
    free(block);
    return NULL;
}

Test(block_cache, keeps_no_more_empty_magazines_than_its_bound) {
    static pthread_t threads[crowd];
    pthread_barrier_t barrier;
    cr_assert_eq(pthread_barrier_init(&barrier, NULL, crowd), 0);
    for (int i = 0; i < crowd; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, use_with_others, &barrier), 0);
    for (int i = 0; i < crowd; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&barrier);
    cr_expect_geq(ati_block_cache_empty_magazines(), empty_max / 2);
    cr_expect_leq(ati_block_cache_empty_magazines(), empty_max);
}

/* What is released on one thread is allocated on another. */
static void *release_all(void *blocks) {
    empty(blocks, 2000);
    return NULL;
}

Test(block_cache, blocks_go_from_thread_to_thread) {
    static void *blocks[2000];
    fill(blocks, 2000);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, release_all, blocks), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    size_t left = ati_block_cache_size();
    cr_expect_geq(left, 1900);
    fill(blocks, 2000);
    cr_expect_leq(ati_block_cache_size(), left - 1800);
    empty(blocks, 2000);
}

/* An object that is aligned more strictly, and of a size that a block has, comes from malloc and
 * may end up in the cache. */
Test(block_cache, memory_of_every_size_and_alignment) {
    for (size_t size = 1; size <= 300; size++)
        for (size_t alignment = 16; alignment <= 256; alignment *= 2) {
            void *pointer = ati_allocate_aligned(size, alignment);
            cr_assert_not_null(pointer);
            cr_assert_eq((uintptr_t)pointer % alignment, 0);
            memset(pointer, 1, size);
            ati_release(pointer, size);
        }
}
