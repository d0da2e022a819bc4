/* SPDX-License-Identifier: MIT */
#include "support/fault.h"

#include "support/test.h"

#include <asynctools/error.h>
#include <asynctools/memory.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    attempt_limit = 100000,
    tracked_count = 1 << 16, /* blocks whose size a leak report can tell */
    reported_limit = 16,
};

static const uint64_t magic_live = 0x6c6976656c697665;
static const uint64_t magic_gone = 0x676f6e65676f6e65;

/* Stands right before each block. */
struct header {
    void *allocation; /* what malloc gave */
    uint64_t magic;
    uint64_t size;
    uint64_t number; /* of the allocation, from 1 */
};

static _Atomic int64_t allocation_count;
static _Atomic int64_t live_blocks;
static _Atomic int64_t live_bytes;
static _Atomic uint64_t live_sizes[tracked_count];

/* -- Which one fails ------------------------------------------------------------------------- */

static _Atomic int armed_kind = -1;
static _Atomic int64_t countdown; /* the one that takes it to 0 fails */
static _Atomic bool armed_for_all;
static _Atomic int64_t struck;

static void arm(enum fault_kind kind, int64_t number, bool all) {
    fault_disarm();
    atomic_store_explicit(&struck, 0, memory_order_relaxed);
    atomic_store_explicit(&countdown, number, memory_order_relaxed);
    atomic_store_explicit(&armed_for_all, all, memory_order_relaxed);
    atomic_store_explicit(&armed_kind, (int)kind, memory_order_relaxed);
}

void fault_arm(enum fault_kind kind, int64_t number) {
    arm(kind, number, false);
}

void fault_arm_from(enum fault_kind kind, int64_t number) {
    arm(kind, number, true);
}

void fault_disarm(void) {
    atomic_store_explicit(&armed_kind, -1, memory_order_relaxed);
}

int64_t fault_count(void) {
    return atomic_load_explicit(&struck, memory_order_relaxed);
}

static bool strikes(enum fault_kind kind) {
    if (atomic_load_explicit(&armed_kind, memory_order_relaxed) != (int)kind)
        return false;
    int64_t left = atomic_fetch_sub_explicit(&countdown, 1, memory_order_relaxed) - 1;
    bool all = atomic_load_explicit(&armed_for_all, memory_order_relaxed);
    if (left != 0 && !(all && left < 0))
        return false;
    atomic_fetch_add_explicit(&struck, 1, memory_order_relaxed);
    return true;
}

/* -- The allocator --------------------------------------------------------------------------- */

_Noreturn static void complain(const char *what, uint64_t number, uint64_t size) {
    fprintf(stderr, "fault allocator: %s (allocation %llu of %llu bytes)\n", what,
            (unsigned long long)number, (unsigned long long)size);
    abort();
}

static void *allocate(void *context, size_t size, size_t alignment) {
    (void)context;
    int64_t number = atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed) + 1;
    if (size == 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        complain("no bytes, or an alignment that is no power of two", (uint64_t)number, size);
    if (strikes(fault_memory))
        return NULL;
    /* The block ends where the allocation ends, so that an overrun of one byte is seen. */
    size_t before = alignment > sizeof(struct header) ? alignment : sizeof(struct header);
    void *allocation;
    if (size > SIZE_MAX / 2 || posix_memalign(&allocation, before, before + size) != 0)
        return NULL;
    char *block = (char *)allocation + before;
    memset(block, 0xa5, size);
    struct header *header = (struct header *)block - 1;
    *header = (struct header){allocation, magic_live, size, (uint64_t)number};
    atomic_store_explicit(&live_sizes[number % tracked_count], size, memory_order_relaxed);
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live_bytes, (int64_t)size, memory_order_relaxed);
    return block;
}

static void release(void *context, void *pointer, size_t size) {
    (void)context;
    if (!pointer)
        complain("NULL was released", 0, size);
    struct header *header = (struct header *)pointer - 1;
    if (header->magic == magic_gone)
        complain("released twice", header->number, header->size);
    if (header->magic != magic_live)
        complain("released what was never allocated", 0, size);
    if (header->size != size)
        complain("released with another size than it was allocated with", header->number,
                 header->size);
    header->magic = magic_gone;
    memset(pointer, 0x5a, size);
    atomic_store_explicit(&live_sizes[header->number % tracked_count], 0, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_bytes, (int64_t)size, memory_order_relaxed);
    free(header->allocation);
}

void fault_install(void) {
    static const at_allocator allocator = {.allocate = allocate, .release = release};
    static bool installed;
    if (installed)
        return;
    installed = true;
    if (at_allocator_set(&allocator) != AT_OK) {
        fprintf(stderr, "fault_install: came too late\n");
        abort();
    }
}

/* -- Threads --------------------------------------------------------------------------------- */

/* Programs that are linked with --wrap=pthread_create call the first of these for it; in others
 * the second one does not exist and nobody calls the first. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument) __attribute__((weak));

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument) {
    return strikes(fault_thread) ? EAGAIN
                                 : __real_pthread_create(thread, attributes, run, argument);
}

/* -- What tests ask -------------------------------------------------------------------------- */

struct fault_usage fault_usage(void) {
    return (struct fault_usage){
        .blocks = atomic_load_explicit(&live_blocks, memory_order_relaxed),
        .bytes = atomic_load_explicit(&live_bytes, memory_order_relaxed),
    };
}

int64_t fault_allocation_count(void) {
    return atomic_load_explicit(&allocation_count, memory_order_relaxed);
}

static void report_live_blocks(void) {
    int reported = 0;
    for (uint64_t number = 0; number < tracked_count && reported < reported_limit; number++) {
        uint64_t size = atomic_load_explicit(&live_sizes[number], memory_order_relaxed);
        if (size == 0)
            continue;
        fprintf(stderr, "fault allocator: still held: allocation %llu of %llu bytes\n",
                (unsigned long long)number, (unsigned long long)size);
        reported++;
    }
}

void fault_check_leaks(struct fault_usage before) {
    at_error_clear();
    struct fault_usage after = fault_usage();
    if (after.blocks > before.blocks || after.bytes > before.bytes)
        report_live_blocks();
    cr_assert_eq(after.blocks, before.blocks, "%lld blocks held, %lld before",
                 (long long)after.blocks, (long long)before.blocks);
    cr_assert_eq(after.bytes, before.bytes, "%lld bytes held, %lld before", (long long)after.bytes,
                 (long long)before.bytes);
}

int64_t fault_each(enum fault_kind kind, void (*run)(void *context), void *context) {
    for (int64_t number = 1; number < attempt_limit; number++) {
        struct fault_usage before = fault_usage();
        fault_arm(kind, number);
        run(context);
        fault_disarm();
        fault_check_leaks(before);
        if (fault_count() == 0)
            return number - 1;
    }
    cr_assert_fail("the scenario meets a fault for ever");
    return 0;
}
