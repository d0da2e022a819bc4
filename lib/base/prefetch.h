/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_PREFETCH_H
#define ASYNCTOOLS_BASE_PREFETCH_H

/* Asks for the cache line of an address that may lie anywhere, to be written soon. Taken from a CPU
 * that has read it, a line costs some 100 ns that are spent meanwhile. */
static inline void ati_prefetch_to_write(const void *address) {
#if defined(__x86_64__)
    /* The builtin makes a prefetch for reading of it unless told of the CPU. All CPUs accept it. */
    __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)address));
#else
    __builtin_prefetch(address, 1, 3);
#endif
}

#endif
