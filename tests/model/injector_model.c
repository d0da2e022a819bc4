/* SPDX-License-Identifier: MIT
 *
 * lib/queue/injector.c: producers and consumers on one shard and on two. Nothing is lost, doubled
 * or read before it is written, shards are first in first out; and a producer that made a shard
 * non-empty for a worker that fell asleep on it is told so. */
#include "model.h"

/* One look at a held lock before the sleep: leaves the loop. */
#define ati_cpu_relax() break
#include "base/lock.c"
#include "queue/injector.c"

enum { work_max = 8, take_max = 4 };

typedef struct world {
    ati_injector injector;
    _Atomic uint32_t sleepers; /* announced */
    _Atomic uint32_t woken;
} world;

static world *shared;
static int pushed_count;
static int pushed_by[work_max]; /* thread and sequence, told by the argument of the work */
static int taken_count;
static bool is_taken[work_max];
static char names[work_max];

int64_t ati_monotonic_ns(void) {
    return 0;
}

static bool push(int count) {
    ati_injector_shard *shard = ati_injector_open(&shared->injector);
    model_check(ati_injector_reserve(shard, (size_t)count));
    for (int i = 0; i < count; i++) {
        int number = pushed_count++;
        pushed_by[number] = model_thread_number();
        ati_work work = {.argument = &names[number], .site = &names[number]};
        ati_injector_write(shard, &work);
    }
    bool edge = ati_injector_publish(shard, (size_t)count);
    ati_injector_close(&shared->injector, shard);
    return edge;
}

static bool push_series(int count) {
    ati_injector_shard *shard = ati_injector_open(&shared->injector);
    model_check(ati_injector_reserve(shard, ATI_SERIES_PLACES));
    ati_work work = {.argument = &names[pushed_count], .site = names};
    for (int i = 0; i < count; i++)
        pushed_by[pushed_count++] = model_thread_number();
    ati_injector_write_series(shard, &(ati_works){&work, (size_t)count, 1});
    bool edge = ati_injector_publish(shard, (size_t)count);
    ati_injector_close(&shared->injector, shard);
    return edge;
}

static void accept(const ati_works *works) {
    int before = -1;
    for (size_t i = 0; i < works->count; i++) {
        ati_work work = ati_works_get(works, i);
        if (!work.argument)
            continue; /* of setup */
        int number = (int)((char *)work.argument - names);
        model_check(number >= 0 && number < pushed_count);
        model_check(work.site == &names[works->step > 0 ? 0 : number]);
        model_check(!is_taken[number]);
        /* All of one take come from one shard, oldest first. */
        model_check(before < 0 || pushed_by[before] != pushed_by[number] || before < number);
        before = number;
        is_taken[number] = true;
        taken_count++;
    }
}

static bool take_from(uint32_t first, size_t limit) {
    ati_works works;
    ati_injector_shard *shard = ati_injector_begin_take(&shared->injector, first, limit, &works);
    if (!shard)
        return false;
    model_check(works.count > 0 && works.count <= limit);
    accept(&works);
    ati_injector_end_take(shard, works.count);
    return true;
}

/* -- Setup and check -- */

static void start(uint32_t shard_count) {
    shared = model_allocate(sizeof *shared, _Alignof(world));
    pushed_count = 0;
    taken_count = 0;
    memset(is_taken, 0, sizeof is_taken);
    model_check(ati_injector_init(&shared->injector, shard_count));
}

static void start_one_shard(void) {
    start(1);
}

static void start_two_shards(void) {
    start(2);
}

static void push_fillers(size_t count) {
    ati_injector_shard *shard = ati_injector_open(&shared->injector);
    model_check(ati_injector_reserve(shard, count));
    for (size_t i = 0; i < count; i++)
        ati_injector_write(shard, &(ati_work){.argument = NULL});
    (void)ati_injector_publish(shard, count);
    ati_injector_close(&shared->injector, shard);
}

static void take_fillers(size_t count) {
    ati_works works;
    ati_injector_shard *shard = ati_injector_begin_take(&shared->injector, 0, count, &works);
    ati_injector_end_take(shard, works.count);
}

/* One place is left in the first block, so that the next works need another one. */
static void start_at_end_of_block(void) {
    start(1);
    push_fillers(block_capacity - 1);
    take_fillers(block_capacity - 1);
}

/* Two blocks: the consumer has one work left in the first, the producer one place in the second,
 * so that the first may become the third. */
static void start_in_two_blocks(void) {
    start(1);
    push_fillers(2 * block_capacity - 1);
    take_fillers(block_capacity - 1);
}

static void check_all_taken(void) {
    while (take_from(0, take_max))
        ;
    model_check(taken_count == pushed_count);
    model_check(ati_injector_is_empty(&shared->injector));
    ati_injector_deinit(&shared->injector);
}

/* -- Threads: who pushes, who takes -- */

static void push_one(void) {
    push(1);
}

static void push_one_twice(void) {
    push(1);
    push(1);
}

static void push_two(void) {
    push(2);
}

static void push_two_then_one(void) {
    push(2);
    push(1);
}

static void push_three_in_series(void) {
    push_series(3);
}

static void push_one_then_series(void) {
    push(1);
    push_series(2);
}

static void push_series_then_one(void) {
    push_series(2);
    push(1);
}

static void take_one(void) {
    take_from(0, 1);
}

static void take_one_twice(void) {
    take_from(0, 1);
    take_from(0, 1);
}

static void take_many(void) {
    take_from(0, take_max);
}

static void take_many_twice(void) {
    take_from(0, take_max);
    take_from(0, take_max);
}

/* -- Sleep: announced, then a look at the shards; a producer's edge, then a look at sleepers -- */

static void announce_and_look(void) {
    atomic_fetch_add_explicit(&shared->sleepers, 1, memory_order_seq_cst);
    if (!ati_injector_is_empty(&shared->injector))
        return; /* the worker goes on */
    while (atomic_load_explicit(&shared->woken, memory_order_relaxed) == 0)
        ati_futex_wait(&shared->woken, 0, AT_FOREVER);
}

static void wake_on_edge(bool edge) {
    if (!edge || atomic_load_explicit(&shared->sleepers, memory_order_seq_cst) == 0)
        return;
    atomic_store_explicit(&shared->woken, 1, memory_order_relaxed);
    ati_futex_wake(&shared->woken, 1);
}

static void push_and_wake(void) {
    wake_on_edge(push(1));
}

static void push_and_wake_twice(void) {
    wake_on_edge(push(1));
    wake_on_edge(push(1));
}

/* Takes the work that was there first, so that the shard becomes empty at any moment. */
static void take_then_sleep(void) {
    take_from(0, 1);
    announce_and_look();
}

static void start_with_one(void) {
    start(1);
    push(1);
}

/* Asleep at the end with a work queued and its producer gone is a deadlock; asleep because all was
 * taken is not. */
static void check_nobody_overslept(void) {
    model_check(ati_injector_is_empty(&shared->injector) ||
                atomic_load_explicit(&shared->woken, memory_order_relaxed) == 1 ||
                model_asleep_count() == 0);
}

#define CASE(text, begin, ...)                                                                     \
    {                                                                                              \
        .name = text, .setup = begin, .threads = {__VA_ARGS__}, .check = check_all_taken,          \
        .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED                             \
    }
#define SLEEP_CASE(text, begin, ...)                                                               \
    {                                                                                              \
        .name = text, .setup = begin, .threads = {__VA_ARGS__}, .check = check_nobody_overslept,   \
        .ends_asleep = true, .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED        \
    }

static const model_case cases[] = {
    CASE("one to one", start_one_shard, push_one_twice, take_one_twice),
    CASE("two at once", start_one_shard, push_two_then_one, take_many_twice),
    CASE("over the end of a block", start_at_end_of_block, push_one_twice, take_one_twice),
    CASE("over the end of a block, two", start_at_end_of_block, push_two_then_one, take_many_twice),
    CASE("two producers", start_one_shard, push_one, push_one, take_many),
    CASE("two consumers", start_one_shard, push_two, take_one, take_many),
    CASE("two consumers over the end of a block", start_at_end_of_block, push_two, take_one,
         take_many),
    CASE("a block used again", start_in_two_blocks, push_two, take_one_twice),
    CASE("a block used again, two consumers", start_in_two_blocks, push_two, take_one,
         take_one_twice),
    CASE("a series", start_one_shard, push_three_in_series, take_one_twice),
    CASE("a series, two consumers", start_one_shard, push_three_in_series, take_one, take_many),
    CASE("a series behind a work", start_one_shard, push_one_then_series, take_many_twice),
    CASE("a series before a work", start_one_shard, push_series_then_one, take_many_twice),
    CASE("a series over the end of a block", start_at_end_of_block, push_series_then_one,
         take_many_twice),
    CASE("a series over the end of a block, two consumers", start_at_end_of_block,
         push_series_then_one, take_one, take_many),
    CASE("a series and a work", start_one_shard, push_three_in_series, push_one, take_many),
    CASE("two to two", start_one_shard, push_one, push_one, take_one, take_one),
    CASE("two shards, two producers", start_two_shards, push_one, push_one, take_many),
    CASE("two shards, three producers", start_two_shards, push_one, push_one, push_one),
    SLEEP_CASE("edge for a sleeper", start_one_shard, push_and_wake_twice, announce_and_look),
    SLEEP_CASE("edge for a sleeper that took", start_with_one, push_and_wake, take_then_sleep),
    SLEEP_CASE("edge for a sleeper while another takes", start_with_one, push_and_wake, take_one,
               announce_and_look),
    SLEEP_CASE("edge for a sleeper, two producers", start_one_shard, push_and_wake, push_and_wake,
               announce_and_look),
    SLEEP_CASE("edge for a sleeper, two shards", start_two_shards, push_and_wake, push_and_wake,
               announce_and_look),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
