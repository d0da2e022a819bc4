/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_ATOMIC_H
#define ASYNCTOOLS_BASE_ATOMIC_H

/* C11 atomics under their own names, always with an explicit order. A model checker's build puts
 * its own header in the place of this one. */
#include <stdatomic.h>
#include <stdint.h>

/* Two threads that write within this distance slow each other down. */
#define ATI_CACHE_LINE 64

/* A statistic: written by one thread at a time, read by any, never used to order anything. */
typedef struct ati_counter {
    _Atomic uint64_t value;
} ati_counter;

static inline void ati_counter_add(ati_counter *counter, uint64_t n) {
    uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, value + n, memory_order_relaxed);
}

/* For those that several threads write at once: all of them by this. */
static inline void ati_counter_add_shared(ati_counter *counter, uint64_t n) {
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

/* For counts that are compared with others: a reader that sees the change by ati_counter_read_after
 * sees what the writer did before it. */
static inline void ati_counter_add_after(ati_counter *counter, uint64_t n) {
    uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, value + n, memory_order_release);
}

static inline uint64_t ati_counter_read_after(const ati_counter *counter) {
    return atomic_load_explicit(&((ati_counter *)counter)->value, memory_order_acquire);
}

static inline uint64_t ati_counter_read(const ati_counter *counter) {
    return atomic_load_explicit(&((ati_counter *)counter)->value, memory_order_relaxed);
}

/* Tells the CPU that this is a waiting loop. */
static inline void ati_cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

#endif
