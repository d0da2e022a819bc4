/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_RANDOM_H
#define ASYNCTOOLS_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* A small generator for scheduling and ids, not for secrets. splitmix64: G. L. Steele, D. Lea,
 * C. H. Flood, "Fast Splittable Pseudorandom Number Generators", 2014. */
static inline uint64_t ati_random_step(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number from the calling thread's own generator, seeded by the kernel at first use. */
uint64_t ati_random_next(void);

/* As many of them. */
void ati_random_fill(uint64_t *numbers, size_t count);

#endif
