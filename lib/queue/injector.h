/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_QUEUE_INJECTOR_H
#define ASYNCTOOLS_QUEUE_INJECTOR_H

/* The way into a pool from outside: a few independent first-in first-out queues (shards),
 * unbounded, for any number of producers and consumers. See injector.c for the argument. */
#include "base/atomic.h"
#include "base/lock.h"
#include "queue/work.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ati_injector_block ati_injector_block;

typedef struct ati_injector_shard {
    /* The producers' line. */
    _Alignas(ATI_CACHE_LINE) ati_try_lock push_lock; /* guards tail, tail_index */
    uint32_t tail_index;                             /* next free place in tail */
    ati_injector_block *tail;
    _Atomic uint64_t pushed;        /* works ever pushed; written under push_lock */
    _Atomic uint64_t series_pushed; /* series ever pushed; written under push_lock */
    /* The consumers' line. */
    _Alignas(ATI_CACHE_LINE) ati_try_lock take_lock; /* guards up to series_taken */
    uint32_t head_index;                             /* next full place in head */
    ati_injector_block *head;
    size_t series_left; /* works of the series in that place; 0: a work or the mark of a series */
    size_t series_step;
    uint64_t queued;        /* works, when the last taker looked */
    uint64_t series_taken;  /* series ever begun to be taken */
    _Atomic uint64_t taken; /* works ever taken; written under take_lock */
    /* Handed from consumers to producers. */
    _Alignas(ATI_CACHE_LINE) _Atomic(ati_injector_block *) spare; /* an empty block, or NULL */
} ati_injector_shard;

typedef struct ati_injector {
    ati_injector_shard *shards; /* shard_count, and one more that is waited for */
    uint32_t shard_count;       /* a power of two */
    ati_lock last_lock;         /* for pushing to the last shard, when all others are held */
} ati_injector;

bool ati_injector_init(ati_injector *injector, uint32_t shard_count); /* false: no memory */
void ati_injector_deinit(ati_injector *injector);                     /* nobody uses it any more */

/* Opens a shard for pushing: one that is free, from the calling thread's own on; waits only if all
 * are held. Close it soon; the last access of close is what lets others in. */
ati_injector_shard *ati_injector_open(ati_injector *injector);
void ati_injector_close(ati_injector *injector, ati_injector_shard *shard);

/* Makes room in an open shard: a place for each work and ATI_SERIES_PLACES for each series that are
 * then to be written. False: no memory, nothing has changed. */
enum { ATI_SERIES_PLACES = 2 };
bool ati_injector_reserve(ati_injector_shard *shard, size_t places);

/* Writes a work, or a series of works with a step, into reserved room; unseen until
 * ati_injector_publish says how many works were written. That store is sequentially consistent.
 * True: the shard was empty before. */
void ati_injector_write(ati_injector_shard *shard, const ati_work *work);
void ati_injector_write_series(ati_injector_shard *shard, const ati_works *series);
bool ati_injector_publish(ati_injector_shard *shard, size_t count);

/* Finds up to `limit` works, all in one shard, oldest first, without taking them yet; looks at the
 * shards from number `first` on and passes over one that another consumer is taking from. NULL:
 * none. Otherwise `works` are borrowed until ati_injector_end_take, which is to be called once they
 * can be found elsewhere, so that whoever looks for work sees each in one place or the other. True:
 * there were more in that shard. */
ati_injector_shard *ati_injector_begin_take(ati_injector *injector, uint32_t first, size_t limit,
                                            ati_works *works);
bool ati_injector_end_take(ati_injector_shard *shard, size_t count);

/* A snapshot of how many works are queued, and of how many were ever pushed. Exact while nobody
 * else uses the injector. */
uint64_t ati_injector_shard_size(const ati_injector_shard *shard);
uint64_t ati_injector_size(const ati_injector *injector);
uint64_t ati_injector_pushed(const ati_injector *injector);
bool ati_injector_is_empty(const ati_injector *injector);

/* Waits until every push that has begun is done. */
void ati_injector_settle(ati_injector *injector);

#endif
