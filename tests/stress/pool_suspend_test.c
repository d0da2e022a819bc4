/* SPDX-License-Identifier: MIT
 *
 * Rules W1 and W3: very many tasks wait at once; waits end by wakes and by deadlines, together; the
 * pool ends right behind the last of them. */
#include "pool/pool.h"
#include "pool/waiter.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/sleep.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(pool_suspend_stress, .timeout = 200);

#if defined(__SANITIZE_THREAD__)
enum { scale = 50, rounds = 1 };
#elif defined(__SANITIZE_ADDRESS__)
enum { scale = 20, rounds = 1 };
#else
enum { scale = 1, rounds = 3 };
#endif

static void *wait_for(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

static void await_suspended(at_pool *pool, uint64_t count) {
    for (;;) {
        uint64_t suspended = 0;
        for (uint32_t i = 0; i < pool->worker_count; i++)
            suspended += ati_counter_read(&pool->workers[i]->suspended_count);
        if (suspended == count)
            return;
        sched_yield();
    }
}

/* Pages of this process in memory, and of its page tables. */
static int64_t read_memory_kib(void) {
    char line[256];
    int64_t total = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        long kib;
        if (sscanf(line, "VmRSS: %ld", &kib) == 1 || sscanf(line, "VmPTE: %ld", &kib) == 1)
            total += kib;
    }
    if (file)
        fclose(file);
    return total;
}

/* Until a worker that has nothing else to do has returned memory; gives what is left. */
static int64_t await_memory(int64_t before, int64_t limit) {
    at_deadline deadline = PATIENCE;
    int64_t more;
    while ((more = read_memory_kib() - before) > limit && at_clock_now(at_clock_real()) < deadline)
        sched_yield();
    return more;
}

/* Rule W3: 100,000 tasks wait on 2 workers, at most 6 KiB each; when they have gone, most of the
 * memory goes too. */
Test(pool_suspend_stress, a_hundred_thousand_at_once) {
    enum { count = 100000 / scale };
    for (int round = 0; round < rounds; round++) {
        at_future *future;
        at_pool *pool = create_pool(2);
        at_promise *promise = create_promise(pool, &future);
        int64_t before = read_memory_kib();
        for (int i = 0; i < count; i++)
            cr_assert_eq(at_pool_start(pool, wait_for, future), AT_OK);
        await_suspended(pool, count);
        int64_t during = read_memory_kib() - before;
        cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
        int64_t after = scale == 1 ? await_memory(before, during / 4) : 0;
        fprintf(stderr, "%d waiting: %lld bytes each; %lld KiB of %lld stay\n", count,
                (long long)(during * 1024 / count), (long long)after, (long long)during);
        if (scale == 1) {
            cr_expect_leq(during, count * 6);
            cr_expect_leq(after, during / 4);
        }
        cr_expect_eq(destroy_pool(pool).succeeded, count);
        at_future_release(future);
        at_promise_destroy(promise);
    }
}

/* -- Wakes and deadlines --------------------------------------------------------------------- */

struct racing {
    at_future *future;
    at_duration patience;
    _Atomic int *outcomes; /* done, timed out, anything else */
};

static void *wait_with_deadline(void *argument) {
    struct racing *racing = argument;
    at_status status = at_future_wait(racing->future, at_after(racing->patience), NULL);
    int index = status == AT_OK ? 0 : status == AT_ERROR_TIMED_OUT ? 1 : 2;
    atomic_fetch_add(&racing->outcomes[index], 1);
    at_error_clear();
    return NULL;
}

/* Deadlines race with the completion: each wait ends once, one way or the other, as the machine has
 * it. */
Test(pool_suspend_stress, deadlines_race_with_completion) {
    enum { count = 64, tries = 3000 / scale + 10 };
    static struct racing racing[count];
    _Atomic int outcomes[3] = {0};
    for (int try = 0; try < tries; try++) {
        at_future *future;
        at_pool *pool = create_pool(2);
        at_promise *promise = create_promise(pool, &future);
        for (int i = 0; i < count; i++) {
            racing[i] = (struct racing){future, AT_MICROSECONDS(20 * (i + 1)), outcomes};
            cr_assert_eq(at_pool_start(pool, wait_with_deadline, &racing[i]), AT_OK);
        }
        int64_t moment = at_clock_now(at_clock_real()) + AT_MICROSECONDS(try * 1500 / tries);
        while (at_clock_now(at_clock_real()) < moment)
            ;
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        destroy_pool(pool);
        at_future_release(future);
        at_promise_destroy(promise);
    }
    cr_expect_eq(outcomes[0] + outcomes[1], count * tries);
    cr_expect_eq(outcomes[2], 0);
}

/* -- The end --------------------------------------------------------------------------------- */

static void *wait_on_waiter(void *waiter) {
    ati_waiter_wait(waiter, AT_FOREVER);
    return NULL;
}

static void *destroy(void *pool) {
    at_pool_destroy(pool);
    return NULL;
}

/* A plain thread wakes the last task while another one destroys the pool: the waker may not touch
 * the pool once the task goes on. */
Test(pool_suspend_stress, the_pool_goes_right_behind_its_last_task) {
    for (int i = 0; i < 5000 / scale + 10; i++) {
        pthread_t thread;
        at_pool *pool = create_pool(1 + i % 2);
        ati_waiter waiter;
        ati_waiter_init(&waiter, "test", NULL);
        cr_assert_eq(at_pool_start(pool, wait_on_waiter, &waiter), AT_OK);
        if (i % 3)
            await_suspended(pool, 1);
        cr_assert_eq(pthread_create(&thread, NULL, destroy, pool), 0);
        if (i % 5)
            sched_yield();
        ati_waiter_wake(&waiter);
        pthread_join(thread, NULL);
    }
}

/* -- Relays between workers ------------------------------------------------------------------ */

enum { chain_count = 16, hop_count = 20000 / scale };

struct hop {
    at_promise *promise;
    at_future *future;
};

struct chain {
    struct hop *hops;
    int first; /* takes every second hop from here on */
};

static void *take_hops(void *argument) {
    struct chain *chain = argument;
    for (int i = chain->first; i < hop_count; i += 2) {
        AT_TRY(at_future_wait(chain->hops[i].future, AT_FOREVER, NULL));
        if (i + 1 < hop_count)
            AT_TRY(at_promise_set(chain->hops[i + 1].promise, NULL, NULL));
    }
    return NULL;
}

/* Pairs of tasks pass a token to and fro, on one worker and between two. */
Test(pool_suspend_stress, tokens) {
    for (int workers = 1; workers <= 4; workers *= 2) {
        at_pool *pool = create_pool(workers);
        struct chain chains[2 * chain_count];
        for (int i = 0; i < chain_count; i++) {
            struct hop *hops = calloc(hop_count, sizeof *hops);
            for (int j = 0; j < hop_count; j++)
                hops[j].promise = create_promise(pool, &hops[j].future);
            for (int j = 0; j < 2; j++) {
                chains[2 * i + j] = (struct chain){hops, j};
                cr_assert_eq(at_pool_start(pool, take_hops, &chains[2 * i + j]), AT_OK);
            }
        }
        for (int i = 0; i < chain_count; i++)
            cr_assert_eq(at_promise_set(chains[2 * i].hops[0].promise, NULL, NULL), AT_OK);
        cr_expect_eq(destroy_pool(pool).succeeded, 2 * chain_count);
        for (int i = 0; i < chain_count; i++) {
            for (int j = 0; j < hop_count; j++) {
                at_future_release(chains[2 * i].hops[j].future);
                at_promise_destroy(chains[2 * i].hops[j].promise);
            }
            free(chains[2 * i].hops);
        }
    }
}

/* -- A mixture ------------------------------------------------------------------------------- */

static void *do_something(void *argument) {
    uintptr_t depth = (uintptr_t)argument;
    at_yield();
    if (depth % 3 == 0)
        AT_TRY(at_sleep(AT_MICROSECONDS(depth % 50)));
    if (depth > 0) {
        at_future *left = at_pool_submit(at_pool_current(), do_something, (char *)argument - 1);
        at_future *right = at_pool_submit(at_pool_current(), do_something, (char *)argument - 1);
        at_deadline deadline = depth % 2 ? AT_FOREVER : PATIENCE;
        at_status status = at_future_wait(left, deadline, NULL);
        if (status == AT_OK)
            status = at_future_wait(right, deadline, NULL);
        at_future_release(left);
        at_future_release(right);
        AT_TRY(status);
    }
    AT_TRY(at_check());
    return NULL;
}

Test(pool_suspend_stress, trees_that_sleep_and_yield) {
    enum { depth = scale == 1 ? 13 : 9 };
    for (int workers = 1; workers <= 4; workers *= 2) {
        at_pool *pool = create_pool(workers);
        at_future *future = at_pool_submit(pool, do_something, (void *)(intptr_t)depth);
        wait_value(future);
        at_future_release(future);
        cr_expect_eq(destroy_pool(pool).succeeded, (2 << depth) - 1);
    }
}
