/* SPDX-License-Identifier: MIT
 *
 * lib/pool: the real worker loop, sleep, start of works and end of a pool, over the real queues.
 * No execution ends with a work queued and all workers asleep; each work runs once; a shutdown
 * returns when all have run. */
#include "model.h"

/* One look at a held lock before the sleep: leaves the loop. */
#define ati_cpu_relax() break
#include "waiter_stub.h"

#include "base/lock.c"
#include "base/owner_lock.c"
#include "pool/find.c"
#include "pool/fork.c"
#include "pool/fork_watch.c"
#include "pool/forked_call.c"
#include "pool/idle.c"
#include "pool/lane.c"
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
static _Atomic uint32_t *made; /* forked calls */

static void set_up(int worker_count, uint32_t searching_limit) {
    pool = model_allocate(offsetof(at_pool, timers.wheel), _Alignof(at_pool)); /* no wheel here */
    started_count = 0;
    looks_at_clock = 0;
    memset(run_count, 0, sizeof run_count);
    ati_worker_current = NULL;
    at_inline_worker_current = NULL;
    model_thread_local(&ati_worker_current, sizeof ati_worker_current);
    model_thread_local(&at_inline_worker_current, sizeof at_inline_worker_current);
    made = model_allocate(sizeof *made, _Alignof(uint32_t));
    pool->options.queue_bound = AT_UNLIMITED;
    pool->options.thread_count = worker_count;
    pool->thread_count = (uint32_t)worker_count;
    pool->worker_limit = (uint32_t)worker_count;
    pool->workers = ati_allocate_zeroed((size_t)worker_count * sizeof(ati_worker *));
    model_check(pool->workers);
    pool->options.stack_bytes = 64; /* room for four forks */
    pool->options.clock = at_clock_current();
    atomic_init(&pool->idle.kept, AT_FOREVER);
    ati_timers_init(&pool->timers);
    pool->idle.searching_limit = searching_limit;
    model_check(ati_injector_init(&pool->injector, 1));
    model_check(ati_lane_init(&pool->high) && ati_lane_init(&pool->low));
    pool->low_limit = worker_count > 1 ? (uint32_t)worker_count - 1 : 1;
    model_check(create_workers(pool));
    atomic_init(&pool->idle.counts, (uint64_t)worker_count * ATI_IDLE_AWAKE);
}

static void start_one_worker(void) {
    set_up(1, 1);
}

static void start_two_workers(void) {
    set_up(2, 1);
}

static void start_three_workers(void) {
    set_up(3, 2);
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

static void start_works(void *(*run)(void *), int count) {
    start_batch batch = {.first = {.run = run, .argument = &run_count[started_count]},
                         .count = (size_t)count,
                         .step = sizeof *run_count};
    started_count += count;
    model_check(started_count <= work_max);
    model_check(start(pool, &batch) == AT_OK);
}

static void start_work(void *(*run)(void *)) {
    start_works(run, 1);
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

/* A work that forks, and does not call the library before another worker has made the call: with
 * all workers asleep or like this one it would not be made. */
static void *make_forked(void *argument) {
    atomic_fetch_add_explicit(made, 1, memory_order_relaxed);
    ati_futex_wake(made, 1);
    run_leaf(argument);
    return argument;
}

static void fork_and_await(int round) {
    static ati_frame task;
    at_fork fork;
    int *count = &run_count[started_count++];
    ati_worker_current->forks.owner = &task;
    at_fork_start(&fork, make_forked, count);
    ati_futex_wait(made, (uint32_t)round, AT_FOREVER);
    model_check(at_fork_join(&fork, make_forked) == count);
}

static void *run_forker(void *argument) {
    fork_and_await(0);
    return run_leaf(argument);
}

static void *run_forker_twice(void *argument) {
    fork_and_await(0);
    fork_and_await(1);
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
    at_inline_worker_current = &ati_worker_current->forks.line;
    ati_worker_loop(pool->workers[index]);
}

static void first_worker(void) {
    work(0);
}

static void second_worker(void) {
    work(1);
}

static void third_worker(void) {
    work(2);
}

static void start_leaf(void) {
    start_work(run_leaf);
}

static void start_two_leaves(void) {
    start_work(run_leaf);
    start_work(run_leaf);
}

static void start_two_at_once(void) {
    start_works(run_leaf, 2);
}

static void start_parent(void) {
    start_work(run_parent);
}

static void start_forker(void) {
    start_work(run_forker);
}

static void start_forker_twice(void) {
    start_work(run_forker_twice);
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

/* The work that is started in time starts another while the pool closes. */
static void start_parent_and_end(void) {
    start_work(run_parent);
    model_check(at_pool_shutdown(pool, AT_FOREVER) == AT_OK);
    check_all_ran();
    end_threads(pool);
}

static void only_end(void) {
    model_check(at_pool_shutdown(pool, AT_FOREVER) == AT_OK);
    end_threads(pool);
}

/* What is explored of a case. Looks at stale values cost most. */
#define ALL .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED
#define THREE .preemptions = 3, .stale_reads = 0
#define FRESH .preemptions = 2, .stale_reads = 0
#define STALE .preemptions = 2, .stale_reads = 1
#define STALER .preemptions = 1, .stale_reads = 2
#define LITTLE .preemptions = 1, .stale_reads = 1
#define HARDLY .preemptions = 1, .stale_reads = 0

#define CASE(text, begin, bounds, ...)                                                             \
    {                                                                                              \
        .name = text, .setup = begin, .threads = {__VA_ARGS__}, .check = check_at_rest,            \
        .ends_asleep = true, bounds                                                                \
    }
/* With one order weaker, which has to be found. */
#define MUTANT(in, operation, object, from, to, ...)                                               \
    {                                                                                              \
        .name = "mutant: " operation " " object " in " in ", " #to, .setup = start_one_worker,     \
        .threads = {__VA_ARGS__}, .check = check_at_rest, .ends_asleep = true, .must_fail = true,  \
        .mutant = {in, operation, object, memory_order_##from, memory_order_##to}, STALE           \
    }
#define END_CASE(text, begin, bounds, ...)                                                         \
    { .name = text, .setup = begin, .threads = {__VA_ARGS__}, .check = check_all_ran, bounds }

static const model_case cases[] = {
    CASE("one worker, one start, all", start_one_worker, ALL, start_leaf, first_worker),
    CASE("one worker, two starts", start_one_worker, STALE, start_two_leaves, first_worker),
    CASE("one worker, two producers", start_one_worker, STALE, start_leaf, start_leaf,
         first_worker),
    CASE("one worker, parent", start_one_worker, STALE, start_parent, first_worker),
    CASE("two workers, one start", start_two_workers, FRESH, start_leaf, first_worker,
         second_worker),
    CASE("two workers, two starts", start_two_workers, FRESH, start_two_leaves, first_worker,
         second_worker),
    CASE("two workers, parent", start_two_workers, FRESH, start_parent, first_worker,
         second_worker),
    CASE("two workers, parent, stale", start_two_workers, STALER, start_parent, first_worker,
         second_worker),
    CASE("two workers, grandparent, stale", start_two_workers, STALER, start_grandparent,
         first_worker, second_worker),
    CASE("two workers, fork", start_two_workers, LITTLE, start_forker, first_worker, second_worker),
    CASE("two workers, forks", start_two_workers, LITTLE, start_forker_twice, first_worker,
         second_worker),
    CASE("three workers, fork", start_three_workers, HARDLY, start_forker, first_worker,
         second_worker, third_worker),
    CASE("two workers, two at once", start_two_workers, FRESH, start_two_at_once, first_worker,
         second_worker),
    CASE("two workers, two at once, stale", start_two_workers, STALER, start_two_at_once,
         first_worker, second_worker),
    CASE("two searchers, two starts", start_two_searchers, FRESH, start_two_leaves, first_worker,
         second_worker),
    CASE("two searchers, two starts, stale", start_two_searchers, STALER, start_two_leaves,
         first_worker, second_worker),
    CASE("two workers, two producers", start_two_workers, LITTLE, start_leaf, start_leaf,
         first_worker, second_worker),
    END_CASE("one worker, end", start_one_worker, STALE, only_end, first_worker),
    END_CASE("one worker, start and end", start_one_worker, STALE, start_and_end, first_worker),
    END_CASE("one worker, start and end, three", start_one_worker, THREE, start_and_end,
             first_worker),
    END_CASE("one worker, parent and end", start_one_worker, STALE, start_parent_and_end,
             first_worker),
    END_CASE("two workers, start and end", start_two_workers, FRESH, start_and_end, first_worker,
             second_worker),
    END_CASE("two workers, parent and end", start_two_workers, LITTLE, start_parent_and_end,
             first_worker, second_worker),
    MUTANT("ati_idle_notify", "load", "&idle->counts", seq_cst, acquire, start_leaf, first_worker),
    MUTANT("enter_sleep", "fetch_add", "&idle->counts", seq_cst, acq_rel, start_leaf, first_worker),
    MUTANT("ati_injector_publish", "store", "&shard->pushed", seq_cst, release, start_leaf,
           first_worker),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
