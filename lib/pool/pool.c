/* SPDX-License-Identifier: MIT */
#include "pool/pool.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "pool/placement.h"
#include "pool/report.h"
#include "pool/thread.h"
#include "pool/virtual_clock.h"

#include <string.h>

enum {
    stacks_kept = 1024, /* of tasks that waited, with their memory, for the next ones */
    shard_min = 4,      /* shards of the injector: a power of two, at least one a worker */
    shard_max = 64,
};

static const at_duration slow_interval = AT_SECONDS(5);

/* A wait in progress for the end of all tasks, on the waiting stack. */
typedef struct ati_rest_wait {
    ati_waiter waiter;
    struct ati_rest_wait *next;
} rest_wait;

/* -- Whose pool it is -- */

static void set_fork_count(at_pool *pool) {
    /* ORDER pool.fork_count: release. Publishes what was built.
     * Pairs with: acquire in ati_pool_is_forked(). If relaxed: as there. */
    atomic_store_explicit(&pool->fork_count, ati_process_fork_count(), memory_order_release);
}

_Thread_local ati_blocking_caller ati_blocking_caller_current;

/* In a child the thread that forked is a plain one, wherever it is. */
static void leave_worker(void) {
    ati_worker_current = NULL;
    ati_blocking_caller_current = (ati_blocking_caller){0};
    at_inline_worker_current = NULL;
}

static void install_handler(void) {
    /* Without memory for it a task that waits in a child waits for ever. */
    (void)pthread_atfork(NULL, NULL, leave_worker);
}

/* -- Storage -- */

static at_status start_nodes(at_executor *executor, ati_task_node *nodes, size_t count,
                             bool is_continuation) {
    return ati_pool_start_nodes((at_pool *)executor, nodes, count, is_continuation);
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
    for (uint32_t i = 0; i < pool->thread_count; i++) {
        pool->workers[i] = ati_worker_create(pool, i, false);
        if (!pool->workers[i])
            return false;
        atomic_store_explicit(&pool->worker_count, i + 1, memory_order_relaxed);
    }
    return ati_placement_init(pool);
}

static void init_blocking(at_pool *pool) {
    ati_blocking *blocking = &pool->blocking;
    int64_t cpus = ati_pool_usable_cpus(&pool->options);
    int64_t limit = pool->options.max_spares;
    bool is_virtual = ati_clock_is_virtual(pool->options.clock);
    *blocking = (ati_blocking){
        .limit = (uint32_t)limit,
        .at_once = (uint32_t)(cpus < limit && !is_virtual ? cpus : limit),
        .growth.fire = ati_blocking_grow,
    };
}

/* Makes all that works are queued in and run on, at rest and without threads. False: no memory. */
static bool build(at_pool *pool) {
    uint32_t thread_count = pool->thread_count;
    pool->low_limit = thread_count > 1 ? thread_count - 1 : 1;
    pool->idle.searching_limit = (thread_count + 1) / 2;
    atomic_init(&pool->idle.kept, AT_FOREVER);
    init_blocking(pool);
    pool->search.timer.fire = ati_search_expire;
    ati_timers_init(&pool->timers);
    ati_stacks_init(&pool->stacks, (size_t)pool->options.stack_bytes, stacks_kept,
                    ATI_STACK_GUARD_ADVICE);
    pool->workers = ati_allocate_zeroed(pool->worker_limit * sizeof(ati_worker *));
    return pool->workers && ati_injector_init(&pool->injector, count_shards(thread_count)) &&
           ati_lane_init(&pool->high) && ati_lane_init(&pool->low) && create_workers(pool);
}

/* The workers' threads have ended, or belong to the parent of this process. Gives the references
 * that the workers counted for themselves. */
static int64_t destroy_workers(at_pool *pool) {
    int64_t change = 0;
    ati_placement_deinit(pool);
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++) {
        change += pool->workers[i]->reference_change;
        ati_worker_destroy(pool->workers[i]);
    }
    atomic_store_explicit(&pool->worker_count, 0, memory_order_relaxed);
    if (pool->workers)
        ati_release(pool->workers, pool->worker_limit * sizeof(ati_worker *));
    pool->workers = NULL;
    return change;
}

/* Undoes what is done by build, but for the workers. */
static void dismantle(at_pool *pool) {
    if (pool->injector.shards)
        ati_injector_deinit(&pool->injector);
    ati_lane_deinit(&pool->high);
    ati_lane_deinit(&pool->low);
    if (ati_pool_is_forked(pool))
        ati_stacks_abandon(&pool->stacks);
    ati_stacks_deinit(&pool->stacks);
}

void ati_pool_free(at_pool *pool) {
    dismantle(pool);
    if (pool->cpus)
        ati_release(pool->cpus, (size_t)pool->options.cpu_count * sizeof *pool->cpus);
    ati_release_text(pool->name);
    ati_release(pool, sizeof *pool);
}

/* The owner's reference goes. */
static void release_owner(at_pool *pool) {
    ati_pool_release_owner(pool, destroy_workers(pool));
}

static at_pool *create_storage(const at_pool_options *options) {
    at_pool *pool = ati_allocate_aligned(sizeof *pool, _Alignof(at_pool));
    if (!pool)
        return NULL;
    memset(pool, 0, offsetof(at_pool, timers));
    pool->executor = (at_executor){
        .start = start_nodes, .retain = retain_executor, .release = release_executor, .pool = pool};
    ati_pool_init_references(pool);
    pool->thread_count = (uint32_t)options->thread_count;
    pool->worker_limit = pool->thread_count + (uint32_t)options->max_spares;
    set_fork_count(pool);
    if (!copy_options(pool, options) || !build(pool)) {
        release_owner(pool);
        return NULL;
    }
    return pool;
}

/* -- Threads -- */

bool ati_pool_start_thread(at_pool *pool, ati_worker *worker) {
    const ati_thread_options thread = {
        .stack_bytes = (size_t)pool->options.stack_bytes,
        .cpus = worker->cpu >= 0 ? &worker->cpu : pool->cpus,
        .cpu_count = worker->cpu >= 0 ? 1 : (size_t)pool->options.cpu_count,
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
    (void)ati_timers_remove(&pool->timers, &pool->search.timer);
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
    at_status status = ati_pool_complete_options(&complete);
    if (status != AT_OK)
        return status;
    static pthread_once_t install_once = PTHREAD_ONCE_INIT;
    pthread_once(&install_once, install_handler);
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
    created->registry_entry =
        (ati_registry_entry){.section = "pools", .write = ati_pool_write_dump};
    ati_registry_add(&created->registry_entry);
    ati_report_pool_started(created);
    *pool = created;
    return AT_OK;
}

/* -- Process fork -- */

/* Clears what the parent's threads used, one of which may have been in the middle of it: it is
 * forgotten rather than freed. */
static void forget(at_pool *pool) {
    int64_t change = 0;
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        change += pool->workers[i]->reference_change;
    atomic_fetch_add_explicit(&pool->references, change, memory_order_relaxed);
    ati_stacks_abandon(&pool->stacks);
    size_t kept = offsetof(at_pool, state);
    memset((char *)pool + kept, 0, sizeof *pool - kept);
}

at_status ati_pool_start_afresh(at_pool *pool) {
    static ati_lock lock; /* the child may have further threads by now */
    if (pool->options.process_fork != AT_PROCESS_FORK_START_AFRESH)
        return AT_ERROR_FORKED;
    at_status status = AT_OK;
    ati_lock_acquire(&lock);
    if (ati_pool_is_forked(pool)) {
        uint32_t state = atomic_load_explicit(&pool->state, memory_order_relaxed);
        forget(pool);
        atomic_store_explicit(&pool->state, state, memory_order_relaxed);
        status = build(pool) ? start_threads(pool) : AT_ERROR_NO_MEMORY;
        if (status == AT_OK)
            set_fork_count(pool);
    }
    ati_lock_release(&lock);
    return status;
}

/* -- The end -- */

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

typedef enum rest_result { REST_REACHED, REST_POSSIBLE, REST_LATE } rest_result;

/* A task (of another pool) is suspended; on a virtual clock it does not look at `limit`. */
static bool wait_once(rest_wait *wait, at_clock *clock, at_deadline deadline, at_deadline limit) {
    if (!ati_worker_current)
        return ati_waiter_sleep(&wait->waiter, clock, deadline, limit);
    bool looks = !ati_clock_is_virtual(clock) && limit < deadline;
    return ati_waiter_wait(&wait->waiter, looks ? limit : deadline);
}

/* Waits until the pool may have come to rest, if it has not, until `deadline` of the current clock
 * or until `limit` of CLOCK_MONOTONIC. */
static rest_result wait_for_change(at_pool *pool, at_deadline deadline, at_deadline limit) {
    at_clock *clock = at_clock_current();
    rest_wait wait;
    ati_waiter_init(&wait.waiter, "at_pool_shutdown", pool);
    ati_lock_acquire(&pool->rest_lock);
    wait.next = pool->rest_waits;
    pool->rest_waits = &wait;
    ati_lock_release(&pool->rest_lock);
    bool rests = ati_idle_is_at_rest(pool);
    if (!rests && wait_once(&wait, clock, deadline, limit))
        return REST_POSSIBLE;
    if (leave_rest_waits(pool, &wait))
        return rests ? REST_REACHED : REST_LATE;
    (void)wait_once(&wait, clock, AT_FOREVER, AT_FOREVER); /* it is being woken */
    return rests ? REST_REACHED : REST_POSSIBLE;
}

static at_status wait_for_rest(at_pool *pool, at_deadline deadline) {
    int64_t began = ati_monotonic_ns();
    at_deadline report = began + slow_interval;
    for (;;) {
        rest_result result = wait_for_change(pool, deadline, report);
        if (result == REST_REACHED)
            return AT_OK;
        if (result == REST_POSSIBLE)
            continue;
        if (deadline != AT_FOREVER && at_clock_now(at_clock_current()) >= deadline)
            return ati_report_stuck(pool);
        int64_t now = ati_monotonic_ns();
        if (now >= report) {
            ati_report_shutdown_slow(pool, (now - began) / AT_SECONDS(1));
            report = now + slow_interval;
        }
    }
}

/* Changes the state; afterwards no start is in progress that has seen the old one. */
static void set_state(at_pool *pool, ati_pool_state state) {
    /* ORDER pool.state: seq_cst. Comes before the look whether all is at rest.
     * Pairs with: seq_cst in ati_pool_come_to_rest(). If relaxed: a shutdown waits for ever. */
    atomic_store_explicit(&pool->state, state, memory_order_seq_cst);
    ati_injector_settle(&pool->injector);
    ati_injector_settle(&pool->high.injector);
    ati_injector_settle(&pool->low.injector);
    ati_timers_close(&pool->timers);
}

at_status at_pool_shutdown(at_pool *pool, at_deadline deadline) {
    ATI_CALLER_CHECK(pool, "at_pool_shutdown", "`pool` is NULL");
    ATI_CALLER_CHECK(at_pool_current() != pool, "at_pool_shutdown",
                     "called by a task of the pool, which would wait for itself; call it outside");
    if (ati_pool_is_forked(pool) && ati_pool_start_afresh(pool) != AT_OK)
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
        ati_timers_close(&pool->timers); /* whoever has cancelled the last timer is done with it */
        ati_timers_end(&pool->timers);
        ati_report_pool_stopped(pool);
    }
    ati_registry_remove(&pool->registry_entry);
    ati_virtual_clock_remove_pool(pool);
    release_owner(pool);
}

at_pool *at_pool_current(void) {
    return ati_pool_current();
}

int64_t at_pool_thread_count(const at_pool *pool) {
    ATI_CALLER_CHECK(pool, "at_pool_thread_count", "`pool` is NULL");
    return pool->thread_count;
}

at_executor *at_pool_executor(at_pool *pool) {
    ATI_CALLER_CHECK(pool, "at_pool_executor", "`pool` is NULL");
    return &pool->executor;
}
