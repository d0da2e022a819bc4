/* SPDX-License-Identifier: MIT
 *
 * The hash of keys: against vectors of its paper, and that the seed matters. */
#include "support/test.h"

#include "base/hash.h"

TestSuite(hash, .timeout = 200);

static const ati_hash_seed counting = {
    {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};

/* The key is 00 01 02 ..., and so is the input. */
Test(hash, vectors) {
    unsigned char bytes[16];
    for (int i = 0; i < 16; i++)
        bytes[i] = (unsigned char)i;
    cr_expect_eq(ati_hash_bytes(&counting, bytes, 0), UINT64_C(0x726fdb47dd0e0e31));
    cr_expect_eq(ati_hash_bytes(&counting, NULL, 0), UINT64_C(0x726fdb47dd0e0e31));
    cr_expect_eq(ati_hash_bytes(&counting, bytes, 1), UINT64_C(0x74f839c593dc67fd));
    cr_expect_eq(ati_hash_bytes(&counting, bytes, 15), UINT64_C(0xa129ca6149be45e5));
}

Test(hash, any_alignment) {
    unsigned char bytes[40] = {0};
    uint64_t hash = ati_hash_bytes(&counting, bytes, 31);
    for (int i = 1; i < 9; i++)
        cr_expect_eq(ati_hash_bytes(&counting, bytes + i, 31), hash);
}

Test(hash, seeds_differ) {
    ati_hash_seed one = ati_hash_seed_make(), other = ati_hash_seed_make();
    cr_expect_neq(ati_hash_bytes(&one, "key", 3), ati_hash_bytes(&other, "key", 3));
}
