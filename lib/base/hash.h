/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_HASH_H
#define ASYNCTOOLS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* A secret of the table that hashes, so that nobody can choose keys that meet in one place. */
typedef struct ati_hash_seed {
    uint64_t words[2];
} ati_hash_seed;

ati_hash_seed ati_hash_seed_make(void);

/* SipHash-2-4 of `size` bytes, of any alignment: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast
 * short-input PRF", 2012. */
uint64_t ati_hash_bytes(const ati_hash_seed *seed, const void *bytes, size_t size);

#endif
