/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_KEYS_H
#define ASYNCTOOLS_LOG_KEYS_H

/* The keys that a line has already, so that no key is written twice. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATI_KEYS_MAX = 384,       /* keys that are remembered; no line has room for more */
    ATI_KEY_SUFFIX_ROOM = 12, /* what ati_keys_make_unique may add */
};

typedef struct ati_key_set {
    const char *base; /* the line: offsets count from here */
    uint64_t seen;    /* a bit for each hash that a key had */
    uint32_t count;
    struct {
        uint16_t offset;
        uint16_t length;
    } keys[ATI_KEYS_MAX];
} ati_key_set;

void ati_keys_init(ati_key_set *set, const char *base);

/* Remembers a key that stands in the line. */
void ati_keys_add(ati_key_set *set, const char *key, size_t length);

/* A key has been written from `key` to `end`. If it is reserved or in the set, gives it the first
 * suffix of _2, _3, ... that makes it new. Remembers it; gives its end. */
char *ati_keys_make_unique(ati_key_set *set, char *key, char *end);

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
