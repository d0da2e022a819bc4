/* SPDX-License-Identifier: MIT */
#include "log/keys.h"

#include "log/number.h"

#include <string.h>

void ati_keys_init(ati_key_set *set, const char *base) {
    set->base = base;
    set->seen = 0;
    set->count = 0;
}

static uint64_t hash_bit(const char *key, size_t length) {
    const unsigned char *bytes = (const unsigned char *)key;
    unsigned mixed = (unsigned)length * 31;
    if (length > 0)
        mixed += bytes[0] * 5u + bytes[length / 2] * 17u + bytes[length - 1] * 11u;
    return (uint64_t)1 << (mixed & 63);
}

static bool is_reserved(const char *key, size_t length) {
#define IS(name) (length == sizeof(name) - 1 && memcmp(key, name, sizeof(name) - 1) == 0)
    switch (length) {
    case 2:
        return IS("ts");
    case 4:
        return IS("_cut");
    case 5:
        return IS("level") || IS("event");
    case 6:
        return IS("logger") || IS("thread") || IS("source");
    case 8:
        return IS("trace_id");
    case 9:
        return IS("operation");
    case 10:
        return IS("_cut_count");
    case 12:
        return IS("operation_id");
    default:
        return false;
    }
#undef IS
}

static bool contains(const ati_key_set *set, const char *key, size_t length) {
    if (!(set->seen & hash_bit(key, length)))
        return false;
    for (uint32_t i = 0; i < set->count; i++)
        if (set->keys[i].length == length &&
            memcmp(set->base + set->keys[i].offset, key, length) == 0)
            return true;
    return false;
}

void ati_keys_add(ati_key_set *set, const char *key, size_t length) {
    if (set->count == ATI_KEYS_MAX)
        return;
    set->seen |= hash_bit(key, length);
    set->keys[set->count].offset = (uint16_t)(key - set->base);
    set->keys[set->count].length = (uint16_t)length;
    set->count++;
}

char *ati_keys_make_unique(ati_key_set *set, char *key, char *end) {
    size_t length = (size_t)(end - key);
    if (is_reserved(key, length) || contains(set, key, length)) {
        char *suffix = end;
        *suffix++ = '_';
        for (unsigned number = 2; number <= ATI_KEYS_MAX + 1; number++) {
            end = ati_number_unsigned(suffix, number);
            length = (size_t)(end - key);
            if (!contains(set, key, length))
                break;
        }
    }
    ati_keys_add(set, key, length);
    return end;
}

/* Behind the string whose opening quote is at `from`. */
static const char *skip_string(const char *from, const char *end) {
    for (from++; from < end && *from != '"'; from++)
        if (*from == '\\')
            from++;
    return from < end ? from + 1 : end;
}

/* Behind the value at `from`. */
static const char *skip_value(const char *from, const char *end) {
    int depth = 0;
    while (from < end) {
        if (*from == '"') {
            from = skip_string(from, end);
            continue;
        }
        if (*from == '{' || *from == '[')
            depth++;
        else if (*from == '}' || *from == ']')
            depth--;
        else if (*from == ',' && depth == 0)
            break;
        from++;
    }
    return from;
}

bool ati_keys_next_member(const char **from, const char *end, ati_encoded_member *member) {
    const char *start = *from;
    if (end - start < 2 || (start[0] != ',' && start[0] != '{') || start[1] != '"')
        return false;
    const char *behind_key = skip_string(start + 1, end);
    if (behind_key >= end)
        return false;
    member->start = start;
    member->key = start + 2;
    member->key_length = (size_t)(behind_key - 1 - member->key);
    *from = skip_value(behind_key, end);
    member->length = (size_t)(*from - start);
    return true;
}
