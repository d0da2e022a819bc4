/* SPDX-License-Identifier: MIT */
#include "log/keys.h"

#include "log/number.h"

#include <string.h>

/* Calls a macro for each reserved key. */
#define RESERVED_KEYS(use)                                                                         \
    use("ts") use("level") use("event") use("logger") use("operation") use("operation_id")         \
        use("trace_id") use("thread") use("source") use("_cut") use("_cut_count")

void ati_keys_init(ati_key_set *set, const char *base) {
    set->base = base;
    set->count = 0;
    uint64_t seen[4] = {0}; /* constants */
#define ADD(name)                                                                                  \
    seen[ati_keys_hash(name, sizeof(name) - 1) / 64] |=                                            \
        (uint64_t)1 << ati_keys_hash(name, sizeof(name) - 1) % 64;
    RESERVED_KEYS(ADD)
    memcpy(set->seen, seen, sizeof seen);
#undef ADD
}

static bool is_reserved(const char *key, size_t length) {
#define IS(name) (length == sizeof(name) - 1 && memcmp(key, name, sizeof(name) - 1) == 0) ||
    return RESERVED_KEYS(IS) false;
#undef IS
}

static bool contains(const ati_key_set *set, const char *key, size_t length) {
    for (uint32_t i = 0; i < set->count; i++)
        if (set->keys[i].length == length &&
            memcmp(set->base + set->keys[i].offset, key, length) == 0)
            return true;
    return false;
}

char *ati_keys_rename_if_taken(const ati_key_set *set, char *key, char *end) {
    size_t length = (size_t)(end - key);
    if (!is_reserved(key, length) && !contains(set, key, length))
        return end;
    char *suffix = end;
    *suffix++ = '_';
    for (unsigned number = 2; number <= ATI_KEYS_MAX + 1; number++) {
        end = ati_number_unsigned(suffix, number);
        size_t new_length = (size_t)(end - key);
        if (!ati_keys_may_have(set, ati_keys_hash(key, new_length)) ||
            !contains(set, key, new_length))
            break;
    }
    return end;
}

const char *ati_json_skip_string(const char *from, const char *end) {
    for (from++; from < end && *from != '"'; from++)
        if (*from == '\\')
            from++;
    return from < end ? from + 1 : end;
}

const char *ati_json_skip_value(const char *from, const char *end) {
    for (int depth = 0; from < end;) {
        char byte = *from;
        if (byte == '"') {
            from = ati_json_skip_string(from, end);
            continue;
        }
        if (depth == 0 && (byte == ',' || byte == '}' || byte == ']'))
            break;
        if (byte == '{' || byte == '[')
            depth++;
        else if (byte == '}' || byte == ']')
            depth--;
        from++;
    }
    return from;
}

bool ati_keys_next_member(const char **from, const char *end, ati_encoded_member *member) {
    const char *start = *from;
    if (end - start < 2 || (start[0] != ',' && start[0] != '{') || start[1] != '"')
        return false;
    const char *behind_key = ati_json_skip_string(start + 1, end);
    if (behind_key >= end)
        return false;
    member->start = start;
    member->key = start + 2;
    member->key_length = (size_t)(behind_key - 1 - member->key);
    *from = ati_json_skip_value(behind_key, end);
    member->length = (size_t)(*from - start);
    return true;
}
