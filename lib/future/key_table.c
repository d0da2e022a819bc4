/* SPDX-License-Identifier: MIT */
/* A table of chains that grows and shrinks with what is in it; its owner allocates for that when it
 * does not hold its lock. Without memory the table stays as it is, and its chains are longer. */
#include "future/key_table.h"

#include "base/memory.h"

#include <string.h>

enum { least_buckets = 128 };

bool ati_key_table_init(ati_key_table *table) {
    *table = (ati_key_table){.bucket_count = least_buckets, .seed = ati_hash_seed_make()};
    table->buckets = ati_key_table_make_buckets(least_buckets);
    return table->buckets;
}

void ati_key_table_deinit(ati_key_table *table) {
    ati_key_table_free_buckets(table->buckets, table->bucket_count);
}

static ati_key **bucket_of(const ati_key_table *table, uint64_t hash) {
    return &table->buckets[hash & (table->bucket_count - 1)];
}

size_t ati_key_table_wanted_size(const ati_key_table *table) {
    if (table->count > table->bucket_count)
        return 2 * table->bucket_count;
    if (table->bucket_count > least_buckets && table->count < table->bucket_count / 8)
        return table->bucket_count / 2;
    return 0;
}

ati_key **ati_key_table_make_buckets(size_t bucket_count) {
    return ati_allocate_zeroed(bucket_count * sizeof(ati_key *));
}

void ati_key_table_free_buckets(ati_key **buckets, size_t bucket_count) {
    if (buckets)
        ati_release(buckets, bucket_count * sizeof *buckets);
}

void ati_key_table_swap(ati_key_table *table, ati_key ***buckets, size_t *bucket_count) {
    ati_key_table before = *table;
    table->buckets = *buckets;
    table->bucket_count = *bucket_count;
    *buckets = before.buckets;
    *bucket_count = before.bucket_count;
    for (size_t i = 0; i < before.bucket_count; i++)
        for (ati_key *key = before.buckets[i], *next; key; key = next) {
            ati_key **bucket = bucket_of(table, key->hash);
            next = key->next_of_bucket;
            key->next_of_bucket = *bucket;
            *bucket = key;
        }
}

ati_key *ati_key_table_find(const ati_key_table *table, const void *bytes, size_t size,
                            uint64_t hash) {
    ati_key *key = *bucket_of(table, hash);
    while (key && (key->hash != hash || key->size != size ||
                   (size > 0 && memcmp(key->bytes, bytes, size) != 0)))
        key = key->next_of_bucket;
    return key;
}

void ati_key_table_add(ati_key_table *table, ati_key *key) {
    ati_key **bucket = bucket_of(table, key->hash);
    key->next_of_bucket = *bucket;
    *bucket = key;
    table->count++;
}

void ati_key_table_remove(ati_key_table *table, ati_key *key) {
    ati_key **link = bucket_of(table, key->hash);
    while (*link != key)
        link = &(*link)->next_of_bucket;
    *link = key->next_of_bucket;
    table->count--;
}
