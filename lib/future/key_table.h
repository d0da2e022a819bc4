/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FUTURE_KEY_TABLE_H
#define ASYNCTOOLS_FUTURE_KEY_TABLE_H

/* The keys of a keyed executor, by their bytes. Its owner's lock guards it. */
#include "base/hash.h"
#include "base/lock.h"
#include "pool/executor.h"

#include <stdbool.h>

/* One key: an executor of its own, kept by its futures, and by those who use it. See key_turns.c
 * for who may touch what. */
typedef struct ati_key {
    /* Written when it is made, and by the table. */
    at_executor executor; /* first: an at_executor of a key is the key */
    struct at_keyed_executor *keyed;
    struct ati_key *next_of_bucket;
    uint64_t hash;

    /* Of those who start tasks. */
    _Alignas(ATI_CACHE_LINE) ati_lock lock; /* guards what follows up to `running` */
    bool is_ready;                          /* in a list of such keys, or about to be; or one runner
                                               alone has it */
    ati_task_node *first;                   /* of those queued */
    ati_task_node *last;                    /* if there is a first */
    int64_t queued;                         /* of these */
    int64_t running;                        /* tasks, if several may */
    _Atomic uint64_t found;                 /* references made by finding it; under table_lock */
    _Atomic uint64_t others;                /* made in other ways, less those given back; the sum
                                               gets to 0 only under table_lock */

    /* Of the runner that has it, or of who holds ready_lock while none does. */
    _Alignas(ATI_CACHE_LINE) ati_task_node *taken; /* before those queued; one runner's alone */
    ati_task_node *taken_last;                     /* of these, if there is one */
    ati_counter taken_count;                       /* of these */
    int64_t left;                                  /* of its weight, in this round */
    uint64_t given_back;                           /* references that went on runners' threads */
    _Atomic(struct ati_key_runner *) runner;       /* that alone runs its tasks, or NULL */
    struct ati_key *next;                          /* in the list of ready keys; its lock */
    uint32_t users;                                /* runners; ready_lock */
    bool is_kept;                                  /* in the list of those; ready_lock */

    /* Never written. */
    _Alignas(ATI_CACHE_LINE) int64_t weight;
    size_t size; /* of `bytes` */
    unsigned char bytes[];
} ati_key;

/* Bytes of a key that needs no more memory than one of none. */
enum { ATI_SMALL_KEY = sizeof(ati_key) - offsetof(ati_key, bytes) };

typedef struct ati_key_table {
    ati_key **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    ati_hash_seed seed;
} ati_key_table;

bool ati_key_table_init(ati_key_table *table); /* false: no memory */
void ati_key_table_deinit(ati_key_table *table);

/* NULL: it is not there. */
ati_key *ati_key_table_find(const ati_key_table *table, const void *bytes, size_t size,
                            uint64_t hash);

/* Adds a key that is not there. Cannot fail. */
void ati_key_table_add(ati_key_table *table, ati_key *key);
void ati_key_table_remove(ati_key_table *table, ati_key *key);

/* How many buckets it should have instead, or 0: those that it has do. */
size_t ati_key_table_wanted_size(const ati_key_table *table);

/* NULL: no memory. */
ati_key **ati_key_table_make_buckets(size_t bucket_count);
void ati_key_table_free_buckets(ati_key **buckets, size_t bucket_count); /* NULL is allowed */

/* Gives it these buckets, empty ones, and takes the others out, to be freed. */
void ati_key_table_swap(ati_key_table *table, ati_key ***buckets, size_t *bucket_count);

#endif
