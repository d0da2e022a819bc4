/* SPDX-License-Identifier: MIT
 *
 * Plain memory. The sources under test are compiled with -fsanitize=thread, so that the compiler
 * calls the functions below at each read and write; they look for two accesses of which one writes
 * and neither happens before the other, by the clocks that acquire and release carry around (C.
 * Flanagan, S. Freund, "FastTrack", PLDI 2009). Plain reads give what is there: a fault of a racy
 * read is reported as the race, not as its result.
 *
 * Only the arena is watched. Memory released there is never used again in the same execution, so a
 * use after release is seen too. */
#include "engine.h"

#include "base/memory.h"

#include <stdio.h>

enum { arena_size = 256 * 1024, granule = 8 };

/* Of one byte. */
typedef struct history {
    uint16_t written; /* clock of the last writer */
    uint16_t read[thread_limit];
    uint8_t writer;
} history;

/* Of eight bytes; out of date, and so empty, unless it is of this execution. */
typedef struct cell {
    uint32_t execution;
    bool is_released;
    uint8_t locations[granule]; /* number of the atomic word plus one */
    history bytes[granule];
} cell;

static _Alignas(4096) unsigned char arena[arena_size];
static cell cells[arena_size / granule];
static size_t arena_used;
static uint32_t execution;

void plain_begin_execution(void) {
    execution++;
    arena_used = 0;
}

static bool is_watched(const void *address) {
    return (uintptr_t)address - (uintptr_t)arena < arena_size;
}

static cell *find_cell(uintptr_t offset) {
    cell *found = &cells[offset / granule];
    if (found->execution != execution)
        *found = (cell){.execution = execution};
    return found;
}

uint8_t *plain_location(void *object) {
    if (!is_watched(object))
        model_fail("an atomic word lies outside of the memory of the model");
    uintptr_t offset = (uintptr_t)object - (uintptr_t)arena;
    return &find_cell(offset)->locations[offset % granule];
}

static void report_race(const void *address, const char *kind, int other) {
    model_fail("data race at %p: thread %d %s what thread %d accessed, unordered", address,
               threads_current(), kind, other);
}

/* By `thread`, which has seen `seen`. */
static void check_byte(const void *address, history *byte, int thread, const view *seen,
                       bool writes, bool remembers) {
    if (byte->written > seen->clock[byte->writer])
        report_race(address, writes ? "writes" : "reads", byte->writer);
    for (int i = 0; writes && i < thread_limit; i++)
        if (byte->read[i] > seen->clock[i])
            report_race(address, "writes", i);
    if (!remembers)
        return;
    if (writes) {
        byte->writer = (uint8_t)thread;
        byte->written = seen->clock[thread];
    } else {
        byte->read[thread] = seen->clock[thread];
    }
}

static void check_access(const void *address, size_t size, bool writes, bool remembers) {
    if (!is_watched(address))
        return;
    uintptr_t offset = (uintptr_t)address - (uintptr_t)arena;
    if (offset + size > arena_used)
        model_fail("access behind the memory in use, at %p", address);
    const view *seen = memory_view();
    int thread = threads_current();
    for (uintptr_t end = offset + size; offset < end;) {
        cell *accessed = find_cell(offset);
        if (accessed->is_released)
            model_fail("access to released memory at %p by thread %d", address, thread);
        do
            check_byte(arena + offset, &accessed->bytes[offset % granule], thread, seen, writes,
                       remembers);
        while (++offset < end && offset % granule);
    }
}

void plain_check_atomic(void *object, size_t size) {
    check_access(object, size, false, false);
}

/* -- Allocation -- */

static void *allocate(size_t size, size_t alignment, int fill) {
    /* A gap after each piece: an access behind its end is one to released memory. */
    size_t start = (arena_used + granule + alignment - 1) / alignment * alignment;
    if (start + size > arena_size)
        model_fail("the arena of the model is too small");
    for (size_t i = arena_used; i < start; i += granule)
        find_cell(i)->is_released = true;
    arena_used = (start + size + granule - 1) / granule * granule;
    __builtin_memset(arena + start, fill, size);
    return arena + start;
}

void *model_allocate(size_t size, size_t alignment) {
    return allocate(size, alignment < granule ? granule : alignment, 0);
}

void *ati_allocate(size_t size) {
    return allocate(size, 16, 0xa5);
}

void *ati_allocate_zeroed(size_t size) {
    return allocate(size, 16, 0);
}

void *ati_allocate_aligned(size_t size, size_t alignment) {
    return allocate(size, alignment, 0xa5);
}

void ati_release(void *pointer, size_t size) {
    if (!pointer)
        return;
    check_access(pointer, size, true, true);
    for (size_t i = 0; i < size; i += granule)
        find_cell((uintptr_t)pointer - (uintptr_t)arena + i)->is_released = true;
}

/* -- What the compiler calls -- */

void *model_copy(void *to, const void *from, size_t size) {
    check_access(from, size, false, true);
    check_access(to, size, true, true);
    return __builtin_memcpy(to, from, size);
}

void *model_fill(void *to, int byte, size_t size) {
    check_access(to, size, true, true);
    return __builtin_memset(to, byte, size);
}

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(const void *address, size_t size);
void __tsan_write_range(const void *address, size_t size);

void __tsan_init(void) {
}

void __tsan_func_entry(void *caller) {
    (void)caller;
}

void __tsan_func_exit(void) {
}

void __tsan_read_range(const void *address, size_t size) {
    check_access(address, size, false, true);
}

void __tsan_write_range(const void *address, size_t size) {
    check_access(address, size, true, true);
}

#define ACCESS(name, size, writes)                                                                 \
    void name(const void *address);                                                                \
    void name(const void *address) {                                                               \
        check_access(address, size, writes, true);                                                 \
    }

#define ACCESSES(size)                                                                             \
    ACCESS(__tsan_read##size, size, false)                                                         \
    ACCESS(__tsan_write##size, size, true)                                                         \
    ACCESS(__tsan_volatile_read##size, size, false)                                                \
    ACCESS(__tsan_volatile_write##size, size, true)                                                \
    ACCESS(__tsan_unaligned_read##size, size, false)                                               \
    ACCESS(__tsan_unaligned_write##size, size, true)

ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
