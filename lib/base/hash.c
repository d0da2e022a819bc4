/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include "base/random.h"

ati_hash_seed ati_hash_seed_make(void) {
    return (ati_hash_seed){{ati_random_next(), ati_random_next()}};
}

static inline uint64_t rotate(uint64_t word, int bits) {
    return word << bits | word >> (64 - bits);
}

static inline void mix(uint64_t v[4], int rounds) {
    while (rounds-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32) + v[3];
        v[2] += v[1];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

/* Up to 8 bytes, the first the lowest. */
static inline uint64_t read_word(const unsigned char *bytes, size_t size) {
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static inline void take_word(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    mix(v, 2);
    v[0] ^= word;
}

uint64_t ati_hash_bytes(const ati_hash_seed *seed, const void *bytes, size_t size) {
    const unsigned char *next = bytes;
    uint64_t v[4] = {
        seed->words[0] ^ UINT64_C(0x736f6d6570736575),
        seed->words[1] ^ UINT64_C(0x646f72616e646f6d),
        seed->words[0] ^ UINT64_C(0x6c7967656e657261),
        seed->words[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t left = size;
    for (; left >= 8; left -= 8, next += 8)
        take_word(v, read_word(next, 8));
    take_word(v, read_word(next, left) | (uint64_t)size << 56);
    v[2] ^= 0xff;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
