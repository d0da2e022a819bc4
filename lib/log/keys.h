/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_KEYS_H
#define ASYNCTOOLS_LOG_KEYS_H

/* The keys that a line has already, so that no key is written twice. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATI_KEYS_MAX = 384,       /* keys that are remembered; of more, members are left out */
    ATI_KEY_SUFFIX_ROOM = 12, /* what ati_keys_make_unique may add */
};

typedef struct ati_key_set {
    const char *base; /* the line: offsets count from here */
    uint32_t count;
    uint64_t seen[4]; /* a bit for each hash that a key had, or a reserved one has */
    struct {
        uint16_t offset;
        uint16_t length;
    } keys[ATI_KEYS_MAX];
} ati_key_set;

void ati_keys_init(ati_key_set *set, const char *base);

static inline unsigned ati_keys_hash(const char *key, size_t length) {
    const unsigned char *bytes = (const unsigned char *)key;
    uint32_t mixed = (uint32_t)length << 24;
    if (length > 0)
        mixed |= bytes[0] | (uint32_t)bytes[length / 2] << 8 | (uint32_t)bytes[length - 1] << 16;
    return mixed * 0x9e3779b1u >> 24;
}

/* False: it has no key of this hash. */
static inline bool ati_keys_may_have(const ati_key_set *set, unsigned hash) {
    return set->seen[hash / 64] >> hash % 64 & 1;
}

/* If the key from `key` to `end` is reserved or in the set, gives it the first suffix of _2, _3,
 * ... that makes it new. Gives its end. */
char *ati_keys_rename_if_taken(const ati_key_set *set, char *key, char *end);

/* A key has been written from `key` to `end`. Gives it a suffix if it is not new. Remembers it;
 * gives its end. */
static inline __attribute__((always_inline)) char *ati_keys_make_unique(ati_key_set *set, char *key,
                                                                        char *end) {
    unsigned hash = ati_keys_hash(key, (size_t)(end - key));
    if (__builtin_expect(ati_keys_may_have(set, hash), 0)) {
        char *new_end = ati_keys_rename_if_taken(set, key, end);
        if (new_end != end)
            hash = ati_keys_hash(key, (size_t)(new_end - key));
        end = new_end;
    }
    if (set->count < ATI_KEYS_MAX) {
        set->seen[hash / 64] |= (uint64_t)1 << hash % 64;
        set->keys[set->count].offset = (uint16_t)(key - set->base);
        set->keys[set->count].length = (uint16_t)(end - key);
        set->count++;
    }
    return end;
}

/* Behind the string whose opening quote is at `from`; behind the value at `from`. */
const char *ati_json_skip_string(const char *from, const char *end);
const char *ati_json_skip_value(const char *from, const char *end);

/* A member of an encoded list `,"key":value,"key":value`, which may begin with a brace. */
typedef struct ati_encoded_member {
    const char *start; /* the comma, or the brace */
    size_t length;     /* of the whole member */
    const char *key;
    size_t key_length;
} ati_encoded_member;

/* Gives the member at *from and moves *from behind it; false at the end. */
bool ati_keys_next_member(const char **from, const char *end, ati_encoded_member *member);

#endif
