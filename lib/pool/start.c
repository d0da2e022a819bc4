/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"
#include "pool/pool.h"

#include <stdint.h>

/* A task in the caller's storage is a node. */
_Static_assert(sizeof(ati_task_node) <= sizeof(at_task), "at_task is too small");
_Static_assert(offsetof(ati_task_node, next) == offsetof(at_task, next) &&
                   offsetof(ati_task_node, work.run) == offsetof(at_task, run) &&
                   offsetof(ati_task_node, work.argument) == offsetof(at_task, argument) &&
                   offsetof(ati_task_node, work.context) == offsetof(at_task, context) &&
                   offsetof(ati_task_node, work.site) == offsetof(at_task, site),
               "at_task is not laid out as a node");

enum { chunk_limit = 64 }; /* works pushed onto a deque at once */

/* What is to be started: `count` works like `first`, the arguments `step` bytes apart; or the works
 * of `count` nodes, which need no memory to be queued. */
typedef struct start_batch {
    ati_work first;
    size_t count;
    size_t step;
    ati_task_node *nodes;
    bool continuation; /* passes the bound and a closing pool */
    bool inside;       /* started by a task of the pool: passes whatever its state */
} start_batch;

/* Takes work number `index`; nodes are taken off the list one after the other. */
static ati_work take_work(start_batch *batch, size_t index) {
    ati_work work = batch->first;
    if (batch->nodes) {
        work = batch->nodes->work;
        batch->nodes = batch->nodes->next;
    } else {
        work.argument = (char *)work.argument + index * batch->step;
    }
    return work;
}

/* The same, measured if it is due; the first of the batch is start number `first`. */
static ati_work take_work_to_queue(at_pool *pool, start_batch *batch, size_t index,
                                   uint64_t first) {
    ati_work work = take_work(batch, index);
    if (ati_sample_is_due(first + index))
        ati_sample_start(pool, &work);
    return work;
}

/* How many works from number `index` of a batch on may be queued as a series: those before the next
 * that is measured. 1: none. */
static size_t measure_series(const start_batch *batch, size_t index, uint64_t first) {
    size_t left = batch->count - index;
    uint64_t number = first + index;
    if (batch->nodes || left == 1 || ati_sample_is_due(number))
        return 1;
    uint64_t until_due = ATI_SAMPLE_INTERVAL - number % ATI_SAMPLE_INTERVAL;
    return left < until_due ? left : (size_t)until_due;
}

/* Of `length` works with nothing measured among them. */
static size_t count_series_places(size_t length) {
    return length < ATI_SERIES_PLACES ? length : ATI_SERIES_PLACES;
}

/* What write_batch needs: places for the works before the first that is measured, for those that
 * are measured, each with a series behind it, and for the last of these and what is left behind it.
 */
static size_t count_places(const start_batch *batch, uint64_t first) {
    size_t count = batch->count;
    if (batch->nodes || count == 1)
        return count;
    size_t before = (size_t)(-first % ATI_SAMPLE_INTERVAL);
    if (before >= count)
        return count_series_places(count);
    size_t intervals = (count - before) / ATI_SAMPLE_INTERVAL;
    size_t rest = (count - before) % ATI_SAMPLE_INTERVAL;
    return count_series_places(before) + intervals * (1 + ATI_SERIES_PLACES) +
           (rest > 0 ? 1 + count_series_places(rest - 1) : 0);
}

static void write_batch(at_pool *pool, ati_injector_shard *shard, start_batch *batch,
                        uint64_t first) {
    for (size_t i = 0, length; i < batch->count; i += length) {
        length = measure_series(batch, i, first);
        ati_work work = take_work_to_queue(pool, batch, i, first);
        if (length == 1)
            ati_injector_write(shard, &work);
        else
            ati_injector_write_series(shard, &(ati_works){&work, length, batch->step});
    }
}

/* -- The overflow list -- */

static void push_overflow(at_pool *pool, const start_batch *batch) {
    ati_overflow *overflow = &pool->overflow;
    ati_lock_acquire(&overflow->lock);
    if (overflow->last)
        overflow->last->next = batch->nodes;
    else
        overflow->first = batch->nodes;
    overflow->last = batch->nodes;
    while (overflow->last->next)
        overflow->last = overflow->last->next;
    uint64_t pushed = atomic_load_explicit(&overflow->pushed, memory_order_relaxed);
    /* ORDER overflow.pushed: seq_cst. Comes before the look at who sleeps.
     * Pairs with: seq_cst load in ati_pool_has_work(). If release: a worker sleeps on work. */
    atomic_store_explicit(&overflow->pushed, pushed + batch->count, memory_order_seq_cst);
    ati_lock_release(&overflow->lock);
}

static bool overflow_is_empty(at_pool *pool) {
    uint64_t taken = atomic_load_explicit(&pool->overflow.taken, memory_order_relaxed);
    /* ORDER overflow.pushed: seq_cst. Pairs with: seq_cst store in push_overflow(). If relaxed: a
     * worker that announced its sleep overlooks the work. */
    return atomic_load_explicit(&pool->overflow.pushed, memory_order_seq_cst) == taken;
}

bool ati_overflow_take(at_pool *pool, ati_work *work) {
    ati_overflow *overflow = &pool->overflow;
    if (overflow_is_empty(pool))
        return false;
    ati_lock_acquire(&overflow->lock);
    ati_task_node *node = overflow->first;
    if (node) {
        overflow->first = node->next;
        if (!overflow->first)
            overflow->last = NULL;
        *work = node->work;
        ati_pool_uncount_bounded(pool, 1);
        if (ati_work_lane(work) == ATI_LANE_LOW)
            ati_lane_return_to_low(pool); /* its runner gives the place back */
        uint64_t taken = atomic_load_explicit(&overflow->taken, memory_order_relaxed);
        atomic_store_explicit(&overflow->taken, taken + 1, memory_order_relaxed);
    }
    ati_lock_release(&overflow->lock);
    return node;
}

bool ati_pool_has_work(at_pool *pool) {
    if (!ati_injector_is_empty(&pool->injector) || !overflow_is_empty(pool) ||
        ati_lane_has_work(pool))
        return true;
    /* ORDER pool.workers: acquire. Sees the workers below the count.
     * Pairs with: release in add_worker(). If relaxed: reads an unwritten pointer. */
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        if (ati_deque_size(&pool->workers[i]->deque) > 0)
            return true;
    return false;
}

bool ati_pool_has_suspended(at_pool *pool) {
    /* ORDER pool.workers: acquire. Sees the workers below the count.
     * Pairs with: release in add_worker(). If relaxed: reads an unwritten pointer. */
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        if (ati_counter_read(&pool->workers[i]->suspended_count) > 0)
            return true;
    return false;
}

/* -- From a worker of the pool -- */

static void notify_of_push(ati_worker *worker, size_t count) {
    if (worker->quiet == ATI_QUIET_FIRST && count == 1) {
        worker->quiet = ATI_QUIET_SECOND;
        return;
    }
    bool was_empty = ati_deque_size(&worker->deque) <= count;
    if (was_empty || worker->quiet != ATI_QUIET_NO) {
        worker->quiet = ATI_QUIET_NO;
        ati_idle_notify(worker->pool, &worker->pool->idle);
    }
}

/* The owner pops last in first out: what is to run first is pushed last. */
static void reverse_nodes(start_batch *batch) {
    ati_task_node *reversed = NULL;
    while (batch->nodes) {
        ati_task_node *node = batch->nodes;
        batch->nodes = node->next;
        node->next = reversed;
        reversed = node;
    }
    batch->nodes = reversed;
}

/* False: no memory, it was not pushed. */
static bool push_one(ati_worker *worker, const ati_work *work) {
    uint64_t number = ati_counter_read(&worker->counts.accepted);
    ati_work measured;
    if (ati_sample_is_due(number)) {
        measured = *work;
        ati_sample_start(worker->pool, &measured);
        work = &measured;
    }
    ati_counter_add(&worker->counts.accepted, 1); /* before it can end */
    worker->has_own = true;
    if (!ati_deque_push(&worker->deque, work, 1)) {
        ati_counter_add(&worker->counts.accepted, (uint64_t)-1);
        if (ati_sample_is_probe(work))
            ati_sample_discard(work);
        return false;
    }
    notify_of_push(worker, 1);
    return true;
}

/* False: no memory, none was pushed. */
static bool push_many(ati_worker *worker, start_batch *batch) {
    if (!ati_deque_reserve(&worker->deque, batch->count))
        return false;
    if (batch->nodes)
        reverse_nodes(batch);
    uint64_t first = ati_counter_read(&worker->counts.accepted);
    ati_counter_add(&worker->counts.accepted, batch->count); /* before they can end */
    worker->has_own = true;
    for (size_t left = batch->count; left > 0;) {
        ati_work works[chunk_limit];
        size_t count = left < chunk_limit ? left : chunk_limit;
        for (size_t i = count; i > 0; i--)
            works[i - 1] = take_work_to_queue(worker->pool, batch, --left, first);
        (void)ati_deque_push(&worker->deque, works, count); /* there is room */
        notify_of_push(worker, count);
    }
    return true;
}

static bool push_inside(ati_worker *worker, start_batch *batch) {
    if (batch->count > 1)
        return push_many(worker, batch);
    return push_one(worker, batch->nodes ? &batch->nodes->work : &batch->first);
}

/* A chore: as an argument it needs no memory, and its pool is that of the worker. */
typedef union chore {
    void (*run)(at_pool *pool);
    void *argument;
} chore;

static void *run_chore(void *argument) {
    ati_worker *worker = ati_worker_current;
    ati_counter_add(&worker->counts.tombstones, 1);
    ((chore){.argument = argument}).run(worker->pool);
    return NULL;
}

/* Counted as if a wait had claimed it, so it is not pending; and it is not counted as accepted. */
void ati_pool_start_chore(at_pool *pool, void (*run)(at_pool *pool)) {
    ati_worker *worker = ati_worker_current;
    ati_work work = {.run = run_chore, .argument = ((chore){.run = run}).argument};
    ati_counter_add(&worker->counts.claimed, 1);
    if (ati_deque_push(&worker->deque, &work, 1))
        ati_idle_notify(pool, &pool->idle);
    else
        (void)run_chore(work.argument); /* rather here than not at all */
}

/* -- From any thread -- */

/* Counts what a bounded pool has queued from outside. False: there is no room. */
static bool count_bounded(at_pool *pool, const start_batch *batch) {
    int64_t bound = pool->options.queue_bound;
    if (bound == AT_UNLIMITED)
        return true;
    uint64_t before = atomic_load_explicit(&pool->bounded_count, memory_order_relaxed);
    do {
        bool fits = before <= (uint64_t)bound && batch->count <= (uint64_t)bound - before;
        if (!fits && !batch->continuation)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&pool->bounded_count, &before,
                                                    before + batch->count, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* The state is read inside the shard's lock: once at_pool_shutdown has changed it and settled the
 * injector, no push that read the old one is left. */
static at_status check_state(at_pool *pool, const start_batch *batch) {
    uint32_t state = atomic_load_explicit(&pool->state, memory_order_relaxed);
    if (state == ATI_POOL_RUNNING || batch->inside ||
        (state == ATI_POOL_CLOSING && batch->continuation))
        return AT_OK;
    return AT_ERROR_CLOSED;
}

static ati_lane lane_of(const start_batch *batch) {
    return ati_work_lane(batch->nodes ? &batch->nodes->work : &batch->first);
}

/* In an open shard, of `lane` or of the pool's injector. `*edge`: somebody may have to be woken. */
static at_status push_shard(at_pool *pool, ati_injector_shard *shard, ati_priority_lane *lane,
                            start_batch *batch, bool *edge) {
    at_status status = check_state(pool, batch);
    if (status != AT_OK)
        return status;
    if (!count_bounded(pool, batch))
        return AT_ERROR_FULL;
    uint64_t first = atomic_load_explicit(&shard->pushed, memory_order_relaxed);
    if (!ati_injector_reserve(shard, count_places(batch, first))) {
        if (!batch->nodes) {
            ati_pool_uncount_bounded(pool, batch->count);
            return AT_ERROR_NO_MEMORY;
        }
        push_overflow(pool, batch);
        *edge = true;
        return AT_OK;
    }
    if (lane)
        /* ORDER lane.queued: seq_cst. Comes before the works can be taken, and before the look who
         * sleeps. Pairs with: seq_cst in is_queued(). If relaxed: a worker sleeps on work. */
        atomic_fetch_add_explicit(&lane->queued, batch->count, memory_order_seq_cst);
    write_batch(pool, shard, batch, first);
    *edge = ati_injector_publish(shard, batch->count);
    return AT_OK;
}

static at_status refuse(at_pool *pool, at_status status) {
    switch (status) {
    case AT_ERROR_FULL:
        return ati_fail(status, "pool \"%s\": queue is full, queue_bound is %lld", pool->name,
                        (long long)pool->options.queue_bound);
    case AT_ERROR_CLOSED:
        return ati_fail(status, "pool \"%s\" is shut down", pool->name);
    case AT_ERROR_FORKED:
        return ati_fail(status, "pool \"%s\" belongs to the parent of this forked process",
                        pool->name);
    default:
        return ati_fail(status, "pool \"%s\": %s", pool->name, at_status_text(status));
    }
}

static at_status push_outside(at_pool *pool, start_batch *batch) {
    bool edge = false;
    ati_lane number = lane_of(batch);
    ati_priority_lane *lane = number == ATI_LANE_HIGH  ? &pool->high
                              : number == ATI_LANE_LOW ? &pool->low
                                                       : NULL;
    ati_injector *injector = lane ? &lane->injector : &pool->injector;
    ati_injector_shard *shard = ati_injector_open(injector);
    at_status status = push_shard(pool, shard, lane, batch, &edge);
    /* Inside the lock: the task may end, and with it the pool, as soon as the shard is closed. */
    if (edge)
        ati_idle_notify(pool, &pool->idle);
    ati_injector_close(injector, shard);
    return status == AT_OK ? AT_OK : refuse(pool, status);
}

/* -- Both -- */

static at_status start(at_pool *pool, start_batch *batch) {
    if (ati_pool_is_forked(pool)) {
        at_status status = ati_pool_start_afresh(pool);
        if (status != AT_OK)
            return refuse(pool, status);
    }
    if (ati_pool_current() != pool)
        return push_outside(pool, batch);
    ati_worker *worker = ati_worker_current;
    if (worker && lane_of(batch) == ATI_LANE_NORMAL && push_inside(worker, batch))
        return AT_OK;
    batch->continuation = true;
    batch->inside = true;
    return push_outside(pool, batch);
}

at_status ati_pool_start_nodes(at_pool *pool, ati_task_node *nodes, size_t count,
                               bool continuation) {
    start_batch batch = {.count = count, .nodes = nodes, .continuation = continuation};
    return start(pool, &batch);
}

void ati_pool_start_node_last(at_pool *pool, ati_task_node *node) {
    start_batch batch = {.count = 1, .nodes = node, .continuation = true, .inside = true};
    node->next = NULL;
    (void)push_outside(pool, &batch);
}

at_status ati_pool_check_open(at_pool *pool) {
    const start_batch batch = {.inside = ati_pool_current() == pool};
    at_status status = check_state(pool, &batch);
    return status == AT_OK ? AT_OK : refuse(pool, status);
}

/* Takes `count` references of the current context for works that run under it. */
static ati_context *share_context(size_t count) {
    ati_context *context = ati_context_to_share();
    ati_context_stock_take(context, count);
    return context;
}

static at_status start_under_context(at_pool *pool, start_batch *batch) {
    ati_context *context = share_context(batch->count);
    batch->first.context = ati_context_in_lane(context, ati_lane_inherited());
    at_status status = start(pool, batch);
    if (status != AT_OK)
        ati_context_stock_put(context, batch->count);
    return status;
}

at_status at_pool_start_at(const char *site, at_pool *pool, at_run_fn run, void *argument) {
    ATI_CALLER_CHECK(pool, "at_pool_start", "`pool` is NULL");
    ATI_CALLER_CHECK(run, "at_pool_start", "`run` is NULL");
    start_batch batch = {.first = {.run = run, .argument = argument, .site = site}, .count = 1};
    return start_under_context(pool, &batch);
}

at_status at_pool_start_many_at(const char *site, at_pool *pool, at_run_fn run, at_items items) {
    ATI_CALLER_CHECK(pool, "at_pool_start_many", "`pool` is NULL");
    ATI_CALLER_CHECK(run, "at_pool_start_many", "`run` is NULL");
    if (items.count == 0)
        return AT_OK;
    if (!items.data || items.size == 0)
        return ati_fail(AT_ERROR_INVALID, "at_pool_start_many: items.%s is %s",
                        items.data ? "size" : "data", items.data ? "0" : "NULL");
    if (items.count > PTRDIFF_MAX / items.size)
        return ati_fail(AT_ERROR_INVALID, "at_pool_start_many: items.count: %zu is too many",
                        items.count);
    if (items.count > PTRDIFF_MAX / sizeof(ati_work) / 4)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_pool_start_many: no memory for %zu tasks",
                        items.count);
    start_batch batch = {.first = {.run = run, .argument = (void *)items.data, .site = site},
                         .count = items.count,
                         .step = items.size};
    return start_under_context(pool, &batch);
}

void at_task_init_at(const char *site, at_task *task, at_run_fn run, void *argument) {
    ATI_CALLER_CHECK(task, "at_task_init", "`task` is NULL");
    ATI_CALLER_CHECK(run, "at_task_init", "`run` is NULL");
    *task = (at_task){.run = run, .argument = argument, .site = site};
}

at_status at_pool_start_task(at_pool *pool, at_task *task) {
    ATI_CALLER_CHECK(pool, "at_pool_start_task", "`pool` is NULL");
    ATI_CALLER_CHECK(task && task->run, "at_pool_start_task",
                     "`task` was not prepared by at_task_init");
    ati_context *context = share_context(1);
    task->context = ati_context_in_lane(context, ati_lane_inherited());
    task->next = NULL;
    at_status status = ati_pool_start_nodes(pool, (ati_task_node *)task, 1, false);
    if (status != AT_OK)
        ati_context_stock_put(context, 1);
    return status;
}
