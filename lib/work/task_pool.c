/* SPDX-License-Identifier: MIT */
/* Purpose: a bounded queue in front of a pool. An item that is submitted is queued, and started as
 * a task of the pool at once if fewer than pool_size run; each that ends starts the next.
 *
 * Starts and ends have a lock and cache lines each, and meet in a ring of pointers to items. What
 * happens for most items is done under one of them: a submit to a full house puts its item into the
 * ring (ati_task_pool_push), or, where the queue is full, refuses, drops or runs it; the task of an
 * item that has ended takes the next one out (ati_task_pool_take). All else is decided under both
 * by ati_task_pool_settle, which notes what is to be done: to start tasks, to drop arguments, to
 * wake those who wait. ati_task_pool_apply does it without the locks, the waking of those who wait
 * for the end last: they may destroy the task pool.
 *
 *   1. An item waits in the queue only while pool_size items run. An item is queued under
 *      submit_lock, and a place becomes free under both locks, so somebody who ends will see it.
 *   2. The ring is read and written as by one producer and one consumer: `pushed` is written under
 *      submit_lock, `taken` under `lock`. Each side looks at the other's count only when what it
 *      saw last may not be enough.
 *   3. For what passes the bound, and for queues beyond ring_limit, there is a list behind the
 *      ring. It has something only while the ring is full, or was when somebody looked last.
 *   4. A submit that waits leaves its item in a list, and sets is_awaited, under both locks; who
 *      ends then takes the long way, and puts it into the queue from there, so that nobody can come
 *      in between.
 *      With an expiry the first of them leads: it is woken under the locks to be told so, and then
 *      looks whenever the item queued longest expires. The task pool has not ended before one who
 *      led knows that it is over.
 *   5. The next item runs on the worker that has run the one before, at once or, each fourth,
 *      through the worker's deque, which lets others have their turn.
 *   6. The outcome of an item that is kept has a place from the submit on, in chunks; the item's
 *      own memory goes when it has ended.
 *
 * Checked by: tests/unit/task_pool_test.c, tests/stress/task_pool_test.c. */
#include "work/task_pool.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/pool.h"

enum {
    size_limit = 1000000,
    ring_limit = 4096, /* items; what is beyond goes into a list */
};

static const int64_t default_queue_size = 1024;
static const int64_t default_kept_outcomes = 65536;

/* -- Life -- */

static at_status refuse_option(const char *member, int64_t value) {
    return ati_fail(AT_ERROR_INVALID, "at_task_pool_create: %s: %lld is out of range", member,
                    (long long)value);
}

static at_status check_options(const at_task_pool_options *options) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_task_pool_create: `reserved` is not zero");
    if (options->pool_size < 0 || options->pool_size > size_limit)
        return refuse_option("pool_size", options->pool_size);
    if (options->queue_size < AT_NONE)
        return refuse_option("queue_size", options->queue_size);
    if ((unsigned)options->when_full > AT_TASK_POOL_DROP_OLDEST)
        return refuse_option("when_full", options->when_full);
    if (options->expiry < 0)
        return refuse_option("expiry", options->expiry);
    if (options->kept_outcomes < AT_NONE)
        return refuse_option("kept_outcomes", options->kept_outcomes);
    return AT_OK;
}

/* Zero is the default, AT_NONE is none. */
static uint64_t complete_count(int64_t given, int64_t otherwise) {
    if (given == AT_NONE)
        return 0;
    return (uint64_t)(given != 0 ? given : otherwise);
}

static void set_options(at_task_pool *workers, const at_task_pool_options *options) {
    workers->pool_size = complete_count(options->pool_size, at_pool_thread_count(workers->pool));
    workers->capacity =
        workers->pool_size + complete_count(options->queue_size, default_queue_size);
    workers->kept_limit = complete_count(options->kept_outcomes, default_kept_outcomes);
    workers->keeps_outcomes = options->kept_outcomes != AT_NONE;
    workers->when_full = options->when_full;
    workers->expiry = options->expiry;
}

/* False: no memory. */
static bool create_ring(at_task_pool *workers) {
    uint64_t size = 1;
    while (size < ring_limit && size < workers->capacity - workers->pool_size)
        size *= 2;
    workers->ring_size = size;
    workers->ring = ati_allocate(size * sizeof *workers->ring);
    return workers->ring;
}

static void free_task_pool(at_task_pool *workers) {
    ati_context_release(workers->context);
    ati_kept_chunk *spare = atomic_load_explicit(&workers->spare, memory_order_relaxed);
    ati_release(spare, sizeof *spare);
    ati_release(workers->ring, workers->ring_size * sizeof *workers->ring);
    ati_release(workers, sizeof *workers);
}

/* On the thread that cancels: what is queued ends at once, whatever those do that run. */
static void settle_cancelled(void *context) {
    at_task_pool *workers = context;
    ati_task_pool_changes changes = {0};
    if (ati_task_pool_is_forked(workers))
        return;
    ati_task_pool_lock(workers);
    ati_task_pool_settle(workers, &changes);
    ati_task_pool_unlock(workers);
    ati_task_pool_apply(workers, &changes);
}

/* NULL: no memory. */
static at_task_pool *create(at_pool *pool, const at_task_pool_options *options) {
    at_task_pool *made = ati_allocate_aligned(sizeof *made, _Alignof(at_task_pool));
    if (!made)
        return NULL;
    *made = (at_task_pool){.pool = pool, .process_fork_count = ati_process_fork_count()};
    set_options(made, options);
    made->context = ati_context_create(ati_context_own(), "task_pool", AT_FOREVER, NULL, 0);
    if (made->context && create_ring(made))
        return made;
    free_task_pool(made);
    return NULL;
}

at_status at_task_pool_create(at_task_pool **workers, at_pool *pool,
                              const at_task_pool_options *options) {
    static const at_task_pool_options defaults = {0};
    ATI_CALLER_CHECK(workers, "at_task_pool_create", "`workers` is NULL");
    ATI_CALLER_CHECK(pool, "at_task_pool_create", "`pool` is NULL");
    if (!options)
        options = &defaults;
    at_status status = check_options(options);
    if (status != AT_OK)
        return status;
    at_task_pool *made = create(pool, options);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_task_pool_create: out of memory");
    at_cancel_callback_register(&made->on_cancel, (at_token *)made->context, settle_cancelled,
                                made);
    ati_part_add(pool, &made->part, &ati_task_pool_section, made);
    *workers = made;
    return AT_OK;
}

/* In the child of a fork: other threads of the parent may have been in the middle of anything, and
 * items are the parent's. An operation around it, which may be cancelled still, knows of it. */
static void abandon(at_task_pool *workers) {
    if (workers->context->parent)
        return;
    free_task_pool(workers);
}

void at_task_pool_destroy(at_task_pool *workers) {
    if (!workers)
        return;
    if (ati_task_pool_is_forked(workers)) {
        abandon(workers);
        return;
    }
    ATI_CALLER_CHECK(!ati_task_pool_is_inside(workers), "at_task_pool_destroy",
                     "called by an item of this task pool, which would wait for itself; destroy it "
                     "where it was created");
    ati_task_pool_await_end(workers);
    ati_part_remove(&workers->part);
    at_cancel_callback_unregister(&workers->on_cancel);
    while (workers->first_kept) {
        ati_kept_chunk *chunk = workers->first_kept;
        workers->first_kept = chunk->next;
        for (size_t i = 0; i < chunk->count; i++)
            ati_task_pool_discard(&chunk->outcomes[i]);
        ati_release(chunk, sizeof *chunk);
    }
    free_task_pool(workers);
}

bool ati_task_pool_is_inside(const at_task_pool *workers) {
    const ati_context *context = ati_context_current();
    while (context && context != workers->context)
        context = context->parent;
    return context;
}
