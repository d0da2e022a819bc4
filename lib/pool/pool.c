/* SPDX-License-Identifier: MIT */
#include "pool/pool.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "pool/report.h"
#include "pool/thread.h"
#include "pool/virtual_clock.h"

#include <asynctools/cpu.h>

#include <string.h>

enum {
    thread_limit = 4096,
    spare_default = 1024,
    spare_limit = 16384,
    stack_default = 256 * 1024,
    stack_min = 64 * 1024,
    stack_max = 1024 * 1024 * 1024,
    stacks_kept = 1024, /* of tasks that waited, with their memory, for the next ones */
    cpu_limit = 1024,   /* what cpu_set_t holds */
    shard_min = 4,      /* shards of the injector: a power of two, at least one a worker */
    shard_max = 64,
};

static const int64_t references_bias = (int64_t)1 << 62;
static const at_duration slow_interval = AT_SECONDS(5);

/* A wait in progress for the end of all tasks, on the waiting stack. */
typedef struct ati_rest_wait {
    ati_waiter waiter;
    struct ati_rest_wait *next;
} rest_wait;

/* -- Options -- */

/* Puts the default for 0 and refuses what is out of range. */
static at_status check_range(const char *member, int64_t *value, int64_t by_default, int64_t min,
                             int64_t max) {
    if (*value == 0)
        *value = by_default;
    if (*value < min || *value > max)
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: %s: %lld is out of range (%lld to %lld)",
                        member, (long long)*value, (long long)min, (long long)max);
    return AT_OK;
}

static at_status check_cpus(const at_pool_options *options) {
    if (options->cpu_count < 0 || options->cpu_count > cpu_limit)
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: cpu_count: %lld is out of range",
                        (long long)options->cpu_count);
    if ((options->cpu_count > 0) != (options->cpus != NULL))
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: cpus: %s without %s",
                        options->cpus ? "cpus" : "cpu_count", options->cpus ? "cpu_count" : "cpus");
    for (int64_t i = 0; i < options->cpu_count; i++)
        if (options->cpus[i] < 0 || options->cpus[i] >= cpu_limit)
            return ati_fail(AT_ERROR_INVALID, "at_pool_create: cpus: %d is no CPU",
                            options->cpus[i]);
    return AT_OK;
}

static int64_t count_usable_cpus(const at_pool_options *options) {
    int64_t count = at_cpu_count();
    if (options->cpu_count > 0 && options->cpu_count < count)
        count = options->cpu_count;
    return count < thread_limit ? count : thread_limit;
}

static at_status complete_options(at_pool_options *options) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: reserved is not zero");
    if (!options->clock)
        options->clock = at_clock_current();
    if (options->max_spares == AT_NONE)
        options->max_spares = 0;
    else if (options->max_spares == 0)
        options->max_spares = spare_default;
    else if (options->max_spares < 0 || options->max_spares > spare_limit)
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: max_spares: %lld is out of range",
                        (long long)options->max_spares);
    at_status status = check_cpus(options);
    if (status == AT_OK)
        status = check_range("thread_count", &options->thread_count, count_usable_cpus(options), 1,
                             thread_limit);
    if (status == AT_OK)
        status =
            check_range("stack_bytes", &options->stack_bytes, stack_default, stack_min, stack_max);
    if (status == AT_OK)
        status = check_range("queue_bound", &options->queue_bound, AT_UNLIMITED, 1, AT_UNLIMITED);
    return status;
}

/* -- Storage -- */

static at_status start_nodes(at_executor *executor, ati_task_node *nodes, size_t count) {
    return ati_pool_start_nodes((at_pool *)executor, nodes, count, true);
}

static void retain_executor(at_executor *executor) {
    ati_pool_retain((at_pool *)executor);
}

static void release_executor(at_executor *executor) {
    ati_pool_release((at_pool *)executor);
}

static uint32_t count_shards(int64_t threads) {
    uint32_t count = shard_min;
    while (count < threads && count < shard_max)
        count *= 2;
    return count;
}

static bool copy_options(at_pool *pool, const at_pool_options *options) {
    pool->options = *options;
    pool->name = ati_copy_text(options->name ? options->name : "pool");
    pool->options.name = pool->name;
    if (options->cpu_count > 0) {
        size_t size = (size_t)options->cpu_count * sizeof *pool->cpus;
        pool->cpus = ati_allocate(size);
        if (pool->cpus)
            memcpy(pool->cpus, options->cpus, size);
        pool->options.cpus = pool->cpus;
    }
    return pool->name && (pool->cpus || options->cpu_count == 0);
}

static bool create_workers(at_pool *pool) {
    pool->thread_count = (uint32_t)pool->options.thread_count;
    pool->worker_limit = pool->thread_count + (uint32_t)pool->options.max_spares;
    pool->workers = ati_allocate_zeroed(pool->worker_limit * sizeof(ati_worker *));
    if (!pool->workers)
        return false;
    for (uint32_t i = 0; i < pool->thread_count; i++) {
        pool->workers[i] = ati_worker_create(pool, i, false);
        if (!pool->workers[i])
            return false;
        atomic_store_explicit(&pool->worker_count, i + 1, memory_order_relaxed);
    }
    return true;
}

static void destroy_workers(at_pool *pool) {
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        ati_worker_destroy(pool->workers[i]);
    atomic_store_explicit(&pool->worker_count, 0, memory_order_relaxed);
    if (pool->workers)
        ati_release(pool->workers, pool->worker_limit * sizeof(ati_worker *));
    pool->workers = NULL;
}

static void free_storage(at_pool *pool) {
    if (pool->injector.shards)
        ati_injector_deinit(&pool->injector);
    ati_stacks_deinit(&pool->stacks);
    if (pool->cpus)
        ati_release(pool->cpus, (size_t)pool->options.cpu_count * sizeof *pool->cpus);
    ati_release_text(pool->name);
    ati_release(pool, sizeof *pool);
}

void ati_pool_retain(at_pool *pool) {
    ati_worker *worker = ati_worker_current;
    if (worker && worker->pool == pool)
        worker->reference_change++;
    else
        atomic_fetch_add_explicit(&pool->references, 1, memory_order_relaxed);
}

static void change_references(at_pool *pool, int64_t change) {
    /* ORDER pool.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in change_references(). If relaxed: freed while another still looks. */
    if (atomic_fetch_add_explicit(&pool->references, change, memory_order_acq_rel) + change == 0)
        free_storage(pool);
}

void ati_pool_release(at_pool *pool) {
    ati_worker *worker = ati_worker_current;
    if (worker && worker->pool == pool)
        worker->reference_change--;
    else
        change_references(pool, -1);
}

/* The owner's reference and the bias go, the changes that the ended workers counted come. */
static void release_owner(at_pool *pool) {
    int64_t change = -1 - references_bias;
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        change += pool->workers[i]->reference_change;
    destroy_workers(pool);
    change_references(pool, change);
}
static at_pool *create_storage(const at_pool_options *options) {
    at_pool *pool = ati_allocate_aligned(sizeof *pool, _Alignof(at_pool));
    if (!pool)
        return NULL;
    memset(pool, 0, sizeof *pool);
    pool->executor =
        (at_executor){.start = start_nodes, .retain = retain_executor, .release = release_executor};
    atomic_init(&pool->references, 1 + references_bias);
    pool->fork_count = ati_process_fork_count();
    atomic_init(&pool->idle.kept, AT_FOREVER);
    pool->blocking.limit = (uint32_t)options->max_spares;
    pool->blocking.at_once = (uint32_t)count_usable_cpus(options);
    if (pool->blocking.at_once > pool->blocking.limit || ati_clock_is_virtual(options->clock))
        pool->blocking.at_once = pool->blocking.limit;
    pool->blocking.growth.fire = ati_blocking_grow;
    ati_timers_init(&pool->timers);
    ati_stacks_init(&pool->stacks, (size_t)options->stack_bytes, stacks_kept,
                    ATI_STACK_GUARD_ADVICE);
    pool->idle.searching_limit = (uint32_t)(options->thread_count + 1) / 2;
    if (!copy_options(pool, options) ||
        !ati_injector_init(&pool->injector, count_shards(options->thread_count)) ||
        !create_workers(pool)) {
        release_owner(pool);
        return NULL;
    }
    return pool;
}

/* -- Threads -- */

bool ati_pool_start_thread(at_pool *pool, ati_worker *worker) {
    const ati_thread_options thread = {
        .stack_bytes = (size_t)pool->options.stack_bytes,
        .cpus = pool->cpus,
        .cpu_count = (size_t)pool->options.cpu_count,
        .name = pool->name,
        .number = worker->index,
    };
    ati_pool_enter_clock(pool);
    bool started = ati_thread_start(&worker->thread, &thread, ati_worker_main, worker);
    if (!started)
        ati_pool_leave_clock(pool);
    return started;
}

/* Ends all threads; nothing is queued and nothing runs. */
static void end_threads(at_pool *pool) {
    atomic_store_explicit(&pool->ending, true, memory_order_relaxed);
    ati_idle_wake_all(pool);
    ati_spare_wake_all(pool);
    ati_blocking_end_threads(pool);
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        if (pool->workers[i]->has_thread)
            pthread_join(pool->workers[i]->thread, NULL);
}

static at_status start_threads(at_pool *pool) {
    atomic_store_explicit(&pool->idle.counts, pool->thread_count * ATI_IDLE_AWAKE,
                          memory_order_relaxed);
    for (uint32_t i = 0; i < pool->thread_count; i++) {
        pool->workers[i]->has_thread = ati_pool_start_thread(pool, pool->workers[i]);
        if (!pool->workers[i]->has_thread) {
            end_threads(pool);
            return ati_fail(AT_ERROR_SYSTEM, "at_pool_create: thread %u of %u could not be started",
                            i + 1, pool->thread_count);
        }
    }
    return AT_OK;
}

at_status at_pool_create(at_pool **pool, const at_pool_options *options) {
    ATI_CALLER_CHECK(pool, "at_pool_create", "`pool` is NULL");
    at_pool_options complete = options ? *options : (at_pool_options){0};
    at_status status = complete_options(&complete);
    if (status != AT_OK)
        return status;
    at_pool *created = create_storage(&complete);
    if (!created)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_pool_create: out of memory");
    ati_virtual_clock_add_pool(created);
    status = start_threads(created);
    if (status != AT_OK) {
        ati_virtual_clock_remove_pool(created);
        release_owner(created);
        return status;
    }
    ati_report_pool_started(created);
    *pool = created;
    return AT_OK;
}

/* -- The end -- */

bool ati_pool_is_forked(const at_pool *pool) {
    return pool->fork_count != ati_process_fork_count();
}

void ati_pool_come_to_rest(at_pool *pool) {
    /* ORDER pool.state: seq_cst. Comes after the change of idle.counts.
     * Pairs with: seq_cst in set_state(). If relaxed: a shutdown waits for ever. */
    if (atomic_load_explicit(&pool->state, memory_order_seq_cst) == ATI_POOL_RUNNING)
        return;
    ati_lock_acquire(&pool->rest_lock);
    rest_wait *wait = pool->rest_waits;
    pool->rest_waits = NULL;
    ati_lock_release(&pool->rest_lock);
    while (wait) {
        rest_wait *next = wait->next;
        ati_waiter_wake(&wait->waiter);
        wait = next;
    }
}

static bool leave_rest_waits(at_pool *pool, const rest_wait *wait) {
    ati_lock_acquire(&pool->rest_lock);
    rest_wait **link = &pool->rest_waits;
    while (*link && *link != wait)
        link = &(*link)->next;
    bool found = *link;
    if (found)
        *link = wait->next;
    ati_lock_release(&pool->rest_lock);
    return found;
}

/* Sleeps until the pool may have come to rest. False: `deadline` of the current clock or `limit` of
 * CLOCK_MONOTONIC has passed. */
static bool sleep_for_rest(at_pool *pool, at_deadline deadline, at_deadline limit) {
    at_clock *clock = at_clock_current();
    rest_wait wait;
    ati_waiter_init(&wait.waiter, "at_pool_shutdown", pool);
    ati_lock_acquire(&pool->rest_lock);
    wait.next = pool->rest_waits;
    pool->rest_waits = &wait;
    ati_lock_release(&pool->rest_lock);
    bool rests = ati_idle_is_at_rest(pool);
    if (!rests && ati_waiter_sleep(&wait.waiter, clock, deadline, limit))
        return true;
    if (leave_rest_waits(pool, &wait))
        return rests;
    return ati_waiter_sleep(&wait.waiter, clock, AT_FOREVER, AT_FOREVER); /* it is being woken */
}

static at_status sleep_until_rest(at_pool *pool, at_deadline deadline) {
    int64_t began = ati_monotonic_ns();
    at_deadline report = began + slow_interval;
    while (!ati_idle_is_at_rest(pool)) {
        if (sleep_for_rest(pool, deadline, report))
            continue;
        if (deadline != AT_FOREVER && at_clock_now(at_clock_current()) >= deadline)
            return ati_fail(AT_ERROR_TIMED_OUT, "at_pool_shutdown: pool \"%s\" still has tasks",
                            pool->name);
        int64_t now = ati_monotonic_ns();
        if (now >= report) {
            ati_report_shutdown_slow(pool, (now - began) / AT_SECONDS(1));
            report = now + slow_interval;
        }
    }
    return AT_OK;
}

/* In a task (of another pool) its worker is replaced meanwhile. */
static at_status wait_for_rest(at_pool *pool, at_deadline deadline) {
    ati_worker *worker = ati_worker_current;
    bool replaced = worker && ati_pool_block_begin(worker);
    at_status slept = sleep_until_rest(pool, deadline);
    if (replaced)
        ati_pool_block_end(worker);
    return slept;
}

/* Changes the state; afterwards no start is in progress that has seen the old one. */
static void set_state(at_pool *pool, ati_pool_state state) {
    /* ORDER pool.state: seq_cst. Comes before the look whether all is at rest.
     * Pairs with: seq_cst in ati_pool_come_to_rest(). If relaxed: a shutdown waits for ever. */
    atomic_store_explicit(&pool->state, state, memory_order_seq_cst);
    ati_injector_settle(&pool->injector);
}

at_status at_pool_shutdown(at_pool *pool, at_deadline deadline) {
    ATI_CALLER_CHECK(pool, "at_pool_shutdown", "`pool` is NULL");
    ATI_CALLER_CHECK(at_pool_current() != pool, "at_pool_shutdown",
                     "called by a task of the pool, which would wait for itself; call it outside");
    if (ati_pool_is_forked(pool))
        return ati_fail(AT_ERROR_FORKED,
                        "at_pool_shutdown: pool \"%s\" belongs to the parent of this process",
                        pool->name);
    set_state(pool, ATI_POOL_CLOSING);
    return wait_for_rest(pool, deadline);
}

void at_pool_destroy(at_pool *pool) {
    if (!pool)
        return;
    ATI_CALLER_CHECK(at_pool_current() != pool, "at_pool_destroy",
                     "called by a task of the pool, which would wait for itself; call it outside");
    if (!ati_pool_is_forked(pool)) {
        /* A continuation may be started from outside until the state is STOPPED, so look again. */
        do {
            set_state(pool, ATI_POOL_CLOSING);
            (void)wait_for_rest(pool, AT_FOREVER);
            set_state(pool, ATI_POOL_STOPPED);
        } while (!ati_idle_is_at_rest(pool));
        end_threads(pool);
        ati_report_pool_stopped(pool);
    }
    ati_virtual_clock_remove_pool(pool);
    release_owner(pool);
}

at_pool *at_pool_current(void) {
    ati_worker *worker = ati_worker_current;
    return worker ? worker->pool : NULL;
}

int64_t at_pool_thread_count(const at_pool *pool) {
    ATI_CALLER_CHECK(pool, "at_pool_thread_count", "`pool` is NULL");
    return pool->thread_count;
}

at_executor *at_pool_executor(at_pool *pool) {
    ATI_CALLER_CHECK(pool, "at_pool_executor", "`pool` is NULL");
    return &pool->executor;
}
