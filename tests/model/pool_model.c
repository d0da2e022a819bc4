/* SPDX-License-Identifier: MIT
 *
 * lib/pool: the real worker loop, sleep, start of works and end of a pool, over the real queues.
 * No execution ends with a work queued and all workers asleep; each work runs once; a shutdown
 * returns when all have run. */
#include "model.h"

#include <sched.h>

/* One look at a held lock before the sleep, and one round of a search: leaves the loop. */
#define ati_cpu_relax() break
#define sched_yield()                                                                              \
    model_yield();                                                                                 \
    break
#include "base/lock.c"
#include "pool/idle.c"
#include "pool/pool.c"
#include "pool/start.c"
#include "pool/worker.c"
#include "queue/deque.c"
#include "queue/injector.c"

#include "pool_stubs.h"

enum { work_max = 8, worker_max = 3 };

static at_pool *pool;
static int started_count;
static int run_count[work_max];

static void set_up(int worker_count, uint32_t searching_limit) {
    pool = model_allocate(sizeof *pool, _Alignof(at_pool));
    started_count = 0;
    looks_at_clock = 0;
    memset(run_count, 0, sizeof run_count);
    ati_worker_current = NULL;
    model_thread_local(&ati_worker_current, sizeof ati_worker_current);
    pool->options.queue_bound = AT_UNLIMITED;
    pool->options.thread_count = worker_count;
    pool->idle.searching_limit = searching_limit;
    model_check(ati_injector_init(&pool->injector, 1));
    model_check(create_workers(pool));
    atomic_init(&pool->idle.counts, (uint64_t)worker_count * ATI_IDLE_AWAKE);
}

static void start_one_worker(void) {
    set_up(1, 1);
}

static void start_two_workers(void) {
    set_up(2, 1);
}

static void start_two_searchers(void) {
    set_up(2, 2);
}

/* -- Works -- */

static void *run_leaf(void *argument) {
    int *count = argument;
    model_check(++*count == 1);
    return NULL;
}

static void start_work(void *(*run)(void *)) {
    model_check(started_count < work_max);
    start_batch batch = {.first = {.run = run, .argument = &run_count[started_count++]},
                         .count = 1,
                         .continuation = true};
    model_check(start(pool, &batch) == AT_OK);
}

/* A work that starts another. */
static void *run_parent(void *argument) {
    start_work(run_leaf);
    return run_leaf(argument);
}

static void *run_grandparent(void *argument) {
    start_work(run_leaf);
    start_work(run_leaf);
    return run_leaf(argument);
}

static void check_all_ran(void) {
    for (int i = 0; i < started_count; i++)
        model_check(run_count[i] == 1);
    model_check(!ati_pool_has_work(pool));
}

static void check_at_rest(void) {
    check_all_ran();
    uint64_t counts = atomic_load_explicit(&pool->idle.counts, memory_order_relaxed);
    model_check(counts == pool->thread_count * ATI_IDLE_SLEEPING);
}

/* -- Threads -- */

static void work(int index) {
    ati_worker_current = pool->workers[index];
    work_until_end(pool->workers[index]);
}

static void first_worker(void) {
    work(0);
}

static void second_worker(void) {
    work(1);
}

static void start_leaf(void) {
    start_work(run_leaf);
}

static void start_two_leaves(void) {
    start_work(run_leaf);
    start_work(run_leaf);
}

static void start_parent(void) {
    start_work(run_parent);
}

static void start_grandparent(void) {
    start_work(run_grandparent);
}

/* Starts a work, then ends the pool as at_pool_destroy does, but for its storage. */
static void start_and_end(void) {
    start_work(run_leaf);
    model_check(at_pool_shutdown(pool, AT_FOREVER) == AT_OK);
    check_all_ran();
    end_threads(pool);
}

static void only_end(void) {
    model_check(at_pool_shutdown(pool, AT_FOREVER) == AT_OK);
    end_threads(pool);
}

#define CASE(text, begin, preemption_bound, stale_bound, ...)                                      \
    {                                                                                              \
        .name = text, .setup = begin, .threads = {__VA_ARGS__}, .check = check_at_rest,            \
        .ends_asleep = true, .preemptions = preemption_bound, .stale_reads = stale_bound           \
    }
#define END_CASE(text, begin, preemption_bound, stale_bound, ...)                                  \
    {                                                                                              \
        .name = text, .setup = begin, .threads = {__VA_ARGS__}, .check = check_all_ran,            \
        .preemptions = preemption_bound, .stale_reads = stale_bound                                \
    }

int main(int argument_count, char **arguments) {
    static const model_case cases[] = {
        CASE("one worker, one start, all", start_one_worker, MODEL_UNBOUNDED, MODEL_UNBOUNDED, start_leaf, first_worker),
        CASE("one worker, two starts", start_one_worker, 2, 1, start_two_leaves, first_worker),
        CASE("one worker, two producers", start_one_worker, 2, 1, start_leaf, start_leaf, first_worker),
        CASE("one worker, a work that starts one", start_one_worker, 2, 1, start_parent, first_worker),
        CASE("two workers, one start", start_two_workers, 2, 1, start_leaf, first_worker, second_worker),
        CASE("two workers, two starts", start_two_workers, 2, 1, start_two_leaves, first_worker, second_worker),
        CASE("two workers, a work that starts one", start_two_workers, 2, 1, start_parent, first_worker, second_worker),
        CASE("two workers, a work that starts two", start_two_workers, 2, 1, start_grandparent, first_worker, second_worker),
        CASE("two searchers, two starts", start_two_searchers, 2, 1, start_two_leaves, first_worker, second_worker),
        END_CASE("one worker, end", start_one_worker, 2, 1, only_end, first_worker),
        END_CASE("one worker, start and end", start_one_worker, 2, 1, start_and_end, first_worker),
        END_CASE("two workers, start and end", start_two_workers, 2, 1, start_and_end, first_worker, second_worker),
    };
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
