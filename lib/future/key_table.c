/* SPDX-License-Identifier: MIT */
/* A table of chains that grows and shrinks with what is in it. Without memory it stays as it is,
 * and its chains are longer. */
#include "future/key_table.h"

#include "base/memory.h"

#include <string.h>

enum { least_buckets = 16 };

bool ati_key_table_init(ati_key_table *table) {
    *table = (ati_key_table){.bucket_count = least_buckets, .seed = ati_hash_seed_make()};
    table->buckets = ati_allocate_zeroed(least_buckets * sizeof *table->buckets);
    return table->buckets;
}

void ati_key_table_deinit(ati_key_table *table) {
    ati_release(table->buckets, table->bucket_count * sizeof *table->buckets);
}

static ati_key **bucket_of(const ati_key_table *table, uint64_t hash) {
    return &table->buckets[hash & (table->bucket_count - 1)];
}

static void resize(ati_key_table *table, size_t bucket_count) {
    ati_key **buckets = ati_allocate_zeroed(bucket_count * sizeof *buckets);
    if (!buckets)
        return;
    ati_key_table before = *table;
    table->buckets = buckets;
    table->bucket_count = bucket_count;
    for (size_t i = 0; i < before.bucket_count; i++)
        for (ati_key *key = before.buckets[i], *next; key; key = next) {
            ati_key **bucket = bucket_of(table, key->hash);
            next = key->next_of_bucket;
            key->next_of_bucket = *bucket;
            *bucket = key;
        }
    ati_key_table_deinit(&before);
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
    if (table->count == table->bucket_count)
        resize(table, 2 * table->bucket_count);
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
    if (table->bucket_count > least_buckets && table->count < table->bucket_count / 8)
        resize(table, table->bucket_count / 2);
}
