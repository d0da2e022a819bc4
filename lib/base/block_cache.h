/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_BLOCK_CACHE_H
#define ASYNCTOOLS_BASE_BLOCK_CACHE_H

/* Blocks of one size, the size of a future, kept for reuse: malloc is slow on thousands of them
 * that one thread makes and another releases. See block_cache.c for the argument. */
#include <stddef.h>

enum {
    ATI_BLOCK_SIZE = 128,     /* two cache lines, which the CPU fetches together */
    ATI_BLOCK_ALIGNMENT = 64, /* so that a block is in no third line */
};

/* Gives a block of ATI_BLOCK_SIZE, from the cache or from malloc. NULL: out of memory. */
void *ati_block_allocate(void);

/* Takes it back, on any thread. */
void ati_block_release(void *block);

/* How many blocks all threads together have left to others at the moment, for tests. */
size_t ati_block_cache_size(void);

/* How many empty arrays for blocks are kept for all threads, for tests. */
size_t ati_block_cache_empty_magazines(void);

#endif
